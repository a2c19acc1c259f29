//! Panels of IQ4_XS: `d`, eight 6-bit scales that count from -32, then groups of two planes of nibbles that choose from
//! the levels of IQ4_NL.

use super::iq4_nl::LEVELS;
use super::{Block, Dot};
use crate::isa::Panels;
use crate::product::sixteen::Sixteen;
use tensor::DType;

pub(super) struct IQ4XS;

impl Dot for IQ4XS {
    const DTYPE: DType = DType::IQ4_XS;
    const GROUP: usize = 32;
    const BITS: u32 = 8;
    const OFFSET: i32 = 0;
    const MIN: bool = false;

    #[inline(always)]
    unsafe fn unpack<P: Panels>(isa: P, block: Sixteen, out: Block<P>) {
        // SAFETY: a block has 136 bytes, 256 elements and eight groups.
        unsafe {
            let (head, mut low) = (block.word(isa, 0), block.word(isa, 4));
            let (d, mut high) = (isa.half_low(head), isa.shr::<16>(head));
            for g in 0..8 {
                let scale = isa.or(isa.and(low, isa.lanes(15)), isa.and(isa.shl::<4>(high), isa.lanes(0x30)));
                out.put_scale(g, isa.mul(d, isa.float(isa.sub32(scale, isa.lanes(32)))));
                (low, high) = (isa.shr::<4>(low), isa.shr::<2>(high));
                out.put_levels::<true>(isa, 8 * g, block.four(isa, 8 + 16 * g), &LEVELS);
            }
        }
    }
}
