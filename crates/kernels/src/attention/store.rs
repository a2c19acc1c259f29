//! Rows of keys and values on their way into a cache.
//!
//! Not a place for which rows those are.

use super::layout::BLOCK;
use super::{KvFormat, KvShape};
use crate::isa::{Isa, Kernel, LANES};
use half::f16;

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
                            let (scale, codes) = quantize(x);
                            let (scales, out) = out.split_at_mut(2 * LANES);
                            spread(&[scale], lane, scales);
                            spread(codes.as_chunks::<1>().0, lane, out);
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
                            let (scale, codes) = quantize(x);
                            out[..2].copy_from_slice(&scale);
                            out[2..].copy_from_slice(&codes);
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
fn quantize(x: &[f32; BLOCK]) -> ([u8; 2], [u8; BLOCK]) {
    let amax = x.iter().fold(0.0f32, |most, x| if x.abs() > most { x.abs() } else { most });
    let scale = f16::from_f32(amax / 127.0);
    let inverse = if scale.to_f32() > 0.0 { 1.0 / scale.to_f32() } else { 0.0 };
    let mut codes = [0; BLOCK];
    for i in 0..BLOCK {
        codes[i] = (x[i] * inverse).round_ties_even().clamp(-127.0, 127.0) as i8 as u8;
    }
    (scale.to_le_bytes(), codes)
}
