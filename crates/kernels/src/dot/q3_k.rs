//! Panels of Q3_K: high bits in eight planes, pairs of low bits in four, sixteen 6-bit scales that count from -32, `d`;
//! codes count from -4.

use super::{Block, Dot, codebook};
use crate::isa::Panels;
use crate::product::sixteen::Sixteen;
use tensor::DType;

/// Of four bits the first as bit 2 and the third as bit 6: above the low bits of planes 0 and 2.
const EVEN: [i8; 16] = spread(0);
/// The second and the fourth.
const ODD: [i8; 16] = spread(1);

const fn spread(first: u8) -> [i8; 16] {
    let (mut out, mut i) = ([0; 16], 0);
    while i < 16 {
        let bits = i as u8 >> first;
        out[i] = ((bits & 1) << 2 | (bits >> 2 & 1) << 6) as i8;
        i += 1;
    }
    out
}

pub(super) struct Q3K;

impl Dot for Q3K {
    const DTYPE: DType = DType::Q3_K;
    const GROUP: usize = 16;
    const BITS: u32 = 4;
    const OFFSET: i32 = 4;
    const MIN: bool = false;

    #[inline(always)]
    unsafe fn unpack<P: Panels>(isa: P, block: Sixteen, out: Block<P>) {
        let (nibble, pair) = (isa.bytes(15), isa.bytes(0x30));
        // SAFETY: a block has 110 bytes, 256 elements and sixteen groups.
        unsafe {
            let d = block.half(isa, 108);
            let low = [block.word(isa, 96), block.word(isa, 100)];
            let high = block.word(isa, 104);
            // Four scales each, as bytes: nibbles in two planes of eight, their high pairs in four planes of four.
            let scales = [
                isa.or(isa.and(low[0], nibble), isa.and(isa.shl::<4>(high), pair)),
                isa.or(isa.and(low[1], nibble), isa.and(isa.shl::<2>(high), pair)),
                isa.or(isa.and(isa.shr::<4>(low[0]), nibble), isa.and(high, pair)),
                isa.or(isa.and(isa.shr::<4>(low[1]), nibble), isa.and(isa.shr::<2>(high), pair)),
            ];
            for i in 0..4 {
                let scales = codebook::bytes(isa, scales[i]);
                four!(J => {
                    let scale = isa.sub32(scales[J], isa.lanes(32));
                    out.put_scale(4 * i + J, isa.mul(d, isa.float(scale)));
                });
            }
            let low = isa.bytes(0x33);
            for part in 0..2 {
                let mut bits = block.four(isa, 16 * part);
                for half in 0..2 {
                    let pairs = block.four(isa, 32 + 32 * half + 16 * part);
                    let at = 32 * half + 4 * part;
                    four!(I => {
                        let high = isa.and(bits[I], nibble);
                        let even = isa.or(isa.and(pairs[I], low), isa.lookup(&EVEN, high));
                        let odd = isa.or(isa.and(isa.shr::<2>(pairs[I]), low), isa.lookup(&ODD, high));
                        out.put(at + I, isa.and(even, nibble));
                        out.put(at + 8 + I, isa.and(odd, nibble));
                        out.put(at + 16 + I, isa.and(isa.shr::<4>(even), nibble));
                        out.put(at + 24 + I, isa.and(isa.shr::<4>(odd), nibble));
                        bits[I] = isa.shr::<4>(bits[I]);
                    });
                }
            }
        }
    }
}
