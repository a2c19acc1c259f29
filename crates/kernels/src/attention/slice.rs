//! Queries that share a head of the cache, through tiles of its keys.
//!
//! What it is: scores, softmax and weighted values of a tile, and the merge of tiles that follow each other. What it is
//! not: a decision about who does which. The one design choice: a tile of keys or values is converted once and then
//! serves all queries; where there is one query, each row is converted on its way into the sum. Loops are plain and go by
//! address: what iterators and closures make of vectors is not always inlined where the target features are.

use super::merge::{Apart, State};
use super::{Attention, FLOATS, KvFormat, QUERIES, TILE};
use crate::elementwise::soft_cap;
use crate::float::exp;
use crate::isa::{Isa, Kernel, LANES};
use crate::product::Target;
use half::f16;
use std::ops::Range;

/// What one thread does: some queries that share a head of the cache.
pub(crate) struct AttentionSlice<'a> {
    pub attention: &'a Attention<'a>,
    pub kv_head: usize,
    /// At most [`QUERIES`] of (row, head within the group).
    pub queries: Range<usize>,
    /// Tiles to go through: all that these queries see, or some of them and their slots. In slots the queries are all
    /// that read this head of the cache, and nobody else uses them meanwhile.
    pub tiles: Range<usize>,
    pub apart: Option<Apart>,
    /// (n, heads, head_dim); nobody else writes to these heads meanwhile.
    pub target: Target,
    /// Memory of this thread alone.
    pub space: Space<'a>,
}

/// What a thread works in.
#[repr(C, align(64))]
pub(crate) struct Scratch {
    /// See [`Space`]; the second half may have slots of tiles instead.
    tile: [f32; FLOATS],
    /// Scores, then their exponentials, (query, key).
    scores: [[f32; TILE]; QUERIES],
    state: [State; QUERIES],
}

impl Scratch {
    /// Floats of the room for slots.
    pub const ROOM: usize = FLOATS / 2;

    /// The room for slots in `scratch`.
    pub fn room(scratch: *mut Scratch) -> *mut f32 {
        // SAFETY: only an address, within the scratch.
        unsafe { (&raw mut (*scratch).tile).cast::<f32>().wrapping_add(FLOATS - Scratch::ROOM) }
    }
}

/// What a thread works in, as it uses it.
pub(crate) struct Space<'a> {
    /// Keys (key, head_dim) or a stripe of the values (key, elements of the stripe).
    tile: &'a mut [f32],
    scores: &'a mut [[f32; TILE]; QUERIES],
    state: &'a mut [State; QUERIES],
}

impl Space<'_> {
    /// The space in `scratch`, without its room for slots if there are `slots`.
    ///
    /// # Safety
    /// The scratch is valid, whatever bytes it holds, and this thread's alone but for that room.
    pub unsafe fn new<'a>(scratch: *mut Scratch, slots: bool) -> Space<'a> {
        let floats = if slots { FLOATS - Scratch::ROOM } else { FLOATS };
        // SAFETY: the caller's.
        unsafe {
            Space {
                tile: std::slice::from_raw_parts_mut((&raw mut (*scratch).tile).cast(), floats),
                scores: &mut (*scratch).scores,
                state: &mut (*scratch).state,
            }
        }
    }
}

impl<I: Isa> Kernel<I> for AttentionSlice<'_> {
    #[inline(always)]
    fn run(mut self, isa: I) {
        let dim = self.attention.head_dim;
        if self.apart.is_none() {
            for index in 0..self.queries.len() {
                self.space.state[index] = State::START;
                self.out(index).fill(0.0);
            }
        }
        let (first, last) = (self.seen(0), self.seen(self.queries.len() - 1));
        let stripe = (self.space.tile.len() / TILE / LANES * LANES).min(dim);
        for tile in self.tiles.clone() {
            let start = tile * TILE;
            let keys = first.start.max(start) - start..last.end.min(start + TILE) - start;
            // SAFETY: `check` saw to the sizes; the tile has a key that one of the queries sees.
            unsafe {
                self.scores(isa, start, keys.clone());
                for index in 0..self.queries.len() {
                    let brought = self.softmax(index, start);
                    match self.brought(index, start) {
                        Some((header, _)) => (header[0], header[1]) = brought,
                        None => self.space.state[index].merge(brought),
                    }
                }
                for first in (0..dim).step_by(stripe) {
                    self.values(isa, start, keys.clone(), first..dim.min(first + stripe));
                }
            }
        }
        if self.apart.is_none() {
            for index in 0..self.queries.len() {
                let sum = self.space.state[index].sum;
                for o in self.out(index) {
                    *o /= sum;
                }
            }
        }
    }
}

