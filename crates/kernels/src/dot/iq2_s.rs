//! Panels of IQ2_S: a scale, low bytes of entries, signs, high pairs of entries, sixteen 4-bit scales.

use super::codebook::{Bytes, IQ2_CODES, bytes, odd_scale, packed, put_eight, put_scales, turned_eights};
use super::{Block, Dot};
use crate::isa::{Panels, Tables};
use crate::product::sixteen::Sixteen;
use crate::product::turned::Turned;
use tensor::DType;
use tensor::block::grid;

/// The codebook, for one column.
static CODEBOOK: Bytes<4> = packed(&grid::IQ2_S, 8);

pub(super) struct IQ2S;

impl Dot for IQ2S {
    const DTYPE: DType = DType::IQ2_S;
    const GROUP: usize = 16;
    const BITS: u32 = 7;
    const OFFSET: i32 = 43;
    const MIN: bool = false;
    const TURNED: bool = true;

    #[inline(always)]
    unsafe fn unpack<P: Panels>(isa: P, block: Sixteen, out: Block<P>) {
        // SAFETY: a block has 82 bytes, 256 elements and sixteen groups; an index has no more bits than the list of
        // entries has room for.
        unsafe {
            let unit = isa.mul(block.half(isa, 0), isa.splat(0.125));
            let scales = block.two(isa, 74);
            put_scales(isa, unit, scales[0], 0, &out);
            put_scales(isa, unit, scales[1], 8, &out);
            let (two, mut high) = (isa.lanes(0x300), block.two(isa, 66));
            for half in 0..2 {
                let low = block.four(isa, 2 + 16 * half);
                let signs = block.four(isa, 34 + 16 * half);
                for part in 0..4 {
                    let (low, signs) = (bytes(isa, low[part]), isa.spread::<3>(signs[part]));
                    for i in 0..4 {
                        let index = isa.or(low[i], isa.and(isa.shl::<8>(high[half]), two));
                        high[half] = isa.shr::<2>(high[half]);
                        let entry = isa.gather(&grid::IQ2_S, index);
                        let (at, signs) = (32 * half + 8 * part + 2 * i, [signs[2 * i], signs[2 * i + 1]]);
                        put_eight(isa, at, entry, signs, &IQ2_CODES, &out);
                    }
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn turned<P: Panels, T: Tables<P>>(isa: P, tables: T, block: Sixteen, out: &mut Turned<P>) {
        // SAFETY: as for `unpack`.
        unsafe {
            let unit = isa.mul(block.half(isa, 0), isa.splat(0.125));
            let (nibble, mut scales) = (isa.lanes(15), block.two(isa, 74));
            let highs = block.two(isa, 66);
            for half in 0..2 {
                let low = block.four(isa, 2 + 16 * half);
                let signs = block.four(isa, 34 + 16 * half);
                let high = highs[half];
                four!(PART => {
                            let upper = [tables.highest::<2>(high, 8 * PART), tables.highest::<2>(high, 8 * PART + 1)];
                    let codes = turned_eights(isa, tables, &CODEBOOK, low[PART], upper, signs[PART], &IQ2_CODES);
                    let (a, b) = (isa.and(scales[half], nibble), isa.and(isa.shr::<4>(scales[half]), nibble));
                    out.put(codes, [odd_scale(isa, unit, a), odd_scale(isa, unit, b)]);
                    scales[half] = isa.shr::<8>(scales[half]);
                });
            }
        }
    }
}
