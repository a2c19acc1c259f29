//! TQ2_0: 256 ternary elements in two bits each, one f16 scale (ggml's `block_tq2_0`), for models trained so.
//!
//! Bytes: codes 0-63 that count from -1: each 32 bytes hold 128 elements in four planes, `d` 64-65.

use super::bits::{f16_at, put_f16, put_field, read_planes};
use super::{BlockFormat, Groups, fit};
use crate::DType;

pub(super) struct TQ2_0;

impl BlockFormat for TQ2_0 {
    fn dtype(&self) -> DType {
        DType::TQ2_0
    }

    fn group(&self) -> usize {
        32
    }

    fn has_min(&self) -> bool {
        false
    }

    fn loose(&self) -> usize {
        64
    }

    fn unpack(&self, block: &[u8], out: &mut Groups) {
        out.scale[..8].fill(f16_at(block, 64));
        out.min[..8].fill(0.0);
        for (q, codes) in out.q.chunks_exact_mut(128).zip(block[..64].chunks_exact(32)) {
            read_planes(codes, 2, q);
        }
        out.q.iter_mut().for_each(|q| *q -= 1);
    }

    fn quantize(&self, values: &[f32], block: &mut [u8]) {
        block.fill(0);
        let d = fit::peak(values).abs();
        put_f16(block, 64, d);
        let inverse = fit::inverse(d);
        for (i, v) in values.iter().enumerate() {
            let code = (v * inverse).round() as i8 + 1;
            put_field(&mut block[i / 128 * 32..][..32], 2, i % 128, code as u8);
        }
    }
}
