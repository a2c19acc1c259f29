//! Activations to int8; the rule is in the crate's description.
//!
//! Not a weight format: nothing here is ever stored in a file. What is not finite makes the scale of its group
//! NaN, the same way everywhere.

use crate::float::ROUND;
use crate::isa::{Isa, Kernel, LANES};
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
    fn run(self, isa: I) {
        let groups = self.k.div_ceil(ACTIVATION_GROUP);
        let mut out = (self.out.q.as_chunks_mut().0.iter_mut())
            .zip(self.out.scale.iter_mut())
            .zip(self.out.sums.as_chunks_mut().0);
        for column in self.x.chunks_exact(self.k) {
            let (whole, tail) = column.as_chunks::<ACTIVATION_GROUP>();
            let mut last = [0.0; ACTIVATION_GROUP];
            last[..tail.len()].copy_from_slice(tail);
            for (x, ((q, scale), sums)) in whole.iter().chain([&last]).zip(out.by_ref().take(groups)) {
                (*scale, *sums) = group(isa, x, q);
            }
        }
    }
}

/// Quantises one group; its scale, and the sums of its halves.
#[inline(always)]
fn group<I: Isa>(isa: I, x: &[f32; ACTIVATION_GROUP], q: &mut [i8; ACTIVATION_GROUP]) -> (f32, [i16; 2]) {
    let x = [isa.load(half(x, 0)), isa.load(half(x, 1))];
    let (zero, minus) = (isa.splat(0.0), isa.splat(-1.0));
    let sizes = [isa.max(isa.mul(x[0], minus), x[0]), isa.max(isa.mul(x[1], minus), x[1])];
    // Infinities and NaNs times zero are NaN, and stay that.
    let odd = isa.sum(isa.fma(x[0], zero, isa.mul(x[1], zero)));
    let amax = isa.largest(isa.max(sizes[0], sizes[1]));
    if odd.is_nan() || amax < TINY {
        *q = [0; ACTIVATION_GROUP];
        return (if odd.is_nan() { f32::NAN } else { 0.0 }, [0; 2]);
    }
    let (inverse, round) = (isa.splat(127.0 / amax), isa.splat(ROUND));
    let mut sums = [0; 2];
    for i in 0..2 {
        // The low byte of the rounded sum is the integer. It is within +-127: x * inverse exceeds 127 by less than a half.
        let rounded = isa.add(isa.mul(x[i], inverse), round);
        let (low, high) = q.split_at_mut(LANES);
        if let Some(out) = if i == 0 { low } else { high }.first_chunk_mut() {
            isa.store_low_bytes(rounded, out);
        }
        sums[i] = isa.sum(isa.add(rounded, isa.splat(-ROUND))) as i16;
    }
    (amax / 127.0, sums)
}

/// One half of a group.
#[inline(always)]
fn half(x: &[f32; ACTIVATION_GROUP], which: usize) -> &[f32; LANES] {
    &x.as_chunks().0[which]
}
