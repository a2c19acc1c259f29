//! Panels of Q5_0: a scale, the fifth bits in element order, then two planes of nibbles that count from -16.

use super::{Block, Dot, fifth_bits};
use crate::isa::Panels;
use crate::product::sixteen::Sixteen;
use tensor::DType;

pub(super) struct Q5_0;

impl Dot for Q5_0 {
    const DTYPE: DType = DType::Q5_0;
    const GROUP: usize = 32;
    const BITS: u32 = 5;
    const OFFSET: i32 = 16;
    const MIN: bool = false;

    #[inline(always)]
    unsafe fn unpack<P: Panels>(isa: P, block: Sixteen, out: Block<P>) {
        // SAFETY: a block has 22 bytes, 32 elements and one group.
        unsafe {
            out.put_scale(0, block.half(isa, 0));
            fifth_bits::put(isa, block.word(isa, 2), block.four(isa, 6), out);
        }
    }
}
