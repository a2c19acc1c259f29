//! Panels of IQ3_XXS: a scale, entries for four elements, a word of signs and a 4-bit scale for each group.

use super::codebook::{Bytes, bytes, even_signs, odd_scale, packed, sevens, signed_levels, turned_fours};
use super::{Block, Dot};
use crate::isa::{Panels, Tables};
use crate::product::sixteen::Sixteen;
use crate::product::turned::Turned;
use tensor::DType;
use tensor::block::grid;

/// Codes, which count from -62.
const CODES: [i8; 16] = signed_levels([4, 12, 20, 28, 36, 44, 52, 62], 62);

/// The codebook, for one column.
static CODEBOOK: Bytes<1> = packed(&grid::IQ3_XXS, 4);

pub(super) struct IQ3XXS;

impl Dot for IQ3XXS {
    const DTYPE: DType = DType::IQ3_XXS;
    const GROUP: usize = 32;
    const BITS: u32 = 7;
    const OFFSET: i32 = 62;
    const MIN: bool = false;
    const TURNED: bool = true;

    #[inline(always)]
    unsafe fn unpack<P: Panels>(isa: P, block: Sixteen, out: Block<P>) {
        // SAFETY: a block has 98 bytes, 256 elements and eight groups; an index has no more bits than the list of
        // entries has room for.
        unsafe {
            let unit = isa.mul(block.half(isa, 0), isa.splat(0.25));
            for half in 0..2 {
                let words = block.four(isa, 66 + 16 * half);
                for part in 0..4 {
                    let (g, word) = (4 * half + part, words[part]);
                    out.put_scale(g, odd_scale(isa, unit, isa.shr::<28>(word)));
                    let signs = isa.spread::<3>(even_signs(isa, sevens(isa, word)));
                    let [a, b] = block.two(isa, 2 + 8 * g);
                    let entries = [bytes(isa, a), bytes(isa, b)];
                    for i in 0..8 {
                        let entry = isa.gather(&grid::IQ3_XXS, entries[i / 4][i % 4]);
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
            let unit = isa.mul(block.half(isa, 0), isa.splat(0.25));
            for half in 0..2 {
                let words = block.four(isa, 66 + 16 * half);
                four!(PART => {
                    let index = block.two(isa, 2 + 32 * half + 8 * PART);
                    let signs = even_signs(isa, tables.bytes_from::<7>(words[PART], 0));
                    let codes = turned_fours(isa, tables, &CODEBOOK, index, index, signs, &CODES);
                    out.put(codes, [odd_scale(isa, unit, isa.shr::<28>(words[PART]))]);
                });
            }
        }
    }
}