/// Keys or values of a tile.
#[derive(Clone, Copy)]
struct Rows {
    /// The first element of key 0.
    at: *const u8,
    /// Bytes from one key to the next.
    stride: usize,
}

impl Rows {
    /// Sixteen elements of `key` from element `from`, of f16 if `HALF`, else of f32.
    ///
    /// # Safety
    /// They are there.
    #[inline(always)]
    unsafe fn load<I: Isa, const HALF: bool>(self, isa: I, key: usize, from: usize) -> I::F {
        // SAFETY: the caller's.
        unsafe {
            let row = self.at.add(key * self.stride);
            if HALF { isa.load_f16(&*row.add(2 * from).cast()) } else { isa.load(&*row.add(4 * from).cast()) }
        }
    }
}

// The queries of a slice are numbered from 0 here.
impl AttentionSlice<'_> {
    /// The output of a query.
    #[inline(always)]
    fn out(&mut self, index: usize) -> &mut [f32] {
        let head = self.attention.head(self.kv_head, self.queries.start + index);
        // SAFETY: `check` saw to the size of the output; this head is this slice's alone.
        unsafe { self.target.slice(head, self.attention.head_dim) }
    }

    /// Where what the tile at position `start` brings to a query is left, if it is not merged now.
    #[inline(always)]
    fn brought(&mut self, index: usize, start: usize) -> Option<(&mut [f32], &mut [f32])> {
        let apart = self.apart?;
        // SAFETY: these tiles have slots, which are this slice's alone.
        Some(unsafe { apart.of(start / TILE - self.tiles.start, index, self.attention.head_dim) })
    }

    /// Positions that a query sees.
    #[inline(always)]
    fn seen(&self, index: usize) -> Range<usize> {
        self.attention.seen((self.queries.start + index) / self.attention.group())
    }

    /// Which keys of the tile at position `start` a query sees.
    #[inline(always)]
    fn seen_in(&self, index: usize, start: usize) -> Range<usize> {
        let seen = self.seen(index);
        let begin = seen.start.clamp(start, start + TILE) - start;
        begin..(seen.end.clamp(start, start + TILE) - start).max(begin)
    }

    /// Keys, or values, of the tile at position `start` as they lie in the cache.
    #[inline(always)]
    fn rows(&self, values: bool, start: usize) -> Rows {
        let a = self.attention;
        let head = a.format.bytes(a.head_dim);
        let slot = ((start % a.slots) * a.kv_heads + self.kv_head) * head;
        let cache = if values { a.v } else { a.k };
        Rows { at: cache.as_ptr().wrapping_add(slot), stride: a.kv_heads * head }
    }

    /// Asks memory for a row.
    #[inline(always)]
    fn ahead<I: Isa>(&self, isa: I, rows: Rows, key: usize) {
        let row = rows.at.wrapping_add(key * rows.stride);
        for line in (0..self.attention.format.bytes(self.attention.head_dim)).step_by(64) {
            isa.prefetch(row.wrapping_add(line));
        }
    }

    /// Whether rows are converted on their way: there is one query, and rows are f16.
    #[inline(always)]
    fn on_the_way(&self) -> bool {
        self.queries.len() == 1 && self.attention.format == KvFormat::F16
    }

    /// Elements `dims` of `keys` of `rows`, to f32 in the tile, which begins with key `keys.start`.
    ///
    /// # Safety
    /// The tile has room for them.
    #[inline(always)]
    unsafe fn convert<I: Isa>(&mut self, isa: I, rows: Rows, keys: Range<usize>, dims: Range<usize>) -> Rows {
        let to = Rows { at: self.space.tile.as_ptr().cast(), stride: 4 * dims.len() };
        let (from, end) = (self.attention.format.bytes(dims.start), self.attention.format.bytes(dims.end));
        let mut out = self.space.tile.as_mut_ptr();
        for key in keys {
            // SAFETY: the key lies in the cache; the caller saw to the room.
            unsafe {
                let row = rows.at.add(key * rows.stride);
                match self.attention.format {
                    KvFormat::F16 => {
                        for at in dims.clone().step_by(LANES) {
                            let x = isa.load_f16(&*row.add(2 * at).cast());
                            isa.store(x, &mut *out.cast());
                            out = out.add(LANES);
                        }
                    }
                    KvFormat::Q8_0 => {
                        for block in (from..end).step_by(34) {
                            unpack_q8(&*row.add(block).cast(), &mut *out.cast());
                            out = out.add(32);
                        }
                    }
                }
            }
        }
        to
    }

    /// The sums of products of `keys` of the tile at `start` with all queries, and of up to three keys on either side,
    /// which the tile has.
    ///
    /// # Safety
    /// `check` saw to the sizes.
    #[inline(always)]
    unsafe fn scores<I: Isa>(&mut self, isa: I, start: usize, keys: Range<usize>) {
        let (dim, queries) = (self.attention.head_dim, self.queries.len());
        let (rows, later) = (self.rows(false, start), self.rows(true, start));
        let keys = keys.start / 4 * 4..keys.end.next_multiple_of(4);
        // SAFETY: a batch fits the tile; queries are those of this slice; keys come in fours.
        unsafe {
            if self.on_the_way() {
                return self.score::<I, 1, true>(isa, 0, rows, (0, keys), later);
            }
            let batch = (self.space.tile.len() / dim / 4 * 4).min(TILE);
            for first in keys.clone().step_by(batch) {
                let keys = first..keys.end.min(first + batch);
                let rows = self.convert(isa, rows, keys.clone(), 0..dim);
                let mut index = 0;
                while index + 2 <= queries {
                    self.score::<I, 2, false>(isa, index, rows, (first, keys.clone()), later);
                    index += 2;
                }
                if index < queries {
                    self.score::<I, 1, false>(isa, index, rows, (first, keys), later);
                }
            }
        }
    }

    /// Sums of products of the `Q` queries from `index` with `keys`, four at a time; `rows` begin with key `base`. Meanwhile
    /// `later` are asked for.
    ///
    /// # Safety
    /// The keys and the queries are there.
    #[inline(always)]
    unsafe fn score<I: Isa, const Q: usize, const HALF: bool>(
        &mut self,
        isa: I,
        index: usize,
        rows: Rows,
        (base, keys): (usize, Range<usize>),
        later: Rows,
    ) {
        let dim = self.attention.head_dim;
        let mut q = [self.attention.q.as_ptr(); Q];
        for i in 0..Q {
            q[i] = q[i].wrapping_add(self.attention.head(self.kv_head, self.queries.start + index + i));
        }
        for key in keys.step_by(4) {
            let mut chains = [[isa.splat(0.0); 4]; Q];
            // SAFETY: the caller's.
            unsafe {
                if Q * 4 <= I::CHAINS {
                    chains = dots::<I, Q, 4, HALF>(isa, q, rows, key - base, dim);
                } else {
                    for half in [0, 2] {
                        let two = dots::<I, Q, 2, HALF>(isa, q, rows, key - base + half, dim);
                        for i in 0..Q {
                            (chains[i][half], chains[i][half + 1]) = (two[i][0], two[i][1]);
                        }
                    }
                }
            }
            if index == 0 {
                for j in 0..4 {
                    self.ahead(isa, later, key + j);
                }
            }
            for i in 0..Q {
                let sums = isa.sum4(chains[i]);
                if let Some((to, _)) = self.space.scores[index + i][key..].split_first_chunk_mut() {
                    *to = sums;
                }
            }
        }
    }

    /// The sums of one query to scores, then to exponentials: the largest score, -inf if there is none, and the sum of
    /// exponentials.
    #[inline(always)]
    fn softmax(&mut self, index: usize, start: usize) -> (f32, f32) {
        let seen = self.seen_in(index, start);
        let scores = &mut self.space.scores[index];
        for score in scores.iter_mut() {
            *score *= self.attention.scale;
        }
        scores[..seen.start].fill(f32::NEG_INFINITY);
        scores[seen.end..].fill(f32::NEG_INFINITY);
        if let Some(cap) = self.attention.softcap {
            for score in &mut scores[seen] {
                *score = soft_cap(*score, cap);
            }
        }
        let mut most = f32::NEG_INFINITY;
        let mut lanes = [f32::NEG_INFINITY; LANES];
        for at in (0..TILE).step_by(LANES) {
            for i in 0..LANES {
                let score = scores[at + i];
                lanes[i] = if score > lanes[i] { score } else { lanes[i] };
            }
        }
        for i in 0..LANES {
            most = if lanes[i] > most { lanes[i] } else { most };
        }
        if most == f32::NEG_INFINITY {
            return (most, 0.0);
        }
        for score in scores.iter_mut() {
            *score = exp(*score - most);
        }
        let mut sums = [0.0; LANES];
        for at in (0..TILE).step_by(LANES) {
            for i in 0..LANES {
                sums[i] += scores[at + i];
            }
        }
        for half in [8, 4, 2, 1] {
            for i in 0..half {
                sums[i] += sums[i + half];
            }
        }
        (most, sums[0])
    }

    /// Adds the values of a tile, elements `dims` of a head, to the outputs of all queries.
    ///
    /// # Safety
    /// `check` saw to the sizes; the tile has room for a stripe.
    #[inline(always)]
    unsafe fn values<I: Isa>(&mut self, isa: I, start: usize, keys: Range<usize>, dims: Range<usize>) {
        let rows = self.rows(true, start);
        // SAFETY: the caller's.
        unsafe {
            if self.on_the_way() {
                let from = Rows { at: rows.at.add(2 * dims.start), ..rows };
                return self.value_tiles::<I, 1, true>(isa, (0, start), (0, from), dims);
            }
            let base = keys.start;
            let rows = self.convert(isa, rows, keys, dims.clone());
            let mut index = 0;
            while index + 2 <= self.queries.len() {
                self.value_tiles::<I, 2, false>(isa, (index, start), (base, rows), dims.clone());
                index += 2;
            }
            if index < self.queries.len() {
                self.value_tiles::<I, 1, false>(isa, (index, start), (base, rows), dims);
            }
        }
    }

    /// All of `dims`, as many vectors at a time as registers allow.
    #[inline(always)]
    unsafe fn value_tiles<I: Isa, const Q: usize, const HALF: bool>(
        &mut self,
        isa: I,
        queries: (usize, usize),
        rows: (usize, Rows),
        dims: Range<usize>,
    ) {
        let mut at = 0;
        while at < dims.len() {
            // SAFETY: the caller's.
            at += unsafe {
                match (dims.len() - at) / LANES {
                    1 => self.value_tile::<I, Q, 1, HALF>(isa, queries, rows, dims.start, at),
                    2 | 3 => self.value_tile::<I, Q, 2, HALF>(isa, queries, rows, dims.start, at),
                    _ if Q == 1 || I::CHAINS > 4 => {
                        self.value_tile::<I, Q, 4, HALF>(isa, queries, rows, dims.start, at)
                    }
                    _ => self.value_tile::<I, Q, 2, HALF>(isa, queries, rows, dims.start, at),
                }
            };
        }
    }

    /// `D` vectors of the outputs of `Q` queries, from element `at` of the stripe that begins with element `first`;
    /// `rows` have the stripe, from key `base`. Gives the elements back.
    #[inline(always)]
    unsafe fn value_tile<I: Isa, const Q: usize, const D: usize, const HALF: bool>(
        &mut self,
        isa: I,
        (index, start): (usize, usize),
        (base, rows): (usize, Rows),
        first: usize,
        at: usize,
    ) -> usize {
        let mut acc = [[isa.splat(0.0); D]; Q];
        // Keys that all of the queries see lie between those that only some see.
        let (mut low, mut high) = (0, TILE);
        let mut seen = [const { 0..0 }; Q];
        for i in 0..Q {
            seen[i] = self.seen_in(index + i, start);
            (low, high) = (low.max(seen[i].start), high.min(seen[i].end));
        }
        // SAFETY: the caller's.
        unsafe {
            for i in 0..Q {
                let keys = seen[i].start..seen[i].end.min(low);
                acc[i] = self.weigh::<I, 1, D, HALF>(isa, index + i, keys, (base, rows), at, [acc[i]])[0];
            }
            if index == 0 && first + at == 0 {
                // Some at a time, since memory takes only so many requests at once.
                let later = self.rows(false, start + TILE);
                for keys in (low..high).step_by(4) {
                    for key in keys..high.min(keys + 4) {
                        self.ahead(isa, later, key);
                    }
                    let keys = keys..high.min(keys + 4);
                    acc = self.weigh::<I, Q, D, HALF>(isa, index, keys, (base, rows), at, acc);
                }
            } else {
                acc = self.weigh::<I, Q, D, HALF>(isa, index, low..high, (base, rows), at, acc);
            }
            for i in 0..Q {
                let keys = high.max(seen[i].end.min(low))..seen[i].end;
                acc[i] = self.weigh::<I, 1, D, HALF>(isa, index + i, keys, (base, rows), at, [acc[i]])[0];
            }
        }
        for i in 0..Q {
            let state = self.space.state[index + i];
            for d in 0..D {
                let from = first + at + d * LANES;
                match self.brought(index + i, start) {
                    Some((_, values)) => {
                        if let Some((to, _)) = values[from..].split_first_chunk_mut() {
                            isa.store(acc[i][d], to);
                        }
                    }
                    None => {
                        if let Some((out, _)) = self.out(index + i)[from..].split_first_chunk_mut() {
                            state.add(isa, out, acc[i][d]);
                        }
                    }
                }
            }
        }
        D * LANES
    }

    /// `acc` and the values of `keys`, which begin with key `base`, times the exponentials of the `Q` queries from `index`.
    ///
    /// # Safety
    /// The keys are there.
    #[inline(always)]
    unsafe fn weigh<I: Isa, const Q: usize, const D: usize, const HALF: bool>(
        &self,
        isa: I,
        index: usize,
        keys: Range<usize>,
        (base, rows): (usize, Rows),
        at: usize,
        mut acc: [[I::F; D]; Q],
    ) -> [[I::F; D]; Q] {
        for key in keys {
            let mut columns = [isa.splat(0.0); D];
            for d in 0..D {
                // SAFETY: the caller's.
                columns[d] = unsafe { rows.load::<I, HALF>(isa, key - base, at + d * LANES) };
            }
            for i in 0..Q {
                let e = isa.splat(self.space.scores[index + i][key]);
                for d in 0..D {
                    acc[i][d] = isa.fma(e, columns[d], acc[i][d]);
                }
            }
        }
        acc
    }
}

