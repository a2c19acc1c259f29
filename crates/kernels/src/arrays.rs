//! The safe face of the kernels for arrays: products, convolutions, functions of each element.
//!
//! Not a place for arithmetic, as [`crate::Cpu`]'s other half. The one design choice: work is cut by the extents of the result
//! alone, into more pieces than threads, and small work is not cut at all.

use crate::dense::{
    APART, Attend, AttendSlice, Dense, DenseSlice, Finish, Image, MAPS, PANELS, PLACES, Panel, PlaneKind,
    PlaneSlice, TilePart, TileSlice, Tiles, WIDTH, Whole, WholeSlice, planes_fit,
};
use crate::fixed::{Fixed, FixedSlice, Sums};
use crate::isa::LANES;
use crate::map::{Join, JoinKind, Map, MapKind};
use crate::narrow::Narrow;
use crate::rows::{RowKind, Rows, TotalKind, Totals};
use crate::{Cpu, cpu::Parts};

/// Multiply-adds below which a product is not worth waking a thread for.
const SMALL: usize = 64 << 10;
/// Pieces for each thread.
const PIECES: usize = 4;
/// Rows of a piece, at least, where columns are too few.
const ROWS: usize = 48;
/// Elements of a piece of a function of each element.
const ELEMENTS: usize = 16 << 10;

impl Cpu {
    /// `out` (rows, columns) = the product.
    pub fn dense(&self, product: &Dense<'_>, out: &mut [f32]) {
        let Dense { a, a_stride, rows, common, columns, .. } = *product;
        assert_eq!(out.len(), rows * columns, "elements of {rows} rows of {columns}");
        assert!(common > 0 && a_stride >= common && (rows == 0 || a.len() >= (rows - 1) * a_stride + common));
        product.check();
        let threads = self.threads();
        // Where the result is larger than what is read, each thread makes rows of its own, which the next operator finds in
        // the caches of that core.
        let own = if rows > common && rows >= threads * ROWS { threads } else { 1 };
        // Panels that are worked on together, as long as there are enough pieces.
        let some = columns.div_ceil(WIDTH) * own / (PIECES * threads);
        let width = WIDTH * some.clamp(1, PANELS);
        let panels = columns.div_ceil(width);
        // Single panels are about equal, in vectors.
        let vectors = columns.div_ceil(LANES);
        let start = |panel: usize| match some {
            0 | 1 => LANES * (panel * vectors / panels),
            _ => panel * width,
        };
        let wanted = (PIECES * threads).div_ceil(panels.max(1));
        // The same number for each thread, where they are few.
        let even = if panels < threads { threads } else { own };
        let down = (rows / ROWS).clamp(1, wanted).next_multiple_of(even);
        let block = rows.div_ceil(down).next_multiple_of(6).min(rows.max(1));
        let down = rows.div_ceil(block);
        let (to, set, scratches) = (Parts::new(out), self.set(), self.scratches());
        let task = |i: usize, worker: usize| {
            let (part, panel) = (i / panels, i % panels);
            let rows = part * block..rows.min((part + 1) * block);
            let columns = start(panel)..columns.min(start(panel + 1));
            let (out, scratch) = (to.start(), scratches.worker(worker).cast());
            let (own, some) = (rows.clone(), columns.clone());
            let out_stride = product.columns;
            (set.dense)(DenseSlice { product, rows: own, columns: some, out, out_stride, scratch });
            let Some(kind) = product.finish.then else { return };
            for row in rows {
                let row = row * product.columns;
                // SAFETY: rows and columns of different tasks do not overlap.
                let x = unsafe { to.rows(&(row + columns.start..row + columns.end), 1) };
                (set.map)(Map { kind, x });
            }
        };
        self.pieces(panels * down, rows * common * columns, &task);
    }

