//! Products of two matrices of f32 that both change, and convolutions as such products.
//!
//! Not products with weights in rows, which are in [`crate::product`]. The left matrix is read as it lies; of the right one a
//! panel of a few dozen columns at a time is laid out for the registers, in the second cache, and of a convolution that
//! panel is made from the image itself. The one design choice: each result is one chain of fused multiply-adds along the
//! common extent, ascending, whatever is cut where; the chain waits in the result between pieces. (Goto and van de Geijn,
//! "Anatomy of High-Performance Matrix Multiplication", 2008; Dukhan, "The Indirect Convolution Algorithm", 2019.)

mod attend;
mod depthwise;
mod finish;
mod pack;
mod planes;
mod stretches;
mod tiles;
mod whole;
mod widen;

use crate::isa::{Isa, Kernel, LANES, first_lanes};
pub use attend::{Attend, Heads, Mask};
pub(crate) use attend::{AttendSlice, Scratch as AttendScratch};
pub use finish::Finish;
pub use pack::{Image, Right};
pub use planes::PlaneKind;
pub(crate) use planes::{PlaneSlice, fits as planes_fit};
use std::ops::Range;
use stretches::Stretches;
pub use tiles::Tiles;
pub(crate) use tiles::{APART, MAPS, PLACES, Panel, TilePart, TileSlice};
pub(crate) use whole::WholeSlice;
pub use whole::{Bytes, Meaning, Whole};
pub use widen::Scaled;

/// Elements of the common extent that are worked on at a time.
const DEPTH: usize = 256;
/// Columns of a panel, at most.
pub(crate) const WIDTH: usize = 4 * LANES;
/// Panels that are laid out at once, at most.
pub(crate) const PANELS: usize = 8;
/// Rows of a tile, at most.
const ROWS: usize = 6;
/// Sums of a tile where registers are many.
const MANY: usize = 24;
/// Rows of the right matrix that are as good as near each other.
const FEW: usize = 64;
/// Floats from the first to the last of rows that are near each other: what the second cache and its pages hold.
const NEAR: usize = 64 << 10;

/// What a thread works in.
#[repr(C, align(64))]
pub(crate) struct Scratch {
    panel: [[f32; LANES]; DEPTH * WIDTH / LANES],
}

/// Floats of the scratch.
pub(crate) const SCRATCH: usize = DEPTH * WIDTH;

/// A product: (rows, columns) = `a` (rows, common) times `right` (common, columns).
#[derive(Clone, Copy)]
pub struct Dense<'a> {
    /// (rows, common), one row `a_stride` behind the other.
    pub a: &'a [f32],
    /// From a row of `a` to the next.
    pub a_stride: usize,
    /// Rows of the result.
    pub rows: usize,
    /// What is multiplied and added up.
    pub common: usize,
    /// Columns of the result.
    pub columns: usize,
    /// The other matrix.
    pub right: Right<'a>,
    /// What becomes of each sum.
    pub finish: Finish<'a>,
}

impl Dense<'_> {
    /// Checks that the right matrix is as large as it must be.
    pub(crate) fn check(&self) {
        let (common, columns) = (self.common, self.columns);
        match self.right {
            Right::Image(image) => {
                let window = image.kernel[0] * image.kernel[1];
                let plane = image.size[0] * image.size[1];
                let fits =
                    common.is_multiple_of(window.max(1)) && image.x.len() >= common / window.max(1) * plane;
                let apart = image.strides.iter().chain(&image.dilations).all(|step| *step > 0);
                assert!(
                    fits && apart && columns == image.made[0] * image.made[1],
                    "windows and an image that fit"
                );
            }
            Right::Columns { b, stride } => {
                assert!(stride >= common && (columns == 0 || b.len() >= (columns - 1) * stride + common));
            }
            Right::Bytes(matrix) => matrix.check(common, columns),
            Right::Rows { b, stride } => {
                assert!(stride >= columns && (common == 0 || b.len() >= (common - 1) * stride + columns));
            }
        }
        assert!(self.finish.of_columns.is_none_or(|list| list.len() == columns), "a number for each column");
        let lists = [self.finish.scale, self.finish.bias];
        assert!(lists.into_iter().flatten().all(|list| list.len() == self.rows), "a number for each row");
    }
}

/// What one thread does: some rows and some columns.
pub(crate) struct DenseSlice<'a> {
    pub product: &'a Dense<'a>,
    pub rows: Range<usize>,
    /// They begin at a multiple of [`LANES`].
    pub columns: Range<usize>,
    /// Where the first column of the first row of all is, or would be; nobody else writes to the rows and columns of this slice.
    pub out: *mut f32,
    /// From a row of the result to the next.
    pub out_stride: usize,
    /// Memory of this thread alone.
    pub scratch: *mut Scratch,
}

impl<I: Isa> Kernel<I> for DenseSlice<'_> {
    #[inline(always)]
    fn run(self, isa: I) {
        if I::CHAINS >= MANY {
            self.panels::<I, 4>(isa);
        } else {
            self.panels::<I, 1>(isa);
        }
    }
}

