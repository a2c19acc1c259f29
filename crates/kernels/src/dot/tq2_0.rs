//! Panels of TQ2_0: codes of two bits in planes that count from -1, one scale.

use super::{Block, Dot};
use crate::isa::Panels;
use crate::product::sixteen::Sixteen;
use tensor::DType;

pub(super) struct TQ2_0;

impl Dot for TQ2_0 {
    const DTYPE: DType = DType::TQ2_0;
    const GROUP: usize = 32;
    const BITS: u32 = 4;
    const OFFSET: i32 = 1;
    const MIN: bool = false;

    #[inline(always)]
    unsafe fn unpack<P: Panels>(isa: P, block: Sixteen, out: Block<P>) {
        // SAFETY: a block has 66 bytes, 256 elements and eight groups.
        unsafe {
            let d = block.half(isa, 64);
            for g in 0..8 {
                out.put_scale(g, d);
            }
            for piece in 0..4 {
                out.put_pairs(isa, piece, block.four(isa, 16 * piece));
            }
        }
    }
}
