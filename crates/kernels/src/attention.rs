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

use crate::elementwise::soft_cap;
use crate::float::exp;
use crate::isa::{Isa, Kernel, LANES};
use crate::product::Target;
use half::f16;
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

    /// Positions that row `i` sees.
    #[inline(always)]
    fn seen(&self, row: usize) -> Range<usize> {
        let end = self.first_pos + row + 1;
        self.window.map_or(0, |window| end.saturating_sub(window))..end
    }
}

/// What one thread does: some queries that share a head of the cache.
pub(crate) struct AttentionSlice<'a> {
    pub attention: &'a Attention<'a>,
    pub kv_head: usize,
    /// At most [`QUERIES`] of (row, head within the group).
    pub queries: Range<usize>,
    /// (n, heads, head_dim); nobody else writes to these heads meanwhile.
    pub target: Target,
    /// Memory of this thread alone.
    pub scratch: &'a mut Scratch,
}

/// What a thread works in.
#[repr(C, align(64))]
pub(crate) struct Scratch {
    /// Keys (key, head_dim) or a stripe of the values (key, elements of the stripe).
    tile: [f32; FLOATS],
    /// Scores, then their exponentials, (query, key).
    scores: [[f32; TILE]; QUERIES],
    state: [State; QUERIES],
}

/// Where a query stands.
#[derive(Clone, Copy)]
struct State {
    /// The largest score so far: M.
    most: f32,
    /// The sum of the exponentials so far: L.
    sum: f32,
    /// The factor of what was there: a. If a and b are 0 the tile is passed over.
    old: f32,
    /// The factor of what this tile brings: b.
    new: f32,
}

impl<I: Isa> Kernel<I> for AttentionSlice<'_> {
    #[inline(always)]
    fn run(mut self, isa: I) {
        let dim = self.attention.head_dim;
        self.scratch.state.fill(State { most: f32::NEG_INFINITY, sum: 0.0, old: 0.0, new: 0.0 });
        for query in self.queries.clone() {
            self.out(query).fill(0.0);
        }
        let (first, last) = (self.seen(self.queries.start), self.seen(self.queries.end - 1));
        for tile in first.start / TILE..last.end.div_ceil(TILE) {
            let start = tile * TILE;
            let keys = first.start.max(start) - start..last.end.min(start + TILE) - start;
            self.scores(isa, start, keys.clone());
            for query in self.queries.clone() {
                self.softmax(query, start);
            }
            let stripe = (FLOATS / TILE / LANES * LANES).min(dim);
            for first in (0..dim).step_by(stripe) {
                self.values(isa, start, keys.clone(), first..dim.min(first + stripe));
            }
        }
        for query in self.queries.clone() {
            let sum = self.scratch.state[query - self.queries.start].sum;
            self.out(query).iter_mut().for_each(|o| *o /= sum);
        }
    }
}

