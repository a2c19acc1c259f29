//! The safe face of the kernels: checks sizes, splits the work over threads, owns their scratch.
//!
//! Not a place for arithmetic. The one design choice: a result never depends on how work is split, so the split is
//! made for speed alone, and small work is not split at all. Sizes that do not fit together are mistakes of the program
//! and panic with what was wrong; sizes from files are checked long before.

use crate::activation::{Activate, Activation, Glu};
use crate::attention::{
    self, Apart, Attention, AttentionSlice, Division, KvShape, Merge, Slots, Space, State, StoreKv,
};
use crate::dense;
use crate::elementwise::{Add, AddScaled, Gate, Scale, Scores, SoftCap};
use crate::isa::LANES;
use crate::job::{Activations, Matrix, NextRows, Output, Piece, Shares};
use crate::norm::RmsNorm;
use crate::product::float::FloatSlice;
use crate::product::outer::{self, OuterSlice};
use crate::product::{Quantized, QuantizedMut, Slice, Target, Weights, panels};
use crate::quantize::Quantize;
use crate::rope::{Rope, RopeStyle};
use crate::set::KernelSet;
use host::{Error, Ledger, Part, Pool, Region};
use std::cell::{Cell, UnsafeCell};
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use tensor::DType;

/// Elements below which a loop over rows is not worth waking a thread for.
const SMALL: usize = 16 << 10;
/// Bytes of weights below which a product is not worth it.
const SMALL_WEIGHTS: usize = 32 << 10;
/// Queries of all heads, at most, whose tiles are divided among threads.
const STATES: usize = 256;
/// A kernel set, threads, and scratch for each of them.
///
/// One thread at a time may use it: it is `Send` but not `Sync`.
pub struct Cpu {
    set: &'static KernelSet,
    pool: Pool,
    scratch: UnsafeCell<Region>,
    /// For each worker, the next piece of its share of a matrix.
    shares: Box<[Share]>,
    /// Products so far.
    products: Cell<u64>,
}

/// A counter with a cache line of its own.
#[derive(Default)]
#[repr(align(64))]
struct Share(AtomicUsize);

/// What a worker works in.
#[repr(C)]
pub(crate) struct Scratch {
    kernel: KernelScratch,
    /// The product whose only column lies prepared in the scratch.
    prepared: u64,
}

/// Kernels of different kinds never run at once.
#[repr(C)]
union KernelScratch {
    product: std::mem::ManuallyDrop<panels::Scratch>,
    attend: std::mem::ManuallyDrop<dense::AttendScratch>,
    dense: std::mem::ManuallyDrop<dense::Scratch>,
    attention: std::mem::ManuallyDrop<attention::Scratch>,
}

/// Where the scratch of worker 0 begins; the others follow.
#[derive(Clone, Copy)]
pub(crate) struct Scratches(*mut Scratch);

// SAFETY: only an address; each worker turns it into a reference to a part of its own.
unsafe impl Sync for Scratches {}

impl Scratches {
    pub(crate) fn worker(&self, worker: usize) -> *mut Scratch {
        self.0.wrapping_add(worker)
    }
}

impl Cpu {
    /// Bytes of scratch that each thread gets, whatever the model.
    pub const SCRATCH_BYTES: usize = size_of::<Scratch>();

    /// Matrices that a job may have.
    pub const MATRICES: usize = Shares::MATRICES;

    /// Uses `set` on the threads of `pool`, with scratch from `ledger`.
    pub fn new(set: &'static KernelSet, pool: Pool, ledger: &Ledger) -> Result<Cpu, Error> {
        let scratch = Region::new(ledger, Part::Activations, pool.threads() * Self::SCRATCH_BYTES)?;
        let shares = (0..pool.threads()).map(|_| Share::default()).collect();
        Ok(Cpu { set, pool, scratch: UnsafeCell::new(scratch), shares, products: Cell::new(0) })
    }