    /// `out` (maps, rows, columns) = the convolution; `work` has room for 16 times maps times channels, and for one or more times 16 times
    /// (64 times channels, and 16 more).
    pub fn tiles(&self, task: &Tiles<'_>, work: &mut [f32], out: &mut [f32]) {
        task.check();
        let Tiles { maps, channels, image, .. } = *task;
        let count = task.count().iter().product::<usize>();
        assert_eq!(out.len(), maps * image.made[0] * image.made[1], "a result");
        let (weights, seen) = work.split_at_mut(PLACES * maps * channels);
        let strip = seen.len() / (PLACES * (channels * WIDTH + APART));
        assert!(strip > 0, "room for a panel of tiles");
        let (weights, seen, to) = (Parts::new(weights), Parts::new(seen), Parts::new(out));
        let (set, scratches) = (self.set(), self.scratches());
        let run = |part: TilePart, worker: usize| {
            let (weights, seen, out) = (weights.start(), seen.start(), to.start());
            let scratch = scratches.worker(worker).cast();
            (set.tiles)(TileSlice { task, part, weights, seen, out, scratch });
        };
        let some = maps.div_ceil(PIECES * self.threads());
        self.pieces(maps.div_ceil(some), SMALL, &|i, worker| {
            run(TilePart::Weights { maps: i * some..maps.min((i + 1) * some) }, worker);
        });
        for first in (0..count).step_by(strip * WIDTH) {
            let panels = (count - first).div_ceil(WIDTH).min(strip);
            let panel = |number: usize| {
                let first = first + number * WIDTH;
                Panel { number, first, count: WIDTH.min(count - first) }
            };
            // All of a panel on one thread, where panels are enough: what it sees is in the cache where it is made.
            let down = (2 * self.threads()).div_ceil(panels);
            let some = channels.div_ceil(down);
            self.pieces(panels * down, SMALL, &|i, worker| {
                let channels = (i % down * some).min(channels)..channels.min((i % down + 1) * some);
                run(TilePart::Seen { channels, panel: panel(i / down) }, worker);
            });
            let block =
                maps.div_ceil((PIECES * self.threads() / panels).max(1)).next_multiple_of(6).min(MAPS);
            let down = maps.div_ceil(block);
            self.pieces(panels * down, SMALL, &|i, worker| {
                let maps = i % down * block..maps.min((i % down + 1) * block);
                run(TilePart::Make { maps, panel: panel(i / down) }, worker);
            });
        }
        if let Some(kind) = task.finish.then {
            self.map(kind, None, out);
        }
    }

    /// As many products as there are parts of `out`, which are equal in size; `product` gives each by its number.
    pub fn dense_each<'a>(
        &self,
        count: usize,
        product: &(dyn Fn(usize) -> Dense<'a> + Sync),
        out: &mut [f32],
    ) {
        let part = out.len() / count.max(1);
        if part == 0 {
            return;
        }
        // Few products are each cut up, many are handed out whole.
        if count < PIECES * self.threads() {
            out.chunks_exact_mut(part).enumerate().for_each(|(i, out)| self.dense(&product(i), out));
            return;
        }
        let (to, set, scratches) = (Parts::new(out), self.set(), self.scratches());
        let work = product(0).common * part * count;
        self.pieces(count, work, &|i, worker| {
            let product = product(i);
            product.check();
            assert_eq!(product.rows * product.columns, part, "elements of a product");
            // SAFETY: ranges of different tasks do not overlap.
            let out = unsafe { to.rows(&(i..i + 1), part) }.as_mut_ptr();
            let (rows, columns, scratch) =
                (0..product.rows, 0..product.columns, scratches.worker(worker).cast());
            let out_stride = product.columns;
            (set.dense)(DenseSlice { product: &product, rows, columns, out, out_stride, scratch });
            if let Some(kind) = product.finish.then {
                // SAFETY: as above.
                (set.map)(Map { kind, x: unsafe { to.rows(&(i..i + 1), part) } });
            }
        });
    }

    /// `out` = attention of all queries, its rows apart as `task` says.
    pub fn attend(&self, task: &Attend<'_>, out: &mut [f32]) {
        task.check(out.len());
        let ([batch, heads, rows], keys) = (task.q.count, task.k.count[2]);
        let blocks = rows.div_ceil(WIDTH);
        let (to, set, scratches) = (Parts::new(out), self.set(), self.scratches());
        let work = batch * heads * rows * keys * (task.q.width + task.v.width);
        self.pieces(batch * heads * blocks, work, &|i, worker| {
            let (head, block) = (i / blocks, i % blocks);
            let (place, rows) = ([head / heads, head % heads], block * WIDTH..rows.min((block + 1) * WIDTH));
            let (out, scratch) = (to.start(), scratches.worker(worker).cast());
            (set.attend)(AttendSlice { task, place, rows, out, scratch });
        });
    }

