//! Panels of Q4_0: a scale, then two planes of nibbles that count from -8.

use super::{Block, Dot};
use crate::isa::Panels;
use crate::product::sixteen::Sixteen;
use tensor::DType;

pub(super) struct Q4_0;

impl Dot for Q4_0 {
    const DTYPE: DType = DType::Q4_0;
    const GROUP: usize = 32;
    const BITS: u32 = 4;
    const OFFSET: i32 = 8;
    const MIN: bool = false;

    #[inline(always)]
    unsafe fn unpack<P: Panels>(isa: P, block: Sixteen, out: Block<P>) {
        // SAFETY: a block has 18 bytes, 32 elements and one group.
        unsafe {
            out.put_scale(0, block.half(isa, 0));
            out.put_nibbles(isa, 0, block.four(isa, 2));
        }
    }
}
