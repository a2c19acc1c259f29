//! Attention of queries over a cache of keys and values, by tiles of 64 keys.
//!
//! Not a place for caches or positions' meaning. The softmax is the online one, so scratch does not grow with the
//! context (M. Milakov, N. Gimelshein, "Online normalizer calculation for softmax", 2018; T. Dao et al.,
//! "FlashAttention", 2022). The one design choice: tiles lie at absolute positions, multiples of 64, and are merged in
//! ascending order, so a result depends neither on how rows are cut into chunks nor on where a ring buffer begins.
//!
//! For a query at position `p`, in each tile that has a key it sees (at most `p`, more than `p - window`):
//!
//! - `s = (q . k) * scale`, added up by fused multiply-adds in ascending order, then the soft cap; `m` the largest;
//!   `e = exp(s - m)`; a key that is not seen has `e = 0`;
//! - `l`: the four times sixteen lanes of `e` added up in ascending order, then the tree of the chains;
//! - `o`: from 0, `o = fma(e, v, o)` over the seen keys in ascending order.
//!
//! Tiles merge into `(M, L, O)`, at first `(-inf, 0, 0)`, or `(sink, 1, 0)` for a head with a sink: with `N = max(M, m)`, `a = exp(M - N)` and `b = exp(m - N)`,
//! `L = fma(l, b, L * a)` and `O = fma(o, b, O * a)`. A tile whose scores are all -inf is passed over. The result is `O / L`.

mod layout;
mod merge;
mod outer;
mod slice;
mod store;

pub use layout::{KvFormat, KvShape};
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
/// Elements that a head has at most: sixteen keys of it fit the scratch.
pub(crate) const WIDEST: usize = FLOATS / LANES;

/// What [`crate::Cpu::attention`] works on.
#[derive(Clone, Copy, Debug)]
pub struct Attention<'a> {
    /// Queries, (n, heads, head_dim); row `i` is at position `first_pos + i` and sees itself and what is before.
    pub q: &'a [f32],
    /// Keys, as [`crate::Cpu::store_keys`] left them.
    pub k: &'a [u8],
    /// Values, as [`crate::Cpu::store_values`] left them; if there are none, they are the first elements of the keys.
    pub v: Option<&'a [u8]>,
    /// What keys are; values are like them but for the elements of a head.
    pub cache: KvShape,
    /// Elements of a head of the values, and of the outputs.
    pub value_dim: usize,
    /// Heads of the queries, a multiple of the cache's: head `h` reads the cache's head `h / (heads / cache.heads)`.
    pub heads: usize,
    /// Position of the first row.
    pub first_pos: usize,
    /// If set, a query at `p` sees only keys at positions above `p - window`.
    pub window: Option<usize>,
    /// Factor of the scores.
    pub scale: f32,
    /// If set, scores become `cap * tanh(score / cap)`.
    pub softcap: Option<f32>,
    /// If set, for each head of the queries the score of one more key, whose value is zero.
    pub sinks: Option<&'a [f32]>,
}

impl Attention<'_> {
    /// Rows of queries.
    ///
    /// # Panics
    /// If sizes do not fit together or a visible key has left the ring: mistakes of the caller.
    pub(crate) fn check(&self) -> usize {
        self.cache.check();
        let row = self.heads * self.cache.head_dim;
        let n = self.q.len() / row;
        assert!(self.q.len() == n * row, "{} floats of queries are not rows of {row}", self.q.len());
        assert!(
            self.heads.is_multiple_of(self.cache.heads),
            "{} heads over {}",
            self.heads,
            self.cache.heads
        );
        let (bytes, values) = (self.cache.bytes(), self.values());
        values.check();
        assert!(self.k.len() == bytes, "keys are not {bytes} bytes");
        match self.v {
            Some(v) => assert!(v.len() == values.bytes(), "values are not {} bytes", values.bytes()),
            None => assert!(self.value_dim <= self.cache.head_dim, "values wider than the keys they are of"),
        }
        assert!(self.sinks.is_none_or(|sinks| sinks.len() == self.heads), "sinks of {} heads", self.heads);
        let oldest = self.seen(0).start;
        let slots = self.cache.slots;
        assert!(self.first_pos + n <= oldest + slots, "{slots} slots lost position {oldest}");
        n
    }

    /// What values are, where they have a cache of their own.
    #[inline(always)]
    pub(crate) fn values(&self) -> KvShape {
        KvShape { head_dim: self.value_dim, ..self.cache }
    }

    /// Query heads for each head of the cache.
    #[inline(always)]
    pub(crate) fn group(&self) -> usize {
        self.heads / self.cache.heads
    }

    /// The number, among the heads of all queries, of head `query % group` of row `query / group` of those that read
    /// `kv_head`.
    #[inline(always)]
    fn head(&self, kv_head: usize, query: usize) -> usize {
        let (row, head) = (query / self.group(), query % self.group());
        row * self.heads + kv_head * self.group() + head
    }

    /// Where a query stands before the first tile.
    #[inline(always)]
    pub(crate) fn start(&self, kv_head: usize, query: usize) -> State {
        State::with_sink(self.sinks.map(|sinks| sinks[kv_head * self.group() + query % self.group()]))
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
