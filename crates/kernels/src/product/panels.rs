//! The quantised product in panels of sixteen rows: unpack a piece into the first cache, multiply it by all columns.
//!
//! Not tied to an instruction set ([`Panels`]) or a format: this is compiled for each [`Shape`] of codes, and what depends
//! on the format itself is in [`super::rows`], because the size of the program counts against the budget. The one
//! design choice: a vector (one column) and a matrix (many) take the same path, so that they cannot differ. A row is
//! worked through in chunks of 256 elements, and the f32 sums of a tile are carried from chunk to chunk, so scratch does
//! not grow with the matrix.

use super::definition::Definition;
use super::rows::Format;
use super::sixteen::CHUNK_BYTES;
use super::{ACTIVATION_GROUP, Slice};
use crate::dot::Dot;
use crate::isa::{self, Kernel, LANES, Panels};
use std::ops::Range;
use tensor::PanelOrder;

/// Elements of a row that are unpacked at a time: the largest block.
pub(super) const CHUNK: usize = 256;
/// Columns that share one unpacking.
const SLAB: usize = 128;
/// Panels that share the preparation of activations, where columns are too few to lie side by side.
const FEW: usize = 9;
/// The most panels of a tile.
const TILE: usize = 3;
/// Elements of the only column that are prepared at a time.
const ALONE: usize = 64 * CHUNK;
/// Groups of a chunk, at most.
pub(super) const GROUPS: usize = CHUNK / 16;
/// Vectors of the codes of a chunk.
pub(super) const CODES: usize = CHUNK / 4;
/// Bytes of a cache line.
pub(super) const LINE: usize = 64;

/// Rows that a thread is best given at a time: where columns are many, and at most where they are few.
pub(crate) const TILE_ROWS: usize = TILE * LANES;
pub(crate) const FEW_ROWS: usize = FEW * LANES;

/// What a thread works in: vectors of sixteen 32-bit lanes.
#[repr(C, align(64))]
pub(crate) struct Scratch {
    /// Blocks of a chunk side by side, where they do not lie like that.
    pub(super) blocks: [[u32; LANES]; CHUNK_BYTES.div_ceil(LINE)],
    /// Codes, (panel, chunk / 4, row).
    codes: [[u32; LANES]; TILE * CODES],
    /// Scales, (panel, group, row).
    scale: [[f32; LANES]; TILE * GROUPS],
    /// Minimums, (panel, group, row).
    min: [[f32; LANES]; TILE * GROUPS],
    /// Activations of columns that do not lie side by side, four to an element, (step, column).
    pub(super) activations: [[u32; LANES]; CODES],
    /// What each group of activations brings to every row.
    pub(super) columns: ColumnGroups,
    /// Sums so far, (panel, column, row).
    acc: [[f32; LANES]; TILE * SLAB],
    /// Sums of minimums so far, (panel, column, row).
    accm: [[f32; LANES]; TILE * SLAB],
}

impl Scratch {
    /// Room for `N` sums of sixteen lanes, whatever they hold now.
    ///
    /// # Safety
    /// The scratch belongs to the caller alone for as long as the result lives.
    #[inline(always)]
    pub(super) unsafe fn sums<'a, F, const N: usize>(scratch: *mut Scratch) -> &'a mut [F; N] {
        const { assert!(N <= TILE * SLAB && size_of::<F>() == LINE && align_of::<F>() <= LINE) }
        // SAFETY: as many vectors of as many bytes are there, and any bits are numbers.
        unsafe { &mut *(&raw mut (*scratch).acc).cast() }
    }
}

/// What the groups of a chunk of activations bring to every row, (column / 16, group, column % 16) like activations.
#[repr(C)]
pub(super) struct ColumnGroups {
    /// Scale, of columns that do not lie side by side.
    pub scale: [[f32; LANES]; ALONE / 16 / LANES],
    /// What to add for the offset of the codes: the sum of the integers times that, negative.
    pub correction: [[i32; LANES]; GROUPS * SLAB / LANES],
    /// Scale times the sum of the integers, rounded.
    pub sum: [[f32; LANES]; GROUPS * SLAB / LANES],
}

/// What the codes of a panel look like, whatever their format.
pub(crate) trait Shape: 'static {
    /// As [`Dot::BITS`].
    const BITS: u32;
    /// As [`Dot::GROUP`].
    const GROUP: usize;
    /// As [`Dot::MIN`].
    const MIN: bool;
}

