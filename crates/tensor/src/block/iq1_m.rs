//! IQ1_M: 256 elements in sixteen groups of 16 with 3-bit scales, eight elements an entry of 2048 and a shift of their own
//! by an eighth up or down (ggml's `block_iq1_m`).
//!
//! Bytes: low bytes of the entries 0-31, then 32-47 a nibble for each, in order: three high bits, and whether the shift is
//! down; then four words of sixteen bits, each four scales, the first lowest, and a nibble of `d`, lowest nibble first.
//! With all eight times as large, codes are odd numbers from -9 to 9 and the scale is `d / 8 * (2 * s + 1)`.

use super::bits::{field, put_field};
use super::codebook::{OddScales, Search};
use super::iq1_s::{SHIFTED, level};
use super::{BlockFormat, Groups};
use crate::DType;
use half::f16;

/// The entry of eight values and which shift is nearer: 0 up, 1 down.
fn nearest(values: &[f32], to_code: f32) -> (usize, usize) {
    let values: [f32; 8] = std::array::from_fn(|i| values[i] * to_code);
    let [up, down] = SHIFTED.map(|codebook| codebook.nearest(&values));
    if down.1 < up.1 { (down.0, 1) } else { (up.0, 0) }
}

const SEARCH: Search = Search { group: 16, top: 7, parts: 8.0, step: 0.5, room: 1.0, reach: 1 };

pub(super) struct IQ1M;

impl BlockFormat for IQ1M {
    fn dtype(&self) -> DType {
        DType::IQ1_M
    }

    fn group(&self) -> usize {
        16
    }

    fn has_min(&self) -> bool {
        false
    }

    fn unpack(&self, block: &[u8], out: &mut Groups) {
        let words: [u16; 4] =
            std::array::from_fn(|i| u16::from_le_bytes([block[48 + 2 * i], block[49 + 2 * i]]));
        let bits = words.iter().rev().fold(0, |bits, word| bits << 4 | word >> 12);
        let unit = f16::from_bits(bits).to_f32() / 8.0;
        for g in 0..16 {
            let scale = words[g / 4] >> (3 * (g % 4)) & 7;
            (out.scale[g], out.min[g]) = (unit * f32::from(2 * scale + 1), 0.0);
        }
        for (i, q) in out.q.chunks_exact_mut(8).enumerate() {
            let nibble = usize::from(field(&block[32 + i / 2..][..1], 4, i % 2));
            SHIFTED[nibble >> 3].read(usize::from(block[i]) | (nibble & 7) << 8, 0, q);
        }
    }

    fn quantize(&self, values: &[f32], block: &mut [u8]) {
        block.fill(0);
        let fit = OddScales::fit(values, SEARCH, level, |v, to_code, q| {
            for (q, v) in q.chunks_mut(8).zip(v.chunks(8)) {
                let (at, shift) = nearest(v, to_code);
                SHIFTED[shift].read(at, 0, q);
            }
        });
        let d = f16::from_f32(fit.unit * 8.0).to_bits();
        for (i, word) in block[48..56].as_chunks_mut().0.iter_mut().enumerate() {
            let scales = (0..4).map(|j| u16::from(fit.sub[4 * i + j]) << (3 * j)).sum::<u16>();
            *word = (scales | (d >> (4 * i) & 15) << 12).to_le_bytes();
        }
        for (i, v) in values.chunks(8).enumerate() {
            let (at, shift) = nearest(v, fit.to_code(i / 2));
            block[i] = at as u8;
            put_field(&mut block[32 + i / 2..][..1], 4, i % 2, (at >> 8 | shift << 3) as u8);
        }
    }
}
