//! IQ3_XXS: 256 elements in eight groups of 32, each eight entries of 256 for four elements, signs, and a 4-bit scale
//! (ggml's `block_iq3_xxs`).
//!
//! Bytes: `d` 0-1, entries 2-65, then for each group a word of four times seven signs, the first lowest, and the scale.
//! The eighth sign makes the number of negative elements even. The scale is `d / 4 * (2 * s + 1)`.

use super::bits::{f16_at, put_f16};
use super::codebook::{Codebook, OddScales, Search, even_signs};
use super::{BlockFormat, Groups, grid};
use crate::DType;

const CODEBOOK: Codebook =
    Codebook { entries: &grid::IQ3_XXS, width: 4, levels: &[4, 12, 20, 28, 36, 44, 52, 62] };

const SEARCH: Search = Search { group: 32, top: 15, parts: 4.0, step: 2.0, room: 1.5, reach: 6 };

pub(super) struct IQ3XXS;

/// The entries of eight values and their signs, which must be even.
fn nearest(values: &[f32], to_code: f32) -> ([usize; 2], u8) {
    let mut values: [f32; 8] = std::array::from_fn(|i| values[i] * to_code);
    let negative = |values: &[f32]| values.iter().filter(|v| **v < 0.0).count();
    if negative(&values) % 2 == 1 {
        let smallest = (0..8).min_by(|&a, &b| values[a].abs().total_cmp(&values[b].abs())).unwrap_or(0);
        // As near to zero as the other sign gets.
        values[smallest] = if values[smallest] < 0.0 { 0.0 } else { -f32::MIN_POSITIVE };
    }
    let (low, signs) = CODEBOOK.nearest_signed(&values[..4], 1.0, false);
    let (high, others) = CODEBOOK.nearest_signed(&values[4..], 1.0, false);
    ([low, high], signs | others << 4)
}

impl BlockFormat for IQ3XXS {
    fn dtype(&self) -> DType {
        DType::IQ3_XXS
    }

    fn group(&self) -> usize {
        32
    }

    fn has_min(&self) -> bool {
        false
    }

    fn unpack(&self, block: &[u8], out: &mut Groups) {
        let unit = f16_at(block, 0) / 4.0;
        for (g, word) in block[66..98].as_chunks().0.iter().enumerate() {
            let word = u32::from_le_bytes(*word);
            (out.scale[g], out.min[g]) = (unit * (2 * (word >> 28) + 1) as f32, 0.0);
            for i in 0..8 {
                let signs = even_signs((word >> (i / 2 * 7)) as u8) >> (i % 2 * 4);
                CODEBOOK.read(usize::from(block[2 + 8 * g + i]), signs, &mut out.q[32 * g + 4 * i..][..4]);
            }
        }
    }

    fn quantize(&self, values: &[f32], block: &mut [u8]) {
        let level = |x| CODEBOOK.level(x);
        let fit = OddScales::fit(values, SEARCH, level, |v, to_code, q| {
            for (q, v) in q.chunks_mut(8).zip(v.chunks(8)) {
                let (at, signs) = nearest(v, to_code);
                CODEBOOK.read(at[0], signs, &mut q[..4]);
                CODEBOOK.read(at[1], signs >> 4, &mut q[4..]);
            }
        });
        put_f16(block, 0, fit.unit * 4.0);
        for (g, values) in values.chunks(32).enumerate() {
            let mut word = u32::from(fit.sub[g]) << 28;
            for (i, v) in values.chunks(8).enumerate() {
                let (at, signs) = nearest(v, fit.to_code(g));
                word |= u32::from(signs & 0x7f) << (7 * i);
                for (byte, at) in block[2 + 8 * g + 2 * i..][..2].iter_mut().zip(at) {
                    *byte = at as u8;
                }
            }
            block[66 + 4 * g..][..4].copy_from_slice(&word.to_le_bytes());
        }
    }
}