/// Codes of `BITS` bits, in groups of `GROUP`, with a minimum or without.
struct Codes<const BITS: u32, const GROUP: usize, const MIN: bool>;

impl<const BITS: u32, const GROUP: usize, const MIN: bool> Shape for Codes<BITS, GROUP, MIN> {
    const BITS: u32 = BITS;
    const GROUP: usize = GROUP;
    const MIN: bool = MIN;
}

/// The product for weights of type `D`.
pub(crate) const fn product<P: Panels, D: Dot>() -> super::SliceFn {
    // Where the number of bits makes no difference, all formats of a group can be taken for the widest.
    let bits = if P::BY_BITS { D::BITS } else { 7 };
    match (bits, D::GROUP, D::MIN) {
        (4, 16, false) => product_of::<P, Codes<4, 16, false>, D>,
        (4, 16, true) => product_of::<P, Codes<4, 16, true>, D>,
        (4, 32, false) => product_of::<P, Codes<4, 32, false>, D>,
        (4, 32, true) => product_of::<P, Codes<4, 32, true>, D>,
        (5, 32, false) => product_of::<P, Codes<5, 32, false>, D>,
        (5, 32, true) => product_of::<P, Codes<5, 32, true>, D>,
        (6, 16, false) => product_of::<P, Codes<6, 16, false>, D>,
        (7, 16, false) => product_of::<P, Codes<7, 16, false>, D>,
        (7, 16, true) => product_of::<P, Codes<7, 16, true>, D>,
        (7, 32, false) => product_of::<P, Codes<7, 32, false>, D>,
        (7, 32, true) => product_of::<P, Codes<7, 32, true>, D>,
        (8, 32, false) => product_of::<P, Codes<8, 32, false>, D>,
        _ => panic!("no product for codes like these"),
    }
}

/// The product of `slice`, whose weights are of type `D`, which has the shape `S`.
fn product_of<P: Panels, S: Shape, D: Dot>(slice: &Slice) {
    assert!(slice.weights.dtype == D::DTYPE && slice.rows.end <= slice.weights.rows);
    match slice.weights.dtype.block() {
        Some(format) if slice.weights.rows < LANES => isa::run::<P, _>(Definition { slice, format }),
        _ => isa::run::<P, _>(Product { slice, format: const { &Format::<P, S>::of::<D>() } }),
    }
}

/// All columns of a slice, panel by panel.
struct Product<'a, P: Panels, S> {
    slice: &'a Slice<'a>,
    format: &'a Format<P, S>,
}

impl<P: Panels, S: Shape> Kernel<P> for Product<'_, P, S> {
    #[inline(always)]
    fn run(self, isa: P) {
        let Product { slice, format } = self;
        let order = PanelOrder::of(slice.weights.dtype).expect("a format with a kernel is quantised");
        let n = slice.x.count();
        let together = if n < LANES { FEW_ROWS } else { TILE_ROWS };
        for row in slice.rows.clone().step_by(together) {
            let rows = row..slice.rows.end.min(row + together);
            for column in slice.columns.clone().step_by(SLAB) {
                let columns = column..slice.columns.end.min(column + SLAB);
                let work = Work { isa, slice, format, order, rows: rows.clone(), columns, n };
                // SAFETY: `product_of` checked the sizes of the weights, `count` those of the activations.
                unsafe { work.run() }
            }
        }
    }
}

/// Up to [`TILE`] panels times up to [`SLAB`] columns, or up to [`FEW`] panels where columns are fewer than sixteen.
pub(crate) struct Work<'a, P: Panels, S> {
    pub isa: P,
    pub slice: &'a Slice<'a>,
    pub(super) format: &'a Format<P, S>,
    /// How the bytes of a panel lie.
    pub order: PanelOrder,
    pub rows: Range<usize>,
    pub columns: Range<usize>,
    /// Columns in all.
    pub n: usize,
}

