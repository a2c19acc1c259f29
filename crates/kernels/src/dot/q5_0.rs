//! Panels of Q5_0: a scale, the fifth bits in element order, then two planes of nibbles that count from -16.

use super::{Block, Dot, fifth_bits};
use crate::isa::Panels;
use tensor::DType;

pub(super) struct Q5_0;

impl Dot for Q5_0 {
    const DTYPE: DType = DType::Q5_0;
    const GROUP: usize = 32;
    const BITS: u32 = 5;
    const OFFSET: i32 = 16;
    const MIN: bool = false;

    #[inline(always)]
    unsafe fn unpack<P: Panels>(isa: P, rows: *const u8, stride: usize, out: Block<P>) {
        // SAFETY: a block has 22 bytes, 32 elements and one group.
        unsafe {
            let [head, high] = isa.rows8(rows, stride);
            out.put_scale(0, isa.half_low(head));
            let fifth = isa.or(isa.shr::<16>(head), isa.shl::<16>(high));
            let nibbles = isa.rows16(rows.add(6), stride);
            fifth_bits::put(isa, fifth, nibbles, out);
        }
    }
}
