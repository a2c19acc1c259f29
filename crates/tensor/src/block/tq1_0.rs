//! TQ1_0: 256 ternary elements, five to a byte, one f16 scale (ggml's `block_tq1_0`), for models trained so.
//!
//! Bytes: five digits each in 0-31 (elements 0-159) and 32-47 (160-239), four each in 48-51 (240-255), `d` 52-53.
//! Each run is in planes: byte `i` of `n` holds the elements `i`, `i + n` ... as digits in base three, the first the
//! most significant; a run of four leaves the last digit 0. The byte is that number as a fraction of 243,
//! scaled to 256 and rounded up, so that a digit falls out of the top of a multiplication by three.

use super::bits::{f16_at, put_f16};
use super::{BlockFormat, Groups, fit};
use crate::DType;
use std::ops::Range;

/// The runs: bytes, and the element they start at.
const RUNS: [(Range<usize>, usize); 3] = [(0..32, 0), (32..48, 160), (48..52, 240)];
/// Powers of three that bring each digit to the top of the byte.
const SHIFTS: [u8; 5] = [1, 3, 9, 27, 81];

pub(super) struct TQ1_0;

impl BlockFormat for TQ1_0 {
    fn dtype(&self) -> DType {
        DType::TQ1_0
    }

    fn group(&self) -> usize {
        32
    }

    fn has_min(&self) -> bool {
        false
    }

    fn loose(&self) -> usize {
        52
    }

    fn unpack(&self, block: &[u8], out: &mut Groups) {
        out.scale[..8].fill(f16_at(block, 52));
        out.min[..8].fill(0.0);
        for (bytes, first) in RUNS {
            let planes = out.q[first..].chunks_mut(bytes.len()).zip(SHIFTS);
            for (plane, shift) in planes {
                for (q, byte) in plane.iter_mut().zip(&block[bytes.clone()]) {
                    *q = ((u16::from(byte.wrapping_mul(shift)) * 3) >> 8) as i8 - 1;
                }
            }
        }
    }

    fn quantize(&self, values: &[f32], block: &mut [u8]) {
        let d = fit::peak(values).abs();
        put_f16(block, 52, d);
        let inverse = fit::inverse(d);
        for (bytes, first) in RUNS {
            let n = bytes.len();
            for (i, byte) in block[bytes].iter_mut().enumerate() {
                let digit = |plane: usize| match values.get(first + plane * n + i) {
                    Some(v) => ((v * inverse).round() + 1.0) as u16,
                    None => 0,
                };
                let number = (0..5).fold(0, |number, plane| number * 3 + digit(plane));
                *byte = (number * 256).div_ceil(243) as u8;
            }
        }
    }
}
