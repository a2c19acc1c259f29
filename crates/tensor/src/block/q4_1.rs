//! Q4_1: 32 elements, an f16 scale, an f16 offset and 32 nibbles (ggml's `block_q4_1`).
//!
//! Byte `i` of the sixteen holds element `i` in its low and element `i + 16` in its high nibble.

use super::{BlockFormat, Groups};
use crate::DType;
use half::f16;

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
        out.scale[0] = f16::from_le_bytes([block[0], block[1]]).to_f32();
        out.min[0] = -f16::from_le_bytes([block[2], block[3]]).to_f32();
        for (i, &byte) in block[4..20].iter().enumerate() {
            out.q[i] = (byte & 15) as i8;
            out.q[i + 16] = (byte >> 4) as i8;
        }
    }

    fn dequantize(&self, block: &[u8], out: &mut [f32]) {
        let d = f16::from_le_bytes([block[0], block[1]]).to_f32();
        let m = f16::from_le_bytes([block[2], block[3]]).to_f32();
        for (i, &byte) in block[4..20].iter().enumerate() {
            out[i] = f32::from(byte & 15) * d + m;
            out[i + 16] = f32::from(byte >> 4) * d + m;
        }
    }

    fn quantize(&self, values: &[f32], block: &mut [u8]) {
        let (low, high) = values.iter().fold((f32::MAX, f32::MIN), |(l, h), &v| (l.min(v), h.max(v)));
        let d = (high - low) / 15.0;
        let inverse = if d == 0.0 { 0.0 } else { 1.0 / d };
        block[..2].copy_from_slice(&f16::from_f32(d).to_le_bytes());
        block[2..4].copy_from_slice(&f16::from_f32(low).to_le_bytes());
        let nibble = |v: f32| ((v - low) * inverse + 0.5).clamp(0.0, 15.0) as u8;
        for i in 0..16 {
            block[4 + i] = nibble(values[i]) | nibble(values[i + 16]) << 4;
        }
    }
}
