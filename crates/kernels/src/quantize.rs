//! Activations to int8; the rule is in the crate's description.
//!
//! Not a weight format: nothing here is ever stored in a file. Magnitudes are compared as integers, which orders floats
//! and puts infinities and NaNs on top, the same way everywhere.

use crate::float::ROUND;
use crate::isa::{Isa, Kernel};
use crate::product::{ACTIVATION_GROUP, QuantizedMut};

/// Below this magnitude a group counts as zero: 2^-100.
const TINY: f32 = f32::from_bits((127 - 100) << 23);

/// Quantises columns of `k` elements.
pub(crate) struct Quantize<'a> {
    /// (n, k)
    pub x: &'a [f32],
    pub k: usize,
    /// (n, padded k)
    pub out: QuantizedMut<'a>,
}

impl<I: Isa> Kernel<I> for Quantize<'_> {
    #[inline(always)]
    fn run(self, _: I) {
        let groups = self.k.div_ceil(ACTIVATION_GROUP);
        let mut out = (self.out.q.as_chunks_mut().0.iter_mut())
            .zip(self.out.scale.iter_mut())
            .zip(self.out.sums.as_chunks_mut().0);
        for column in self.x.chunks_exact(self.k) {
            let (whole, tail) = column.as_chunks::<ACTIVATION_GROUP>();
            let mut last = [0.0; ACTIVATION_GROUP];
            last[..tail.len()].copy_from_slice(tail);
            for (x, ((q, scale), sums)) in whole.iter().chain([&last]).zip(out.by_ref().take(groups)) {
                *scale = group(x, q);
                *sums = [sum(&q[..16]), sum(&q[16..])];
            }
        }
    }
}

/// Quantises one group and gives its scale.
#[inline(always)]
fn group(x: &[f32; ACTIVATION_GROUP], q: &mut [i8; ACTIVATION_GROUP]) -> f32 {
    let magnitude = x.iter().fold(0, |most, x| u32::max(most, x.to_bits() & 0x7fff_ffff));
    let amax = f32::from_bits(magnitude);
    let usable = (TINY..f32::INFINITY).contains(&amax);
    let inverse = if usable { 127.0 / amax } else { 0.0 };
    for (q, &x) in q.iter_mut().zip(x) {
        // The low byte of the rounded sum is the integer. It is within +-127: x * inverse exceeds 127 by less than a half.
        let rounded = x * inverse + ROUND;
        *q = if usable { rounded.to_bits() as i8 } else { 0 };
    }
    if usable {
        amax / 127.0
    } else if amax < TINY {
        0.0
    } else {
        f32::NAN
    }
}

#[inline(always)]
fn sum(q: &[i8]) -> i16 {
    q.iter().map(|&q| i16::from(q)).sum()
}
