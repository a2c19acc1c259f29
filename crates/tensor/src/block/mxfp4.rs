//! MXFP4: 32 floats of four bits under a power of two (OCP Microscaling Formats, version 1.0; ggml's `block_mxfp4`).
//!
//! Bytes: the exponent 0, biased by 127, nibbles 1-16 in two planes of sixteen. A nibble is a sign, two bits of
//! exponent and one of mantissa; here its magnitude is doubled to be an integer and the scale is halved instead.
//! As in ggml, exponent 255 is one more power of two, not the specification's NaN.

use super::bits::{put_field, read_levels};
use super::{BlockFormat, Groups, fit};
use crate::DType;

/// Twice what each nibble stands for; 8 is minus zero.
const LEVELS: [i8; 16] = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12];

/// `2^(exponent - 128)`, subnormal for the two smallest.
fn half_scale(exponent: u8) -> f32 {
    f32::from_bits(match exponent {
        0 => 1 << 21,
        1 => 1 << 22,
        _ => (u32::from(exponent) - 1) << 23,
    })
}

pub(super) struct MXFP4;

impl BlockFormat for MXFP4 {
    fn dtype(&self) -> DType {
        DType::MXFP4
    }

    fn group(&self) -> usize {
        32
    }

    fn has_min(&self) -> bool {
        false
    }

    fn unpack(&self, block: &[u8], out: &mut Groups) {
        (out.scale[0], out.min[0]) = (half_scale(block[0]), 0.0);
        read_levels(&block[1..17], &LEVELS, &mut out.q[..32]);
    }

    fn quantize(&self, values: &[f32], block: &mut [u8]) {
        block.fill(0);
        // The peak's own exponent, less that of the largest level, 6.0; 0 for subnormal peaks.
        let exponent = (fit::peak(values).to_bits() >> 23) as u8;
        block[0] = exponent.saturating_sub(2);
        let scale = half_scale(block[0]);
        for (i, v) in values.iter().enumerate() {
            let error = |nibble: &u8| (scale * f32::from(LEVELS[usize::from(*nibble)]) - v).abs();
            let nearest = (0..16u8).min_by(|a, b| error(a).total_cmp(&error(b)));
            put_field(&mut block[1..17], 4, i, nearest.unwrap_or(0));
        }
    }
}
