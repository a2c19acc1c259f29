//! Panels of Q5_K: the head of Q4_K, the fifth bits in eight planes, then nibbles as in Q4_K.

use super::{Block, Dot, k_scales};
use crate::isa::Panels;
use crate::product::sixteen::Sixteen;
use tensor::DType;

pub(super) struct Q5K;

impl Dot for Q5K {
    const DTYPE: DType = DType::Q5_K;
    const GROUP: usize = 32;
    const BITS: u32 = 5;
    const OFFSET: i32 = 0;
    const MIN: bool = true;

    #[inline(always)]
    unsafe fn unpack<P: Panels>(isa: P, block: Sixteen, out: Block<P>) {
        let (mask, bit) = (isa.bytes(15), isa.bytes(0x10));
        // SAFETY: a block has 176 bytes, 256 elements and eight groups.
        unsafe {
            k_scales::put(isa, block, &out);
            for half in 0..2 {
                let mut fifth = block.four(isa, k_scales::HEAD + 16 * half);
                for pair in 0..4 {
                    let nibbles = block.four(isa, k_scales::HEAD + 32 + 32 * pair + 16 * half);
                    let at = pair * 16 + half * 4;
                    four!(I => {
                        let low = isa.and(nibbles[I], mask);
                        let high = isa.and(isa.shr::<4>(nibbles[I]), mask);
                        out.put(at + I, isa.or(low, isa.and(isa.shl::<4>(fifth[I]), bit)));
                        out.put(at + 8 + I, isa.or(high, isa.and(isa.shl::<3>(fifth[I]), bit)));
                        fifth[I] = isa.shr::<2>(fifth[I]);
                    });
                }
            }
        }
    }
}
