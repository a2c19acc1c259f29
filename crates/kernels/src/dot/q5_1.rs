//! Panels of Q5_1: scale and offset, the fifth bits in element order, then two planes of nibbles.

use super::{Block, Dot, fifth_bits};
use crate::isa::Panels;
use crate::product::sixteen::Sixteen;
use tensor::DType;

pub(super) struct Q5_1;

impl Dot for Q5_1 {
    const DTYPE: DType = DType::Q5_1;
    const GROUP: usize = 32;
    const BITS: u32 = 5;
    const OFFSET: i32 = 0;
    const MIN: bool = true;

    #[inline(always)]
    unsafe fn unpack<P: Panels>(isa: P, block: Sixteen, out: Block<P>) {
        // SAFETY: a block has 24 bytes, 32 elements and one group.
        unsafe {
            let [head, fifth] = block.two(isa, 0);
            out.put_scale(0, isa.half_low(head));
            out.put_min(0, isa.mul(isa.half_high(head), isa.splat(-1.0)));
            let nibbles = block.four(isa, 8);
            fifth_bits::put(isa, fifth, nibbles, out);
        }
    }
}
