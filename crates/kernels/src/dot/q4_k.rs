//! Panels of Q4_K: a head of scales and minimums, then four times 32 bytes, each two planes of nibbles of 32 elements.

use super::{Block, Dot, k_scales};
use crate::isa::Panels;
use crate::product::sixteen::Sixteen;
use tensor::DType;

pub(super) struct Q4K;

impl Dot for Q4K {
    const DTYPE: DType = DType::Q4_K;
    const GROUP: usize = 32;
    const BITS: u32 = 4;
    const OFFSET: i32 = 0;
    const MIN: bool = true;

    #[inline(always)]
    unsafe fn unpack<P: Panels>(isa: P, block: Sixteen, out: Block<P>) {
        // SAFETY: a block has 144 bytes, 256 elements and eight groups.
        unsafe {
            k_scales::put(isa, block, &out);
            let mask = isa.bytes(15);
            for piece in 0..8 {
                let nibbles = block.four(isa, k_scales::HEAD + 16 * piece);
                let at = piece / 2 * 16 + piece % 2 * 4;
                for i in 0..4 {
                    out.put(at + i, isa.and(nibbles[i], mask));
                    out.put(at + 8 + i, isa.and(isa.shr::<4>(nibbles[i]), mask));
                }
            }
        }
    }
}
