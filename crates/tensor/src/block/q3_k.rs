//! Q3_K: 256 elements in sixteen groups of 16 with 6-bit scales that count from -32, three-bit codes that count
//! from -4 (ggml's `block_q3_K`).
//!
//! Bytes: third bits 0-31 in eight planes, low bit pairs 32-95: each 32 bytes hold 128 elements in four planes,
//! scales 96-107: nibbles in two planes of eight, then bit pairs in four planes of four, `d` 108-109.

use super::bits::{f16_at, field, or_planes, put_f16, put_field, read_planes};
use super::{BlockFormat, Groups, fit};
use crate::DType;

pub(super) struct Q3K;

impl BlockFormat for Q3K {
    fn dtype(&self) -> DType {
        DType::Q3_K
    }

    fn group(&self) -> usize {
        16
    }

    fn has_min(&self) -> bool {
        false
    }

    fn loose(&self) -> usize {
        108
    }

    fn unpack(&self, block: &[u8], out: &mut Groups) {
        let d = f16_at(block, 108);
        for g in 0..16 {
            let scale = field(&block[96..104], 4, g) | field(&block[104..108], 2, g) << 4;
            (out.scale[g], out.min[g]) = (d * f32::from(scale as i8 - 32), 0.0);
        }
        for (q, pairs) in out.q.chunks_exact_mut(128).zip(block[32..96].chunks_exact(32)) {
            read_planes(pairs, 2, q);
        }
        or_planes(&block[..32], 1, 2, &mut out.q);
        out.q.iter_mut().for_each(|q| *q -= 4);
    }

    fn quantize(&self, values: &[f32], block: &mut [u8]) {
        block.fill(0);
        let fit = fit::symmetric(values, 16, -32.0, 0.1, |x| fit::round_to(x, -4.0, 3.0));
        put_f16(block, 108, fit.d);
        for (g, scale) in fit.scale.iter().enumerate() {
            let scale = (scale + 32) as u8;
            put_field(&mut block[96..104], 4, g, scale);
            put_field(&mut block[104..108], 2, g, scale >> 4);
        }
        for (i, q) in fit.q.iter().enumerate() {
            let code = (q + 4) as u8;
            put_field(&mut block[32 + i / 128 * 32..][..32], 2, i % 128, code);
            put_field(&mut block[..32], 1, i, code >> 2);
        }
    }
}
