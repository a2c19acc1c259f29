//! Attention of queries over a cache of keys and values, by tiles of 64 keys.
//!
//! Not a place for caches or positions' meaning. The softmax is the online one, so scratch does not grow with the
//! context (M. Milakov, N. Gimelshein, "Online normalizer calculation for softmax", 2018; T. Dao et al.,
//! "FlashAttention", 2022). The one design choice: tiles lie at absolute positions, multiples of 64, and are merged in
//! ascending order, so a result depends neither on how rows are cut into chunks nor on where a ring buffer begins.
//!
//! For a query at position `p`, in each tile that has a key it sees (at most `p`, more than `p - window`):
//!
//! - `s = (q . k) * scale` by sixteen chains, then the soft cap; `m` the largest; `e = exp(s - m)`; a key that is not
//!   seen has `e = 0`;
//! - `l`: the four times sixteen lanes of `e` added up in ascending order, then the tree of the chains;
//! - `o`: from 0, `o = fma(e, v, o)` over the seen keys in ascending order.
//!
//! Tiles merge into `(M, L, O)`, at first `(-inf, 0, 0)`: with `N = max(M, m)`, `a = exp(M - N)` and `b = exp(m - N)`,
//! `L = fma(l, b, L * a)` and `O = fma(o, b, O * a)`. A tile whose scores are all -inf is passed over. The result is `O / L`.

mod merge;
mod slice;
mod store;

pub(crate) use merge::{Apart, Division, Merge, Slots, State};
pub(crate) use slice::{AttentionSlice, Scratch, Space};
pub(crate) use store::StoreKv;

use crate::isa::LANES;
use std::ops::Range;

/// Keys of a tile. Caches have a multiple of this many slots.
pub(crate) const TILE: usize = 64;
/// Queries that a task takes at most: they share the conversion of keys and values.
pub(crate) const QUERIES: usize = 32;
/// Floats of a tile of keys or values in scratch.
const FLOATS: usize = 16 << 10;

/// How keys and values are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KvFormat {
    /// Two bytes an element.
    F16,
    /// Blocks of 32 as in the weight format: an f16 scale and 32 signed bytes.
    Q8_0,
}

impl KvFormat {
    /// Bytes of `elements` consecutive elements, whole blocks.
    pub fn bytes(self, elements: usize) -> usize {
        match self {
            KvFormat::F16 => elements * 2,
            KvFormat::Q8_0 => elements / 32 * 34,
        }
    }
}

/// What [`crate::Cpu::attention`] works on. Position `p` lies in slot `p % slots`.
#[derive(Clone, Copy, Debug)]
pub struct Attention<'a> {
    /// Queries, (n, heads, head_dim); row `i` is at position `first_pos + i` and sees itself and what is before.
    pub q: &'a [f32],
    /// Keys, (slots, kv_heads, head_dim).
    pub k: &'a [u8],
    /// Values, (slots, kv_heads, head_dim).
    pub v: &'a [u8],
    /// How keys and values are stored.
    pub format: KvFormat,
    /// Heads of the queries, a multiple of `kv_heads`: head `h` reads the cache's head `h / (heads / kv_heads)`.
    pub heads: usize,
    /// Heads of the cache.
    pub kv_heads: usize,
    /// Elements of a head, a multiple of 16 (of 32 in a Q8_0 cache).
    pub head_dim: usize,
    /// Slots of the cache, a multiple of 64.
    pub slots: usize,
    /// Position of the first row.
    pub first_pos: usize,
    /// If set, a query at `p` sees only keys at positions above `p - window`.
    pub window: Option<usize>,
    /// Factor of the scores.
    pub scale: f32,
    /// If set, scores become `cap * tanh(score / cap)`.
    pub softcap: Option<f32>,
}

impl Attention<'_> {
    /// Rows of queries.
    ///
    /// # Panics
    /// If sizes do not fit together or a visible key has left the ring: mistakes of the caller.
    pub(crate) fn check(&self) -> usize {
        let row = self.heads * self.head_dim;
        let n = self.q.len() / row;
        assert!(self.q.len() == n * row, "{} floats of queries are not rows of {row}", self.q.len());
        assert!(self.heads.is_multiple_of(self.kv_heads), "{} heads over {}", self.heads, self.kv_heads);
        let block = if self.format == KvFormat::F16 { LANES } else { 32 };
        assert!(self.head_dim.is_multiple_of(block) && self.head_dim <= FLOATS, "head_dim {}", self.head_dim);
        let cache = self.slots * self.format.bytes(self.kv_heads * self.head_dim);
        assert!(self.slots.is_multiple_of(TILE), "{} slots are not whole tiles", self.slots);
        assert!(self.k.len() == cache && self.v.len() == cache, "a cache is not {cache} bytes");
        let oldest = self.seen(0).start;
        assert!(self.first_pos + n <= oldest + self.slots, "{} slots lost position {oldest}", self.slots);
        n
    }

    /// Query heads for each head of the cache.
    #[inline(always)]
    pub(crate) fn group(&self) -> usize {
        self.heads / self.kv_heads
    }

    /// Where head `query % group` of row `query / group`, of those that read `kv_head`, lies among queries and outputs.
    #[inline(always)]
    fn head(&self, kv_head: usize, query: usize) -> usize {
        let (row, head) = (query / self.group(), query % self.group());
        (row * self.heads + kv_head * self.group() + head) * self.head_dim
    }

    /// Tiles with a key that any of these rows sees.
    pub(crate) fn tiles(&self, rows: Range<usize>) -> Range<usize> {
        self.seen(rows.start).start / TILE..self.seen(rows.end - 1).end.div_ceil(TILE)
    }

    /// Positions that row `i` sees.
    #[inline(always)]
    fn seen(&self, row: usize) -> Range<usize> {
        let end = self.first_pos + row + 1;
        self.window.map_or(0, |window| end.saturating_sub(window))..end
    }
}