    /// `out` (rows, columns) = the product of matrices of bytes.
    pub fn whole(&self, product: &Whole<'_>, out: &mut [i32]) {
        product.check();
        let Whole { rows, common, columns, .. } = *product;
        assert!(common > 0 && out.len() == rows * columns, "elements of {rows} rows of {columns}");
        let (panels, threads) = (columns.div_ceil(WIDTH), self.threads());
        // Rows are cut where there are too few panels, or they would not come out even.
        let even = if panels.is_multiple_of(threads) { 1 } else { threads };
        let down = if panels < PIECES * threads { (rows / ROWS).clamp(1, even) } else { 1 };
        let block = rows.div_ceil(down).max(1);
        let down = rows.div_ceil(block);
        let (to, set, scratches) = (Parts::new(out), self.set(), self.scratches());
        self.pieces(panels * down, rows * common * columns, &|i, worker| {
            let (part, panel) = (i / panels, i % panels);
            let rows = part * block..rows.min((part + 1) * block);
            let columns = panel * WIDTH..columns.min((panel + 1) * WIDTH);
            let (out, scratch) = (to.start(), scratches.worker(worker).cast());
            (set.whole)(WholeSlice { product, rows, columns, out, scratch });
        });
    }

    /// `out` (channels, made) = what windows see of each channel of `image` by itself.
    ///
    /// # Panics
    /// If [`Cpu::takes_planes`] says no.
    pub fn planes(&self, image: &Image<'_>, kind: PlaneKind<'_>, out: &mut [f32]) {
        let (made, window) = (image.made[0] * image.made[1], image.kernel[0] * image.kernel[1]);
        let plane = image.size[0] * image.size[1];
        let channels = out.len().checked_div(made).unwrap_or(0);
        let fits = match kind {
            PlaneKind::Weighted { weights, .. } => weights.len() == channels * window,
            _ => true,
        };
        assert!(
            fits && Cpu::takes_planes(image)
                && out.len() == channels * made
                && image.x.len() == channels * plane
        );
        let block = channels.div_ceil(PIECES * self.threads()).max(1);
        let (to, set, scratches) = (Parts::new(out), self.set(), self.scratches());
        let task = |i: usize, worker: usize| {
            let channels = i * block..channels.min((i + 1) * block);
            // SAFETY: ranges of different tasks do not overlap.
            let out = unsafe { to.rows(&channels, made) };
            let scratch = scratches.worker(worker).cast();
            let x = &image.x[channels.start * plane..channels.end * plane];
            let (image, own) = (Image { x, ..*image }, channels.clone());
            (set.planes)(PlaneSlice { image, kind, channels: own, out, scratch });
            if let PlaneKind::Weighted { finish: Finish { then: Some(kind), .. }, .. } = kind {
                // SAFETY: as above; the kernel is done with them.
                (set.map)(Map { kind, x: unsafe { to.rows(&channels, made) } });
            }
        };
        self.pieces(channels.div_ceil(block), channels * made * window, &task);
    }

    /// Whether lines of such an image have room in the scratch.
    pub fn takes_planes(image: &Image<'_>) -> bool {
        planes_fit(image)
    }

    /// `out = f(x)` for each element; of those in `out` if there is no `x`.
    pub fn map(&self, kind: MapKind, x: Option<&[f32]>, out: &mut [f32]) {
        assert!(x.is_none_or(|x| x.len() == out.len()), "as many elements");
        let (len, to, set) = (out.len(), Parts::new(out), self.set());
        self.pieces(len.div_ceil(ELEMENTS), len * kind.weight(), &|i, _| {
            let range = i * ELEMENTS..len.min((i + 1) * ELEMENTS);
            // SAFETY: ranges of different tasks do not overlap.
            let out = unsafe { to.rows(&range, 1) };
            if let Some(x) = x {
                out.copy_from_slice(&x[range]);
            }
            (set.map)(Map { kind, x: out });
        });
    }

    /// `out = f(a, b)` for each element; `b` has as many elements or one; `a` is what is in `out` if there is none.
    pub fn join(&self, kind: JoinKind, a: Option<&[f32]>, b: &[f32], out: &mut [f32]) {
        let (len, to, set) = (out.len(), Parts::new(out), self.set());
        assert!(
            (b.len() == len || b.len() == 1) && a.is_none_or(|a| a.len() == len),
            "as many elements, or one"
        );
        self.pieces(len.div_ceil(ELEMENTS), len, &|i, _| {
            let range = i * ELEMENTS..len.min((i + 1) * ELEMENTS);
            let b = if b.len() == len { &b[range.clone()] } else { b };
            // SAFETY: ranges of different tasks do not overlap.
            let out = unsafe { to.rows(&range, 1) };
            if let Some(a) = a {
                out.copy_from_slice(&a[range]);
            }
            (set.join)(Join { kind, a: out, b });
        });
    }

