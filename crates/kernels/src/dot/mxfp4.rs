//! Panels of MXFP4: an exponent, then two planes of nibbles that choose from sixteen levels.

use super::codebook::signed_levels;
use super::{Block, Dot};
use crate::isa::Panels;
use crate::product::sixteen::Sixteen;
use tensor::DType;

/// Twice what the nibbles stand for, counted from -12; the scale is halved instead.
const CODES: [i8; 16] = signed_levels([0, 1, 2, 3, 4, 6, 8, 12], 12);

/// `2^(exponent - 128)`: the bits of the two smallest are those of subnormals.
#[inline(always)]
fn half_scale<P: Panels>(isa: P, exponent: P::V) -> P::F {
    let small = isa.sar::<31>(isa.sub32(exponent, isa.lanes(2)));
    let subnormal = isa.shl::<21>(isa.sub32(exponent, isa.lanes(-1)));
    let normal = isa.shl::<23>(isa.sub32(exponent, isa.lanes(1)));
    let large = isa.sub32(isa.lanes(-1), small);
    isa.bits(isa.or(isa.and(small, subnormal), isa.and(large, normal)))
}

pub(super) struct MXFP4;

impl Dot for MXFP4 {
    const DTYPE: DType = DType::MXFP4;
    const GROUP: usize = 32;
    const BITS: u32 = 5;
    const OFFSET: i32 = 12;
    const MIN: bool = false;

    #[inline(always)]
    unsafe fn unpack<P: Panels>(isa: P, block: Sixteen, out: Block<P>) {
        // SAFETY: a block has 17 bytes, 32 elements and one group.
        unsafe {
            out.put_scale(0, half_scale(isa, block.byte(isa, 0)));
            out.put_levels::<false>(isa, 0, block.four(isa, 1), &CODES);
        }
    }
}
