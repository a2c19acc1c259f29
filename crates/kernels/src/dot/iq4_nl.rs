//! Panels of IQ4_NL: a scale, then two planes of nibbles that choose from sixteen levels.

use super::{Block, Dot};
use crate::isa::Panels;
use crate::product::sixteen::Sixteen;
use tensor::DType;

/// What the nibbles stand for.
pub(super) const LEVELS: [i8; 16] =
    [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

pub(super) struct IQ4NL;

impl Dot for IQ4NL {
    const DTYPE: DType = DType::IQ4_NL;
    const GROUP: usize = 32;
    const BITS: u32 = 8;
    const OFFSET: i32 = 0;
    const MIN: bool = false;

    #[inline(always)]
    unsafe fn unpack<P: Panels>(isa: P, block: Sixteen, out: Block<P>) {
        // SAFETY: a block has 18 bytes, 32 elements and one group.
        unsafe {
            out.put_scale(0, block.half(isa, 0));
            out.put_levels::<true>(isa, 0, block.four(isa, 2), &LEVELS);
        }
    }
}
