//! Panels of Q3_K: high bits in eight planes, pairs of low bits in four, sixteen 6-bit scales that count from -32, `d`;
//! codes count from -4.

use super::{Block, Dot};
use crate::isa::Panels;
use tensor::DType;

pub(super) struct Q3K;

impl Dot for Q3K {
    const DTYPE: DType = DType::Q3_K;
    const GROUP: usize = 16;
    const BITS: u32 = 4;
    const OFFSET: i32 = 4;
    const MIN: bool = false;

    #[inline(always)]
    unsafe fn unpack<P: Panels>(isa: P, rows: *const u8, stride: usize, out: Block<P>) {
        let (nibble, pair) = (isa.bytes(15), isa.bytes(0x30));
        // SAFETY: a block has 110 bytes, 256 elements and sixteen groups.
        unsafe {
            let d = isa.half_high(isa.rows4(rows.add(106), stride));
            let low = [isa.rows4(rows.add(96), stride), isa.rows4(rows.add(100), stride)];
            let high = isa.rows4(rows.add(104), stride);
            // Four scales each, as bytes: nibbles in two planes of eight, their high pairs in four planes of four.
            let scales = [
                isa.or(isa.and(low[0], nibble), isa.and(isa.shl::<4>(high), pair)),
                isa.or(isa.and(low[1], nibble), isa.and(isa.shl::<2>(high), pair)),
                isa.or(isa.and(isa.shr::<4>(low[0]), nibble), isa.and(high, pair)),
                isa.or(isa.and(isa.shr::<4>(low[1]), nibble), isa.and(isa.shr::<2>(high), pair)),
            ];
            for i in 0..4 {
                let mut scales = scales[i];
                for j in 0..4 {
                    let scale = isa.sub32(isa.and(scales, isa.lanes(255)), isa.lanes(32));
                    out.put_scale(4 * i + j, isa.mul(d, isa.float(scale)));
                    scales = isa.shr::<8>(scales);
                }
            }
            let (two, one) = (isa.bytes(3), isa.bytes(1));
            for part in 0..2 {
                let mut bits = isa.rows16(rows.add(16 * part), stride);
                for half in 0..2 {
                    let mut pairs = isa.rows16(rows.add(32 + 32 * half + 16 * part), stride);
                    for plane in 0..4 {
                        for i in 0..4 {
                            let code = isa.or(isa.and(pairs[i], two), isa.shl::<2>(isa.and(bits[i], one)));
                            out.put(32 * half + 8 * plane + 4 * part + i, code);
                            (pairs[i], bits[i]) = (isa.shr::<2>(pairs[i]), isa.shr::<1>(bits[i]));
                        }
                    }
                }
            }
        }
    }
}
