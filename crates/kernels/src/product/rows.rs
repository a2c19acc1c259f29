//! What of a panel product depends on the format: unpacking sixteen rows, into scratch or on the way to one column.
//!
//! Not the rest of the product ([`super::panels`]), which is compiled once for all formats of a shape and comes here
//! through two function pointers, once for a chunk of sixteen rows.

use super::panels::{CODES, GROUPS, LINE, Shape, Side, Work};
use crate::dot::{Block, Dot};
use crate::isa::{Kernel, LANES, Panels};
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ops::Range;

/// Places of a panel that are asked for side by side: memory gives more where it is read in several places.
pub(super) const STREAMS: usize = 4;

/// A format whose codes have the shape `S`.
pub(super) struct Format<P: Panels, S> {
    /// What the codes of a panel are too large by.
    pub offset: i32,
    /// Unpacks a chunk of a panel to a place of the tile: work, place, panel, elements.
    pub unpack: unsafe fn(&Work<P, S>, usize, usize, Range<usize>),
    /// Multiplies a chunk of a panel by the only column: work, panel, elements.
    pub column: unsafe fn(&Work<P, S>, usize, Range<usize>),
    shape: PhantomData<S>,
}

impl<P: Panels, S: Shape> Format<P, S> {
    pub const fn of<D: Dot>() -> Format<P, S> {
        const {
            assert!(D::GROUP == S::GROUP && D::MIN == S::MIN && (D::BITS <= S::BITS || !P::BY_BITS));
            assert!(D::BITS == 8 || D::MIN == (D::OFFSET == 0));
            assert!(D::BITS != 4 || D::OFFSET <= 8);
        }
        Format {
            offset: if D::BITS == 8 { P::SIGNED_OFFSET } else { D::OFFSET },
            unpack: |work, place, panel, elements| {
                work.isa.run(Unpack { rows: Rows::<P, S, D>::of(work, panel, elements), place })
            },
            column: P::column::<S, D>,
            shape: PhantomData,
        }
    }
}

/// Multiplies a chunk of a panel by the only column, as [`Panels::column`].
pub(crate) fn column<P: Panels, S: Shape, D: Dot>(work: &Work<P, S>, panel: usize, elements: Range<usize>) {
    work.isa.run(Column { rows: Rows::<P, S, D>::of(work, panel, elements) })
}

/// A chunk of the sixteen rows of a panel.
pub(super) struct Rows<'a, 'w, P: Panels, S, D> {
    pub work: &'a Work<'w, P, S>,
    pub panel: usize,
    pub elements: Range<usize>,
    format: PhantomData<D>,
}

impl<'a, 'w, P: Panels, S: Shape, D: Dot> Rows<'a, 'w, P, S, D> {
    #[inline(always)]
    pub fn of(work: &'a Work<'w, P, S>, panel: usize, elements: Range<usize>) -> Self {
        Rows { work, panel, elements, format: PhantomData }
    }

    /// Elements of a block.
    const ELEMENTS: usize = D::DTYPE.block_elements();

    /// Where the blocks of the rows begin.
    #[inline(always)]
    pub fn blocks(&self) -> impl Iterator<Item = usize> + use<'a, 'w, P, S, D> {
        self.elements.clone().step_by(Self::ELEMENTS)
    }

    /// Bytes of a row of weights.
    #[inline(always)]
    pub fn row_bytes(&self) -> usize {
        self.work.slice.weights.columns / Self::ELEMENTS * D::DTYPE.block_bytes()
    }

    /// The block of `row` that begins with element `at`. It may be outside of the weights.
    #[inline(always)]
    pub fn block(&self, row: usize, at: usize) -> *const u8 {
        let offset = row * self.row_bytes() + at / Self::ELEMENTS * D::DTYPE.block_bytes();
        self.work.slice.weights.bytes.as_ptr().wrapping_add(offset)
    }

    /// Where the next panel begins that this thread multiplies by the only column.
    #[inline(always)]
    pub fn next(&self) -> *const u8 {
        let row = self.work.rows.start + (self.panel + 1) * LANES;
        if row < self.work.slice.rows.end { self.block(row, 0) } else { self.work.slice.after }
    }

