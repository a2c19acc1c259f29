//! The head that Q4_K and Q5_K share: f16 `d` and `dmin`, then 6-bit scales and minimums, for sixteen rows.
//!
//! Not a format. All eight scales of a row, and all eight minimums, are two vectors of bytes.

use super::Block;
use crate::isa::Panels;
use crate::product::sixteen::Sixteen;

/// Bytes of the head.
pub(super) const HEAD: usize = 16;

/// Scales and minimums of the eight groups of a block.
///
/// # Safety
/// Sixteen heads are readable, and `out` has room for eight groups.
#[inline(always)]
pub(super) unsafe fn put<P: Panels>(isa: P, block: Sixteen, out: &Block<P>) {
    // SAFETY: the caller's.
    unsafe {
        let [head, scales, mins, rest] = block.four(isa, 0);
        let (d, dmin) = (isa.half_low(head), isa.half_high(head));
        let (six, four, two) = (isa.bytes(63), isa.bytes(15), isa.bytes(0x30));
        let scales = [isa.and(scales, six), isa.or(isa.and(rest, four), isa.and(isa.shr::<2>(scales), two))];
        let mins =
            [isa.and(mins, six), isa.or(isa.and(isa.shr::<4>(rest), four), isa.and(isa.shr::<2>(mins), two))];
        for half in 0..2 {
            let (scales, mins) = (bytes(isa, scales[half]), bytes(isa, mins[half]));
            for i in 0..4 {
                out.put_scale(4 * half + i, isa.mul(d, scales[i]));
                out.put_min(4 * half + i, isa.mul(dmin, mins[i]));
            }
        }
    }
}

/// The four unsigned bytes of every lane as floats.
#[inline(always)]
pub(super) fn bytes<P: Panels>(isa: P, x: P::V) -> [P::F; 4] {
    let byte = isa.lanes(255);
    [
        isa.float(isa.and(x, byte)),
        isa.float(isa.and(isa.shr::<8>(x), byte)),
        isa.float(isa.and(isa.shr::<16>(x), byte)),
        isa.float(isa.shr::<24>(x)),
    ]
}
