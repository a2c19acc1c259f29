//! IQ2_XXS: 256 elements in eight groups of 32, each four entries of 256 for eight elements, signs, and a 4-bit scale
//! (ggml's `block_iq2_xxs`).
//!
//! Bytes: `d` 0-1, then eight for a group: four entries, and a word of four times seven signs, the first lowest, and
//! the scale. The eighth sign makes the number of negative elements even. The scale is `d / 8 * (2 * s + 1)`.

use super::bits::{f16_at, put_f16};
use super::codebook::{Codebook, IQ2_LEVELS, OddScales, Search, even_signs};
use super::{BlockFormat, Groups, grid};
use crate::DType;

const CODEBOOK: Codebook = Codebook { entries: &grid::IQ2_XXS, width: 8, levels: &IQ2_LEVELS };

const SEARCH: Search = Search { group: 32, top: 15, parts: 8.0, step: 1.5, room: 1.0, reach: 1 };

pub(super) struct IQ2XXS;

impl BlockFormat for IQ2XXS {
    fn dtype(&self) -> DType {
        DType::IQ2_XXS
    }

    fn group(&self) -> usize {
        32
    }

    fn has_min(&self) -> bool {
        false
    }

    fn unpack(&self, block: &[u8], out: &mut Groups) {
        let unit = f16_at(block, 0) / 8.0;
        for (g, bytes) in block[2..].as_chunks::<8>().0.iter().enumerate() {
            let word = u32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]);
            (out.scale[g], out.min[g]) = (unit * (2 * (word >> 28) + 1) as f32, 0.0);
            for (i, q) in out.q[32 * g..][..32].chunks_exact_mut(8).enumerate() {
                CODEBOOK.read(usize::from(bytes[i]), even_signs((word >> (7 * i)) as u8), q);
            }
        }
    }

    fn quantize(&self, values: &[f32], block: &mut [u8]) {
        let level = |x| CODEBOOK.level(x);
        let fit = OddScales::fit(values, SEARCH, level, |v, to_code, q| {
            CODEBOOK.codes(v, to_code, true, q);
        });
        put_f16(block, 0, fit.unit * 8.0);
        for (g, bytes) in block[2..].as_chunks_mut::<8>().0.iter_mut().enumerate() {
            let mut word = u32::from(fit.sub[g]) << 28;
            for (i, v) in values[32 * g..][..32].chunks(8).enumerate() {
                let (at, signs) = CODEBOOK.nearest_signed(v, fit.to_code(g), true);
                bytes[i] = at as u8;
                word |= u32::from(signs & 0x7f) << (7 * i);
            }
            bytes[4..].copy_from_slice(&word.to_le_bytes());
        }
    }
}
