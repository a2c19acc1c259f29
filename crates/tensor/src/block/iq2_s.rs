//! IQ2_S: 256 elements in sixteen groups of 16 with 4-bit scales; eight elements are an entry of 1024 and eight signs
//! (ggml's `block_iq2_s`).
//!
//! Bytes: `d` 0-1, low bytes of the entries 2-33, signs 34-65, high bit pairs of the entries 66-73, scales 74-81, two to a
//! byte; everything in the order of elements. The scale is `d / 8 * (2 * s + 1)`.

use super::bits::{f16_at, field, put_f16, put_field};
use super::codebook::{Codebook, IQ2_LEVELS, OddScales, Search};
use super::{BlockFormat, Groups, grid};
use crate::DType;

const CODEBOOK: Codebook = Codebook { entries: &grid::IQ2_S, width: 8, levels: &IQ2_LEVELS };

const SEARCH: Search = Search { group: 16, top: 15, parts: 8.0, step: 1.5, room: 1.0, reach: 1 };

pub(super) struct IQ2S;

impl BlockFormat for IQ2S {
    fn dtype(&self) -> DType {
        DType::IQ2_S
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
            let scale = field(&block[74 + g / 2..][..1], 4, g % 2);
            (out.scale[g], out.min[g]) = (unit * f32::from(2 * scale + 1), 0.0);
        }
        for (i, q) in out.q.chunks_exact_mut(8).enumerate() {
            let high = field(&block[66 + i / 4..][..1], 2, i % 4);
            CODEBOOK.read(usize::from(block[2 + i]) | usize::from(high) << 8, block[34 + i], q);
        }
    }

    fn quantize(&self, values: &[f32], block: &mut [u8]) {
        block.fill(0);
        let level = |x| CODEBOOK.level(x);
        let fit = OddScales::fit(values, SEARCH, level, |v, to_code, q| {
            CODEBOOK.codes(v, to_code, false, q);
        });
        put_f16(block, 0, fit.unit * 8.0);
        for (i, v) in values.chunks(8).enumerate() {
            let (at, signs) = CODEBOOK.nearest_signed(v, fit.to_code(i / 2), false);
            (block[2 + i], block[34 + i]) = (at as u8, signs);
            put_field(&mut block[66 + i / 4..][..1], 2, i % 4, (at >> 8) as u8);
        }
        for (g, &sub) in fit.sub.iter().enumerate() {
            put_field(&mut block[74 + g / 2..][..1], 4, g % 2, sub);
        }
    }
}
