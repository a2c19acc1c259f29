//! Rows of keys and values on their way into a cache.
//!
//! Not a place for which rows those are.

use super::layout::BLOCK;
use super::{KvFormat, KvShape};
use crate::float::ROUND;
use crate::isa::{Isa, Kernel, LANES};

/// Writes rows of keys or values into a cache.
pub(crate) struct StoreKv<'a> {
    pub shape: KvShape,
    /// Whether they are keys.
    pub keys: bool,
    /// (n, heads * head_dim)
    pub x: &'a [f32],
    pub cache: &'a mut [u8],
    pub first_pos: usize,
}

impl<I: Isa> Kernel<I> for StoreKv<'_> {
    #[inline(always)]
    fn run(self, isa: I) {
        let shape = self.shape;
        for (i, x) in self.x.chunks_exact(shape.head_dim).enumerate() {
            let (position, head) = (self.first_pos + i / shape.heads, i % shape.heads);
            if self.keys {
                let group = &mut self.cache[shape.keys(position, head)..][..LANES * shape.head_bytes()];
                let lane = position % LANES;
                match shape.format {
                    KvFormat::F16 => {
                        for (x, out) in x.as_chunks().0.iter().zip(group.chunks_exact_mut(LANES * 2 * LANES))
                        {
                            let mut halves = [0; 2 * LANES];
                            isa.store_f16(isa.load(x), &mut halves);
                            spread(halves.as_chunks::<2>().0, lane, out);
                        }
                    }
                    KvFormat::Q8_0 => {
                        for (x, out) in x.as_chunks().0.iter().zip(group.chunks_exact_mut(LANES * 34)) {
                            let (scale, codes) = quantize(isa, x);
                            let (scales, out) = out.split_at_mut(2 * LANES);
                            spread(&[scale], lane, scales);
                            spread(codes.map(|code| [code as u8]).as_slice(), lane, out);
                        }
                    }
                }
            } else {
                let row = &mut self.cache[shape.value(position, head)..][..shape.head_bytes()];
                match shape.format {
                    KvFormat::F16 => {
                        for (x, out) in x.as_chunks().0.iter().zip(row.as_chunks_mut().0) {
                            isa.store_f16(isa.load(x), out);
                        }
                    }
                    KvFormat::Q8_0 => {
                        for (x, out) in x.as_chunks().0.iter().zip(row.as_chunks_mut::<34>().0) {
                            let (scale, codes) = quantize(isa, x);
                            out[..2].copy_from_slice(&scale);
                            out[2..].copy_from_slice(codes.map(|code| code as u8).as_slice());
                        }
                    }
                }
            }
        }
    }
}

/// What key `lane` of sixteen has, each `N` bytes, to where sixteen lie side by side.
#[inline(always)]
fn spread<const N: usize>(x: &[[u8; N]], lane: usize, out: &mut [u8]) {
    for (x, out) in x.iter().zip(out.chunks_exact_mut(N * LANES)) {
        out[N * lane..][..N].copy_from_slice(x);
    }
}

/// One block: the f16 nearest to `amax / 127` as scale, and what is nearest to `x / scale`, ties to even.
#[inline(always)]
fn quantize<I: Isa>(isa: I, x: &[f32; BLOCK]) -> ([u8; 2], [i8; BLOCK]) {
    let (halves, zero, minus) = (x.as_chunks().0, isa.splat(0.0), isa.splat(-1.0));
    let mut most = zero;
    for half in halves {
        let x = isa.load(half);
        // What is not a number is not greater.
        most = isa.max(isa.mul(x, minus), isa.max(x, most));
    }
    let (limit, over) = (isa.splat(127.0), isa.splat(256.0));
    let mut stored = [0; 2 * LANES];
    isa.store_f16(isa.div(isa.splat(isa.largest(most)), limit), &mut stored);
    let scale = isa.load_f16(&stored);
    let inverse = isa.less(zero, scale, isa.div(isa.splat(1.0), scale), zero);
    let mut codes = [0; BLOCK];
    for (half, codes) in halves.iter().zip(codes.as_chunks_mut().0) {
        let x = isa.mul(isa.load(half), inverse);
        // Half as much again as 127, where the scale was rounded down to a subnormal, or no number, which becomes 0.
        let x = isa.less(x, limit, x, isa.less(x, over, limit, zero));
        let x = isa.max(x, isa.mul(limit, minus));
        isa.store_low_bytes(isa.add(x, isa.splat(ROUND)), codes);
    }
    ([stored[0], stored[1]], codes)
}