    /// Rows of `len` elements, each by itself, in place.
    pub fn rows(&self, kind: RowKind<'_>, len: usize, x: &mut [f32]) {
        let count = x.len().checked_div(len).unwrap_or(0);
        assert_eq!(count * len, x.len(), "whole rows");
        let block = ELEMENTS.div_ceil(len.max(1)).min(count.div_ceil(PIECES * self.threads())).max(1);
        let (parts, set) = (Parts::new(x), self.set());
        self.pieces(count.div_ceil(block), count * len * 8, &|i, _| {
            let range = i * block..count.min((i + 1) * block);
            // SAFETY: ranges of different tasks do not overlap.
            let x = unsafe { parts.rows(&range, len) };
            (set.rows)(Rows { kind, x, len, first: range.start });
        });
    }

    /// One number for each row of `len` elements.
    pub fn totals(&self, kind: TotalKind, len: usize, x: &[f32], out: &mut [f32]) {
        assert!(len > 0 && x.len() == out.len() * len, "whole rows");
        let (count, set) = (out.len(), self.set());
        let block = ELEMENTS.div_ceil(len).min(count.div_ceil(PIECES * self.threads())).max(1);
        let parts = Parts::new(out);
        self.pieces(count.div_ceil(block), x.len(), &|i, _| {
            let range = i * block..count.min((i + 1) * block);
            // SAFETY: ranges of different tasks do not overlap.
            let out = unsafe { parts.rows(&range, 1) };
            (set.totals)(Totals { kind, x: &x[range.start * len..range.end * len], len, out });
        });
    }

    /// Calls `task` with pieces of `out` and the number of the first element of each.
    pub fn each_piece(&self, piece: usize, out: &mut [f32], task: &(dyn Fn(usize, &mut [f32]) + Sync)) {
        let (len, parts) = (out.len(), Parts::new(out));
        self.pieces(len.div_ceil(piece), len, &|i, _| {
            let range = i * piece..len.min((i + 1) * piece);
            // SAFETY: ranges of different tasks do not overlap.
            task(range.start, unsafe { parts.rows(&range, 1) });
        });
    }

    /// `out` = `x / scale`, halves to even, plus `zero`, held to what a byte holds, which is `signed` or not.
    pub fn narrow(&self, x: &[f32], scale: f32, (zero, signed): (u8, bool), out: &mut [u8]) {
        assert_eq!(x.len(), out.len(), "as many bytes as numbers");
        let (len, to, set) = (x.len(), Parts::new(out), self.set());
        self.pieces(len.div_ceil(ELEMENTS), 4 * len, &|i, _| {
            let range = i * ELEMENTS..len.min((i + 1) * ELEMENTS);
            let x = &x[range.clone()];
            // SAFETY: ranges of different tasks do not overlap.
            let out = unsafe { to.rows(&range, 1) };
            (set.narrow)(Narrow { x, scale, zero: zero as i8, signed, out });
        });
    }

    /// `out` = the low bytes of what fractions make of sums; each block of `len` has its own, by its number.
    pub fn fixed(&self, fixed: &(dyn Fn(usize) -> Fixed + Sync), len: usize, sums: Sums<'_>, out: &mut [u8]) {
        let count = out.len() / len.max(1);
        let all = match sums {
            Sums::Floats(x) => x.len(),
            Sums::Whole(x) => x.len(),
        };
        assert!(count * len == out.len() && all == out.len(), "as many bytes as sums, in blocks");
        let some = ELEMENTS.div_ceil(len.max(1)).min(count.div_ceil(PIECES * self.threads())).max(1);
        let (to, set) = (Parts::new(out), self.set());
        self.pieces(count.div_ceil(some), 8 * all, &|i, _| {
            for block in i * some..count.min((i + 1) * some) {
                let range = block * len..(block + 1) * len;
                let sums = match sums {
                    Sums::Floats(x) => Sums::Floats(&x[range.clone()]),
                    Sums::Whole(x) => Sums::Whole(&x[range.clone()]),
                };
                // SAFETY: ranges of different tasks do not overlap.
                let out = unsafe { to.rows(&range, 1) };
                (set.fixed)(FixedSlice { fixed: fixed(block), sums, out });
            }
        });
    }

    /// Calls `task` with the numbers of pieces and a worker, on all threads if the work is worth it.
    pub fn pieces(&self, count: usize, work: usize, task: &(dyn Fn(usize, usize) + Sync)) {
        if work < SMALL || count < 2 {
            return (0..count).for_each(|i| task(i, 0));
        }
        self.in_shares(count, &|i, worker, _| task(i, worker));
    }
}
