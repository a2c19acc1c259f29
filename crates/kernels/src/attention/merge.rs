//! Tiles that were worked on apart, merged in ascending order.
//!
//! What it is: the arithmetic of a merge, and room for what tiles bring meanwhile. What it is not: another definition;
//! the same steps in the same order as where one thread goes through all tiles, so the bits are the same. The one design
//! choice: room is for so many tiles at a time, whatever the length of the context.

use super::{Attention, Scratch, TILE};
use crate::elementwise::{Always, Over, each_alone};
use crate::float::exp;
use crate::isa::{Isa, Kernel, LANES, fused};
use crate::product::Target;
use std::ops::Range;

/// What a tile brings to a query, before its values: the largest score and the sum of the exponentials.
const HEADER: usize = LANES;

/// Where a query stands.
#[derive(Clone, Copy)]
pub(crate) struct State {
    /// The largest score so far: M.
    most: f32,
    /// The sum of the exponentials so far: L.
    pub sum: f32,
    /// The factor of what was there: a. If a and b are 0 the tile is passed over.
    old: f32,
    /// The factor of what this tile brings: b.
    new: f32,
}

impl State {
    /// Before the first tile.
    pub const START: State = State { most: f32::NEG_INFINITY, sum: 0.0, old: 0.0, new: 0.0 };

    /// Before the first tile, with a sink: a key of this score whose value is zero.
    pub fn with_sink(sink: Option<f32>) -> State {
        sink.map_or(State::START, |most| State { most, sum: 1.0, ..State::START })
    }

    /// Takes a tile in: its largest score and the sum of its exponentials.
    #[inline(always)]
    pub fn merge<I: Isa>(&mut self, isa: I, (most, sum): (f32, f32)) {
        if most == f32::NEG_INFINITY {
            (self.old, self.new) = (0.0, 0.0);
            return;
        }
        let both = if self.most > most { self.most } else { most };
        let mut lanes = [0.0; LANES];
        (lanes[0], lanes[1]) = (self.most - both, most - both);
        isa.store(exp(isa, isa.load(&lanes)), &mut lanes);
        (self.old, self.new) = (lanes[0], lanes[1]);
        self.sum = fused(sum, self.new, self.sum * self.old);
        self.most = both;
    }

    /// Adds what that tile brings to the outputs so far.
    #[inline(always)]
    pub fn add<I: Isa>(&self, isa: I, out: &mut [f32; LANES], acc: I::F) {
        if self.new != 0.0 || self.old != 0.0 {
            let kept = isa.mul(isa.load(out), isa.splat(self.old));
            isa.store(isa.fma(acc, isa.splat(self.new), kept), out);
        }
    }
}

/// Room for what tiles bring, in the scratch of all workers.
#[derive(Clone, Copy)]
pub(crate) struct Slots {
    /// The room of worker 0.
    first: *mut f32,
    /// Bytes from the room of a worker to that of the next.
    stride: usize,
    /// Slots of a worker.
    each: usize,
    /// Floats of a slot: a tile's for all queries of a head of the cache.
    floats: usize,
}

// SAFETY: only addresses; whoever writes through them says why nobody else does.
unsafe impl Sync for Slots {}

impl Slots {
    /// Slots for `queries` queries of `dim` elements in the rooms that begin at `first`, `stride` bytes apart.
    pub fn new(first: *mut f32, stride: usize, queries: usize, dim: usize) -> Slots {
        let floats = queries * (HEADER + dim);
        Slots { first, stride, each: Scratch::ROOM / floats, floats }
    }

    /// How many there are in the scratch of `threads` workers.
    pub fn count(&self, threads: usize) -> usize {
        self.each * threads
    }

    /// Slot `number`.
    fn slot(&self, number: usize) -> *mut f32 {
        let (worker, index) = (number / self.each, number % self.each);
        self.first.wrapping_byte_add(worker * self.stride).wrapping_add(index * self.floats)
    }
}

/// The slots of the tiles of one head of the cache.
#[derive(Clone, Copy)]
pub(crate) struct Apart {
    pub slots: Slots,
    /// The slot of the first tile.
    pub first: usize,
}

impl Apart {
    /// What tile `tile` brings to query `query`: header and values.
    ///
    /// # Safety
    /// That tile and query have a slot, and nobody else uses it for as long as the result lives.
    #[inline(always)]
    pub unsafe fn of<'a>(&self, tile: usize, query: usize, dim: usize) -> (&'a mut [f32], &'a mut [f32]) {
        let at = self.slots.slot(self.first + tile).wrapping_add(query * (HEADER + dim));
        // SAFETY: the slot has that many floats for every query.
        unsafe { std::slice::from_raw_parts_mut(at, HEADER + dim) }.split_at_mut(HEADER)
    }
}

/// Merges tiles into the outputs of the queries of a head of the cache.
pub(crate) struct Merge<'a> {
    pub attention: &'a Attention<'a>,
    pub kv_head: usize,
    pub apart: Apart,
    /// How many tiles.
    pub tiles: usize,
    /// Where each query stands.
    pub state: &'a mut [State],
    /// Whether these are the first, so that what is in the outputs is forgotten.
    pub first: bool,
    /// Whether these are the last.
    pub last: bool,
    /// (n, heads, value_dim); nobody else writes to these heads meanwhile.
    pub target: Target,
}

impl<I: Isa> Kernel<I> for Merge<'_> {
    #[inline(always)]
    fn run(self, isa: I) {
        let dim = self.attention.value_dim;
        for (query, state) in self.state.iter_mut().enumerate() {
            let head = self.attention.head(self.kv_head, query);
            // SAFETY: the heads of this head of the cache are this merge's alone.
            let out = unsafe { self.target.slice(head * dim, dim) };
            if self.first {
                each_alone(isa, Always(0.0), out);
            }
            for tile in 0..self.tiles {
                // SAFETY: the tiles are done, and their slots are this merge's alone.
                let (header, values) = unsafe { self.apart.of(tile, query, dim) };
                state.merge(isa, (header[0], header[1]));
                for (out, acc) in out.as_chunks_mut().0.iter_mut().zip(values.as_chunks().0) {
                    state.add(isa, out, isa.load(acc));
                }
            }
            if self.last {
                each_alone(isa, Over(state.sum), out);
            }
        }
    }
}

/// How tiles are divided among tasks where few queries see many keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Division {
    /// Tiles that are worked on before they are merged.
    pub wave: usize,
    /// Tiles of a task.
    pub piece: usize,
}

impl Division {
    /// For `tiles` tiles of each of `kv_heads` heads on `threads` threads with so many slots; `None` if it does not pay.
    pub fn new(tiles: usize, kv_heads: usize, threads: usize, slots: usize) -> Option<Division> {
        let wave = tiles.min(slots / kv_heads);
        let pays = threads > 1 && tiles * TILE >= 256 && kv_heads < 4 * threads && wave >= threads;
        let piece = (wave * kv_heads).div_ceil(4 * threads);
        pays.then_some(Division { wave, piece })
    }

    /// The tiles of `all`, a wave at a time.
    pub fn waves(self, all: Range<usize>) -> impl Iterator<Item = Range<usize>> {
        all.clone().step_by(self.wave).map(move |first| first..all.end.min(first + self.wave))
    }
}
