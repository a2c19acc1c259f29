//! IQ1_S: 256 elements in eight groups of 32, each four entries of 2048 for eight elements, a 3-bit scale, and a shift of
//! all elements by an eighth up or down (ggml's `block_iq1_s`).
//!
//! Bytes: `d` 0-1, low bytes of the entries 2-33, then sixteen bits for each group: four times the three high bits of an
//! entry, the first lowest, the scale, and whether the shift is down. With all eight times as large, codes are odd
//! numbers from -9 to 9 and the scale is `d / 8 * (2 * s + 1)`.

use super::bits::{f16_at, put_f16};
use super::codebook::{Codebook, OddScales, Search};
use super::{BlockFormat, Groups, grid};
use crate::DType;

/// The list with its elements shifted up, and shifted down; IQ1_M shares it.
pub(super) const SHIFTED: [Codebook; 2] = [
    Codebook { entries: &grid::IQ1, width: 8, levels: &[-7, 1, 9] },
    Codebook { entries: &grid::IQ1, width: 8, levels: &[-9, -1, 7] },
];

/// The code nearest to `x` if every combination existed and there were no shift; IQ1_M shares it.
pub(super) fn level(x: f32) -> f32 {
    8.0 * (x / 8.0).round_ties_even().clamp(-1.0, 1.0)
}

/// The entries of four times eight values and which shift is nearer: 0 up, 1 down.
fn nearest(values: &[f32], to_code: f32) -> ([usize; 4], usize) {
    let choices = SHIFTED.map(|codebook| {
        let (mut at, mut error) = ([0; 4], 0.0);
        for (at, v) in at.iter_mut().zip(values.chunks(8)) {
            let v: [f32; 8] = std::array::from_fn(|i| v[i] * to_code);
            let nearest = codebook.nearest(&v);
            (*at, error) = (nearest.0, error + nearest.1);
        }
        (at, error)
    });
    let shift = usize::from(choices[1].1 < choices[0].1);
    (choices[shift].0, shift)
}

const SEARCH: Search = Search { group: 32, top: 7, parts: 8.0, step: 0.5, room: 1.0, reach: 1 };

pub(super) struct IQ1S;

impl BlockFormat for IQ1S {
    fn dtype(&self) -> DType {
        DType::IQ1_S
    }

    fn group(&self) -> usize {
        32
    }

    fn has_min(&self) -> bool {
        false
    }

    fn unpack(&self, block: &[u8], out: &mut Groups) {
        let unit = f16_at(block, 0) / 8.0;
        for (g, word) in block[34..50].as_chunks().0.iter().enumerate() {
            let word = u16::from_le_bytes(*word);
            (out.scale[g], out.min[g]) = (unit * f32::from(2 * (word >> 12 & 7) + 1), 0.0);
            for (i, q) in out.q[32 * g..][..32].chunks_exact_mut(8).enumerate() {
                let at = usize::from(block[2 + 4 * g + i]) | usize::from(word >> (3 * i) & 7) << 8;
                SHIFTED[usize::from(word >> 15)].read(at, 0, q);
            }
        }
    }

    fn quantize(&self, values: &[f32], block: &mut [u8]) {
        let fit = OddScales::fit(values, SEARCH, level, |v, to_code, q| {
            let (at, shift) = nearest(v, to_code);
            for (q, at) in q.chunks_mut(8).zip(at) {
                SHIFTED[shift].read(at, 0, q);
            }
        });
        put_f16(block, 0, fit.unit * 8.0);
        for (g, values) in values.chunks(32).enumerate() {
            let (at, shift) = nearest(values, fit.to_code(g));
            let mut word = u16::from(fit.sub[g]) << 12 | (shift as u16) << 15;
            for (i, at) in at.into_iter().enumerate() {
                block[2 + 4 * g + i] = at as u8;
                word |= (at as u16 >> 8) << (3 * i);
            }
            block[34 + 2 * g..][..2].copy_from_slice(&word.to_le_bytes());
        }
    }
}
