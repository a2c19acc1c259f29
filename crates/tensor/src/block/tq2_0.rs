//! TQ2_0: 256 ternary elements in two bits each, one f16 scale (ggml's `block_tq2_0`), for models trained so.
//!
//! Bytes: codes 0-63 that count from -1: each 32 bytes hold 128 elements in four planes, `d` 64-65.

use super::bits::{f16_at, field, put_f16, put_field};
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

    fn unpack(&self, block: &[u8], out: &mut Groups) {
        out.scale[..8].fill(f16_at(block, 64));
        out.min[..8].fill(0.0);
        for (i, q) in out.q.iter_mut().enumerate() {
            *q = field(&block[i / 128 * 32..][..32], 2, i % 128) as i8 - 1;
        }
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
