//! Q5_K: 256 elements in eight groups of 32 with 6-bit scales and minimums, five-bit codes (ggml's `block_q5_K`).
//!
//! Bytes: head 0-15 (see [`k_scales`]), fifth bits 16-47 in eight planes, nibbles 48-175: each 32
//! bytes hold 64 elements in two planes.

use super::bits::{or_planes, put_field, read_planes};
use super::{BlockFormat, Groups, fit, k_scales};
use crate::DType;

pub(super) struct Q5K;

impl BlockFormat for Q5K {
    fn dtype(&self) -> DType {
        DType::Q5_K
    }

    fn group(&self) -> usize {
        32
    }

    fn has_min(&self) -> bool {
        true
    }

    fn unpack(&self, block: &[u8], out: &mut Groups) {
        k_scales::unpack(block, out);
        let (high, nibbles) = block[k_scales::HEAD..176].split_at(32);
        for (q, nibbles) in out.q.chunks_exact_mut(64).zip(nibbles.chunks_exact(32)) {
            read_planes(nibbles, 4, q);
        }
        or_planes(high, 1, 4, &mut out.q);
    }

    fn quantize(&self, values: &[f32], block: &mut [u8]) {
        block.fill(0);
        let fit = fit::with_min(values, 32, 31.0, 63.0);
        k_scales::pack(&fit, block);
        let (high, nibbles) = block[k_scales::HEAD..176].split_at_mut(32);
        for (i, &q) in fit.q.iter().enumerate() {
            put_field(&mut nibbles[i / 64 * 32..][..32], 4, i % 64, q);
            put_field(high, 1, i, q >> 4);
        }
    }
}
