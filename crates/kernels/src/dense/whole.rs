//! Products of matrices of bytes, signed or not, less what counts as zero in them; the sums are exact.
//!
//! The one design choice: differences of bytes are multiplied as f32, in which sums of up to [`DEPTH`] such products are exact,
//! and those sums are added up as i32. So whole numbers take the tiles of floats, on every instruction set.

use super::{DEPTH, ROWS, Scratch, multiply};
use crate::isa::{Isa, Kernel, LANES};
use std::ops::Range;

// A difference has eight bits and a sign.
const _: () = assert!(255 * 255 * DEPTH <= 1 << 24);

/// A matrix of bytes.
#[derive(Clone, Copy)]
pub struct Bytes<'a> {
    /// Row-major.
    pub bytes: &'a [u8],
    /// Whether they are signed.
    pub signed: bool,
    /// What counts as zero: one number, or one for each row of a left and each column of a right matrix.
    pub zeros: &'a [u8],
}

impl Bytes<'_> {
    #[inline(always)]
    fn number(&self, byte: u8) -> f32 {
        if self.signed { f32::from(byte as i8) } else { f32::from(byte) }
    }

    #[inline(always)]
    fn zero(&self, place: usize) -> f32 {
        self.number(self.zeros[if self.zeros.len() == 1 { 0 } else { place }])
    }
}

/// A product: (rows, columns) = `a` (rows, common) times `b` (common, columns).
#[derive(Clone, Copy)]
pub struct Whole<'a> {
    /// (rows, common)
    pub a: Bytes<'a>,
    /// (common, columns)
    pub b: Bytes<'a>,
    /// Rows of the result.
    pub rows: usize,
    /// What is multiplied and added up.
    pub common: usize,
    /// Columns of the result.
    pub columns: usize,
}

impl Whole<'_> {
    /// Checks that everything is as large as it must be.
    pub(crate) fn check(&self) {
        let Whole { a, b, rows, common, columns } = *self;
        assert!(
            a.bytes.len() == rows * common && b.bytes.len() == common * columns,
            "bytes of both matrices"
        );
        assert!([1, rows].contains(&a.zeros.len()) && [1, columns].contains(&b.zeros.len()), "zeros of both");
    }
}

/// What one thread does: some columns.
pub(crate) struct WholeSlice<'a> {
    pub product: &'a Whole<'a>,
    pub columns: Range<usize>,
    /// (product.rows, product.columns); nobody else writes to the columns of this slice.
    pub out: *mut i32,
    /// Memory of this thread alone.
    pub scratch: *mut Scratch,
}

impl<I: Isa> Kernel<I> for WholeSlice<'_> {
    #[inline(always)]
    fn run(self, isa: I) {
        if I::CHAINS >= super::MANY {
            self.panels::<I, 4>(isa);
        } else {
            self.panels::<I, 1>(isa);
        }
    }
}

impl WholeSlice<'_> {
    #[inline(always)]
    fn panels<I: Isa, const V: usize>(&self, isa: I) {
        let Whole { b, rows, common, columns: all, .. } = *self.product;
        for column in self.columns.clone().step_by(V * LANES) {
            let columns = (self.columns.end - column).min(V * LANES);
            for start in (0..common).step_by(DEPTH) {
                let depth = (common - start).min(DEPTH);
                // SAFETY: the scratch belongs to this thread, and has room for DEPTH rows of WIDTH.
                let panel =
                    unsafe { std::slice::from_raw_parts_mut(self.scratch.cast::<f32>(), depth * V * LANES) };
                for (k, row) in panel.chunks_exact_mut(V * LANES).enumerate() {
                    row[columns..].fill(0.0);
                    let bytes = &b.bytes[(start + k) * all + column..][..columns];
                    for (i, (x, byte)) in row.iter_mut().zip(bytes).enumerate() {
                        *x = b.number(*byte) - b.zero(column + i);
                    }
                }
                let mut row = 0;
                while row < rows {
                    let at = (row, column, columns, start, depth);
                    row += match rows - row {
                        ROWS.. => self.tile::<I, ROWS, V>(isa, panel, at),
                        2.. => self.tile::<I, 2, V>(isa, panel, at),
                        _ => self.tile::<I, 1, V>(isa, panel, at),
                    };
                }
            }
        }
    }

    #[inline(always)]
    fn tile<I: Isa, const R: usize, const V: usize>(
        &self,
        isa: I,
        panel: &[f32],
        (row, column, columns, start, depth): (usize, usize, usize, usize, usize),
    ) -> usize {
        let Whole { a, common, columns: all, .. } = *self.product;
        let mut left = [0.0; ROWS * DEPTH];
        for r in 0..R {
            let zero = a.zero(row + r);
            let bytes = &a.bytes[(row + r) * common + start..][..depth];
            let numbers = left[r * DEPTH..][..depth].iter_mut().zip(bytes);
            numbers.for_each(|(x, byte)| *x = a.number(*byte) - zero);
        }
        let mut sums = [[isa.splat(0.0); V]; R];
        // SAFETY: the panel has `depth` rows of V vectors.
        unsafe { multiply(isa, (&left, DEPTH), (panel.as_ptr(), V * LANES), depth, &mut sums) };
        for r in 0..R {
            for v in 0..V {
                let mut all_lanes = [0.0; LANES];
                isa.store(sums[r][v], &mut all_lanes);
                for (i, sum) in all_lanes.iter().enumerate().take(columns.saturating_sub(v * LANES)) {
                    // SAFETY: rows and columns of the result belong to this slice.
                    let to = unsafe { &mut *self.out.add((row + r) * all + column + v * LANES + i) };
                    *to = if start == 0 { *sum as i32 } else { to.wrapping_add(*sum as i32) };
                }
            }
        }
        R
    }
}