    /// Asks memory for as much of the panel that lies at `next` as one block of sixteen rows has, the same share of each of
    /// [`STREAMS`] parts of it; it may be outside of the weights. Of that, part `part` of `parts`: memory takes only so many
    /// requests at once.
    #[inline(always)]
    pub fn ahead(&self, next: *const u8, at: usize, (part, parts): (usize, usize)) {
        let bytes = LANES * D::DTYPE.block_bytes();
        let (lines, apart) = (bytes.div_ceil(LINE), LANES / STREAMS * self.row_bytes());
        let first = next.wrapping_add(at / Self::ELEMENTS * bytes / STREAMS);
        if parts < STREAMS {
            // Of each place as many lines as its share begins: fewer, and between two shares a line would be left out.
            for line in 0..(bytes / STREAMS).div_ceil(LINE) {
                for place in 0..STREAMS {
                    self.work.isa.prefetch(first.wrapping_add(place * apart + line * LINE));
                }
            }
            return;
        }
        let each = lines.div_ceil(parts);
        let first = first.wrapping_add(part % STREAMS * apart + part / STREAMS * each * LINE);
        for line in 0..each {
            self.work.isa.prefetch(first.wrapping_add(line * LINE));
        }
    }
}

/// Unpacks the rows into scratch.
struct Unpack<'a, 'w, P: Panels, S, D> {
    rows: Rows<'a, 'w, P, S, D>,
    /// Where in a tile.
    place: usize,
}

impl<P: Panels, S: Shape, D: Dot> Kernel<P> for Unpack<'_, '_, P, S, D> {
    #[inline(always)]
    fn run(self, isa: P) {
        let Unpack { rows, place } = self;
        let work = rows.work;
        let row = work.first_row(rows.panel);
        let next = rows.block(row + work.rows.len(), 0);
        for at in rows.blocks() {
            let done = at - rows.elements.start;
            // SAFETY: sixteen rows from `row` are in the matrix; scratch has room for a chunk.
            unsafe {
                let (codes, scale, min) = work.unpacked(place);
                let out = Block::<P> {
                    codes: codes.add(done / 4),
                    scale: scale.add(done / D::GROUP),
                    min: min.add(done / D::GROUP),
                };
                D::unpack(isa, rows.block(row, at), rows.row_bytes(), out);
            }
            rows.ahead(next, at, (0, 1));
        }
    }
}

/// Multiplies the rows by the only column, block by block, without a way through scratch.
struct Column<'a, 'w, P: Panels, S, D> {
    rows: Rows<'a, 'w, P, S, D>,
}

impl<P: Panels, S: Shape, D: Dot> Kernel<P> for Column<'_, '_, P, S, D> {
    #[inline(always)]
    fn run(self, isa: P) {
        let rows = self.rows;
        let work = rows.work;
        let side = Side { index: 0, first: 0, width: 1 };
        let groups = Rows::<P, S, D>::ELEMENTS / D::GROUP;
        let next = rows.next();
        // SAFETY: sixteen rows from the panel's first are in the matrix; the arrays have room for any block, which is
        // unpacked before it is read; scratch has room for the column.
        unsafe {
            let (acc_at, accm_at) = work.sums(rows.panel, 0);
            let (mut acc, mut accm) = (acc_at.read(), accm_at.read());
            let (mut scale, mut correction, mut sum) = work.groups(&side, &rows.elements, 0);
            let mut activations = work.activations(&side, &rows.elements);
            for at in rows.blocks() {
                let mut codes = [const { MaybeUninit::<P::V>::uninit() }; CODES];
                let mut row_scale = [const { MaybeUninit::<P::F>::uninit() }; GROUPS];
                let mut row_min = [const { MaybeUninit::<P::F>::uninit() }; GROUPS];
                let out = Block::<P> {
                    codes: codes.as_mut_ptr().cast(),
                    scale: row_scale.as_mut_ptr().cast(),
                    min: row_min.as_mut_ptr().cast(),
                };
                D::unpack(isa, rows.block(work.first_row(rows.panel), at), rows.row_bytes(), out);
                for g in 0..groups {
                    rows.ahead(next, at, (g, groups));
                    let codes = codes.as_ptr().add(g * D::GROUP / 4).cast();
                    let [[isum]] = work.dot::<1, 1>([codes], activations, correction, 1);
                    let both = isa.mul(row_scale[g].assume_init(), isa.splat(*scale));
                    acc = isa.fma(both, isa.float(isum), acc);
                    if D::MIN {
                        accm = isa.fma(row_min[g].assume_init(), isa.splat(*sum), accm);
                    }
                    activations = activations.add(D::GROUP / 4);
                    (scale, correction, sum) = (scale.add(1), correction.add(1), sum.add(1));
                }
            }
            acc_at.write(acc);
            accm_at.write(accm);
        }
    }
}
