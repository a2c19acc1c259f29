//! IQ4_XS: 256 elements in eight groups of 32 with 6-bit scales that count from -32, nibbles that choose from
//! the levels of IQ4_NL (ggml's `block_iq4_xs`).
//!
//! Bytes: `d` 0-1, high bit pairs of the scales 2-3 and their low nibbles 4-7, both in group order, nibbles 8-135:
//! each 16 bytes hold a group in two planes.

use super::bits::{f16_at, field, put_f16, put_field, read_levels};
use super::iq4_nl::{LEVELS, STEP, level, nibble};
use super::{BlockFormat, Groups, fit};
use crate::DType;

pub(super) struct IQ4XS;

impl BlockFormat for IQ4XS {
    fn dtype(&self) -> DType {
        DType::IQ4_XS
    }

    fn group(&self) -> usize {
        32
    }

    fn has_min(&self) -> bool {
        false
    }

    fn unpack(&self, block: &[u8], out: &mut Groups) {
        let d = f16_at(block, 0);
        for g in 0..8 {
            let pair = field(&block[2 + g / 4..][..1], 2, g % 4);
            let scale = field(&block[4 + g / 2..][..1], 4, g % 2) | pair << 4;
            (out.scale[g], out.min[g]) = (d * f32::from(scale as i8 - 32), 0.0);
        }
        for (q, nibbles) in out.q.chunks_exact_mut(32).zip(block[8..136].chunks_exact(16)) {
            read_levels(nibbles, &LEVELS, q);
        }
    }

    fn quantize(&self, values: &[f32], block: &mut [u8]) {
        block.fill(0);
        let fit = fit::symmetric(values, 32, -32.0, STEP, level);
        put_f16(block, 0, fit.d);
        for (g, scale) in fit.scale[..8].iter().enumerate() {
            let scale = (scale + 32) as u8;
            put_field(&mut block[2 + g / 4..][..1], 2, g % 4, scale >> 4);
            put_field(&mut block[4 + g / 2..][..1], 4, g % 2, scale);
        }
        for (i, &q) in fit.q.iter().enumerate() {
            put_field(&mut block[8 + i / 32 * 16..][..16], 4, i % 32, nibble(f32::from(q)) as u8);
        }
    }
}
