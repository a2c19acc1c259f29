//! Queries that share a head of the cache, through tiles of its keys.
//!
//! What it is: scores, softmax and weighted values of a tile, and the merge of tiles that follow each other. What it is
//! not: a decision about who does which. The one design choice: a tile of keys or values is converted once and then
//! serves all queries; where there are few, it is converted on its way into the sums. Loops are plain and go by address:
//! what iterators and closures make of vectors is not always inlined where the target features are.

use super::layout::BLOCK;
use super::merge::{Apart, State};
use super::outer::{Ahead, Outer, Stream};
use super::{Attention, FLOATS, KvFormat, QUERIES, TILE};
use crate::elementwise::{Always, Cap, Over, Times, each_alone};
use crate::float::exp;
use crate::isa::{Isa, Kernel, LANES};
use crate::product::Target;
use half::f16;
use std::ops::Range;

/// Queries for which nothing is converted ahead: few enough that nothing is converted more than twice.
const FEW: usize = 8;

/// Floats that are converted at a time where sums have one vector: half of a small first cache.
const NEAR: usize = 4 << 10;

/// Floats of the weighted values of a tile: four vectors for all queries.
const SUMS: usize = QUERIES * 4 * LANES;

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
    /// (n, heads, value_dim); nobody else writes to these heads meanwhile.
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
    /// Weighted values of a tile, some vectors of every query.
    sums: [f32; SUMS],
    queries: [Query; QUERIES],
}

/// One of the queries.
#[derive(Clone, Copy)]
struct Query {
    /// The number of its head among those of all queries.
    head: usize,
    /// The positions from `begin` to `end`, without it, are those that it sees.
    begin: usize,
    end: usize,
    state: State,
}

impl Query {
    /// Which keys of the tile at position `start` it sees.
    #[inline(always)]
    fn seen_in(&self, start: usize) -> Range<usize> {
        let begin = self.begin.clamp(start, start + TILE) - start;
        begin..(self.end.clamp(start, start + TILE) - start).max(begin)
    }
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
    /// Keys (group of sixteen, element, key) or values (sixteenth part of the head, key, element), some vectors of either.
    tile: &'a mut [f32],
    scores: &'a mut [[f32; TILE]; QUERIES],
    sums: &'a mut [f32; SUMS],
    queries: &'a mut [Query; QUERIES],
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
                sums: &mut (*scratch).sums,
                queries: &mut (*scratch).queries,
            }
        }
    }
}

impl<I: Isa> Kernel<I> for AttentionSlice<'_> {
    #[inline(always)]
    fn run(mut self, isa: I) {
        for index in 0..self.queries.len() {
            let query = self.queries.start + index;
            let seen = self.attention.seen(query / self.attention.group());
            let head = self.attention.head(self.kv_head, query);
            let state = self.attention.start(self.kv_head, query);
            self.space.queries[index] = Query { head, begin: seen.start, end: seen.end, state };
            if self.apart.is_none() {
                each_alone(isa, Always(0.0), self.out(index));
            }
        }
        let (first, last) = (self.space.queries[0], self.space.queries[self.queries.len() - 1]);
        for tile in self.tiles.clone() {
            let start = tile * TILE;
            let keys = first.seen_in(start).start..last.seen_in(start).end;
            // SAFETY: `check` saw to the sizes; the tile has a key that one of the queries sees.
            unsafe {
                self.scores(isa, start, keys.clone());
                for index in 0..self.queries.len() {
                    let brought = self.softmax(isa, index, start);
                    match self.brought(index, start) {
                        Some((header, _)) => (header[0], header[1]) = brought,
                        None => self.space.queries[index].state.merge(isa, brought),
                    }
                }
                self.values(isa, start, keys.clone());
            }
        }
        if self.apart.is_none() {
            for index in 0..self.queries.len() {
                let sum = self.space.queries[index].state.sum;
                each_alone(isa, Over(sum), self.out(index));
            }
        }
    }
}

