//! One column by the codebooks, where their tables are looked up in registers ([`Tables`]).
//!
//! Not for many columns, which share an unpacking ([`super::rows`]). The one design choice: a look-up gives the elements `k` of
//! four entries at once, so a vector of codes has the elements `k`, `k + 8`, `k + 16` and `k + 24` of 32, and it is the
//! activations that are turned, once for sixteen rows. A sum of whole numbers is exact in any order.

use super::panels::{CHUNK, GROUPS, Shape, Side, Work};
use super::rows::Rows;
use super::{ACTIVATION_GROUP, STEPS};
use crate::dot::Dot;
use crate::isa::{Kernel, Panels, Tables};
use std::ops::Range;

/// Multiplies a chunk of a panel by the only column.
pub(crate) struct Column<'a, 'w, P: Panels, T, S, D> {
    rows: Rows<'a, 'w, P, S, D>,
    tables: T,
}

impl<'a, 'w, P: Panels, T: Tables<P>, S: Shape, D: Dot> Column<'a, 'w, P, T, S, D> {
    #[allow(dead_code)] // not every kind of CPU has tables
    pub fn of(tables: T, work: &'a Work<'w, P, S>, panel: usize, elements: Range<usize>) -> Self {
        Column { rows: Rows::of(work, panel, elements), tables }
    }
}

impl<P: Panels, T: Tables<P>, S: Shape, D: Dot> Kernel<P> for Column<'_, '_, P, T, S, D> {
    #[inline(always)]
    fn run(self, isa: P) {
        let Column { rows, tables } = self;
        let work = rows.work;
        let side = Side { index: 0, first: 0, width: 1 };
        // SAFETY: sixteen rows from the panel's first are in the matrix; scratch has room for the column.
        unsafe {
            let sums = work.sums(rows.panel, 0).0;
            let (scale, correction, _) = work.groups(&side, &rows.elements, 0);
            let mut activations = work.activations(&side, &rows.elements);
            let mut turned = [[0; STEPS]; GROUPS];
            let acc = sums.read();
            let mut out = Turned { isa, acc, scale, correction, activations: turned.as_ptr() };
            for (at, _) in rows.chunks() {
                let blocks = rows.side_by_side(work.first_row(rows.panel), at, 1);
                for g in 0..CHUNK / D::GROUP {
                    let which = if D::GROUP == ACTIVATION_GROUP { u32::MAX } else { 0xffff << (g % 2 * 16) };
                    let from = activations.add(g * D::GROUP / ACTIVATION_GROUP * STEPS);
                    tables.turn(from, which, &mut turned[g]);
                }
                activations = activations.add(CHUNK / 4);
                out.activations = turned.as_ptr();
                if let Some(to) = rows.ahead_of_column(at) {
                    rows.ask(to, (0, 1));
                }
                for block in blocks {
                    D::turned(isa, tables, block, &mut out);
                }
            }
            sums.write(out.acc);
        }
    }
}

/// Sums of sixteen rows, and where the activations of the next 32 elements are.
pub(crate) struct Turned<P: Panels> {
    isa: P,
    acc: P::F,
    scale: *const f32,
    correction: *const i32,
    activations: *const [u32; STEPS],
}

impl<P: Panels> Turned<P> {
    /// Takes in the codes of 32 elements, of one group or of two, whose scales are these.
    ///
    /// # Safety
    /// There are so many elements.
    #[inline(always)]
    pub(crate) unsafe fn put<const N: usize>(&mut self, codes: [P::V; STEPS], scales: [P::F; N]) {
        let isa = self.isa;
        for g in 0..N {
            // SAFETY: the caller's.
            let [[isum]] = unsafe {
                let start = isa.lanes(*self.correction.add(g));
                isa.dot::<7, STEPS, 1, 1>([start], [codes.as_ptr()], self.activations.add(g).cast(), 1)
            };
            // SAFETY: the caller's.
            let both = isa.mul(scales[g], isa.splat(unsafe { *self.scale.add(g) }));
            self.acc = isa.fma(both, isa.float(isum), self.acc);
        }
        // SAFETY: the caller's: at most past the last.
        unsafe {
            (self.scale, self.correction) = (self.scale.add(N), self.correction.add(N));
            self.activations = self.activations.add(N);
        }
    }
}
