//! IQ2_XS: 256 elements in sixteen groups of 16 with 4-bit scales; eight elements are an entry of 512 and seven signs
//! (ggml's `block_iq2_xs`).
//!
//! Bytes: `d` 0-1, words of sixteen bits 2-65: nine of the entry, then the signs, of which the eighth makes the number of
//! negative elements even; scales 66-73, two to a byte in order. The scale is `d / 8 * (2 * s + 1)`.

use super::bits::{f16_at, field, put_f16, put_field};
use super::codebook::{Codebook, IQ2_LEVELS, OddScales, Search, even_signs};
use super::{BlockFormat, Groups, grid};
use crate::DType;

const CODEBOOK: Codebook = Codebook { entries: &grid::IQ2_XS, width: 8, levels: &IQ2_LEVELS };

const SEARCH: Search = Search { group: 16, top: 15, parts: 8.0, step: 1.5, room: 1.0, reach: 1 };

pub(super) struct IQ2XS;

impl BlockFormat for IQ2XS {
    fn dtype(&self) -> DType {
        DType::IQ2_XS
    }

    fn group(&self) -> usize {
        16
    }

    fn has_min(&self) -> bool {
        false
    }

    fn unpack(&self, block: &[u8], out: &mut Groups) {
        let unit = f16_at(block, 0) / 8.0;
        for g in 0..16 {
            let scale = field(&block[66 + g / 2..][..1], 4, g % 2);
            (out.scale[g], out.min[g]) = (unit * f32::from(2 * scale + 1), 0.0);
        }
        for (word, q) in block[2..66].as_chunks().0.iter().zip(out.q.chunks_exact_mut(8)) {
            let word = u16::from_le_bytes(*word);
            CODEBOOK.read(usize::from(word & 511), even_signs((word >> 9) as u8), q);
        }
    }

    fn quantize(&self, values: &[f32], block: &mut [u8]) {
        block.fill(0);
        let level = |x| CODEBOOK.level(x);
        let fit = OddScales::fit(values, SEARCH, level, |v, to_code, q| {
            CODEBOOK.codes(v, to_code, true, q);
        });
        put_f16(block, 0, fit.unit * 8.0);
        for (i, (word, v)) in block[2..66].as_chunks_mut().0.iter_mut().zip(values.chunks(8)).enumerate() {
            let (at, signs) = CODEBOOK.nearest_signed(v, fit.to_code(i / 2), true);
            *word = (at as u16 | u16::from(signs & 0x7f) << 9).to_le_bytes();
        }
        for (g, &sub) in fit.sub.iter().enumerate() {
            put_field(&mut block[66 + g / 2..][..1], 4, g % 2, sub);
        }
    }
}
