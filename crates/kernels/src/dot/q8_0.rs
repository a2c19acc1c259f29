//! Panels of Q8_0: a scale, then 32 signed bytes.

use super::{Block, Dot};
use crate::isa::Panels;
use crate::product::sixteen::Sixteen;
use tensor::DType;

pub(super) struct Q8_0;

impl Dot for Q8_0 {
    const DTYPE: DType = DType::Q8_0;
    const GROUP: usize = 32;
    const BITS: u32 = 8;
    const OFFSET: i32 = 0;
    const MIN: bool = false;

    #[inline(always)]
    unsafe fn unpack<P: Panels>(isa: P, block: Sixteen, out: Block<P>) {
        // SAFETY: a block has 34 bytes, 32 elements and one group.
        unsafe {
            out.put_scale(0, block.half(isa, 0));
            for half in 0..2 {
                let codes = block.four(isa, 2 + 16 * half);
                four!(I => out.put_signed(isa, 4 * half + I, codes[I]));
            }
        }
    }
}
