//! Q2_K: 256 elements in sixteen groups of 16 with 4-bit scales and minimums, two-bit codes (ggml's `block_q2_K`).
//!
//! Bytes: 0-15 a scale (low nibble) and a minimum (high) for each group, codes 16-79: each 32 bytes hold 128
//! elements in four planes, `d` 80-81, `dmin` 82-83.

use super::bits::{f16_at, put_f16, put_field, read_planes};
use super::{BlockFormat, Groups, fit};
use crate::DType;

pub(super) struct Q2K;

impl BlockFormat for Q2K {
    fn dtype(&self) -> DType {
        DType::Q2_K
    }

    fn group(&self) -> usize {
        16
    }

    fn has_min(&self) -> bool {
        true
    }

    fn unpack(&self, block: &[u8], out: &mut Groups) {
        let (d, dmin) = (f16_at(block, 80), f16_at(block, 82));
        for (g, &pair) in block[..16].iter().enumerate() {
            out.scale[g] = d * f32::from(pair & 15);
            out.min[g] = dmin * f32::from(pair >> 4);
        }
        for (q, codes) in out.q.chunks_exact_mut(128).zip(block[16..80].chunks_exact(32)) {
            read_planes(codes, 2, q);
        }
    }

    fn quantize(&self, values: &[f32], block: &mut [u8]) {
        block.fill(0);
        let fit = fit::with_min(values, 16, 3.0, 15.0);
        for (pair, (scale, min)) in block.iter_mut().zip(fit.scale.iter().zip(fit.min)) {
            *pair = scale | min << 4;
        }
        put_f16(block, 80, fit.d);
        put_f16(block, 82, fit.dmin);
        for (i, &q) in fit.q.iter().enumerate() {
            put_field(&mut block[16 + i / 128 * 32..][..32], 2, i % 128, q);
        }
    }
}