/// A tile of the product: where it begins in all three matrices.
#[derive(Clone, Copy)]
struct Tile {
    row: usize,
    column: usize,
    /// Columns that there are.
    columns: usize,
    /// The part of the common extent.
    start: usize,
    depth: usize,
    /// The right matrix's part, and from a row of it to the next.
    right: (*const f32, usize),
}

impl DenseSlice<'_> {
    #[inline(always)]
    fn panels<I: Isa, const V: usize>(&self, isa: I) {
        let width = V * LANES;
        // Panels that lie in the scratch at once, where the common extent is short: a row of theirs is written at a time.
        let some = (DEPTH / self.product.common.max(1)).clamp(1, PANELS);
        // Parts of the common extent that are about equal.
        let deep = self.product.common.div_ceil(self.product.common.div_ceil(DEPTH).max(1)).max(1);
        for columns in parts(&self.columns, some * width) {
            for part in parts(&(0..self.product.common), deep) {
                let (start, depth) = (part.start, part.len());
                let (column, columns) = (columns.start, columns.len());
                let tile = Tile { row: 0, column, columns, start, depth, right: (std::ptr::null(), 0) };
                match columns.div_ceil(LANES) {
                    1 => self.panel::<I, 1>(isa, tile),
                    2 if V > 1 => self.panel::<I, 2>(isa, tile),
                    3 if V > 2 => self.panel::<I, 3>(isa, tile),
                    _ => self.panel::<I, V>(isa, tile),
                }
            }
        }
    }

    /// All rows times some panels of `V` vectors.
    #[inline(always)]
    fn panel<I: Isa, const V: usize>(&self, isa: I, all: Tile) {
        let (width, count) = (V * LANES, all.columns.div_ceil(V * LANES));
        let mut tiles = [all; PANELS];
        for (tile, columns) in tiles.iter_mut().zip(parts(&(0..all.columns), width)) {
            (tile.column, tile.columns) = (all.column + columns.start, columns.len());
            // SAFETY: the scratch belongs to this thread, and has room for DEPTH rows of WIDTH.
            let panel = unsafe { self.scratch.cast::<f32>().add(columns.start * all.depth) };
            tile.right = self.right::<I, V>(isa, tile, panel);
        }
        let mut row = self.rows.start;
        while row < self.rows.end {
            let mut done = 0;
            for tile in &tiles[..count] {
                let tile = Tile { row, ..*tile };
                done = match self.rows.end - row {
                    ROWS.. => self.tile::<I, ROWS, V>(isa, tile),
                    4.. => self.tile::<I, 4, V>(isa, tile),
                    2.. => self.tile::<I, 2, V>(isa, tile),
                    _ => self.tile::<I, 1, V>(isa, tile),
                };
            }
            row += done;
        }
    }

    /// The right matrix's part of a tile, as it lies or laid out at `panel`.
    #[inline(always)]
    fn right<I: Isa, const V: usize>(&self, isa: I, tile: &Tile, panel: *mut f32) -> (*const f32, usize) {
        let width = V * LANES;
        match self.product.right {
            Right::Rows { b, stride } if self.as_it_lies::<I>(tile, stride, width) => {
                let len = (tile.depth - 1) * stride + tile.columns;
                (b[tile.start * stride + tile.column..][..len].as_ptr(), stride)
            }
            right => {
                // SAFETY: the caller's.
                let panel = unsafe { std::slice::from_raw_parts_mut(panel, tile.depth * width) };
                match right {
                    Right::Rows { b, stride } if tile.columns == width => {
                        for (k, row) in panel.chunks_exact_mut(width).enumerate() {
                            let from = &b[(tile.start + k) * stride + tile.column..][..width];
                            let ((from, _), (to, _)) = (from.as_chunks(), row.as_chunks_mut());
                            for v in 0..V {
                                isa.store(isa.load(&from[v]), &mut to[v]);
                            }
                        }
                    }
                    Right::Bytes(matrix) => {
                        matrix.pack::<I, V>(isa, tile.start, tile.column, tile.columns, panel);
                    }
                    Right::Image(image) => match Stretches::new::<I>(&image, tile.column, tile.columns) {
                        Some(all) => all.pack(isa, &image, tile.start, width, panel),
                        None => right.pack(tile.start, tile.column, tile.columns, width, panel),
                    },
                    _ => right.pack(tile.start, tile.column, tile.columns, width, panel),
                }
                (panel.as_ptr(), width)
            }
        }
    }

    /// Whether the right matrix's part of a tile is read as it lies: for few rows laying it out takes longer than the product, and
    /// near rows are as fast.
    #[inline(always)]
    fn as_it_lies<I: Isa>(&self, tile: &Tile, stride: usize, width: usize) -> bool {
        let near = I::PARTS && (tile.depth <= FEW || stride.saturating_mul(tile.depth) <= NEAR);
        (self.rows.len() <= ROWS || near) && (tile.columns == width || I::PARTS)
    }

    #[inline(always)]
    fn tile<I: Isa, const R: usize, const V: usize>(&self, isa: I, tile: Tile) -> usize {
        let Dense { a, a_stride, common, finish, .. } = *self.product;
        let Tile { row, column, start, depth, right: (b, b_stride), .. } = tile;
        let left = &a[row * a_stride + start..][..(R - 1) * a_stride + depth];
        let mut sums = [[isa.splat(0.0); V]; R];
        // Rows and columns of the result belong to this slice.
        let out = |r: usize| self.out.wrapping_add((row + r) * self.out_stride + column);
        let whole = tile.columns == V * LANES;
        if start > 0 {
            for r in 0..R {
                for v in 0..V {
                    // SAFETY: as above; only columns that there are.
                    sums[r][v] = unsafe { load(isa, out(r).wrapping_add(v * LANES), tile.columns, v, whole) };
                }
            }
        }
        if start == 0 {
            for r in 0..R {
                // What is written comes to the cache meanwhile.
                (0..V).for_each(|v| isa.prefetch(out(r).wrapping_add(v * LANES).cast()));
            }
        }
        let size = (depth, tile.columns);
        // SAFETY: the panel has `depth` rows of V vectors, the matrix, where it is used as it lies, of so many columns.
        unsafe {
            match whole || !I::PARTS {
                true => multiply::<I, R, V, false>(isa, (left, a_stride), (b, b_stride), size, &mut sums),
                false => multiply::<I, R, V, true>(isa, (left, a_stride), (b, b_stride), size, &mut sums),
            }
        };
        let last = start + depth == common;
        if let Some(bias) = finish.of_columns.filter(|_| last) {
            let from = bias[column..][..tile.columns].as_ptr();
            for v in 0..V {
                // SAFETY: only columns that there are.
                let bias = unsafe { load(isa, from.wrapping_add(v * LANES), tile.columns, v, whole) };
                for r in 0..R {
                    sums[r][v] = isa.add(sums[r][v], bias);
                }
            }
        }
        for r in 0..R {
            let finish = finish.row(isa, row + r);
            for v in 0..V {
                let sum = if last { finish.of(isa, sums[r][v]) } else { sums[r][v] };
                // SAFETY: as above.
                unsafe { store(isa, sum, out(r).wrapping_add(v * LANES), tile.columns, v, whole) }
            }
        }
        R
    }
}

