//! Codes of five bits whose highest bits lie in element order, as in Q5_0 and Q5_1.
//!
//! Not a format.

use super::Block;
use crate::isa::Panels;

/// Stores 32 codes: bit `i` of `fifth` and nibble `i` of the two planes in `nibbles`.
///
/// # Safety
/// `out` has room for 32 elements.
#[inline(always)]
pub(super) unsafe fn put<P: Panels>(isa: P, fifth: P::V, nibbles: [P::V; 4], out: Block<P>) {
    let (mask, fifth) = (isa.bytes(15), isa.spread::<4>(fifth));
    four!(I => {
        let (low, high) = (isa.and(nibbles[I], mask), isa.and(isa.shr::<4>(nibbles[I]), mask));
        // SAFETY: the caller's.
        unsafe {
            out.put(I, isa.or(low, fifth[I]));
            out.put(I + 4, isa.or(high, fifth[I + 4]));
        }
    });
}