/// Chains of the products of `Q` queries of `dim` elements with `K` keys of `rows` from `key`.
///
/// # Safety
/// They are there.
#[inline(always)]
unsafe fn dots<I: Isa, const Q: usize, const K: usize, const HALF: bool>(
    isa: I,
    q: [*const f32; Q],
    rows: Rows,
    key: usize,
    dim: usize,
) -> [[I::F; K]; Q] {
    let mut chains = [[isa.splat(0.0); K]; Q];
    for at in (0..dim).step_by(LANES) {
        let mut columns = [isa.splat(0.0); K];
        for j in 0..K {
            // SAFETY: the caller's.
            columns[j] = unsafe { rows.load::<I, HALF>(isa, key + j, at) };
        }
        for i in 0..Q {
            // SAFETY: the caller's.
            let x = unsafe { isa.load(&*q[i].add(at).cast()) };
            for j in 0..K {
                chains[i][j] = isa.fma(x, columns[j], chains[i][j]);
            }
        }
    }
    chains
}

/// A block of the format: an f16 scale and 32 signed bytes.
#[inline(always)]
fn unpack_q8(block: &[u8; 34], out: &mut [f32; 32]) {
    let scale = f16::from_le_bytes([block[0], block[1]]).to_f32();
    for i in 0..32 {
        out[i] = scale * f32::from(block[2 + i] as i8);
    }
}
