//! Panels of Q6_K: nibbles, pairs of high bits, sixteen signed scales, `d`; codes count from -32.

use super::{Block, Dot};
use crate::isa::Panels;
use tensor::DType;

pub(super) struct Q6K;

impl Dot for Q6K {
    const DTYPE: DType = DType::Q6_K;
    const GROUP: usize = 16;
    const BITS: u32 = 6;
    const OFFSET: i32 = 32;
    const MIN: bool = false;

    #[inline(always)]
    unsafe fn unpack<P: Panels>(isa: P, rows: *const u8, stride: usize, out: Block<P>) {
        let (mask, pair) = (isa.bytes(15), isa.bytes(0x30));
        // SAFETY: a block has 210 bytes, 256 elements and sixteen groups.
        unsafe {
            let d = isa.half_high(isa.rows4(rows.add(206), stride));
            let scales = isa.rows16(rows.add(192), stride);
            for i in 0..4 {
                out.put_scale(4 * i, isa.mul(d, isa.float(isa.sar::<24>(isa.shl::<24>(scales[i])))));
                out.put_scale(4 * i + 1, isa.mul(d, isa.float(isa.sar::<24>(isa.shl::<16>(scales[i])))));
                out.put_scale(4 * i + 2, isa.mul(d, isa.float(isa.sar::<24>(isa.shl::<8>(scales[i])))));
                out.put_scale(4 * i + 3, isa.mul(d, isa.float(isa.sar::<24>(scales[i]))));
            }
            // Each 128 elements, and of the four planes of 32 in them each 16.
            for (half, part) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                let nibbles = rows.add(64 * half + 16 * part);
                let (a, b) = (isa.rows16(nibbles, stride), isa.rows16(nibbles.add(32), stride));
                let high = isa.rows16(rows.add(128 + 32 * half + 16 * part), stride);
                let at = 32 * half + 4 * part;
                for i in 0..4 {
                    let (low_a, high_a) = (isa.and(a[i], mask), isa.and(isa.shr::<4>(a[i]), mask));
                    let (low_b, high_b) = (isa.and(b[i], mask), isa.and(isa.shr::<4>(b[i]), mask));
                    out.put(at + i, isa.or(low_a, isa.and(isa.shl::<4>(high[i]), pair)));
                    out.put(at + 8 + i, isa.or(low_b, isa.and(isa.shl::<2>(high[i]), pair)));
                    out.put(at + 16 + i, isa.or(high_a, isa.and(high[i], pair)));
                    out.put(at + 24 + i, isa.or(high_b, isa.and(isa.shr::<2>(high[i]), pair)));
                }
            }
        }
    }
}
