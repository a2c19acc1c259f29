//! Codes of five bits whose highest bits lie in element order, as in Q5_0 and Q5_1.
//!
//! Not a format. A multiplication spreads four neighbouring bits to the bytes of their elements.

use super::Block;
use crate::isa::Panels;

/// Stores 32 codes: bit `i` of `fifth` and nibble `i` of the two planes in `nibbles`.
///
/// # Safety
/// `out` has room for 32 elements.
#[inline(always)]
pub(super) unsafe fn put<P: Panels>(isa: P, mut fifth: P::V, nibbles: [P::V; 4], out: Block<P>) {
    let (mask, four, bit) = (isa.bytes(15), isa.lanes(15), isa.bytes(16));
    // Bit i of a number below 16, times this, is bit 4 of byte i, and the copies do not meet.
    let spread = isa.lanes(1 << 4 | 1 << 11 | 1 << 18 | 1 << 25);
    for i in 0..8 {
        let high = isa.and(isa.mul32(isa.and(fifth, four), spread), bit);
        let nibble = if i < 4 { nibbles[i] } else { isa.shr::<4>(nibbles[i - 4]) };
        // SAFETY: the caller's.
        unsafe { out.put(i, isa.or(isa.and(nibble, mask), high)) };
        fifth = isa.shr::<4>(fifth);
    }
}
