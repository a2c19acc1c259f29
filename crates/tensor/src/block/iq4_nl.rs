//! IQ4_NL: 32 elements, an f16 scale and 32 nibbles that choose from sixteen uneven levels (ggml's `block_iq4_nl`).
//!
//! Bytes: `d` 0-1, nibbles 2-17 in two planes of sixteen. The levels lie denser near zero, where weights do.

use super::bits::{f16_at, put_f16, put_field, read_levels, through_f16};
use super::{BlockFormat, Groups, fit};
use crate::DType;

/// What each nibble stands for; IQ4_XS shares it.
pub(super) const LEVELS: [i8; 16] =
    [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

/// Distance of the candidate scales, in units of a level.
pub(super) const STEP: f32 = 1.0;

/// The nibble whose level lies nearest to `x`.
pub(super) fn nibble(x: f32) -> usize {
    LEVELS.windows(2).take_while(|pair| 2.0 * x > f32::from(pair[0]) + f32::from(pair[1])).count()
}

/// The level nearest to `x`.
pub(super) fn level(x: f32) -> f32 {
    f32::from(LEVELS[nibble(x)])
}

pub(super) struct IQ4NL;

impl BlockFormat for IQ4NL {
    fn dtype(&self) -> DType {
        DType::IQ4_NL
    }

    fn group(&self) -> usize {
        32
    }

    fn has_min(&self) -> bool {
        false
    }

    fn unpack(&self, block: &[u8], out: &mut Groups) {
        (out.scale[0], out.min[0]) = (f16_at(block, 0), 0.0);
        read_levels(&block[2..18], &LEVELS, &mut out.q[..32]);
    }

    fn quantize(&self, values: &[f32], block: &mut [u8]) {
        block.fill(0);
        let d = through_f16(fit::scale(values, STEP, level));
        put_f16(block, 0, d);
        let inverse = fit::inverse(d);
        for (i, v) in values.iter().enumerate() {
            put_field(&mut block[2..18], 4, i, nibble(v * inverse) as u8);
        }
    }
}