impl<P: Panels, S: Shape> Work<'_, P, S> {
    /// Whether codes are too large by something.
    const OFFSET: bool = if S::BITS == 8 { P::SIGNED_OFFSET != 0 } else { !S::MIN };

    #[inline(always)]
    unsafe fn run(&self) {
        const { assert!(size_of::<P::V>() == LINE && size_of::<P::F>() == LINE && P::TILE <= TILE) }
        let panels = self.rows.len().div_ceil(LANES);
        // SAFETY: the scratch belongs to this thread; the ranges are those of the slice.
        unsafe {
            if self.n == 1 {
                for panel in 0..panels {
                    let (acc, accm) = self.sums(panel, 0);
                    acc.write_bytes(0, 1);
                    accm.write_bytes(0, 1);
                }
            }
            // Tiles with rows of another's leave their sums; the others put results where they belong.
            let mut left = if self.n == 1 { 0 } else { panels };
            let chunk = self.chunk();
            for start in (0..self.slice.x.columns).step_by(chunk) {
                let elements = start..self.slice.x.columns.min(start + chunk);
                if self.n == 1 {
                    if elements.len() < self.slice.x.columns || !self.is_prepared() {
                        self.prepare_all(elements.clone());
                    }
                    for panel in 0..panels {
                        (self.format.column)(self, panel, elements.clone());
                    }
                    continue;
                }
                self.prepare_all(elements.clone());
                let mut panel = 0;
                while panel < panels {
                    let together = if panels - panel < P::TILE { 1 } else { P::TILE };
                    for place in 0..together {
                        (self.format.unpack)(self, place, panel + place, elements.clone());
                    }
                    for side in self.sides() {
                        let next = (panel == 0).then(|| self.after(&side, &elements));
                        match together {
                            1 => self.tiles::<1>(panel, &side, elements.clone(), next),
                            _ => self.tiles::<TILE>(panel, &side, elements.clone(), next),
                        }
                    }
                    left = if self.is_whole(panel, together) { left } else { left.min(panel) };
                    panel += together;
                }
            }
            self.finish(left..panels);
        }
    }

    /// Elements that are unpacked at a time, as equal parts of a row as whole blocks allow. The activations of one column fit
    /// in whole where those of a slab fit by the chunk.
    #[inline(always)]
    fn chunk(&self) -> usize {
        let all = self.slice.x.columns;
        let block = self.slice.weights.dtype.block_elements();
        match self.n {
            1 => ALONE,
            _ => all.div_ceil(all.div_ceil(CHUNK).max(1)).next_multiple_of(block),
        }
    }

    /// The first row of a panel: the last panel of a matrix overlaps the one before.
    #[inline(always)]
    pub fn first_row(&self, panel: usize) -> usize {
        (self.rows.start + panel * LANES).min(self.slice.weights.rows - LANES)
    }

    /// Whether all rows of so many panels belong to this slice.
    #[inline(always)]
    fn is_whole(&self, panel: usize, count: usize) -> bool {
        (panel + count) * LANES <= self.rows.len()
    }

    /// Whether this thread has prepared the only column of this product before, for other rows. From now on it has.
    #[inline(always)]
    fn is_prepared(&self) -> bool {
        // SAFETY: the number belongs to this thread.
        unsafe { std::mem::replace(&mut *self.slice.prepared, self.slice.number) == self.slice.number }
    }

    /// Where codes, scales and minimums of the panel at a place of the tile are unpacked to.
    #[inline(always)]
    pub unsafe fn unpacked(&self, place: usize) -> (*mut P::V, *mut P::F, *mut P::F) {
        let scratch = self.slice.scratch;
        // SAFETY: scratch has room for as many panels as a tile has.
        unsafe {
            (
                (&raw mut (*scratch).codes).cast::<P::V>().add(place * CODES),
                (&raw mut (*scratch).scale).cast::<P::F>().add(place * GROUPS),
                (&raw mut (*scratch).min).cast::<P::F>().add(place * GROUPS),
            )
        }
    }

    /// How far apart the sums of panels are.
    #[inline(always)]
    fn apart(&self) -> usize {
        const { assert!(FEW * LANES <= TILE * SLAB) }
        if self.n < LANES { LANES } else { SLAB }
    }

    /// Where the sums of a panel and of its minimums are, from the column with number `column` in the slab.
    #[inline(always)]
    pub unsafe fn sums(&self, panel: usize, column: usize) -> (*mut P::F, *mut P::F) {
        let (scratch, at) = (self.slice.scratch, panel * self.apart() + column);
        // SAFETY: scratch has room for all panels of a slab, and for more of fewer columns.
        unsafe {
            (
                (&raw mut (*scratch).acc).cast::<P::F>().add(at),
                (&raw mut (*scratch).accm).cast::<P::F>().add(at),
            )
        }
    }

    /// Sums of a group for `R` panels and `C` columns, whose activations lie `width` apart, and what the offset takes from
    /// them.
    #[inline(always)]
    pub unsafe fn dot<const R: usize, const C: usize>(
        &self,
        codes: [*const P::V; R],
        activations: *const u32,
        correction: *const i32,
        width: usize,
    ) -> [[P::V; C]; R] {
        let isa = self.isa;
        let mut start = [isa.lanes(0); C];
        // SAFETY: the caller's: a group of codes, of activations and of corrections.
        unsafe {
            if Self::OFFSET {
                for c in 0..C {
                    start[c] = isa.lanes(*correction.add(c));
                }
            }
            match (S::BITS, S::GROUP) {
                (4, 16) => isa.dot::<4, 4, R, C>(start, codes, activations, width),
                (4, 32) => isa.dot::<4, 8, R, C>(start, codes, activations, width),
                (5, 32) => isa.dot::<5, 8, R, C>(start, codes, activations, width),
                (6, 16) => isa.dot::<6, 4, R, C>(start, codes, activations, width),
                (7, 16) => isa.dot::<7, 4, R, C>(start, codes, activations, width),
                (7, 32) => isa.dot::<7, 8, R, C>(start, codes, activations, width),
                (8, 32) => isa.dot::<8, 8, R, C>(start, codes, activations, width),
                _ => unreachable!("`product` has no such shape"),
            }
        }
    }

    /// Multiplies `R` unpacked panels by the columns of `side`, and asks for the chunk of activations at `next`.
    #[inline(always)]
    unsafe fn tiles<const R: usize>(
        &self,
        panel: usize,
        side: &Side,
        elements: Range<usize>,
        next: Option<*const u8>,
    ) {
        let mut c = 0;
        while c < side.width {
            if let Some(next) = next {
                let lines = elements.len().div_ceil(4 * LANES);
                for line in c * lines..(c + 4) * lines {
                    self.isa.prefetch(next.wrapping_add(line * LINE));
                }
            }
            // SAFETY: the columns lie within the side.
            c += unsafe {
                match side.width - c {
                    4.. => self.tile::<R, 4>(panel, side, c, elements.clone()),
                    2.. => self.tile::<R, 2>(panel, side, c, elements.clone()),
                    _ => self.tile::<R, 1>(panel, side, c, elements.clone()),
                }
            };
        }
    }

    /// `R` panels times `C` columns from column `first` of `side`: the arithmetic of [`super::definition`]. Gives `C` back.
    #[inline(always)]
    unsafe fn tile<const R: usize, const C: usize>(
        &self,
        panel: usize,
        side: &Side,
        first: usize,
        elements: Range<usize>,
    ) -> usize {
        let (isa, width) = (self.isa, side.width);
        // SAFETY: scratch holds a chunk of codes and sums for these rows and columns; their activations are there.
        unsafe {
            let (codes, row_scale, row_min) = self.unpacked(0);
            let (acc, accm) = self.sums(panel, side.first + first - self.columns.start);
            let activations = self.activations(side, &elements).add(first);
            let (scale, correction, sum) = self.groups(side, &elements, first);
            // Of columns side by side, groups of sixteen share scales.
            let pairs = if S::GROUP == ACTIVATION_GROUP { 0 } else { usize::from(width == LANES) };
            let groups = elements.len() / S::GROUP;
            let ends = Ends::of(&elements, self.slice.x.columns);
            let mut sums = self.tile_of::<R, C>(acc, ends);
            for g in 0..groups {
                let (step, group) = (g * S::GROUP / 4, g * width);
                let mut panels = [codes.cast_const(); R];
                for r in 0..R {
                    panels[r] = codes.add(r * CODES + step);
                }
                let isum =
                    self.dot::<R, C>(panels, activations.add(step * width), correction.add(group), width);
                for c in 0..C {
                    let scale = isa.splat(*scale.add((g >> pairs) * width + c));
                    for r in 0..R {
                        let both = isa.mul(*row_scale.add(r * GROUPS + g), scale);
                        sums[r][c] = isa.fma(both, isa.float(isum[r][c]), sums[r][c]);
                    }
                }
            }
            if S::MIN {
                // Registers have no room for both.
                self.put_tile(acc, sums);
                sums = self.tile_of::<R, C>(accm, ends);
                for g in 0..groups {
                    for c in 0..C {
                        let sum = isa.splat(*sum.add(g * width + c));
                        for r in 0..R {
                            sums[r][c] = isa.fma(*row_min.add(r * GROUPS + g), sum, sums[r][c]);
                        }
                    }
                }
            }
            if ends.last && self.is_whole(panel, R) {
                self.put_results(panel, side.first + first, acc, sums);
            } else {
                self.put_tile(if S::MIN { accm } else { acc }, sums);
            }
        }
        C
    }

    /// The sums of `R` panels and `C` columns that begin at `at`; zeros before the first chunk of a row.
    #[inline(always)]
    unsafe fn tile_of<const R: usize, const C: usize>(&self, at: *const P::F, ends: Ends) -> [[P::F; C]; R] {
        let mut sums = [[self.isa.splat(0.0); C]; R];
        if ends.first {
            return sums;
        }
        for r in 0..R {
            for c in 0..C {
                // SAFETY: the caller's: they are there.
                sums[r][c] = unsafe { *at.add(r * self.apart() + c) };
            }
        }
        sums
    }

    /// Puts such sums back.
    #[inline(always)]
    unsafe fn put_tile<const R: usize, const C: usize>(&self, at: *mut P::F, sums: [[P::F; C]; R]) {
        for r in 0..R {
            for c in 0..C {
                // SAFETY: the caller's: they are there.
                unsafe { *at.add(r * self.apart() + c) = sums[r][c] };
            }
        }
    }

    /// Stores the results of `R` whole panels and `C` columns from `column`: `sums`, or where there are minimums what is at
    /// `acc` less those.
    #[inline(always)]
    unsafe fn put_results<const R: usize, const C: usize>(
        &self,
        panel: usize,
        column: usize,
        acc: *const P::F,
        sums: [[P::F; C]; R],
    ) {
        let isa = self.isa;
        for c in 0..C {
            for r in 0..R {
                // SAFETY: the sums are there; the rows and columns belong to this slice.
                unsafe {
                    let sum = match S::MIN {
                        true => isa.fma(sums[r][c], isa.splat(-1.0), *acc.add(r * self.apart() + c)),
                        false => sums[r][c],
                    };
                    let row = self.rows.start + (panel + r) * LANES;
                    isa.store(sum, &mut *self.slice.target.rows(column + c, row, LANES).as_mut_ptr().cast());
                }
            }
        }
    }

    /// Stores what some panels have summed up, column by column: their rows follow each other there.
    #[inline(always)]
    unsafe fn finish(&self, panels: Range<usize>) {
        let isa = self.isa;
        let minus = isa.splat(-1.0);
        for (index, column) in self.columns.clone().enumerate() {
            for panel in panels.clone() {
                let (start, row) = (self.first_row(panel), self.rows.start + panel * LANES);
                // The last panel of a matrix has rows that are another's.
                let rows = row - start..LANES.min(self.rows.end - start);
                // SAFETY: the sums are those of this panel; the rows and columns belong to this slice.
                unsafe {
                    let (acc, accm) = self.sums(panel, index);
                    let sums = if S::MIN { isa.fma(*accm, minus, *acc) } else { *acc };
                    let out = self.slice.target.rows(column, row, rows.len());
                    match out.first_chunk_mut::<LANES>() {
                        Some(out) => isa.store(sums, out),
                        None => {
                            let mut all = [0.0; LANES];
                            isa.store(sums, &mut all);
                            out.copy_from_slice(&all[rows]);
                        }
                    }
                }
            }
        }
    }
}

/// Whether a chunk begins its rows, and whether it ends them.
#[derive(Clone, Copy)]
struct Ends {
    first: bool,
    last: bool,
}

impl Ends {
    #[inline(always)]
    fn of(elements: &Range<usize>, columns: usize) -> Ends {
        Ends { first: elements.start == 0, last: elements.end == columns }
    }
}

/// Columns that lie side by side.
pub(super) struct Side {
    /// Which of the slab's.
    pub index: usize,
    /// The first column.
    pub first: usize,
    /// How many: sixteen, or those that are left over.
    pub width: usize,
}
