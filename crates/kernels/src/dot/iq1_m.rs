//! Panels of IQ1_M: low bytes of entries, nibbles of their high bits and a shift, sixteen 3-bit scales between which the scale lies.

use super::codebook::{DOWN, bytes, odd_scale, put_shifted};
use super::{Block, Dot};
use crate::isa::Panels;
use crate::product::sixteen::Sixteen;
use tensor::DType;
use tensor::block::grid;

pub(super) struct IQ1M;

impl Dot for IQ1M {
    const DTYPE: DType = DType::IQ1_M;
    const GROUP: usize = 16;
    const BITS: u32 = 6;
    const OFFSET: i32 = 9;
    const MIN: bool = false;

    #[inline(always)]
    unsafe fn unpack<P: Panels>(isa: P, block: Sixteen, out: Block<P>) {
        // SAFETY: a block has 56 bytes, 256 elements and sixteen groups; an index has no more bits than the list of
        // entries has room for.
        unsafe {
            let words = block.two(isa, 48);
            let d = isa.or(
                isa.or(
                    isa.and(isa.shr::<12>(words[0]), isa.lanes(0xf)),
                    isa.and(isa.shr::<24>(words[0]), isa.lanes(0xf0)),
                ),
                isa.or(
                    isa.and(isa.shr::<4>(words[1]), isa.lanes(0xf00)),
                    isa.and(isa.shr::<16>(words[1]), isa.lanes(0xf000)),
                ),
            );
            let unit = isa.mul(isa.half_low(d), isa.splat(0.125));
            for word in 0..4 {
                let mut subs = if word % 2 == 0 { words[word / 2] } else { isa.shr::<16>(words[word / 2]) };
                for i in 0..4 {
                    out.put_scale(4 * word + i, odd_scale(isa, unit, isa.and(subs, isa.lanes(7))));
                    subs = isa.shr::<3>(subs);
                }
            }
            let mut nibbles = block.four(isa, 32);
            for half in 0..2 {
                let low = block.four(isa, 16 * half);
                for part in 0..4 {
                    let low = bytes(isa, low[part]);
                    let nibbles = &mut nibbles[2 * half + part / 2];
                    for i in 0..4 {
                        let index = isa.or(low[i], isa.and(isa.shl::<8>(*nibbles), isa.lanes(0x700)));
                        let down = isa.and(isa.sar::<31>(isa.shl::<28>(*nibbles)), isa.lanes(DOWN));
                        *nibbles = isa.shr::<4>(*nibbles);
                        let entry = isa.or(isa.gather(&grid::IQ1, index), down);
                        put_shifted(isa, 32 * half + 8 * part + 2 * i, entry, &out);
                    }
                }
            }
        }
    }
}
