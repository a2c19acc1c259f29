//! Panels of IQ1_S: a scale, low bytes of entries, then for each group their high bits, a 3-bit scale and a shift.

use super::codebook::{DOWN, bytes, odd_scale, put_shifted};
use super::{Block, Dot};
use crate::isa::Panels;
use crate::product::sixteen::Sixteen;
use tensor::DType;
use tensor::block::grid;

pub(super) struct IQ1S;

impl Dot for IQ1S {
    const DTYPE: DType = DType::IQ1_S;
    const GROUP: usize = 32;
    const BITS: u32 = 5;
    const OFFSET: i32 = 9;
    const MIN: bool = false;

    #[inline(always)]
    unsafe fn unpack<P: Panels>(isa: P, block: Sixteen, out: Block<P>) {
        // SAFETY: a block has 50 bytes, 256 elements and eight groups; an index has no more bits than the list of
        // entries has room for.
        unsafe {
            let unit = isa.mul(block.half(isa, 0), isa.splat(0.125));
            let words = block.four(isa, 34);
            for half in 0..2 {
                let low = block.four(isa, 2 + 16 * half);
                for part in 0..4 {
                    let g = 4 * half + part;
                    // The word of this group in the high half.
                    let word = if g % 2 == 0 { isa.shl::<16>(words[g / 2]) } else { words[g / 2] };
                    out.put_scale(g, odd_scale(isa, unit, isa.and(isa.shr::<28>(word), isa.lanes(7))));
                    let down = isa.and(isa.sar::<31>(word), isa.lanes(DOWN));
                    let (low, mut high) = (bytes(isa, low[part]), isa.shr::<8>(word));
                    for i in 0..4 {
                        let index = isa.or(low[i], isa.and(high, isa.lanes(0x700)));
                        high = isa.shr::<3>(high);
                        let entry = isa.or(isa.gather(&grid::IQ1, index), down);
                        put_shifted(isa, 8 * g + 2 * i, entry, &out);
                    }
                }
            }
        }
    }
}
