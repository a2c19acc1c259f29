//! Where keys and values lie in a cache.
//!
//! What it is: formats, sizes and addresses. What it is not: memory. The one design choice: a cache is a row of tiles of
//! 64 positions, and what a tile has of one head lies together. Of the keys, sixteen positions lie side by side, element by
//! element, so that sixteen scores grow in the lanes of a vector and no sum over lanes is ever taken; of the values every
//! position has its own row. Where values are the first elements of the keys there is one cache, which lies as keys do.

use super::TILE;
use crate::isa::LANES;

/// How keys and values are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KvFormat {
    /// Two bytes an element.
    F16,
    /// Blocks of 32 as in the weight format: an f16 scale and 32 signed bytes. Sixteen keys have their scales side by
    /// side, then their bytes.
    Q8_0,
}

/// Elements of a block of [`KvFormat::Q8_0`].
pub(crate) const BLOCK: usize = 32;

impl KvFormat {
    /// Bytes of `elements` consecutive elements, whole blocks.
    pub fn bytes(self, elements: usize) -> usize {
        match self {
            KvFormat::F16 => elements * 2,
            KvFormat::Q8_0 => elements / BLOCK * 34,
        }
    }
}

/// What a cache of keys, or of values, has room for. Position `p` lies in slot `p % slots`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KvShape {
    /// How they are stored.
    pub format: KvFormat,
    /// A multiple of 64.
    pub slots: usize,
    /// Heads of the cache.
    pub heads: usize,
    /// Elements of a head, a multiple of 16 (of 32 in a Q8_0 cache).
    pub head_dim: usize,
}

impl KvShape {
    /// Bytes of the keys, or of the values.
    pub fn bytes(self) -> usize {
        self.slots * self.heads * self.head_bytes()
    }

    /// Elements of a position.
    pub(crate) fn width(self) -> usize {
        self.heads * self.head_dim
    }

    /// Bytes of one head of one position.
    #[inline(always)]
    pub(crate) fn head_bytes(self) -> usize {
        self.format.bytes(self.head_dim)
    }

    /// Where what the tile of `position` has of a head begins.
    #[inline(always)]
    pub(crate) fn tile(self, position: usize, head: usize) -> usize {
        (position % self.slots / TILE * self.heads + head) * TILE * self.head_bytes()
    }

    /// Where the sixteen keys begin that `position` is one of.
    #[inline(always)]
    pub(crate) fn keys(self, position: usize, head: usize) -> usize {
        self.tile(position, head) + position % TILE / LANES * LANES * self.head_bytes()
    }

    /// Where the value of `position` begins.
    #[inline(always)]
    pub(crate) fn value(self, position: usize, head: usize) -> usize {
        self.tile(position, head) + position % TILE * self.head_bytes()
    }

    /// # Panics
    /// If the sizes are not what they must be: mistakes of the caller.
    pub(crate) fn check(self) {
        let unit = if self.format == KvFormat::F16 { LANES } else { BLOCK };
        assert!(self.head_dim > 0 && self.head_dim.is_multiple_of(unit), "head_dim {}", self.head_dim);
        assert!(self.head_dim <= super::WIDEST, "head_dim {}", self.head_dim);
        assert!(
            self.slots > 0 && self.slots.is_multiple_of(TILE),
            "{} slots are not whole tiles",
            self.slots
        );
    }
}
