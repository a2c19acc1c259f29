//! Activations to int8; the rule is in the crate's description.
//!
//! Not a weight format: nothing here is ever stored in a file. What is not finite makes the scale of its group
//! NaN, the same way everywhere.

use crate::float::ROUND;
use crate::isa::{Isa, Kernel, LANES, SideOfGroup};
use crate::product::{ACTIVATION_GROUP, QuantizedMut, STEPS};

/// Below this magnitude a group counts as zero: 2^-100.
pub(crate) const TINY: f32 = f32::from_bits((127 - 100) << 23);

/// Quantises columns of `k` elements, whole sixteens of them and the last ones.
pub(crate) struct Quantize<'a> {
    /// (n, k)
    pub x: &'a [f32],
    pub k: usize,
    pub out: QuantizedMut<'a>,
}

impl<I: Isa> Kernel<I> for Quantize<'_> {
    #[inline(always)]
    fn run(self, isa: I) {
        let Quantize { x, k, out } = self;
        let whole = x.len() / k / LANES * LANES;
        let groups = whole * k.div_ceil(ACTIVATION_GROUP);
        let (x, x_rest) = x.split_at(whole * k);
        let (q, q_rest) = out.q.split_at_mut(groups * ACTIVATION_GROUP);
        let (scale, scale_rest) = out.scale.split_at_mut(groups);
        let (sums, sums_rest) = out.sums.split_at_mut(groups * 2);
        side_by_side::<I, LANES>(isa, x, k, QuantizedMut { q, scale, sums });
        let out = QuantizedMut { q: q_rest, scale: scale_rest, sums: sums_rest };
        side_by_side::<I, 1>(isa, x_rest, k, out);
    }
}

/// Quantises columns of which `W` each lie side by side.
#[inline(always)]
fn side_by_side<I: Isa, const W: usize>(isa: I, x: &[f32], k: usize, out: QuantizedMut) {
    let groups = k.div_ceil(ACTIVATION_GROUP);
    let q = out.q.as_chunks_mut::<4>().0.as_chunks_mut::<W>().0.as_chunks_mut::<STEPS>().0;
    let scale = out.scale.as_chunks_mut::<W>().0;
    let sums = out.sums.as_chunks_mut::<2>().0.as_chunks_mut::<W>().0;
    let sides = (x.chunks_exact(W * k).zip(q.chunks_exact_mut(groups)))
        .zip(scale.chunks_exact_mut(groups).zip(sums.chunks_exact_mut(groups)));
    for ((x, q), (scale, sums)) in sides {
        for g in 0..groups {
            let (q, scale, sums) = (&mut q[g], &mut scale[g], &mut sums[g]);
            if at_once(isa, (x, k, g), q, scale, sums) {
                continue;
            }
            for lane in 0..W {
                let part = &x[lane * k + g * ACTIVATION_GROUP..lane * k + k.min((g + 1) * ACTIVATION_GROUP)];
                let mut integers = [0; ACTIVATION_GROUP];
                (scale[lane], sums[lane]) = match part.first_chunk() {
                    Some(x) => group(isa, x, &mut integers),
                    None => {
                        let mut last = [0.0; ACTIVATION_GROUP];
                        last[..part.len()].copy_from_slice(part);
                        group(isa, &last, &mut integers)
                    }
                };
                let (integers, _) = integers.as_chunks::<4>();
                for step in 0..STEPS {
                    q[step][lane] = integers[step];
                }
            }
        }
    }
}

/// Quantises group `g` of sixteen columns at once; whether it did.
#[inline(always)]
fn at_once<I: Isa, const W: usize>(
    isa: I,
    (x, k, g): (&[f32], usize, usize),
    q: &mut [[[i8; 4]; W]; STEPS],
    scale: &mut [f32; W],
    sums: &mut [[i16; 2]; W],
) -> bool {
    let q = q.as_flattened_mut().as_chunks_mut().0.first_chunk_mut();
    let (Some(q), Some(scale), Some(sums)) = (q, scale.first_chunk_mut(), sums.first_chunk_mut()) else {
        return false;
    };
    let whole = (g + 1) * ACTIVATION_GROUP <= k && x.len() == LANES * k;
    // SAFETY: the group lies within each of sixteen columns.
    whole
        && unsafe { isa.quantize_16(x.as_ptr().add(g * ACTIVATION_GROUP), k, SideOfGroup { q, scale, sums }) }
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