    /// The name of the instruction set in use.
    pub fn isa_name(&self) -> &'static str {
        self.set.name()
    }

    /// How many threads work, the caller included.
    pub fn threads(&self) -> usize {
        self.pool.threads()
    }

    /// Quantises columns of `k` elements, `x` (n, k), to `out`; see [`Quantized::padded`] for its sizes.
    pub fn quantize(&self, x: &[f32], k: usize, out: QuantizedMut) {
        let (n, padded) = (rows("x", x.len(), k), Quantized::padded(k));
        assert_eq!(out.q.len(), n * padded, "integers for {n} columns of {k}");
        assert_eq!(out.scale.len(), n * padded / 32, "scales for {n} columns of {k}");
        assert_eq!(out.sums.len(), n * padded / 16, "sums for {n} columns of {k}");
        let (q, scale) = (Parts::new(out.q), Parts::new(out.scale));
        let sums = Parts::new(out.sums);
        // Columns that lie side by side are one task's.
        let side = if n < LANES { 1 } else { LANES };
        self.by_rows(n.div_ceil(side), side * k, &|sides| {
            let range = sides.start * side..n.min(sides.end * side);
            // SAFETY: ranges of different tasks do not overlap.
            let out = unsafe {
                QuantizedMut {
                    q: q.rows(&range, padded),
                    scale: scale.rows(&range, padded / 32),
                    sums: sums.rows(&range, padded / 16),
                }
            };
            (self.set.quantize)(Quantize { x: &x[range.start * k..range.end * k], k, out });
        });
    }

    /// Row `r` of each matrix times each column of `x`, to its place in its output. Matrices are in the order of their results,
    /// at most [`Cpu::MATRICES`]. If `next` are those of the job that is likely to follow, their beginning is fetched meanwhile.
    ///
    /// # Panics
    /// If sizes do not fit together: a mistake of the caller.
    pub fn products(
        &self,
        matrices: &[Matrix<'_>],
        x: &Activations<'_>,
        outputs: &mut [Output<'_>],
        next: &[NextRows<'_>],
    ) {
        let mut targets = [Target { out: std::ptr::null_mut(), stride: 0, first: 0 }; Self::MATRICES];
        let (mut numbers, mut free, mut n) = ([0; Self::MATRICES], (0, 0), 0);
        for (at, &Matrix { weights, output, first }) in matrices.iter().enumerate() {
            n = x.count(&weights);
            weights.row_bytes();
            let Output { values, stride } = &mut outputs[output];
            targets[at] = target(values, n, weights.rows, *stride, first);
            assert!(free <= (output, first), "results of a matrix where another's are");
            free = (output, first + weights.rows);
            // What is prepared of a column is for weights of one type.
            let same = at > 0 && matrices[at - 1].weights.dtype == weights.dtype;
            self.products.set(self.products.get() + u64::from(!same));
            numbers[at] = self.products.get();
        }
        let (set, scratch, threads) = (self.set, Scratches(self.scratch()), self.threads());
        self.by_weights(matrices, n, &|Piece { matrix, rows, columns }, worker, last| {
            let (weights, target, number) = (matrices[matrix].weights, targets[matrix], numbers[matrix]);
            let scratch = scratch.worker(worker);
            match *x {
                Activations::Int8(x) => {
                    let after = last.then(|| NextRows::start(next, threads, worker, n)).flatten();
                    let following = || weights.bytes.as_ptr().wrapping_add(rows.end * weights.row_bytes());
                    let after = after.unwrap_or_else(following);
                    // SAFETY: only the address of a field.
                    let prepared = unsafe { &raw mut (*scratch).prepared };
                    let scratch = scratch.cast();
                    set.product(&Slice {
                        weights,
                        rows,
                        columns,
                        x,
                        target,
                        scratch,
                        number,
                        prepared,
                        after,
                    });
                }
                Activations::Floats(x) => {
                    let scratch = scratch.cast();
                    (set.product_float)(FloatSlice { weights, rows, columns, x, target, scratch });
                }
            }
        });
    }

    /// [`Cpu::products`] of one quantised matrix: `out[i * stride + first + r]` = row `r` of `weights` times column `i` of `x`.
    pub fn product(
        &self,
        weights: Weights,
        x: &Quantized,
        out: &mut [f32],
        stride: usize,
        first: usize,
        next: Option<NextRows>,
    ) {
        let matrix = Matrix { weights, output: 0, first };
        let outputs = &mut [Output { values: out, stride }];
        self.products(&[matrix], &Activations::Int8(*x), outputs, next.as_slice());
    }

    /// As [`Cpu::product`], with weights of F32, F16 or BF16 and activations `x` (n, weights.columns).
    pub fn product_float(&self, weights: Weights, x: &[f32], out: &mut [f32], stride: usize, first: usize) {
        let matrix = Matrix { weights, output: 0, first };
        self.products(&[matrix], &Activations::Floats(x), &mut [Output { values: out, stride }], &[]);
    }

    /// `out[i] += sum over r of h[i][r] * row r of weights`, in ascending order of rows, zeros of `h` (n, weights.rows) left
    /// out; weights of any type, `out` (n, weights.columns).
    pub fn product_outer(&self, weights: Weights, h: &[f32], out: &mut [f32]) {
        weights.row_bytes();
        let (n, width) = (rows("h", h.len(), weights.rows), weights.columns);
        assert_eq!(out.len(), n * width, "outputs of {n} rows of {width}");
        let target = Target { out: out.as_mut_ptr(), stride: width, first: 0 };
        let task = |columns| (self.set.outer)(OuterSlice { weights, columns, h, target });
        let fair = width.div_ceil(self.threads()).next_multiple_of(weights.dtype.block_elements().max(64));
        let columns = fair.min(outer::COLUMNS);
        let range = |i: usize| i * columns..width.min((i + 1) * columns);
        let count = width.div_ceil(columns);
        match weights.bytes.len() * n < SMALL_WEIGHTS {
            true => (0..count).for_each(|i| task(range(i))),
            false => self.pool.run(count, &|i| task(range(i))),
        }
    }

    /// Whole blocks of any type that has a definition to f32.
    pub fn dequantize(&self, dtype: DType, bytes: &[u8], out: &mut [f32]) {
        let format = dtype.block().unwrap_or_else(|| panic!("{dtype} has no blocks"));
        assert_eq!(dtype.bytes_of(out.len() as u64), Some(bytes.len() as u64), "bytes of {dtype} elements");
        let (elements, block) = (dtype.block_elements(), dtype.block_bytes());
        for (bytes, out) in bytes.chunks_exact(block).zip(out.chunks_exact_mut(elements)) {
            format.dequantize(bytes, out);
        }
    }

    /// `out` = the RMS norm of rows `x` (n, d), times `weight` (d).
    pub fn rms_norm(&self, x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) {
        let d = weight.len();
        let n = rows("x", x.len(), d);
        assert_eq!(out.len(), x.len(), "outputs of {n} rows of {d}");
        let out = Parts::new(out);
        self.by_rows(n, d, &|range| {
            // SAFETY: ranges of different tasks do not overlap.
            let out = unsafe { out.rows(&range, d) };
            out.copy_from_slice(&x[range.start * d..range.end * d]);
            (self.set.rms_norm)(RmsNorm { x: out, weight, eps });
        });
    }

    /// As [`Cpu::rms_norm`], in place.
    pub fn rms_norm_in_place(&self, x: &mut [f32], weight: &[f32], eps: f32) {
        let d = weight.len();
        let n = rows("x", x.len(), d);
        let x = Parts::new(x);
        self.by_rows(n, d, &|range| {
            // SAFETY: ranges of different tasks do not overlap.
            let x = unsafe { x.rows(&range, d) };
            (self.set.rms_norm)(RmsNorm { x, weight, eps });
        });
    }

    /// `a += b`.
    pub fn add(&self, a: &mut [f32], b: &[f32]) {
        assert_eq!(a.len(), b.len(), "elements to add");
        let a = Parts::new(a);
        self.by_rows(b.len(), 1, &|range| {
            // SAFETY: ranges of different tasks do not overlap.
            let a = unsafe { a.rows(&range, 1) };
            (self.set.add)(Add { a, b: &b[range] });
        });
    }

    /// Adds `bias` (d) to every row of `x` (n, d).
    pub fn add_bias(&self, x: &mut [f32], bias: &[f32]) {
        rows("x", x.len(), bias.len());
        for a in x.chunks_exact_mut(bias.len()) {
            (self.set.add)(Add { a, b: bias });
        }
    }

    /// `a = fma(b, factor, a)`.
    pub fn add_scaled(&self, a: &mut [f32], b: &[f32], factor: f32) {
        assert_eq!(a.len(), b.len(), "elements to add");
        (self.set.add_scaled)(AddScaled { a, b, factor });
    }

    /// `x *= sigmoid(by)`.
    pub fn gate(&self, x: &mut [f32], by: f32) {
        (self.set.gate)(Gate { x, by });
    }

    /// `x = e^(x - most)`, of which the largest is 1: a softmax but for the division.
    pub fn raise(&self, x: &mut [f32]) {
        let most = Some(x.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        (self.set.scores)(Scores { x, most });
    }

    /// `x = sigmoid(x)`.
    pub fn sigmoid(&self, x: &mut [f32]) {
        (self.set.scores)(Scores { x, most: None });
    }

    /// `x *= factor`.
    pub fn scale(&self, x: &mut [f32], factor: f32) {
        (self.set.scale)(Scale { x, factor });
    }

    /// `x = cap * tanh(x / cap)`.
    pub fn softcap(&self, x: &mut [f32], cap: f32) {
        let n = x.len();
        let x = Parts::new(x);
        self.by_rows(n, 1, &|range| {
            // SAFETY: ranges of different tasks do not overlap.
            (self.set.soft_cap)(SoftCap { x: unsafe { x.rows(&range, 1) }, cap });
        });
    }

    /// `x = activation(x)`.
    pub fn activate(&self, activation: Activation, x: &mut [f32]) {
        let n = x.len();
        let x = Parts::new(x);
        self.by_rows(n, 1, &|range| {
            // SAFETY: ranges of different tasks do not overlap.
            (self.set.activate)(Activate { activation, x: unsafe { x.rows(&range, 1) } });
        });
    }

    /// `gate = activation(gate) * up`.
    pub fn glu(&self, activation: Activation, gate: &mut [f32], up: &[f32]) {
        assert_eq!(gate.len(), up.len(), "elements of gate and up");
        let gate = Parts::new(gate);
        self.by_rows(up.len(), 1, &|range| {
            // SAFETY: ranges of different tasks do not overlap.
            let gate = unsafe { gate.rows(&range, 1) };
            (self.set.glu)(Glu { activation, gate, up: &up[range] });
        });
    }

    /// Turns the first `rot` elements of every head of `x` (n, heads, head_dim) by angles with the given cosines and
    /// sines, both (n, rot / 2).
    #[allow(clippy::too_many_arguments)]
    pub fn rope(
        &self,
        x: &mut [f32],
        heads: usize,
        head_dim: usize,
        cos: &[f32],
        sin: &[f32],
        rot: usize,
        style: RopeStyle,
    ) {
        let (row, half) = (heads * head_dim, rot / 2);
        let n = rows("x", x.len(), row);
        assert!(rot <= head_dim && rot.is_multiple_of(2) && rot > 0, "{rot} of {head_dim} elements to turn");
        assert!(cos.len() == n * half && sin.len() == n * half, "angles for {n} rows of {half}");
        let x = Parts::new(x);
        self.by_rows(n, row, &|range| {
            let angles = range.start * half..range.end * half;
            let (cos, sin) = (&cos[angles.clone()], &sin[angles]);
            // SAFETY: ranges of different tasks do not overlap.
            let x = unsafe { x.rows(&range, row) };
            (self.set.rope)(Rope { x, heads, head_dim, cos, sin, rot, style });
        });
    }

    /// Stores rows `x` (n, heads, head_dim) of keys for the positions from `first_pos` in a cache of that shape.
    pub fn store_keys(&self, shape: KvShape, x: &[f32], cache: &mut [u8], first_pos: usize) {
        self.store_kv(shape, true, x, cache, first_pos);
    }

    /// Stores rows `x` (n, heads, head_dim) of values for the positions from `first_pos` in a cache of that shape.
    pub fn store_values(&self, shape: KvShape, x: &[f32], cache: &mut [u8], first_pos: usize) {
        self.store_kv(shape, false, x, cache, first_pos);
    }

    fn store_kv(&self, shape: KvShape, keys: bool, x: &[f32], cache: &mut [u8], first_pos: usize) {
        shape.check();
        assert_eq!(cache.len(), shape.bytes(), "bytes of a cache");
        assert!(rows("x", x.len(), shape.width()) <= shape.slots, "more rows than {} slots", shape.slots);
        (self.set.store_kv)(StoreKv { shape, keys, x, cache, first_pos });
    }

    /// Attention of all queries to `out` (n, heads, value_dim).
    pub fn attention(&self, attention: &Attention, out: &mut [f32]) {
        let n = attention.check();
        assert_eq!(out.len(), n * attention.heads * attention.value_dim, "outputs of {n} rows");
        let target = Target { out: out.as_mut_ptr(), stride: 0, first: 0 };
        let queries = n * attention.group();
        if n == 0 || self.attention_apart(attention, n, target) {
            return;
        }
        // Few enough for all threads to have work, and an even number, since one query alone is slow; one thread shares
        // what it can, and so do all where values are dear to convert because they lie as keys do.
        let shares = if attention.v.is_some() { 4 } else { 1 };
        let fair = (queries * attention.cache.heads).div_ceil(shares * self.threads()).next_multiple_of(2);
        let block = if self.threads() == 1 { attention::QUERIES } else { fair.min(attention::QUERIES) };
        let blocks = queries.div_ceil(block);
        let scratch = Scratches(self.scratch());
        self.pool.run_with_worker(blocks * attention.cache.heads, &|task, worker| {
            // The last rows see the most keys, so they go first.
            let first = (blocks - 1 - task / attention.cache.heads) * block;
            let (kv_head, queries) = (task % attention.cache.heads, first..queries.min(first + block));
            let group = attention.group();
            let tiles = attention.tiles(queries.start / group..(queries.end - 1) / group + 1);
            // SAFETY: no two tasks run at once under one worker's number.
            let space = unsafe { Space::new(scratch.worker(worker).cast(), false) };
            let apart = None;
            (self.set.attention)(AttentionSlice { attention, kv_head, queries, tiles, apart, target, space });
        });
    }

    /// Attention of `n` rows with the tiles of each head of the cache divided among threads, if that pays.
    fn attention_apart(&self, attention: &Attention, n: usize, target: Target) -> bool {
        let (kv_heads, queries) = (attention.cache.heads, n * attention.group());
        // Half of the scratch has room for half of the widest head.
        let wide = attention.cache.head_dim > attention::WIDEST / 2;
        if queries > attention::QUERIES || kv_heads * queries > STATES || wide {
            return false;
        }
        let (scratch, tiles) = (Scratches(self.scratch()), attention.tiles(0..n));
        let room = attention::Scratch::room(scratch.worker(0).cast());
        let slots = Slots::new(room, size_of::<Scratch>(), queries, attention.value_dim);
        let slots_in_all = slots.count(self.threads());
        let Some(division) = Division::new(tiles.len(), kv_heads, self.threads(), slots_in_all) else {
            return false;
        };
        let mut state = [State::START; STATES];
        for (at, state) in state[..kv_heads * queries].iter_mut().enumerate() {
            *state = attention.start(at / queries, at % queries);
        }
        for wave in division.waves(tiles.clone()) {
            let pieces = wave.len().div_ceil(division.piece);
            self.pool.run_with_worker(kv_heads * pieces, &|task, worker| {
                // Heads of the same keys lie side by side.
                let (kv_head, first) = (task % kv_heads, task / kv_heads * division.piece);
                let tiles = wave.start + first..wave.end.min(wave.start + first + division.piece);
                let apart = Some(Apart { slots, first: kv_head * wave.len() + first });
                // SAFETY: no two tasks run at once under one worker's number.
                let space = unsafe { Space::new(scratch.worker(worker).cast(), true) };
                let queries = 0..queries;
                (self.set.attention)(AttentionSlice {
                    attention,
                    kv_head,
                    queries,
                    tiles,
                    apart,
                    target,
                    space,
                });
            });
            for (kv_head, state) in state.chunks_mut(queries).take(kv_heads).enumerate() {
                let apart = Apart { slots, first: kv_head * wave.len() };
                let (first, last) = (wave.start == tiles.start, wave.end == tiles.end);
                let tiles = wave.len();
                (self.set.merge)(Merge { attention, kv_head, apart, tiles, state, first, last, target });
            }
        }
        true
    }

    /// The scratch of worker 0.
    fn scratch(&self) -> *mut Scratch {
        // SAFETY: `Cpu` is not Sync, and no reference to the region outlives this line. Page alignment is enough.
        unsafe { (*self.scratch.get()).as_mut_bytes().as_mut_ptr().cast() }
    }

    /// The scratch of all workers.
    pub(crate) fn scratches(&self) -> Scratches {
        Scratches(self.scratch())
    }

    /// The kernels.
    pub(crate) fn set(&self) -> &'static KernelSet {
        self.set
    }

    /// Calls `task` with ranges that together are `0..n`; a row is `width` elements.
    fn by_rows(&self, n: usize, width: usize, task: &(dyn Fn(Range<usize>) + Sync)) {
        let threads = self.threads();
        if n * width < SMALL || threads == 1 {
            return task(0..n);
        }
        let block = n.div_ceil(2 * threads);
        self.pool.run(n.div_ceil(block), &|i| task(i * block..n.min((i + 1) * block)));
    }

    /// Calls `task` with pieces of products of `matrices` with `n` columns, the number of the worker, and whether it is the
    /// last of the worker's own share.
    ///
    /// Every worker has a share of pieces that follow each other, so that what it reads ahead is its own, and takes it
    /// piece by piece, by a counter that nobody else touches; whoever has done its share takes pieces of others'.
    fn by_weights(&self, matrices: &[Matrix<'_>], n: usize, task: &(dyn Fn(Piece, usize, bool) + Sync)) {
        let bytes: usize = matrices.iter().map(|matrix| matrix.weights.bytes.len()).sum();
        let threads = if bytes * n < SMALL_WEIGHTS { 1 } else { self.threads() };
        let sizes = matrices.iter().map(|matrix| (matrix.weights.rows, matrix.weights.bytes.len()));
        let shares = Shares::new(threads, sizes, n);
        match threads {
            1 => (0..shares.pieces()).for_each(|i| task(shares.piece(i), 0, i + 1 == shares.pieces())),
            _ => self.in_shares(shares.pieces(), &|i, worker, last| task(shares.piece(i), worker, last)),
        }
    }

    /// Calls `task` with each number below `count`, the worker that does it, and whether it is the last of its own share.
    ///
    /// A worker's share are numbers that follow each other, the same for as many numbers: what one operator leaves in the
    /// caches of a core the next one finds there. Whoever has done its share takes of others'.
    pub(crate) fn in_shares(&self, count: usize, task: &(dyn Fn(usize, usize, bool) + Sync)) {
        let threads = self.threads();
        let share = count.div_ceil(threads);
        let shares = &*self.shares;
        shares.iter().for_each(|next| next.0.store(0, Relaxed)); // the pool's hand-over orders this
        self.pool.run_with_worker(threads.min(count), &|_, worker| {
            for of in (worker..threads).chain(0..worker) {
                let first = of * share;
                let len = count.saturating_sub(first).min(share);
                // Looked at before it is counted up: a share that is done stays in the caches of all.
                while shares[of].0.load(Relaxed) < len {
                    let next = shares[of].0.fetch_add(1, Relaxed);
                    if next < len {
                        task(first + next, worker, of == worker && next + 1 == len);
                    }
                }
            }
        });
    }
}

/// How many rows of `width` make up `len` elements.
fn rows(what: &str, len: usize, width: usize) -> usize {
    assert!(width > 0 && len.is_multiple_of(width), "{len} elements of {what} are not rows of {width}");
    len / width
}

/// Checks that the outputs of `n` columns lie in `out`.
fn target(out: &mut [f32], n: usize, rows: usize, stride: usize, first: usize) -> Target {
    let fits = n == 0 || (n == 1 || first + rows <= stride) && (n - 1) * stride + first + rows <= out.len();
    assert!(fits, "{n} columns of {rows} rows from {first}, {stride} apart, do not fit {} floats", out.len());
    Target { out: out.as_mut_ptr(), stride, first }
}

/// A mutable slice that tasks take apart by rows.
pub(crate) struct Parts<T>(*mut T, usize);

// SAFETY: sharing it only shares the right to take parts, whose elements are Send; `rows` says the rest.
unsafe impl<T: Send> Sync for Parts<T> {}

impl<T> Parts<T> {
    pub(crate) fn new(slice: &mut [T]) -> Parts<T> {
        Parts(slice.as_mut_ptr(), slice.len())
    }

    /// Where it begins.
    pub(crate) fn start(&self) -> *mut T {
        self.0
    }

    /// Rows of `width` elements.
    ///
    /// # Safety
    /// The slice is still borrowed and nobody else uses those rows.
    #[allow(clippy::mut_from_ref)]
    pub(crate) unsafe fn rows(&self, range: &Range<usize>, width: usize) -> &mut [T] {
        let (start, end) = (range.start * width, range.end * width);
        assert!(start <= end && end <= self.1, "{start}..{end} of {}", self.1);
        // SAFETY: within the slice; the caller answers for the rest.
        unsafe { std::slice::from_raw_parts_mut(self.0.add(start), end - start) }
    }
}