// The queries of a slice are numbered from 0 here.
impl AttentionSlice<'_> {
    /// The output of a query.
    #[inline(always)]
    fn out(&mut self, index: usize) -> &mut [f32] {
        let (head, dim) = (self.space.queries[index].head, self.attention.value_dim);
        // SAFETY: `check` saw to the size of the output; this head is this slice's alone.
        unsafe { self.target.slice(head * dim, dim) }
    }

    /// Where what the tile at position `start` brings to a query is left, if it is not merged now.
    #[inline(always)]
    fn brought(&mut self, index: usize, start: usize) -> Option<(&mut [f32], &mut [f32])> {
        let apart = self.apart?;
        // SAFETY: these tiles have slots, which are this slice's alone.
        Some(unsafe { apart.of(start / TILE - self.tiles.start, index, self.attention.value_dim) })
    }

    /// Whether vectors of keys, or of values, are converted on their way into the sums, not once for all queries.
    #[inline(always)]
    fn on_the_way(&self, values: bool) -> bool {
        let half = self.attention.cache.format == KvFormat::F16;
        self.queries.len() <= FEW && half && !(values && self.attention.v.is_none())
    }

    /// The keys, or the values of a cache of their own, of the tile at position `start` as they lie in the cache.
    #[inline(always)]
    fn lying(&self, values: bool, start: usize) -> Stream {
        let a = self.attention;
        match a.v.filter(|_| values) {
            None => {
                let at = a.k.as_ptr().wrapping_add(a.cache.tile(start, self.kv_head));
                Stream { at, step: 2 * LANES, vector: LANES * a.cache.head_bytes(), half: true }
            }
            Some(v) => {
                let at = v.as_ptr().wrapping_add(a.values().tile(start, self.kv_head));
                Stream { at, step: a.values().head_bytes(), vector: 2 * LANES, half: true }
            }
        }
    }

    /// Some `vectors` of keys or of values and what to ask for meanwhile: as they lie, or as f32 in scratch.
    ///
    /// # Safety
    /// `check` saw to the sizes; [`AttentionSlice::stripe`] says how many have room in scratch.
    #[inline(always)]
    unsafe fn stream<I: Isa>(
        &mut self,
        isa: I,
        (values, start): (bool, usize),
        vectors: Range<usize>,
        steps: Range<usize>,
    ) -> (Stream, Ahead) {
        let lying = self.lying(values, start);
        // The values of these keys, or the keys of the next tile.
        let later = if values { self.lying(false, start + TILE) } else { self.lying(true, start) };
        let head = self.attention.cache.head_bytes();
        let all = if values { TILE } else { self.attention.cache.head_dim };
        let (pace, first) = (LANES * head / self.attention.cache.head_dim, vectors.start);
        let ahead = Ahead { at: later.at.wrapping_add(first * all * pace), vector: all * pace };
        if self.on_the_way(values) {
            return (lying.from(first), ahead);
        }
        let among_keys = values && self.attention.v.is_none();
        let to = (vectors.clone(), all, Ahead { at: ahead.at, vector: pace });
        // SAFETY: the caller's.
        let at = unsafe {
            match (self.attention.cache.format, values) {
                (KvFormat::F16, true) if among_keys => self.turn::<I, true>(isa, lying, vectors, steps),
                (KvFormat::Q8_0, true) if among_keys => self.turn::<I, false>(isa, lying, vectors, steps),
                (KvFormat::F16, _) => self.convert::<I, true, false>(isa, lying, to, steps),
                (KvFormat::Q8_0, false) => self.convert::<I, false, false>(isa, lying, to, steps),
                (KvFormat::Q8_0, true) => self.convert::<I, false, true>(isa, lying, to, steps),
            }
        };
        (Stream { at, step: 4 * LANES, vector: all * 4 * LANES, half: false }, ahead)
    }

    /// `steps` of those vectors to f32 in scratch, where a vector has room for `all` steps. Asks for bytes by the step.
    ///
    /// # Safety
    /// As for [`AttentionSlice::stream`].
    #[inline(always)]
    unsafe fn convert<I: Isa, const HALF: bool, const VALUES: bool>(
        &mut self,
        isa: I,
        lying: Stream,
        (vectors, all, ahead): (Range<usize>, usize, Ahead),
        steps: Range<usize>,
    ) -> *const u8 {
        let (room, first) = (self.space.tile.as_mut_ptr(), vectors.start);
        for vector in vectors {
            let from = lying.from(vector);
            for step in steps.clone() {
                let to = (vector - first) * all + step;
                isa.prefetch(ahead.at.wrapping_add(to * ahead.vector));
                // SAFETY: the cache has these vectors; the caller saw to the room.
                unsafe {
                    let x = if VALUES {
                        let block = lying.at.add(step * lying.step + vector / 2 * 34);
                        let codes = block.add(2 + vector % 2 * LANES);
                        let scale = f16::from_le_bytes(*block.cast()).to_f32();
                        isa.mul(isa.splat(scale), isa.load_i8(&*codes.cast()))
                    } else {
                        element::<I, HALF>(isa, from, step)
                    };
                    isa.store(x, &mut *room.add(to * LANES).cast());
                }
            }
        }
        room.cast()
    }

    /// Values that are the first elements of the keys to f32 in scratch, as [`AttentionSlice::convert`] does with others:
    /// sixteen elements of sixteen keys at a time, turned from element by element to key by key.
    ///
    /// # Safety
    /// As for [`AttentionSlice::stream`].
    #[inline(always)]
    unsafe fn turn<I: Isa, const HALF: bool>(
        &mut self,
        isa: I,
        lying: Stream,
        vectors: Range<usize>,
        steps: Range<usize>,
    ) -> *const u8 {
        let (room, first) = (self.space.tile.as_mut_ptr(), vectors.start);
        let mut square = [[0.0; LANES]; LANES]; // (element, key)
        for vector in vectors {
            for group in steps.start / LANES..steps.end.div_ceil(LANES) {
                let at = ((vector - first) * TILE + group * LANES) * LANES;
                // SAFETY: the cache has whole groups of keys; the caller saw to the room.
                let to: &mut [[f32; LANES]; LANES] = unsafe {
                    for (i, elements) in square.iter_mut().enumerate() {
                        isa.store(element::<I, HALF>(isa, lying.from(group), vector * LANES + i), elements);
                    }
                    &mut *room.add(at).cast()
                };
                for key in 0..LANES {
                    for i in 0..LANES {
                        to[key][i] = square[i][key];
                    }
                }
            }
        }
        room.cast()
    }

    /// Of how many vectors of keys, or of values, with so many steps there are sums at a time.
    #[inline(always)]
    fn stripe<I: Isa>(&self, values: bool, steps: usize) -> usize {
        if self.on_the_way(values) {
            return SUMS / (self.queries.len() * LANES);
        }
        let fast = if I::CHAINS < 24 { NEAR } else { 4 * steps * LANES };
        (fast.min(self.space.tile.len()) / (steps * LANES)).clamp(1, 4)
    }

    /// The scores of the keys of the tile at `start` for all queries, not yet scaled; of whole groups of sixteen keys.
    ///
    /// # Safety
    /// `check` saw to the sizes.
    #[inline(always)]
    unsafe fn scores<I: Isa>(&mut self, isa: I, start: usize, keys: Range<usize>) {
        let (a, count) = (self.attention, self.queries.len());
        let groups = keys.start / LANES..keys.end.div_ceil(LANES);
        let mut q = [a.q.as_ptr(); QUERIES];
        for (index, q) in q[..count].iter_mut().enumerate() {
            *q = q.wrapping_add(self.space.queries[index].head * a.cache.head_dim);
            self.space.scores[index].fill(0.0);
        }
        let stripe = self.stripe::<I>(false, a.cache.head_dim);
        for first in groups.clone().step_by(stripe) {
            let (groups, steps) = (first..groups.end.min(first + stripe), 0..a.cache.head_dim);
            let vectors = groups.len();
            // SAFETY: the caller's.
            let (stream, ahead) = unsafe { self.stream(isa, (false, start), groups, steps.clone()) };
            let sums = self.space.scores[0].as_mut_ptr().wrapping_add(first * LANES);
            isa.run(Outer { rows: &q[..count], stream, steps, vectors, sums, stride: TILE, ahead });
        }
    }

    /// The sums of one query to scores, then to exponentials: the largest score, -inf if there is none, and the sum of
    /// exponentials.
    #[inline(always)]
    fn softmax<I: Isa>(&mut self, isa: I, index: usize, start: usize) -> (f32, f32) {
        let seen = self.space.queries[index].seen_in(start);
        let scores = &mut self.space.scores[index];
        each_alone(isa, Times(self.attention.scale), scores);
        scores[..seen.start].fill(f32::NEG_INFINITY);
        scores[seen.end..].fill(f32::NEG_INFINITY);
        if let Some(cap) = self.attention.softcap {
            each_alone(isa, Cap(cap), &mut scores[seen]);
        }
        let mut largest = isa.splat(f32::NEG_INFINITY);
        for score in scores.as_chunks().0 {
            largest = isa.max(isa.load(score), largest);
        }
        let most = isa.largest(largest); // a score that is no number was not greater
        if most == f32::NEG_INFINITY {
            return (most, 0.0);
        }
        let (mut sums, less) = (isa.splat(0.0), isa.splat(-most));
        for score in scores.as_chunks_mut().0 {
            let e = exp(isa, isa.add(isa.load(score), less));
            isa.store(e, score);
            sums = isa.add(sums, e);
        }
        (most, isa.sum(sums))
    }

    /// Adds the values of the tile at `start`, which has `keys` that some query sees, to the outputs of all queries.
    ///
    /// # Safety
    /// `check` saw to the sizes.
    #[inline(always)]
    unsafe fn values<I: Isa>(&mut self, isa: I, start: usize, keys: Range<usize>) {
        let count = self.queries.len();
        let mut e = [std::ptr::null(); QUERIES];
        // Keys that all of the queries see lie between those that only some see.
        let (mut low, mut high) = (keys.start, keys.end);
        for (index, e) in e[..count].iter_mut().enumerate() {
            *e = self.space.scores[index].as_ptr();
            let seen = self.space.queries[index].seen_in(start);
            (low, high) = (low.max(seen.start), high.min(seen.end));
        }
        let all = self.attention.value_dim / LANES;
        let stripe = self.stripe::<I>(true, TILE);
        for first in (0..all).step_by(stripe) {
            let vectors = first..all.min(first + stripe);
            let (width, sums) = (vectors.len() * LANES, self.space.sums.as_mut_ptr());
            self.space.sums[..count * width].fill(0.0);
            // SAFETY: the caller's.
            let (stream, ahead) = unsafe { self.stream(isa, (true, start), vectors.clone(), keys.clone()) };
            let some = |queries: Range<usize>, steps: Range<usize>| {
                if !steps.is_empty() {
                    let sums = sums.wrapping_add(queries.start * width);
                    let (rows, vectors, stride) = (&e[queries], vectors.len(), width);
                    isa.run(Outer { rows, stream, steps, vectors, sums, stride, ahead });
                }
            };
            if low == keys.start && high == keys.end {
                some(0..count, low..high);
            } else {
                for index in 0..count {
                    let seen = self.space.queries[index].seen_in(start);
                    some(index..index + 1, seen.start..seen.end.min(low));
                }
                some(0..count, low..high);
                for index in 0..count {
                    let seen = self.space.queries[index].seen_in(start);
                    some(index..index + 1, high.max(seen.end.min(low)).max(seen.start)..seen.end);
                }
            }
            for index in 0..count {
                self.take(isa, index, start, vectors.clone());
            }
        }
    }

    /// Merges the sums of a query for some vectors of the head into its output, or leaves them for later.
    #[inline(always)]
    fn take<I: Isa>(&mut self, isa: I, index: usize, start: usize, vectors: Range<usize>) {
        let width = vectors.len() * LANES;
        let (state, at) = (self.space.queries[index].state, vectors.start * LANES);
        let sums: *const [f32] = &self.space.sums[index * width..][..width];
        // SAFETY: outputs and slots lie elsewhere.
        let sums = unsafe { &*sums }.as_chunks().0;
        let (apart, to) = match self.brought(index, start) {
            Some((_, values)) => (true, values),
            None => (false, self.out(index)),
        };
        for (to, sums) in to[at..].as_chunks_mut().0.iter_mut().zip(sums) {
            if apart { *to = *sums } else { state.add(isa, to, isa.load(sums)) }
        }
    }
}

/// Element `step` of sixteen keys that lie side by side.
///
/// # Safety
/// They have it.
#[inline(always)]
unsafe fn element<I: Isa, const HALF: bool>(isa: I, keys: Stream, step: usize) -> I::F {
    // SAFETY: the caller's.
    unsafe {
        if HALF {
            return isa.load_f16(&*keys.at.add(step * keys.step).cast());
        }
        let block = keys.at.add(step / BLOCK * (LANES * 34));
        let codes = block.add((2 + step % BLOCK) * LANES);
        isa.mul(isa.load_f16(&*block.cast()), isa.load_i8(&*codes.cast()))
    }
}
