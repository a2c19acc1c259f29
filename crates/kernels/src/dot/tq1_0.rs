//! Panels of TQ1_0: digits in base three, five to a byte, in runs of planes, one scale; digits count from -1.

use super::{Block, Dot};
use crate::isa::Panels;
use crate::product::sixteen::Sixteen;
use tensor::DType;

pub(super) struct TQ1_0;

impl Dot for TQ1_0 {
    const DTYPE: DType = DType::TQ1_0;
    const GROUP: usize = 32;
    const BITS: u32 = 4;
    const OFFSET: i32 = 1;
    const MIN: bool = false;

    #[inline(always)]
    unsafe fn unpack<P: Panels>(isa: P, block: Sixteen, out: Block<P>) {
        // SAFETY: a block has 54 bytes, 256 elements and eight groups.
        unsafe {
            let d = block.half(isa, 52);
            for g in 0..8 {
                out.put_scale(g, d);
            }
            let (a, b, c) = (block.four(isa, 0), block.four(isa, 16), block.four(isa, 32));
            for i in 0..4 {
                put_digits(isa, a[i], i, 8, 5, &out);
                put_digits(isa, b[i], 4 + i, 8, 5, &out);
                put_digits(isa, c[i], 40 + i, 4, 5, &out);
            }
            put_digits(isa, block.word(isa, 48), 60, 1, 4, &out);
        }
    }
}

/// Stores the digits of four bytes of every row: the first at vector `at`, the next `step` on.
///
/// # Safety
/// The block has that many elements.
#[inline(always)]
unsafe fn put_digits<P: Panels>(isa: P, x: P::V, at: usize, step: usize, digits: usize, out: &Block<P>) {
    // Bytes with room above them: the even ones and the odd ones of every lane.
    let bytes = isa.lanes(0x00ff_00ff);
    let (mut even, mut odd) = (isa.and(x, bytes), isa.and(isa.shr::<8>(x), bytes));
    let (three, digit) = (isa.lanes(3), isa.lanes(0x0003_0003));
    for i in 0..digits {
        // Three times the byte: the digit is what goes over, the rest has the next.
        (even, odd) = (isa.mul32(even, three), isa.mul32(odd, three));
        let low = isa.and(isa.shr::<8>(even), digit);
        let high = isa.and(isa.shr::<8>(odd), digit);
        // SAFETY: the caller's.
        unsafe { out.put(at + i * step, isa.or(low, isa.shl::<8>(high))) };
        (even, odd) = (isa.and(even, bytes), isa.and(odd, bytes));
    }
}
