//! What of a panel product depends on the format: unpacking sixteen rows, into scratch or on the way to one column.
//!
//! Not the rest of the product ([`super::panels`]), which is compiled once for all formats of a shape and comes here
//! through two function pointers, once for a chunk of sixteen rows.

use super::Order;
use super::panels::{CHUNK, CODES, GROUPS, LINE, Shape, Side, Work};
use super::sixteen::{CHUNK_BYTES, Interleave, Sixteen};
use crate::dot::{Block, Dot};
use crate::isa::{Kernel, LANES, Panels};
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ops::Range;

/// Places of a panel that are asked for side by side: memory gives more where it is read in several places.
const STREAMS: usize = 4;
/// How far ahead memory is asked for what lies in panels, in bytes: less is too late for the types with the most of them.
const AHEAD: usize = 8192;

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

    /// The rows chunk by chunk: where its elements begin, and how many blocks it has.
    #[inline(always)]
    pub fn chunks(&self) -> impl Iterator<Item = (usize, usize)> + use<'a, 'w, P, S, D> {
        let end = self.elements.end;
        self.elements.clone().step_by(CHUNK).map(move |at| (at, (end - at).min(CHUNK) / Self::ELEMENTS))
    }

    /// So many blocks of the panel whose first row is `row`, from element `at` on, side by side.
    ///
    /// # Safety
    /// The sixteen rows lie within the weights; what was brought side by side before is done with.
    #[inline(always)]
    pub unsafe fn side_by_side(
        &self,
        row: usize,
        at: usize,
        blocks: usize,
    ) -> impl Iterator<Item = Sixteen> + use<'a, 'w, P, S, D> {
        let bytes = D::DTYPE.block_bytes();
        let first = match self.work.slice.weights.order {
            // Sixteen rows begin where their first does.
            Order::Panels => self.block(row, LANES * at),
            Order::Rows => {
                let (order, rows, stride) = (self.work.order, self.block(row, at), self.row_bytes());
                assert!(blocks * LANES * bytes <= CHUNK_BYTES, "{blocks} blocks are no chunk");
                // SAFETY: the scratch belongs to this thread.
                let to = unsafe { (&raw mut (*self.work.slice.scratch).blocks).cast() };
                self.work.isa.run(Interleave { order, rows, stride, blocks, to });
                to
            }
        };
        (0..blocks).map(move |i| Sixteen::new(first.wrapping_add(i * LANES * bytes)))
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

    /// Asks memory for what this thread multiplies by the only column a while after the blocks of element `at`, if rows lie as
    /// in a file. If they lie in panels, says where that is, for [`Rows::ask`].
    #[inline(always)]
    pub fn ahead_of_column(&self, at: usize) -> Option<*const u8> {
        let (rows, after) = (&self.work.slice.rows, self.work.slice.after);
        if self.work.slice.weights.order == Order::Rows {
            let row = self.work.rows.start + (self.panel + 1) * LANES;
            self.ahead(if row < rows.end { self.block(row, 0) } else { after }, at);
            return None;
        }
        // Memory in its own order, and what comes after the last row of this thread's.
        let (here, end) = (self.block(self.work.first_row(self.panel), LANES * at), self.block(rows.end, 0));
        let to = here.wrapping_add(AHEAD);
        let over = to.addr().wrapping_sub(end.addr());
        Some(if to < end { to } else { after.wrapping_add(over) })
    }

    /// Asks memory for part `part` of `parts` of as much as a block of sixteen rows has, from `to` on: memory takes only so
    /// many requests at once.
    #[inline(always)]
    pub fn ask(&self, to: *const u8, (part, parts): (usize, usize)) {
        let bytes = LANES * D::DTYPE.block_bytes() / parts;
        for line in 0..bytes.div_ceil(LINE) {
            self.work.isa.prefetch(to.wrapping_add(part * bytes + line * LINE));
        }
    }

    /// Asks memory for as much of the panel that lies at `next` as one block of sixteen rows has, the same share of each of
    /// [`STREAMS`] parts of it; it may be outside of the weights.
    #[inline(always)]
    pub fn ahead(&self, next: *const u8, at: usize) {
        let bytes = LANES * D::DTYPE.block_bytes() / STREAMS;
        let (first, apart) = (at / Self::ELEMENTS * bytes, LANES / STREAMS * self.row_bytes());
        // Of each place as many lines as its share begins: fewer, and between two shares a line would be left out.
        for line in 0..bytes.div_ceil(LINE) {
            for place in 0..STREAMS {
                self.work.isa.prefetch(next.wrapping_add(first + place * apart + line * LINE));
            }
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
        let (mut at, blocks) = (rows.elements.start, rows.elements.len() / Rows::<P, S, D>::ELEMENTS);
        // SAFETY: sixteen rows from `row` are in the matrix; scratch has room for a chunk.
        unsafe {
            let (codes, scale, min) = work.unpacked(place);
            for block in rows.side_by_side(row, at, blocks) {
                let done = at - rows.elements.start;
                let out = Block::<P> {
                    codes: codes.add(done / 4),
                    scale: scale.add(done / D::GROUP),
                    min: min.add(done / D::GROUP),
                };
                D::unpack(isa, block, out);
                rows.ahead(next, at);
                at += Rows::<P, S, D>::ELEMENTS;
            }
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
        // SAFETY: sixteen rows from the panel's first are in the matrix; the arrays have room for any block, which is
        // unpacked before it is read; scratch has room for the column.
        unsafe {
            let (acc_at, accm_at) = work.sums(rows.panel, 0);
            let (mut acc, mut accm) = (acc_at.read(), accm_at.read());
            let (mut scale, mut correction, mut sum) = work.groups(&side, &rows.elements, 0);
            let mut activations = work.activations(&side, &rows.elements);
            for (mut at, blocks) in rows.chunks() {
                for block in rows.side_by_side(work.first_row(rows.panel), at, blocks) {
                    let mut codes = [const { MaybeUninit::<P::V>::uninit() }; CODES];
                    let mut row_scale = [const { MaybeUninit::<P::F>::uninit() }; GROUPS];
                    let mut row_min = [const { MaybeUninit::<P::F>::uninit() }; GROUPS];
                    let out = Block::<P> {
                        codes: codes.as_mut_ptr().cast(),
                        scale: row_scale.as_mut_ptr().cast(),
                        min: row_min.as_mut_ptr().cast(),
                    };
                    let ahead = rows.ahead_of_column(at);
                    D::unpack(isa, block, out);
                    for g in 0..groups {
                        if let Some(to) = ahead {
                            rows.ask(to, (g, groups));
                        }
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
                    at += Rows::<P, S, D>::ELEMENTS;
                }
            }
            acc_at.write(acc);
            accm_at.write(accm);
        }
    }
}
