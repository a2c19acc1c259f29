//! Panels of IQ2_XS: a scale, words of an entry and seven signs, sixteen 4-bit scales.

use super::codebook::{
    Bytes, IQ2_CODES, even_signs, odd_scale, packed, put_eight, put_scales, turned_eights,
};
use super::{Block, Dot};
use crate::isa::{Panels, Tables};
use crate::product::sixteen::Sixteen;
use crate::product::turned::Turned;
use tensor::DType;
use tensor::block::grid;

/// The codebook, for one column.
static CODEBOOK: Bytes<2> = packed(&grid::IQ2_XS, 8);

pub(super) struct IQ2XS;

impl Dot for IQ2XS {
    const DTYPE: DType = DType::IQ2_XS;
    const GROUP: usize = 16;
    const BITS: u32 = 7;
    const OFFSET: i32 = 43;
    const MIN: bool = false;
    const TURNED: bool = true;

    #[inline(always)]
    unsafe fn unpack<P: Panels>(isa: P, block: Sixteen, out: Block<P>) {
        // SAFETY: a block has 74 bytes, 256 elements and sixteen groups; an index has no more bits than the list of
        // entries has room for.
        unsafe {
            let unit = isa.mul(block.half(isa, 0), isa.splat(0.125));
            let scales = block.two(isa, 66);
            put_scales(isa, unit, scales[0], 0, &out);
            put_scales(isa, unit, scales[1], 8, &out);
            let nine = isa.lanes(511);
            for part in 0..8 {
                let [a, b] = block.two(isa, 2 + 8 * part);
                let low = isa.or(
                    isa.and(isa.shr::<9>(a), isa.lanes(0x7f)),
                    isa.and(isa.shr::<17>(a), isa.lanes(0x7f00)),
                );
                let high = isa.or(
                    isa.and(isa.shl::<7>(b), isa.lanes(0x7f_0000)),
                    isa.and(isa.shr::<1>(b), isa.lanes(0x7f00_0000)),
                );
                let signs = isa.spread::<3>(even_signs(isa, isa.or(low, high)));
                let entries = [
                    isa.and(a, nine),
                    isa.and(isa.shr::<16>(a), nine),
                    isa.and(b, nine),
                    isa.and(isa.shr::<16>(b), nine),
                ];
                for i in 0..4 {
                    let entry = isa.gather(&grid::IQ2_XS, entries[i]);
                    put_eight(
                        isa,
                        8 * part + 2 * i,
                        entry,
                        [signs[2 * i], signs[2 * i + 1]],
                        &IQ2_CODES,
                        &out,
                    );
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn turned<P: Panels, T: Tables<P>>(isa: P, tables: T, block: Sixteen, out: &mut Turned<P>) {
        // SAFETY: as for `unpack`.
        unsafe {
            let unit = isa.mul(block.half(isa, 0), isa.splat(0.125));
            let (nibble, scales) = (isa.lanes(15), block.two(isa, 66));
            for half in 0..2 {
                let mut subs = scales[half];
                for part in 0..4 {
                    let [a, b] = block.two(isa, 2 + 32 * half + 8 * part);
                    // Eight bits of an index; then its ninth and seven signs.
                    let index = tables.every_second_byte::<false>(a, b);
                    let rest = tables.every_second_byte::<true>(a, b);
                    let signs = even_signs(isa, isa.shr::<1>(rest));
                    let upper = [isa.shl::<7>(rest); 2];
                    let codes = turned_eights(isa, tables, &CODEBOOK, index, upper, signs, &IQ2_CODES);
                    let (low, high) = (isa.and(subs, nibble), isa.and(isa.shr::<4>(subs), nibble));
                    out.put(codes, [odd_scale(isa, unit, low), odd_scale(isa, unit, high)]);
                    subs = isa.shr::<8>(subs);
                }
            }
        }
    }
}
