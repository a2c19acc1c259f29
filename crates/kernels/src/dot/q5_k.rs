//! Panels of Q5_K: the head of Q4_K, the fifth bits in eight planes, then nibbles as in Q4_K.

use super::{Block, Dot, k_scales};
use crate::isa::Panels;
use tensor::DType;

pub(super) struct Q5K;

impl Dot for Q5K {
    const DTYPE: DType = DType::Q5_K;
    const GROUP: usize = 32;
    const BITS: u32 = 5;
    const OFFSET: i32 = 0;
    const MIN: bool = true;

    #[inline(always)]
    unsafe fn unpack<P: Panels>(isa: P, rows: *const u8, stride: usize, out: Block<P>) {
        let (mask, one) = (isa.bytes(15), isa.bytes(1));
        // SAFETY: a block has 176 bytes, 256 elements and eight groups.
        unsafe {
            k_scales::put(isa, rows, stride, &out);
            for half in 0..2 {
                let mut fifth = isa.rows16(rows.add(k_scales::HEAD + 16 * half), stride);
                for pair in 0..4 {
                    let nibbles = rows.add(k_scales::HEAD + 32 + 32 * pair + 16 * half);
                    let nibbles = isa.rows16(nibbles, stride);
                    let at = pair * 16 + half * 4;
                    for i in 0..4 {
                        let (low, high) =
                            (isa.and(nibbles[i], mask), isa.and(isa.shr::<4>(nibbles[i]), mask));
                        let (first, second) = (isa.and(fifth[i], one), isa.and(isa.shr::<1>(fifth[i]), one));
                        out.put(at + i, isa.or(low, isa.shl::<4>(first)));
                        out.put(at + 8 + i, isa.or(high, isa.shl::<4>(second)));
                        fifth[i] = isa.shr::<2>(fifth[i]);
                    }
                }
            }
        }
    }
}
