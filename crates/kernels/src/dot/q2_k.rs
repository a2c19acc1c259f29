//! Panels of Q2_K: a nibble of scale and one of minimum for each 16, codes of two bits in planes, `d` and `dmin`.

use super::{Block, Dot, k_scales};
use crate::isa::Panels;
use crate::product::sixteen::Sixteen;
use tensor::DType;

pub(super) struct Q2K;

impl Dot for Q2K {
    const DTYPE: DType = DType::Q2_K;
    const GROUP: usize = 16;
    const BITS: u32 = 4;
    const OFFSET: i32 = 0;
    const MIN: bool = true;

    #[inline(always)]
    unsafe fn unpack<P: Panels>(isa: P, block: Sixteen, out: Block<P>) {
        // SAFETY: a block has 84 bytes, 256 elements and sixteen groups.
        unsafe {
            let head = block.word(isa, 80);
            let (d, dmin, mask) = (isa.half_low(head), isa.half_high(head), isa.bytes(15));
            let pairs = block.four(isa, 0);
            four!(I => {
                let scales = k_scales::bytes(isa, isa.and(pairs[I], mask));
                let mins = k_scales::bytes(isa, isa.and(isa.shr::<4>(pairs[I]), mask));
                four!(J => {
                    out.put_scale(4 * I + J, isa.mul(d, scales[J]));
                    out.put_min(4 * I + J, isa.mul(dmin, mins[J]));
                });
            });
            for piece in 0..4 {
                out.put_pairs(isa, piece, block.four(isa, 16 + 16 * piece));
            }
        }
    }
}
