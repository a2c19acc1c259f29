//! Panels of IQ3_S: a scale, low bytes of entries for four elements, their highest bits, signs, eight 4-bit scales.

use super::codebook::{Bytes, bytes, odd_scale, packed, put_scales, signed_levels, turned_fours};
use super::{Block, Dot};
use crate::isa::{Panels, Tables};
use crate::product::sixteen::Sixteen;
use crate::product::turned::Turned;
use tensor::DType;
use tensor::block::grid;

/// Codes, which count from -15.
const CODES: [i8; 16] = signed_levels([1, 3, 5, 7, 9, 11, 13, 15], 15);

/// The codebook, for one column.
static CODEBOOK: Bytes<2> = packed(&grid::IQ3_S, 4);

pub(super) struct IQ3S;

impl Dot for IQ3S {
    const DTYPE: DType = DType::IQ3_S;
    const GROUP: usize = 32;
    const BITS: u32 = 5;
    const OFFSET: i32 = 15;
    const MIN: bool = false;
    const TURNED: bool = true;

    #[inline(always)]
    unsafe fn unpack<P: Panels>(isa: P, block: Sixteen, out: Block<P>) {
        // SAFETY: a block has 110 bytes, 256 elements and eight groups; an index has no more bits than the list of
        // entries has room for.
        unsafe {
            let d = block.half(isa, 0);
            put_scales(isa, d, block.word(isa, 106), 0, &out);
            let (ninth, mut high) = (isa.lanes(0x100), block.two(isa, 66));
            for half in 0..2 {
                let signs = block.four(isa, 74 + 16 * half);
                for part in 0..4 {
                    let (g, signs) = (4 * half + part, isa.spread::<3>(signs[part]));
                    let [a, b] = block.two(isa, 2 + 8 * g);
                    let low = [bytes(isa, a), bytes(isa, b)];
                    for i in 0..8 {
                        let index = isa.or(low[i / 4][i % 4], isa.and(isa.shl::<8>(high[half]), ninth));
                        high[half] = isa.shr::<1>(high[half]);
                        let entry = isa.gather(&grid::IQ3_S, index);
                        out.put(8 * g + i, isa.lookup(&CODES, isa.or(entry, signs[i])));
                    }
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn turned<P: Panels, T: Tables<P>>(isa: P, tables: T, block: Sixteen, out: &mut Turned<P>) {
        // SAFETY: as for `unpack`.
        unsafe {
            let d = block.half(isa, 0);
            let (mut subs, highs) = (block.word(isa, 106), block.two(isa, 66));
            for half in 0..2 {
                let signs = block.four(isa, 74 + 16 * half);
                let high = highs[half];
                four!(PART => {
                    let index = block.two(isa, 2 + 32 * half + 8 * PART);
                    let ninth = [tables.highest::<2>(high, 8 * PART), tables.highest::<2>(high, 8 * PART + 1)];
                    let codes = turned_fours(isa, tables, &CODEBOOK, index, ninth, signs[PART], &CODES);
                    out.put(codes, [odd_scale(isa, d, isa.and(subs, isa.lanes(15)))]);
                    subs = isa.shr::<4>(subs);
                });
            }
        }
    }
}
