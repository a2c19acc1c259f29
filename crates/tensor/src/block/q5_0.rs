//! Q5_0: 32 elements, an f16 scale and 32 codes of five bits that count from -16 (ggml's `block_q5_0`).
//!
//! Bytes: `d` 0-1, the fifth bits 2-5 in element order, nibbles 6-21 in two planes of sixteen.

use super::bits::{bit, f16_at, put_bit, put_f16, put_field, read_planes};
use super::{BlockFormat, Groups, fit};
use crate::DType;

pub(super) struct Q5_0;

impl BlockFormat for Q5_0 {
    fn dtype(&self) -> DType {
        DType::Q5_0
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
        read_planes(&block[6..22], 4, q);
        for (i, q) in q.iter_mut().enumerate() {
            *q = (*q | (bit(&block[2..6], i) << 4) as i8) - 16;
        }
    }

    fn quantize(&self, values: &[f32], block: &mut [u8]) {
        block.fill(0);
        let d = fit::peak(values) / -16.0;
        put_f16(block, 0, d);
        let inverse = fit::inverse(d);
        for (i, v) in values.iter().enumerate() {
            let q = (v * inverse + 16.5).clamp(0.0, 31.0) as u8;
            put_bit(&mut block[2..6], i, q >> 4);
            put_field(&mut block[6..22], 4, i, q);
        }
    }
}
