//! Q5_1: 32 elements, an f16 scale, an f16 offset and 32 codes of five bits (ggml's `block_q5_1`).
//!
//! Bytes: `d` 0-1, offset 2-3 (added, so it is minus the minimum of [`Groups`]), the fifth bits 4-7 in element
//! order, nibbles 8-23 in two planes of sixteen.

use super::bits::{bit, f16_at, put_bit, put_f16, put_field, read_planes};
use super::{BlockFormat, Groups, fit};
use crate::DType;

pub(super) struct Q5_1;

impl BlockFormat for Q5_1 {
    fn dtype(&self) -> DType {
        DType::Q5_1
    }

    fn group(&self) -> usize {
        32
    }

    fn has_min(&self) -> bool {
        true
    }

    fn unpack(&self, block: &[u8], out: &mut Groups) {
        (out.scale[0], out.min[0]) = (f16_at(block, 0), -f16_at(block, 2));
        let q = &mut out.q[..32];
        read_planes(&block[8..24], 4, q);
        for (i, q) in q.iter_mut().enumerate() {
            *q |= (bit(&block[4..8], i) << 4) as i8;
        }
    }

    fn quantize(&self, values: &[f32], block: &mut [u8]) {
        block.fill(0);
        let (low, high) = fit::range(values);
        let d = (high - low) / 31.0;
        put_f16(block, 0, d);
        put_f16(block, 2, low);
        let inverse = fit::inverse(d);
        for (i, v) in values.iter().enumerate() {
            let q = ((v - low) * inverse + 0.5).clamp(0.0, 31.0) as u8;
            put_bit(&mut block[4..8], i, q >> 4);
            put_field(&mut block[8..24], 4, i, q);
        }
    }
}
