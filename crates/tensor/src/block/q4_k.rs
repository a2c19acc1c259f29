//! Q4_K: 256 elements in eight groups of 32 with 6-bit scales and minimums, nibbles (ggml's `block_q4_K`).
//!
//! Bytes: head 0-15 (see [`k_scales`]), nibbles 16-143: each 32 bytes hold 64 elements in two planes.

use super::bits::{put_field, read_planes};
use super::{BlockFormat, Groups, fit, k_scales};
use crate::DType;

pub(super) struct Q4K;

impl BlockFormat for Q4K {
    fn dtype(&self) -> DType {
        DType::Q4_K
    }

    fn group(&self) -> usize {
        32
    }

    fn has_min(&self) -> bool {
        true
    }

    fn unpack(&self, block: &[u8], out: &mut Groups) {
        k_scales::unpack(block, out);
        let nibbles = block[k_scales::HEAD..144].chunks_exact(32);
        for (q, nibbles) in out.q.chunks_exact_mut(64).zip(nibbles) {
            read_planes(nibbles, 4, q);
        }
    }

    fn quantize(&self, values: &[f32], block: &mut [u8]) {
        block.fill(0);
        let fit = fit::with_min(values, 32, 15.0, 63.0);
        k_scales::pack(&fit, block);
        let nibbles = block[k_scales::HEAD..144].chunks_exact_mut(32);
        for (q, nibbles) in fit.q.chunks_exact(64).zip(nibbles) {
            for (i, &q) in q.iter().enumerate() {
                put_field(nibbles, 4, i, q);
            }
        }
    }
}
