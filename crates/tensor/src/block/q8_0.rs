//! Q8_0: 32 elements, an f16 scale and 32 signed bytes (ggml's `block_q8_0`).

use super::{BlockFormat, Groups};
use crate::DType;
use half::f16;

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
        out.scale[0] = f16::from_le_bytes([block[0], block[1]]).to_f32();
        out.min[0] = 0.0;
        for (q, &byte) in out.q.iter_mut().zip(&block[2..34]) {
            *q = byte as i8;
        }
    }

    fn dequantize(&self, block: &[u8], out: &mut [f32]) {
        let d = f16::from_le_bytes([block[0], block[1]]).to_f32();
        for (x, &byte) in out.iter_mut().zip(&block[2..34]) {
            *x = f32::from(byte as i8) * d;
        }
    }

    fn quantize(&self, values: &[f32], block: &mut [u8]) {
        let amax = values.iter().fold(0.0f32, |m, v| m.max(v.abs()));
        let d = amax / 127.0;
        let inverse = if d == 0.0 { 0.0 } else { 1.0 / d };
        block[..2].copy_from_slice(&f16::from_f32(d).to_le_bytes());
        for (byte, v) in block[2..].iter_mut().zip(values) {
            *byte = (v * inverse).round() as i8 as u8;
        }
    }
}
