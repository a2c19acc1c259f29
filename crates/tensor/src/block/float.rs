//! F32, F16 and BF16 as blocks of one element: plain floats, little-endian.

use super::{BlockFormat, Groups};
use crate::DType;
use half::{bf16, f16};

macro_rules! float_format {
    ($name:ident, $to_f32:expr, $from_f32:expr) => {
        pub(super) struct $name;

        impl BlockFormat for $name {
            fn dtype(&self) -> DType {
                DType::$name
            }

            fn group(&self) -> usize {
                0
            }

            fn has_min(&self) -> bool {
                false
            }

            fn unpack(&self, _block: &[u8], _out: &mut Groups) {}

            fn dequantize(&self, block: &[u8], out: &mut [f32]) {
                out[0] = $to_f32(std::array::from_fn(|i| block[i]));
            }

            fn quantize(&self, values: &[f32], block: &mut [u8]) {
                block.copy_from_slice(&$from_f32(values[0]));
            }
        }
    };
}

float_format!(F32, f32::from_le_bytes, f32::to_le_bytes);
float_format!(F16, |b| f16::from_le_bytes(b).to_f32(), |v| f16::from_f32(v).to_le_bytes());
float_format!(BF16, |b| bf16::from_le_bytes(b).to_f32(), |v| bf16::from_f32(v).to_le_bytes());
