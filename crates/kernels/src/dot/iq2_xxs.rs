//! Panels of IQ2_XXS: a scale, then for each group four entries and a word of signs and a 4-bit scale.

use super::codebook::{
    Bytes, IQ2_CODES, bytes, even_signs, odd_scale, packed, put_eight, sevens, turned_eights,
};
use super::{Block, Dot};
use crate::isa::{Panels, Tables};
use crate::product::sixteen::Sixteen;
use crate::product::turned::Turned;
use tensor::DType;
use tensor::block::grid;

/// The codebook, for one column.
static CODEBOOK: Bytes<1> = packed(&grid::IQ2_XXS, 8);

pub(super) struct IQ2XXS;

impl Dot for IQ2XXS {
    const DTYPE: DType = DType::IQ2_XXS;
    const GROUP: usize = 32;
    const BITS: u32 = 7;
    const OFFSET: i32 = 43;
    const MIN: bool = false;
    const TURNED: bool = true;

    #[inline(always)]
    unsafe fn unpack<P: Panels>(isa: P, block: Sixteen, out: Block<P>) {
        // SAFETY: a block has 66 bytes, 256 elements and eight groups; an index has no more bits than the list of
        // entries has room for.
        unsafe {
            let unit = isa.mul(block.half(isa, 0), isa.splat(0.125));
            for g in 0..8 {
                let [entries, word] = block.two(isa, 2 + 8 * g);
                out.put_scale(g, odd_scale(isa, unit, isa.shr::<28>(word)));
                let signs = isa.spread::<3>(even_signs(isa, sevens(isa, word)));
                let entries = bytes(isa, entries);
                for i in 0..4 {
                    let entry = isa.gather(&grid::IQ2_XXS, entries[i]);
                    put_eight(isa, 8 * g + 2 * i, entry, [signs[2 * i], signs[2 * i + 1]], &IQ2_CODES, &out);
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn turned<P: Panels, T: Tables<P>>(isa: P, tables: T, block: Sixteen, out: &mut Turned<P>) {
        // SAFETY: as for `unpack`.
        unsafe {
            let unit = isa.mul(block.half(isa, 0), isa.splat(0.125));
            for g in 0..8 {
                let [index, word] = block.two(isa, 2 + 8 * g);
                let signs = even_signs(isa, tables.bytes_from::<7>(word, 0));
                let codes = turned_eights(isa, tables, &CODEBOOK, index, [index; 2], signs, &IQ2_CODES);
                out.put(codes, [odd_scale(isa, unit, isa.shr::<28>(word))]);
            }
        }
    }
}
