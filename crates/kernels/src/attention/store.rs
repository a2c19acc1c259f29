//! Rows of keys and values on their way into a cache.
//!
//! Not a place for which rows those are.

use super::KvFormat;
use crate::isa::{Isa, Kernel};
use half::f16;

/// Writes rows of keys or values into a cache.
pub(crate) struct StoreKv<'a> {
    pub format: KvFormat,
    /// (n, kv_heads * head_dim)
    pub x: &'a [f32],
    /// (slots, kv_heads * head_dim)
    pub cache: &'a mut [u8],
    pub first_pos: usize,
    pub slots: usize,
}

impl<I: Isa> Kernel<I> for StoreKv<'_> {
    #[inline(always)]
    fn run(self, isa: I) {
        let row_bytes = self.cache.len() / self.slots;
        let row = match self.format {
            KvFormat::F16 => row_bytes / 2,
            KvFormat::Q8_0 => row_bytes / 34 * 32,
        };
        for (i, x) in self.x.chunks_exact(row).enumerate() {
            let slot = (self.first_pos + i) % self.slots;
            let out = &mut self.cache[slot * row_bytes..][..row_bytes];
            match self.format {
                KvFormat::F16 => {
                    for (x, out) in x.as_chunks().0.iter().zip(out.as_chunks_mut().0) {
                        isa.store_f16(isa.load(x), out);
                    }
                }
                KvFormat::Q8_0 => {
                    for (x, out) in x.as_chunks().0.iter().zip(out.as_chunks_mut().0) {
                        store_q8(x, out);
                    }
                }
            }
        }
    }
}

/// One block: the f16 nearest to `amax / 127` as scale, and what is nearest to `x / scale`, ties to even.
#[inline(always)]
fn store_q8(x: &[f32; 32], out: &mut [u8; 34]) {
    let amax = x.iter().fold(0.0f32, |most, x| if x.abs() > most { x.abs() } else { most });
    let scale = f16::from_f32(amax / 127.0);
    let inverse = if scale.to_f32() > 0.0 { 1.0 / scale.to_f32() } else { 0.0 };
    out[..2].copy_from_slice(&scale.to_le_bytes());
    for (out, x) in out[2..].iter_mut().zip(x) {
        *out = (x * inverse).round_ties_even().clamp(-127.0, 127.0) as i8 as u8;
    }
}