impl AttentionSlice<'_> {
    /// Query heads for each head of the cache.
    #[inline(always)]
    fn group(&self) -> usize {
        self.attention.heads / self.attention.kv_heads
    }

    /// Where the head of `query` lies among queries and outputs.
    #[inline(always)]
    fn head(&self, query: usize) -> usize {
        let (row, head) = (query / self.group(), query % self.group());
        (row * self.attention.heads + self.kv_head * self.group() + head) * self.attention.head_dim
    }

    #[inline(always)]
    fn out(&mut self, query: usize) -> &mut [f32] {
        let head = self.head(query);
        // SAFETY: `check` saw to the size of the output; this head is this slice's alone.
        unsafe { std::slice::from_raw_parts_mut(self.target.out.add(head), self.attention.head_dim) }
    }

    /// Positions that `query` sees.
    #[inline(always)]
    fn seen(&self, query: usize) -> Range<usize> {
        self.attention.seen(query / self.group())
    }

    /// Which keys of the tile at position `start` the query sees.
    #[inline(always)]
    fn seen_in(&self, query: usize, start: usize) -> Range<usize> {
        let seen = self.seen(query);
        let begin = seen.start.clamp(start, start + TILE) - start;
        begin..(seen.end.clamp(start, start + TILE) - start).max(begin)
    }

    /// Elements `dims` of key or value `key` of the tile at `start`, to f32.
    #[inline(always)]
    fn convert<I: Isa>(&mut self, isa: I, values: bool, key: usize, dims: Range<usize>, at: usize) {
        let a = self.attention;
        let cache = if values { a.v } else { a.k };
        let head = a.format.bytes(a.head_dim);
        let bytes = &cache[((key % a.slots) * a.kv_heads + self.kv_head) * head..][..head];
        let bytes = &bytes[a.format.bytes(dims.start)..a.format.bytes(dims.end)];
        let out = &mut self.scratch.tile[at..at + dims.len()];
        match a.format {
            KvFormat::F16 => {
                for (x, bytes) in out.as_chunks_mut().0.iter_mut().zip(bytes.as_chunks().0) {
                    isa.store(isa.load_f16(bytes), x);
                }
            }
            KvFormat::Q8_0 => {
                for (x, block) in out.chunks_exact_mut(32).zip(bytes.as_chunks::<34>().0) {
                    let scale = f16::from_le_bytes([block[0], block[1]]).to_f32();
                    for (x, &q) in x.iter_mut().zip(&block[2..]) {
                        *x = scale * f32::from(q as i8);
                    }
                }
            }
        }
    }

    /// The scores of `keys` of the tile at `start` for all queries.
    #[inline(always)]
    fn scores<I: Isa>(&mut self, isa: I, start: usize, keys: Range<usize>) {
        let dim = self.attention.head_dim;
        let batch = (FLOATS / dim).min(TILE);
        for first in keys.clone().step_by(batch) {
            let keys = first..keys.end.min(first + batch);
            for key in keys.clone() {
                self.convert(isa, false, start + key, 0..dim, (key - first) * dim);
            }
            let mut query = self.queries.start;
            while query < self.queries.end {
                query += match self.queries.end - query {
                    1 => self.score_tile::<I, 1, 4>(isa, query, keys.clone()),
                    _ => self.score_tile::<I, 2, 2>(isa, query, keys.clone()),
                };
            }
        }
    }

    /// Scores of `Q` queries, `K` keys at a time; `Q * K` is 4. Gives `Q` back.
    #[inline(always)]
    fn score_tile<I: Isa, const Q: usize, const K: usize>(
        &mut self,
        isa: I,
        query: usize,
        keys: Range<usize>,
    ) -> usize {
        let (a, dim) = (self.attention, self.attention.head_dim);
        let q: [&[[f32; LANES]]; Q] =
            std::array::from_fn(|i| a.q[self.head(query + i)..][..dim].as_chunks().0);
        for key in keys.clone().step_by(K) {
            let k: [&[[f32; LANES]]; K] = std::array::from_fn(|i| {
                let row = (key + i).min(keys.end - 1) - keys.start;
                self.scratch.tile[row * dim..][..dim].as_chunks().0
            });
            let mut chains = [isa.splat(0.0); 4];
            for at in 0..dim / LANES {
                let mut columns = [isa.splat(0.0); K];
                for j in 0..K {
                    columns[j] = isa.load(&k[j][at]);
                }
                for i in 0..Q {
                    let x = isa.load(&q[i][at]);
                    for j in 0..K {
                        chains[i * K + j] = isa.fma(x, columns[j], chains[i * K + j]);
                    }
                }
            }
            for (index, sum) in isa.sum4(chains).into_iter().enumerate() {
                let (i, j) = (index / K, index % K);
                let to = (key + j).min(keys.end - 1);
                self.scratch.scores[query - self.queries.start + i][to] = sum * a.scale;
            }
        }
        Q
    }

    /// Scores of one query to exponentials, and the merge of maximum and sum.
    #[inline(always)]
    fn softmax(&mut self, query: usize, start: usize) {
        let seen = self.seen_in(query, start);
        let scores = &mut self.scratch.scores[query - self.queries.start];
        let state = &mut self.scratch.state[query - self.queries.start];
        scores[..seen.start].fill(f32::NEG_INFINITY);
        scores[seen.end..].fill(f32::NEG_INFINITY);
        if let Some(cap) = self.attention.softcap {
            scores[seen].iter_mut().for_each(|s| *s = soft_cap(*s, cap));
        }
        let mut lanes = [f32::NEG_INFINITY; LANES];
        for scores in scores.as_chunks::<LANES>().0 {
            for i in 0..LANES {
                lanes[i] = if scores[i] > lanes[i] { scores[i] } else { lanes[i] };
            }
        }
        let most = lanes.iter().fold(f32::NEG_INFINITY, |most, &s| if s > most { s } else { most });
        if most == f32::NEG_INFINITY {
            (state.old, state.new) = (0.0, 0.0);
            return;
        }
        let mut sums = [0.0; LANES];
        for scores in scores.as_chunks_mut::<LANES>().0 {
            for i in 0..LANES {
                scores[i] = exp(scores[i] - most);
                sums[i] += scores[i];
            }
        }
        for half in [8, 4, 2, 1] {
            for i in 0..half {
                sums[i] += sums[i + half];
            }
        }
        let both = if state.most > most { state.most } else { most };
        (state.old, state.new) = (exp(state.most - both), exp(most - both));
        state.sum = sums[0].mul_add(state.new, state.sum * state.old);
        state.most = both;
    }

    /// Adds the values of a tile, elements `dims` of a head, to the outputs of all queries.
    #[inline(always)]
    fn values<I: Isa>(&mut self, isa: I, start: usize, keys: Range<usize>, dims: Range<usize>) {
        for key in keys {
            self.convert(isa, true, start + key, dims.clone(), key * dims.len());
        }
        let mut query = self.queries.start;
        while query < self.queries.end {
            query += match self.queries.end - query {
                1 => self.value_tiles::<I, 1>(isa, query, start, dims.clone()),
                _ => self.value_tiles::<I, 2>(isa, query, start, dims.clone()),
            };
        }
    }

    #[inline(always)]
    fn value_tiles<I: Isa, const Q: usize>(
        &mut self,
        isa: I,
        query: usize,
        start: usize,
        dims: Range<usize>,
    ) -> usize {
        let seen: [Range<usize>; Q] = std::array::from_fn(|i| self.seen_in(query + i, start));
        let mut at = 0;
        while at < dims.len() {
            at += match (dims.len() - at) / LANES {
                1 => self.value_tile::<I, Q, 1>(isa, query, &seen, dims.clone(), at),
                2 | 3 => self.value_tile::<I, Q, 2>(isa, query, &seen, dims.clone(), at),
                _ if Q == 1 => self.value_tile::<I, Q, 4>(isa, query, &seen, dims.clone(), at),
                _ => self.value_tile::<I, Q, 2>(isa, query, &seen, dims.clone(), at),
            };
        }
        Q
    }

    /// `D` vectors of the outputs of `Q` queries, from element `at` of the stripe `dims`. Gives the elements back.
    #[inline(always)]
    fn value_tile<I: Isa, const Q: usize, const D: usize>(
        &mut self,
        isa: I,
        query: usize,
        seen: &[Range<usize>; Q],
        dims: Range<usize>,
        at: usize,
    ) -> usize {
        let index = query - self.queries.start;
        let mut acc = [[isa.splat(0.0); D]; Q];
        // Keys that all of the queries see lie between those that only some see.
        let (mut low, mut high) = (0, TILE);
        for i in 0..Q {
            (low, high) = (low.max(seen[i].start), high.min(seen[i].end));
        }
        for i in 0..Q {
            let keys = seen[i].start..seen[i].end.min(low);
            acc[i] = self.weigh::<I, 1, D>(isa, index + i, keys, dims.len(), at, [acc[i]])[0];
        }
        acc = self.weigh::<I, Q, D>(isa, index, low..high, dims.len(), at, acc);
        for i in 0..Q {
            let keys = high.max(seen[i].end.min(low))..seen[i].end;
            acc[i] = self.weigh::<I, 1, D>(isa, index + i, keys, dims.len(), at, [acc[i]])[0];
        }
        for i in 0..Q {
            let State { old, new, .. } = self.scratch.state[index + i];
            if new == 0.0 && old == 0.0 {
                continue;
            }
            let out = &mut self.out(query + i)[dims.start + at..][..D * LANES];
            for (out, acc) in out.as_chunks_mut().0.iter_mut().zip(acc[i]) {
                let kept = isa.mul(isa.load(out), isa.splat(old));
                isa.store(isa.fma(acc, isa.splat(new), kept), out);
            }
        }
        D * LANES
    }

    /// `acc` and the values of `keys`, `width` apart, times the exponentials of `Q` queries from number `index`.
    #[inline(always)]
    fn weigh<I: Isa, const Q: usize, const D: usize>(
        &self,
        isa: I,
        index: usize,
        keys: Range<usize>,
        width: usize,
        at: usize,
        mut acc: [[I::F; D]; Q],
    ) -> [[I::F; D]; Q] {
        for key in keys {
            let v = &self.scratch.tile[key * width + at..][..D * LANES].as_chunks::<LANES>().0[..D];
            let mut columns = [isa.splat(0.0); D];
            for d in 0..D {
                columns[d] = isa.load(&v[d]);
            }
            for i in 0..Q {
                let e = isa.splat(self.scratch.scores[index + i][key]);
                for d in 0..D {
                    acc[i][d] = isa.fma(e, columns[d], acc[i][d]);
                }
            }
        }
        acc
    }
}

