//! Panels of IQ2_XS: a scale, words of an entry and seven signs, sixteen 4-bit scales.

use super::codebook::{IQ2_CODES, even_signs, put_eight, put_scales};
use super::{Block, Dot};
use crate::isa::Panels;
use tensor::DType;
use tensor::block::grid;

pub(super) struct IQ2XS;

impl Dot for IQ2XS {
    const DTYPE: DType = DType::IQ2_XS;
    const GROUP: usize = 16;
    const BITS: u32 = 7;
    const OFFSET: i32 = 43;
    const MIN: bool = false;

    #[inline(always)]
    unsafe fn unpack<P: Panels>(isa: P, rows: *const u8, stride: usize, out: Block<P>) {
        // SAFETY: a block has 74 bytes, 256 elements and sixteen groups; an index has no more bits than the list of
        // entries has room for.
        unsafe {
            let unit = isa.mul(isa.half_low(isa.rows4(rows, stride)), isa.splat(0.125));
            let scales = isa.rows8(rows.add(66), stride);
            put_scales(isa, unit, scales[0], 0, &out);
            put_scales(isa, unit, scales[1], 8, &out);
            let nine = isa.lanes(511);
            for part in 0..8 {
                let [a, b] = isa.rows8(rows.add(2 + 8 * part), stride);
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
}
