//! Q4_1: 32 elements, an f16 scale, an f16 offset and 32 nibbles (ggml's `block_q4_1`).
//!
//! Bytes: `d` 0-1, offset 2-3 (added, so it is minus the minimum of [`Groups`]), nibbles 4-19 in two planes of
//! sixteen.

use super::bits::{f16_at, put_f16, put_field, read_planes};
use super::{BlockFormat, Groups, fit};
use crate::DType;

pub(super) struct Q4_1;

impl BlockFormat for Q4_1 {
    fn dtype(&self) -> DType {
        DType::Q4_1
    }

    fn group(&self) -> usize {
        32
    }

    fn has_min(&self) -> bool {
        true
    }

    fn unpack(&self, block: &[u8], out: &mut Groups) {
        (out.scale[0], out.min[0]) = (f16_at(block, 0), -f16_at(block, 2));
        read_planes(&block[4..20], 4, &mut out.q[..32]);
    }

    fn quantize(&self, values: &[f32], block: &mut [u8]) {
        block.fill(0);
        let (low, high) = fit::range(values);
        let d = (high - low) / 15.0;
        put_f16(block, 0, d);
        put_f16(block, 2, low);
        let inverse = fit::inverse(d);
        for (i, v) in values.iter().enumerate() {
            put_field(&mut block[4..20], 4, i, ((v - low) * inverse + 0.5).clamp(0.0, 15.0) as u8);
        }
    }
}
