//! The quantised product in panels of sixteen rows: unpack a piece into the first cache, multiply it by all columns.
//!
//! Not tied to a format ([`crate::dot`]) or an instruction set ([`Panels`]). The one design choice: a vector (one
//! column) and a matrix (many) take the same path, so that they cannot differ. A row is worked through in chunks of 256
//! elements, and the f32 sums of a tile are carried from chunk to chunk, so scratch does not grow with the matrix.

use super::definition::Definition;
use super::{ACTIVATION_GROUP, Slice};
use crate::dot::{Block, Dot};
use crate::isa::{self, Kernel, LANES, Panels};
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ops::Range;

/// Elements of a row that are unpacked at a time: the largest block.
const CHUNK: usize = 256;
/// Columns that share one unpacking.
const SLAB: usize = 64;
/// Panels that share the preparation of activations, where there is more than one column.
const PANELS: usize = 4;
/// Groups of a chunk, at most.
const GROUPS: usize = CHUNK / 16;
/// Bytes of a cache line.
const LINE: usize = 64;

/// Rows that a thread is best given at a time when there are many columns.
pub(crate) const SLICE_ROWS: usize = PANELS * LANES;

/// What a thread works in: vectors of sixteen 32-bit lanes.
#[repr(C, align(64))]
pub(crate) struct Scratch {
    /// Codes of a panel, (chunk / 4, row); twice as many vectors where signed codes are widened.
    codes: [[u32; LANES]; CHUNK / 2],
    /// Scales of a panel, (group, row).
    scale: [[f32; LANES]; GROUPS],
    /// Minimums of a panel, (group, row).
    min: [[f32; LANES]; GROUPS],
    /// Activations, four to an element, (column / 16, step, column % 16), fewer than 16 if there are.
    activations: [[u32; LANES]; CHUNK / 2 * SLAB / LANES],
    /// What each group of activations brings to every row.
    columns: ColumnGroups,
    /// Sums so far, (panel, column, row).
    acc: [[f32; LANES]; PANELS * SLAB],
    /// Sums of minimums so far, (panel, column, row).
    accm: [[f32; LANES]; PANELS * SLAB],
}

/// What the groups of a chunk of activations bring to every row, (column / 16, group, column % 16) like activations.
#[repr(C)]
struct ColumnGroups {
    /// Scale.
    scale: [[f32; LANES]; GROUPS * SLAB / LANES],
    /// Sum of the integers times the offset of the codes.
    correction: [[i32; LANES]; GROUPS * SLAB / LANES],
    /// Scale times the sum of the integers, rounded.
    sum: [[f32; LANES]; GROUPS * SLAB / LANES],
}

/// The product of `slice`, whose weights are of type `D`.
pub(crate) fn product<P: Panels, D: Dot>(slice: &Slice) {
    const { assert!(size_of::<P::V>() == LINE && size_of::<P::F>() == LINE) };
    match slice.weights.dtype.block() {
        Some(format) if slice.weights.rows < LANES => isa::run::<P, _>(Definition { slice, format }),
        _ => isa::run::<P, _>(Product::<D> { slice, dot: PhantomData }),
    }
}

/// All columns of a slice, panel by panel.
struct Product<'a, D> {
    slice: &'a Slice<'a>,
    dot: PhantomData<D>,
}

impl<P: Panels, D: Dot> Kernel<P> for Product<'_, D> {
    #[inline(always)]
    fn run(self, isa: P) {
        let slice = self.slice;
        assert!(slice.weights.dtype == D::DTYPE && slice.rows.end <= slice.weights.rows);
        let n = slice.x.count();
        for row in slice.rows.clone().step_by(SLICE_ROWS) {
            let rows = row..slice.rows.end.min(row + SLICE_ROWS);
            for column in (0..n).step_by(SLAB) {
                let work = Work::<P, D> {
                    isa,
                    slice,
                    rows: rows.clone(),
                    columns: column..n.min(column + SLAB),
                    width: LANES.min(n),
                    dot: PhantomData,
                };
                // SAFETY: `product` checked the sizes of the weights, `count` those of the activations.
                unsafe { work.run() }
            }
        }
    }
}

/// Up to [`PANELS`] panels times up to [`SLAB`] columns.
struct Work<'a, P, D> {
    isa: P,
    slice: &'a Slice<'a>,
    rows: Range<usize>,
    columns: Range<usize>,
    /// Columns that lie side by side in scratch.
    width: usize,
    dot: PhantomData<D>,
}

