//! The head that Q4_K and Q5_K share: f16 `d` and `dmin`, then eight 6-bit scales and eight 6-bit minimums.
//!
//! Not the scales of Q3_K, which lie in plain planes. The first four scales fill the low six bits of bytes 0-3 of the
//! twelve, the first four minimums those of bytes 4-7; the last four of both have their low nibbles in bytes 8-11
//! (scales low, minimums high) and their two high bits in the bits left over in bytes 0-3 and 4-7.

use super::Groups;
use super::bits::{f16_at, field, put_f16, put_field};
use super::fit::WithMin;

/// Bytes of the head.
pub(super) const HEAD: usize = 16;

/// Scales and minimums of the eight groups of a block.
pub(super) fn unpack(block: &[u8], out: &mut Groups) {
    let (d, dmin) = (f16_at(block, 0), f16_at(block, 2));
    for g in 0..8 {
        let (scale, min) = scale_and_min(&block[4..HEAD], g);
        out.scale[g] = d * f32::from(scale);
        out.min[g] = dmin * f32::from(min);
    }
}

/// Writes the head of a zeroed block.
pub(super) fn pack(fit: &WithMin, block: &mut [u8]) {
    put_f16(block, 0, fit.d);
    put_f16(block, 2, fit.dmin);
    let packed = &mut block[4..HEAD];
    for g in 0..4 {
        packed[g] = fit.scale[g] | fit.scale[g + 4] >> 4 << 6;
        packed[g + 4] = fit.min[g] | fit.min[g + 4] >> 4 << 6;
        put_field(&mut packed[8..], 4, g, fit.scale[g + 4]);
        put_field(&mut packed[8..], 4, g + 4, fit.min[g + 4]);
    }
}

fn scale_and_min(packed: &[u8], g: usize) -> (u8, u8) {
    match g {
        0..4 => (packed[g] & 63, packed[g + 4] & 63),
        _ => (
            field(&packed[8..], 4, g - 4) | packed[g - 4] >> 6 << 4,
            field(&packed[8..], 4, g) | packed[g] >> 6 << 4,
        ),
    }
}
