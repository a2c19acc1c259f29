//! IQ3_S: 256 elements in eight groups of 32 with 4-bit scales; four elements are an entry of 512 and four signs (ggml's
//! `block_iq3_s`).
//!
//! Bytes: `d` 0-1, low bytes of the entries 2-65, their highest bits 66-73, signs 74-105, scales 106-109, two to a byte;
//! everything in the order of elements. The scale is `d * (2 * s + 1)`.

use super::bits::{bit, f16_at, field, put_bit, put_f16, put_field};
use super::codebook::{Codebook, OddScales, Search};
use super::{BlockFormat, Groups, grid};
use crate::DType;

const CODEBOOK: Codebook = Codebook { entries: &grid::IQ3_S, width: 4, levels: &[1, 3, 5, 7, 9, 11, 13, 15] };

const SEARCH: Search = Search { group: 32, top: 15, parts: 1.0, step: 0.5, room: 1.5, reach: 6 };

pub(super) struct IQ3S;

impl BlockFormat for IQ3S {
    fn dtype(&self) -> DType {
        DType::IQ3_S
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
            let scale = field(&block[106 + g / 2..][..1], 4, g % 2);
            (out.scale[g], out.min[g]) = (d * f32::from(2 * scale + 1), 0.0);
        }
        for (i, q) in out.q.chunks_exact_mut(4).enumerate() {
            let at = usize::from(block[2 + i]) | usize::from(bit(&block[66..74], i)) << 8;
            CODEBOOK.read(at, block[74 + i / 2] >> (i % 2 * 4), q);
        }
    }

    fn quantize(&self, values: &[f32], block: &mut [u8]) {
        block.fill(0);
        let level = |x| CODEBOOK.level(x);
        let fit = OddScales::fit(values, SEARCH, level, |v, to_code, q| {
            CODEBOOK.codes(v, to_code, false, q);
        });
        put_f16(block, 0, fit.unit);
        for (i, v) in values.chunks(4).enumerate() {
            let (at, signs) = CODEBOOK.nearest_signed(v, fit.to_code(i / 8), false);
            block[2 + i] = at as u8;
            put_bit(&mut block[66..74], i, (at >> 8) as u8);
            block[74 + i / 2] |= signs << (i % 2 * 4);
        }
        for (g, &sub) in fit.sub[..8].iter().enumerate() {
            put_field(&mut block[106 + g / 2..][..1], 4, g % 2, sub);
        }
    }
}