impl<P: Panels, D: Dot> Work<'_, P, D> {
    /// Elements of a block.
    const ELEMENTS: usize = D::DTYPE.block_elements();
    /// Vectors of codes, and steps of activations, for four elements.
    const STEPS: usize = if D::BITS == 8 { P::SIGNED_STEPS } else { 1 };
    /// What the codes of a panel are too large by.
    const OFFSET: i32 = if D::BITS == 8 { P::SIGNED_OFFSET } else { D::OFFSET };

    #[inline(always)]
    unsafe fn run(&self) {
        let scratch = self.slice.scratch;
        // SAFETY: the scratch belongs to this thread; the ranges are those of the slice.
        unsafe {
            for panel in 0..self.rows.len().div_ceil(LANES) {
                let (first, columns) = (panel * SLAB, self.columns.len());
                (&raw mut (*scratch).acc).cast::<P::F>().add(first).write_bytes(0, columns);
                (&raw mut (*scratch).accm).cast::<P::F>().add(first).write_bytes(0, columns);
            }
            // The activations of one column fit in whole where those of a slab fit by the chunk.
            let chunk = if self.width == 1 { CHUNK * SLAB } else { CHUNK };
            for start in (0..self.slice.x.columns).step_by(chunk) {
                let elements = start..self.slice.x.columns.min(start + chunk);
                if self.width > 1 || elements.len() < self.slice.x.columns || !self.is_prepared() {
                    self.prepare_all(elements.clone());
                }
                for (panel, row) in self.rows.clone().step_by(LANES).enumerate() {
                    if self.width == 1 {
                        self.column(panel, row, elements.clone());
                    } else {
                        self.unpack(self.panel_start(row), elements.clone());
                        for side in self.sides() {
                            self.tiles(panel, &side, elements.len());
                        }
                    }
                }
            }
            for (panel, row) in self.rows.clone().step_by(LANES).enumerate() {
                self.finish(panel, row);
            }
        }
    }

    /// The first row of the panel for the rows from `row`: the last panel of a matrix overlaps the one before.
    #[inline(always)]
    fn panel_start(&self, row: usize) -> usize {
        row.min(self.slice.weights.rows - LANES)
    }

    /// The columns, `width` at a time.
    #[inline(always)]
    fn sides(&self) -> impl Iterator<Item = Side> + use<'_, P, D> {
        let (columns, width) = (self.columns.clone(), self.width);
        let last = self.slice.x.count() - width;
        columns.clone().step_by(width).enumerate().map(move |(index, column)| Side {
            index,
            first: column.min(last),
            skip: column - column.min(last),
            acc: column - columns.start,
        })
    }

    /// Whether this thread has prepared the only column of this product before, for other rows. From now on it has.
    #[inline(always)]
    fn is_prepared(&self) -> bool {
        // SAFETY: the number belongs to this thread.
        unsafe { std::mem::replace(&mut *self.slice.prepared, self.slice.number) == self.slice.number }
    }

    /// Brings a chunk of all columns into the order of the tiles.
    #[inline(always)]
    unsafe fn prepare_all(&self, elements: Range<usize>) {
        for side in self.sides() {
            // SAFETY: the elements lie within the columns; scratch has room for a chunk, and for 64 of one column.
            unsafe {
                match self.width {
                    1 => self.prepare(&side, elements.clone(), 1),
                    LANES => self.prepare_16(&side, elements.clone()),
                    width => self.prepare(&side, elements.clone(), width),
                }
            }
        }
    }

    /// Brings the activations of a chunk into the order of the tiles.
    #[inline(always)]
    unsafe fn prepare(&self, side: &Side, elements: Range<usize>, width: usize) {
        let (x, steps, groups) = (&self.slice.x, elements.len() / 4, elements.len() / D::GROUP);
        for c in 0..width {
            let start = (side.first + c) * x.columns + elements.start;
            // SAFETY: the elements lie within the column, and scratch has room for a chunk of every column.
            unsafe {
                let q = x.q.as_ptr().add(start).cast::<u32>();
                let out = self.activations(side).add(c);
                for step in 0..steps {
                    let four = q.add(step).read_unaligned();
                    let wide = if D::BITS == 8 { P::widen(four) } else { [four; 2] };
                    for i in 0..Self::STEPS {
                        *out.add((step * Self::STEPS + i) * width) = wide[i];
                    }
                }
                let (scale, correction, sum) = self.groups(side, c);
                for g in 0..groups {
                    let at = start + g * D::GROUP;
                    let sums = x.sums.as_ptr().add(at / 16);
                    let second = if D::GROUP == 32 { i32::from(*sums.add(1)) } else { 0 };
                    let asum = i32::from(*sums) + second;
                    let da = *x.scale.as_ptr().add(at / ACTIVATION_GROUP);
                    *scale.add(g * width) = da;
                    *correction.add(g * width) = asum * Self::OFFSET;
                    *sum.add(g * width) = da * asum as f32;
                }
            }
        }
    }

    /// [`Work::prepare`] for sixteen columns at once.
    #[inline(always)]
    unsafe fn prepare_16(&self, side: &Side, elements: Range<usize>) {
        let (isa, x) = (self.isa, &self.slice.x);
        let (stride, start) = (x.columns, side.first * x.columns + elements.start);
        // SAFETY: as for `prepare`.
        unsafe {
            let out = self.activations(side).cast::<[u32; LANES]>();
            let q = x.q.as_ptr().add(start).cast::<u8>();
            for sixteen in (0..elements.len()).step_by(16) {
                let four = isa.rows16(q.add(sixteen), stride);
                for i in 0..4 {
                    let at = out.add((sixteen / 4 + i) * Self::STEPS);
                    at.cast::<P::V>().write(four[i]);
                    if D::BITS == 8 && Self::STEPS == 2 {
                        let wide = (*at).map(P::widen);
                        at.write(wide.map(|w| w[0]));
                        at.add(1).write(wide.map(|w| w[1]));
                    }
                }
            }
            let (scale, correction, sum) = self.groups(side, 0);
            for g in 0..elements.len() / D::GROUP {
                let at = start + g * D::GROUP;
                let da = x.scale.as_ptr().add(at / ACTIVATION_GROUP).cast();
                let da = isa.bits(isa.rows4(da, stride / ACTIVATION_GROUP * 4));
                // Both sums of the 32 elements around this group.
                let sums = x.sums.as_ptr().add(at / 32 * 2).cast();
                let sums = isa.rows4(sums, stride / 16 * 2);
                let (low, high) = (isa.sar::<16>(isa.shl::<16>(sums)), isa.sar::<16>(sums));
                let asum = match (D::GROUP, at / 16 % 2) {
                    (32, _) => isa.add32(low, high),
                    (_, 0) => low,
                    _ => high,
                };
                scale.add(g * LANES).cast::<P::F>().write(da);
                correction.add(g * LANES).cast::<P::V>().write(isa.mul32(asum, isa.lanes(Self::OFFSET)));
                sum.add(g * LANES).cast::<P::F>().write(isa.mul(da, isa.float(asum)));
            }
        }
    }

    /// Where the activations of the columns of `side` lie, (step, column).
    #[inline(always)]
    unsafe fn activations(&self, side: &Side) -> *mut u32 {
        // SAFETY: a slab has room for that many sides.
        unsafe {
            (&raw mut (*self.slice.scratch).activations).cast::<u32>().add(side.index * CHUNK / 2 * LANES)
        }
    }

    /// Where scale, correction and sum of column `c` of `side` lie, `width` from one group to the next.
    #[inline(always)]
    unsafe fn groups(&self, side: &Side, c: usize) -> (*mut f32, *mut i32, *mut f32) {
        let at = side.index * GROUPS * LANES + c;
        // SAFETY: a slab has room for that many sides.
        unsafe {
            let columns = &raw mut (*self.slice.scratch).columns;
            (
                (&raw mut (*columns).scale).cast::<f32>().add(at),
                (&raw mut (*columns).correction).cast::<i32>().add(at),
                (&raw mut (*columns).sum).cast::<f32>().add(at),
            )
        }
    }

    /// Unpacks a chunk of the sixteen rows from `row`.
    #[inline(always)]
    unsafe fn unpack(&self, row: usize, elements: Range<usize>) {
        let scratch = self.slice.scratch;
        for at in elements.clone().step_by(Self::ELEMENTS) {
            let done = at - elements.start;
            // SAFETY: sixteen rows from `row` are in the matrix; scratch has room for a chunk.
            unsafe {
                let out = Block::<P> {
                    codes: (&raw mut (*scratch).codes).cast::<P::V>().add(done / 4 * Self::STEPS),
                    scale: (&raw mut (*scratch).scale).cast::<P::F>().add(done / D::GROUP),
                    min: (&raw mut (*scratch).min).cast::<P::F>().add(done / D::GROUP),
                };
                D::unpack(self.isa, self.block(row, at), self.row_bytes(), out);
                self.ahead(row + self.rows.len(), at, (0, 1));
            }
        }
    }

    /// The block of `row` that begins with element `at`. It may be outside of the weights.
    #[inline(always)]
    fn block(&self, row: usize, at: usize) -> *const u8 {
        let offset = row * self.row_bytes() + at / Self::ELEMENTS * D::DTYPE.block_bytes();
        self.slice.weights.bytes.as_ptr().wrapping_add(offset)
    }

    /// Multiplies a chunk of the rows from `row` by the only column, block by block, without a way through scratch.
    #[inline(always)]
    unsafe fn column(&self, panel: usize, row: usize, elements: Range<usize>) {
        let (isa, scratch) = (self.isa, self.slice.scratch);
        let side = Side { index: 0, first: 0, skip: 0, acc: 0 };
        // SAFETY: sixteen rows from the panel's first are in the matrix; the arrays have room for any block, which is
        // unpacked before it is read; scratch has room for the column.
        unsafe {
            let acc_at = (&raw mut (*scratch).acc).cast::<P::F>().add(panel * SLAB);
            let accm_at = (&raw mut (*scratch).accm).cast::<P::F>().add(panel * SLAB);
            let (mut acc, mut accm) = (acc_at.read(), accm_at.read());
            let (scale, correction, sum) = self.groups(&side, 0);
            for at in elements.clone().step_by(Self::ELEMENTS) {
                let mut codes = [const { MaybeUninit::<P::V>::uninit() }; CHUNK / 2];
                let mut row_scale = [const { MaybeUninit::<P::F>::uninit() }; GROUPS];
                let mut row_min = [const { MaybeUninit::<P::F>::uninit() }; GROUPS];
                let out = Block::<P> {
                    codes: codes.as_mut_ptr().cast(),
                    scale: row_scale.as_mut_ptr().cast(),
                    min: row_min.as_mut_ptr().cast(),
                };
                D::unpack(isa, self.block(self.panel_start(row), at), self.row_bytes(), out);
                let groups = Self::ELEMENTS / D::GROUP;
                for g in 0..groups {
                    self.ahead(row + LANES, at, (g, groups));
                    let done = at - elements.start + g * D::GROUP;
                    let activations = self.activations(&side).add(done / 4 * Self::STEPS);
                    let codes = codes.as_ptr().add(g * D::GROUP / 4 * Self::STEPS).cast();
                    let at = done / D::GROUP;
                    let mut isum = self.dot::<1>(codes, activations, 1)[0];
                    if Self::OFFSET != 0 {
                        isum = isa.sub32(isum, isa.lanes(*correction.add(at)));
                    }
                    let both = isa.mul(row_scale[g].assume_init(), isa.splat(*scale.add(at)));
                    acc = isa.fma(both, isa.float(isum), acc);
                    if D::MIN {
                        accm = isa.fma(row_min[g].assume_init(), isa.splat(*sum.add(at)), accm);
                    }
                }
            }
            acc_at.write(acc);
            accm_at.write(accm);
        }
    }

    /// Bytes of a row of weights.
    #[inline(always)]
    fn row_bytes(&self) -> usize {
        self.slice.weights.columns / D::DTYPE.block_elements() * D::DTYPE.block_bytes()
    }

    /// Asks memory for as much of the sixteen rows from `row` as one block of them has, in the order in which they lie
    /// there; they may be outside of the weights. Of that, part `part` of `parts`: memory takes only so many requests
    /// at once.
    #[inline(always)]
    fn ahead(&self, row: usize, at: usize, (part, parts): (usize, usize)) {
        let bytes = LANES * D::DTYPE.block_bytes();
        let first = self.block(row, 0).wrapping_add(at / Self::ELEMENTS * bytes);
        let lines = bytes.div_ceil(LINE);
        for line in lines * part / parts..lines * (part + 1) / parts {
            self.isa.prefetch(first.wrapping_add(line * LINE));
        }
    }

    /// Sums of a group for `C` columns.
    #[inline(always)]
    unsafe fn dot<const C: usize>(
        &self,
        codes: *const P::V,
        activations: *const u32,
        width: usize,
    ) -> [P::V; C] {
        let isa = self.isa;
        // SAFETY: the caller's: a group of codes and activations.
        unsafe {
            match (D::BITS, D::GROUP) {
                (4, 16) => isa.dot::<4, 4, C>(codes, activations, width),
                (4, 32) => isa.dot::<4, 8, C>(codes, activations, width),
                (5, 16) => isa.dot::<5, 4, C>(codes, activations, width),
                (5, 32) => isa.dot::<5, 8, C>(codes, activations, width),
                (6, 16) => isa.dot::<6, 4, C>(codes, activations, width),
                (7, 16) => isa.dot::<7, 4, C>(codes, activations, width),
                (7, 32) => isa.dot::<7, 8, C>(codes, activations, width),
                (8, 32) => isa.dot::<8, 8, C>(codes, activations, width),
                _ => unreachable!("no product for codes of {} bits in groups of {}", D::BITS, D::GROUP),
            }
        }
    }

    /// Multiplies the unpacked chunk by the columns of `side`.
    #[inline(always)]
    unsafe fn tiles(&self, panel: usize, side: &Side, elements: usize) {
        let end = self.width.min(side.skip + self.columns.len() - side.acc);
        let mut c = side.skip;
        while c < end {
            let left = end - c;
            let tile = Tile { acc: panel * SLAB + side.acc + c - side.skip, groups: elements / D::GROUP };
            // SAFETY: the columns lie within the side.
            c += unsafe {
                match left {
                    8.. if P::COLUMNS >= 8 => self.tile::<8>(tile, side, c),
                    4.. => self.tile::<4>(tile, side, c),
                    2.. => self.tile::<2>(tile, side, c),
                    _ => self.tile::<1>(tile, side, c),
                }
            };
        }
    }

    /// Sixteen rows times `C` columns: the arithmetic of [`super::definition`]. Gives `C` back.
    #[inline(always)]
    unsafe fn tile<const C: usize>(&self, tile: Tile, side: &Side, c: usize) -> usize {
        let (isa, width, scratch) = (self.isa, self.width, self.slice.scratch);
        // SAFETY: scratch holds a chunk of codes, activations and sums for these rows and columns.
        unsafe {
            let acc_at = (&raw mut (*scratch).acc).cast::<P::F>().add(tile.acc);
            let accm_at = (&raw mut (*scratch).accm).cast::<P::F>().add(tile.acc);
            let codes = (&raw const (*scratch).codes).cast::<P::V>();
            let row_scale = (&raw const (*scratch).scale).cast::<P::F>();
            let row_min = (&raw const (*scratch).min).cast::<P::F>();
            let activations = self.activations(side).add(c);
            let (scale, correction, sum) = self.groups(side, c);
            for g in 0..tile.groups {
                let step = g * D::GROUP / 4 * Self::STEPS;
                let (codes, activations) = (codes.add(step), activations.add(step * width));
                let isum = self.dot::<C>(codes, activations, width);
                for c in 0..C {
                    let at = g * width + c;
                    let mut isum = isum[c];
                    if Self::OFFSET != 0 {
                        isum = isa.sub32(isum, isa.lanes(*correction.add(at)));
                    }
                    let both = isa.mul(*row_scale.add(g), isa.splat(*scale.add(at)));
                    let acc = acc_at.add(c);
                    *acc = isa.fma(both, isa.float(isum), *acc);
                    if D::MIN {
                        let accm = accm_at.add(c);
                        *accm = isa.fma(*row_min.add(g), isa.splat(*sum.add(at)), *accm);
                    }
                }
            }
        }
        C
    }

    /// Stores what the panel for the rows from `row` has summed up.
    #[inline(always)]
    unsafe fn finish(&self, panel: usize, row: usize) {
        let start = self.panel_start(row);
        for (index, column) in self.columns.clone().enumerate() {
            // SAFETY: the sums are those of this panel; the rows belong to this slice.
            unsafe {
                let scratch = &*self.slice.scratch;
                let (acc, accm) = (&scratch.acc[panel * SLAB + index], &scratch.accm[panel * SLAB + index]);
                for r in row..self.rows.end.min(start + LANES) {
                    let sum = if D::MIN { acc[r - start] - accm[r - start] } else { acc[r - start] };
                    self.slice.target.set(r, column, sum);
                }
            }
        }
    }
}

/// Columns that lie side by side in scratch.
struct Side {
    /// Which of the slab's.
    index: usize,
    /// The first column in scratch: the last side of a matrix overlaps the one before.
    first: usize,
    /// Columns of the overlap.
    skip: usize,
    /// Where the sums of the first column after the overlap are kept.
    acc: usize,
}

/// What a tile works on.
#[derive(Clone, Copy)]
struct Tile {
    /// Where its sums are.
    acc: usize,
    /// Groups of the chunk.
    groups: usize,
}
