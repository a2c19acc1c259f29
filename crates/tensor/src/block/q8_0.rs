//! Q8_0: 32 elements, an f16 scale and 32 signed bytes (ggml's `block_q8_0`).
//!
//! Bytes: `d` 0-1, codes 2-33.

use super::bits::{f16_at, put_f16};
use super::{BlockFormat, Groups, fit};
use crate::DType;

pub(super) struct Q8_0;

impl BlockFormat for Q8_0 {
    fn dtype(&self) -> DType {
        DType::Q8_0
    }

    fn group(&self) -> usize {
        32
    }

    fn has_min(&self) -> bool {
        false
    }

    fn unpack(&self, block: &[u8], out: &mut Groups) {
        (out.scale[0], out.min[0]) = (f16_at(block, 0), 0.0);
        for (q, &byte) in out.q.iter_mut().zip(&block[2..34]) {
            *q = byte as i8;
        }
    }

    fn quantize(&self, values: &[f32], block: &mut [u8]) {
        let d = fit::peak(values).abs() / 127.0;
        put_f16(block, 0, d);
        let inverse = fit::inverse(d);
        for (byte, v) in block[2..34].iter_mut().zip(values) {
            *byte = (v * inverse).round() as i8 as u8;
        }
    }
}
