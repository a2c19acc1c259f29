//! Panels of Q4_1: scale and offset in the first four bytes, then two planes of nibbles.

use super::{Block, Dot};
use crate::isa::Panels;
use crate::product::sixteen::Sixteen;
use tensor::DType;

pub(super) struct Q4_1;

impl Dot for Q4_1 {
    const DTYPE: DType = DType::Q4_1;
    const GROUP: usize = 32;
    const BITS: u32 = 4;
    const OFFSET: i32 = 0;
    const MIN: bool = true;

    #[inline(always)]
    unsafe fn unpack<P: Panels>(isa: P, block: Sixteen, out: Block<P>) {
        // SAFETY: a block has 20 bytes, 32 elements and one group.
        unsafe {
            let head = block.word(isa, 0);
            out.put_scale(0, isa.half_low(head));
            out.put_min(0, isa.mul(isa.half_high(head), isa.splat(-1.0)));
            out.put_nibbles(isa, 0, block.four(isa, 4));
        }
    }
}