/// A range in parts of so many.
fn parts(range: &Range<usize>, len: usize) -> impl Iterator<Item = Range<usize>> {
    let end = range.end;
    range.clone().step_by(len).map(move |start| start..end.min(start + len))
}

/// Adds `R` rows of `left` times `V` vectors of as many rows of the right matrix to `sums`.
///
/// # Safety
/// There are `depth` rows from `right` on, `stride` apart: of `V` vectors, or of `columns` elements if `PARTS` of vectors are read.
#[inline(always)]
unsafe fn multiply<I: Isa, const R: usize, const V: usize, const PARTS: bool>(
    isa: I,
    (left, left_stride): (&[f32], usize),
    (right, stride): (*const f32, usize),
    (depth, columns): (usize, usize),
    sums: &mut [[I::F; V]; R],
) {
    let mut lanes = [u16::MAX; V];
    for v in 0..V {
        lanes[v] = first_lanes(columns.saturating_sub(v * LANES));
    }
    assert!(left.len() >= (R - 1) * left_stride + depth, "rows of the left matrix");
    for k in 0..depth {
        let mut vectors = [isa.splat(0.0); V];
        for v in 0..V {
            let from = right.wrapping_add(k * stride + v * LANES);
            // SAFETY: the caller's.
            vectors[v] =
                unsafe { if PARTS { isa.load_some(from, lanes[v]) } else { isa.load(&*from.cast()) } };
        }
        for r in 0..R {
            // SAFETY: checked above.
            let x = isa.splat(unsafe { *left.get_unchecked(r * left_stride + k) });
            for v in 0..V {
                sums[r][v] = isa.fma(x, vectors[v], sums[r][v]);
            }
        }
    }
}

/// Sixteen floats of a row of `columns`, the vector `v`; zeros beyond its end.
///
/// # Safety
/// The columns that there are can be read.
#[inline(always)]
unsafe fn load<I: Isa>(isa: I, from: *const f32, columns: usize, v: usize, whole: bool) -> I::F {
    if whole || columns >= (v + 1) * LANES {
        // SAFETY: the caller's.
        return isa.load(unsafe { &*from.cast() });
    }
    // SAFETY: the caller's.
    unsafe { isa.load_some(from, first_lanes(columns.saturating_sub(v * LANES))) }
}

/// Writes what of a vector lies in a row of `columns`.
///
/// # Safety
/// The columns that there are can be written.
#[inline(always)]
unsafe fn store<I: Isa>(isa: I, x: I::F, to: *mut f32, columns: usize, v: usize, whole: bool) {
    if whole || columns >= (v + 1) * LANES {
        // SAFETY: the caller's.
        return isa.store(x, unsafe { &mut *to.cast() });
    }
    // SAFETY: the caller's.
    unsafe { isa.store_some(x, to, first_lanes(columns.saturating_sub(v * LANES))) }
}
