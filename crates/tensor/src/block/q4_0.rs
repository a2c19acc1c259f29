//! Q4_0: 32 elements, an f16 scale and 32 nibbles that count from -8 (ggml's `block_q4_0`).
//!
//! Bytes: `d` 0-1, nibbles 2-17 in two planes of sixteen.

use super::bits::{f16_at, put_f16, put_field, read_planes};
use super::{BlockFormat, Groups, fit};
use crate::DType;

pub(super) struct Q4_0;

impl BlockFormat for Q4_0 {
    fn dtype(&self) -> DType {
        DType::Q4_0
    }

    fn group(&self) -> usize {
        32
    }

    fn has_min(&self) -> bool {
        false
    }

    fn unpack(&self, block: &[u8], out: &mut Groups) {
        (out.scale[0], out.min[0]) = (f16_at(block, 0), 0.0);
        let q = &mut out.q[..32];
        read_planes(&block[2..18], 4, q);
        q.iter_mut().for_each(|q| *q -= 8);
    }

    fn quantize(&self, values: &[f32], block: &mut [u8]) {
        block.fill(0);
        let d = fit::peak(values) / -8.0;
        put_f16(block, 0, d);
        let inverse = fit::inverse(d);
        for (i, v) in values.iter().enumerate() {
            put_field(&mut block[2..18], 4, i, (v * inverse + 8.5).clamp(0.0, 15.0) as u8);
        }
    }
}
