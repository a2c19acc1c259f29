//! Right matrices of bytes that stand for numbers, widened while a panel of them is laid out.
//!
//! Not a copy of the weights as floats: only the panel that registers multiply next is one. The one design choice: a byte becomes
//! the number that a pass over the whole matrix would have made of it, less what counts as zero (exact) and times its scale
//! (rounded once), so sums are the same bits.

use super::Bytes;
use crate::isa::{Isa, LANES};

/// Rows that are asked for before they are laid out: a row is a line of the cache or two, far from the next.
const AHEAD: usize = 24;

/// A matrix (common, columns) of bytes, one row `stride` behind the other, and the numbers that they stand for.
#[derive(Clone, Copy)]
pub struct Scaled<'a> {
    /// What counts as zero is one number, or as many as there are scales.
    pub b: Bytes<'a>,
    /// From a row to the next.
    pub stride: usize,
    /// One number, or one for each column, or one for each row.
    pub scale: &'a [f32],
    /// Whether it is one for each row.
    pub by_row: bool,
}

impl Scaled<'_> {
    /// Checks that everything is as large as it must be.
    pub(super) fn check(&self, common: usize, columns: usize) {
        let Scaled { b, stride, scale, by_row } = *self;
        let many = if by_row { common } else { columns };
        assert!(stride >= columns && (common == 0 || b.bytes.len() >= (common - 1) * stride + columns));
        assert!([1, many].contains(&scale.len()) && [1, many].contains(&b.zeros.len()), "scales and zeros");
    }

    /// What is added to a byte taken as a signed one, and the scale, of a row or a column.
    #[inline(always)]
    fn factors(&self, place: usize) -> (f32, f32) {
        let moved = if self.b.signed { 0 } else { 128 };
        let scale = self.scale[if self.scale.len() == 1 { 0 } else { place }];
        ((moved - self.b.zero(place)) as f32, scale)
    }

    /// Rows from `start` and `columns` columns from `column` as floats, `V` vectors apart.
    #[inline(always)]
    pub(super) fn pack<I: Isa, const V: usize>(
        &self,
        isa: I,
        start: usize,
        column: usize,
        columns: usize,
        panel: &mut [f32],
    ) {
        let flip = if self.b.signed { 0 } else { 0x80 };
        let (mut plus, mut scale) = ([[0.0; LANES]; V], [[0.0; LANES]; V]);
        if !self.by_row {
            for i in 0..columns {
                let (more, by) = self.factors(column + i);
                (plus[i / LANES][i % LANES], scale[i / LANES][i % LANES]) = (more, by);
            }
        }
        let mut copy = [[0; LANES]; V];
        for (k, row) in (start..).zip(panel.chunks_exact_mut(V * LANES)) {
            let from = &self.b.bytes[k * self.stride + column..][..columns];
            isa.prefetch(from.as_ptr().wrapping_add(AHEAD * self.stride));
            if self.by_row {
                let (more, by) = self.factors(k);
                (plus, scale) = ([[more; LANES]; V], [[by; LANES]; V]);
            }
            let whole = from.as_chunks::<LANES>().0.first_chunk::<V>();
            if whole.is_none() {
                copy.as_flattened_mut()[..columns].copy_from_slice(from);
            }
            let from = whole.unwrap_or(&copy);
            let to = row.as_chunks_mut::<LANES>().0;
            for v in 0..V {
                let mut bytes = from[v];
                for i in 0..LANES {
                    bytes[i] ^= flip;
                }
                let x = isa.add(isa.load_i8(&bytes), isa.load(&plus[v]));
                isa.store(isa.mul(x, isa.load(&scale[v])), &mut to[v]);
            }
        }
    }
}