/// Writes rows of keys or values into a cache.
pub(crate) struct StoreKv<'a> {
    pub format: KvFormat,
    /// (n, kv_heads * head_dim)
    pub x: &'a [f32],
    /// (slots, kv_heads * head_dim)
    pub cache: &'a mut [u8],
    pub first_pos: usize,
    pub slots: usize,
}

impl<I: Isa> Kernel<I> for StoreKv<'_> {
    #[inline(always)]
    fn run(self, isa: I) {
        let row_bytes = self.cache.len() / self.slots;
        let row = match self.format {
            KvFormat::F16 => row_bytes / 2,
            KvFormat::Q8_0 => row_bytes / 34 * 32,
        };
        for (i, x) in self.x.chunks_exact(row).enumerate() {
            let slot = (self.first_pos + i) % self.slots;
            let out = &mut self.cache[slot * row_bytes..][..row_bytes];
            match self.format {
                KvFormat::F16 => {
                    for (x, out) in x.as_chunks().0.iter().zip(out.as_chunks_mut().0) {
                        isa.store_f16(isa.load(x), out);
                    }
                }
                KvFormat::Q8_0 => {
                    for (x, out) in x.as_chunks().0.iter().zip(out.as_chunks_mut().0) {
                        store_q8(x, out);
                    }
                }
            }
        }
    }
}

/// One block: the f16 nearest to `amax / 127` as scale, and what is nearest to `x / scale`, ties to even.
#[inline(always)]
fn store_q8(x: &[f32; 32], out: &mut [u8; 34]) {
    let amax = x.iter().fold(0.0f32, |most, x| if x.abs() > most { x.abs() } else { most });
    let scale = f16::from_f32(amax / 127.0);
    let inverse = if scale.to_f32() > 0.0 { 1.0 / scale.to_f32() } else { 0.0 };
    out[..2].copy_from_slice(&scale.to_le_bytes());
    for (out, x) in out[2..].iter_mut().zip(x) {
        *out = (x * inverse).round_ties_even().clamp(-127.0, 127.0) as i8 as u8;
    }
}
