//! Panels of Q6_K: nibbles, pairs of high bits, sixteen signed scales, `d`; codes count from -32.

use super::{Block, Dot};
use crate::isa::Panels;
use crate::product::sixteen::Sixteen;
use tensor::DType;

pub(super) struct Q6K;

impl Dot for Q6K {
    const DTYPE: DType = DType::Q6_K;
    const GROUP: usize = 16;
    const BITS: u32 = 6;
    const OFFSET: i32 = 32;
    const MIN: bool = false;

    #[inline(always)]
    unsafe fn unpack<P: Panels>(isa: P, block: Sixteen, out: Block<P>) {
        let (mask, pair) = (isa.bytes(15), isa.bytes(0x30));
        // SAFETY: a block has 210 bytes, 256 elements and sixteen groups.
        unsafe {
            let d = block.half(isa, 208);
            let scales = block.four(isa, 192);
            four!(I => {
                out.put_scale(4 * I, isa.mul(d, isa.float(isa.sar::<24>(isa.shl::<24>(scales[I])))));
                out.put_scale(4 * I + 1, isa.mul(d, isa.float(isa.sar::<24>(isa.shl::<16>(scales[I])))));
                out.put_scale(4 * I + 2, isa.mul(d, isa.float(isa.sar::<24>(isa.shl::<8>(scales[I])))));
                out.put_scale(4 * I + 3, isa.mul(d, isa.float(isa.sar::<24>(scales[I]))));
            });
            // Each 128 elements, and of the four planes of 32 in them each 16.
            for (half, part) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                let nibbles = 64 * half + 16 * part;
                let (a, b) = (block.four(isa, nibbles), block.four(isa, nibbles + 32));
                let high = block.four(isa, 128 + 32 * half + 16 * part);
                let at = 32 * half + 4 * part;
                four!(I => {
                    let (low_a, high_a) = (isa.and(a[I], mask), isa.and(isa.shr::<4>(a[I]), mask));
                    let (low_b, high_b) = (isa.and(b[I], mask), isa.and(isa.shr::<4>(b[I]), mask));
                    out.put(at + I, isa.or(low_a, isa.and(isa.shl::<4>(high[I]), pair)));
                    out.put(at + 8 + I, isa.or(low_b, isa.and(isa.shl::<2>(high[I]), pair)));
                    out.put(at + 16 + I, isa.or(high_a, isa.and(high[I], pair)));
                    out.put(at + 24 + I, isa.or(high_b, isa.and(isa.shr::<2>(high[I]), pair)));
                });
            }
        }
    }
}
