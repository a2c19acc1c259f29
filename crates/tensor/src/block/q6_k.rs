//! Q6_K: 256 elements in sixteen groups of 16 with 8-bit scales, six-bit codes that count from -32 (ggml's
//! `block_q6_K`).
//!
//! Bytes: nibbles 0-127, high bit pairs 128-191, signed scales 192-207, `d` 208-209. Each half of 128 elements has
//! 64 bytes of nibbles in two planes and 32 bytes of pairs in four.

use super::bits::{f16_at, or_planes, put_f16, put_field, read_planes};
use super::{BlockFormat, Groups, fit};
use crate::DType;

pub(super) struct Q6K;

impl BlockFormat for Q6K {
    fn dtype(&self) -> DType {
        DType::Q6_K
    }

    fn group(&self) -> usize {
        16
    }

    fn has_min(&self) -> bool {
        false
    }

    fn loose(&self) -> usize {
        208
    }

    fn unpack(&self, block: &[u8], out: &mut Groups) {
        let d = f16_at(block, 208);
        for g in 0..16 {
            (out.scale[g], out.min[g]) = (d * f32::from(block[192 + g] as i8), 0.0);
        }
        for (half, q) in out.q.chunks_exact_mut(128).enumerate() {
            read_planes(&block[half * 64..][..64], 4, q);
            or_planes(&block[128 + half * 32..][..32], 2, 4, q);
            q.iter_mut().for_each(|q| *q -= 32);
        }
    }

    fn quantize(&self, values: &[f32], block: &mut [u8]) {
        block.fill(0);
        let fit = fit::symmetric(values, 16, -128.0, 0.1, |x| fit::round_to(x, -32.0, 31.0));
        put_f16(block, 208, fit.d);
        for g in 0..16 {
            block[192 + g] = fit.scale[g] as u8;
        }
        for (i, q) in fit.q.iter().enumerate() {
            let (half, i, code) = (i / 128, i % 128, (q + 32) as u8);
            put_field(&mut block[half * 64..][..64], 4, i, code);
            put_field(&mut block[128 + half * 32..][..32], 2, i, code >> 4);
        }
    }
}
