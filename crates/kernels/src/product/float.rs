//! Products with weights that are floats: F32, F16, BF16.
//!
//! Not the quantised ones. Each output is a sum by sixteen chains over the row; tiles of a few rows and columns only
//! keep several such sums in flight.

use super::{Target, Weights};
use crate::elementwise::padded;
use crate::isa::{Isa, Kernel, LANES};
use std::ops::Range;
use tensor::DType;

/// Rows of a tile.
const ROWS: usize = 2;
/// Columns of a tile.
const COLUMNS: usize = 2;

/// What one thread does: some of the rows times some of the columns.
pub(crate) struct FloatSlice<'a> {
    /// The whole matrix: F32, F16 or BF16.
    pub weights: Weights<'a>,
    /// Its rows to compute.
    pub rows: Range<usize>,
    /// (n, weights.columns)
    pub x: &'a [f32],
    /// Its columns to compute.
    pub columns: Range<usize>,
    /// Where the results go; nobody else writes to these meanwhile.
    pub target: Target,
}

impl<I: Isa> Kernel<I> for FloatSlice<'_> {
    #[inline(always)]
    fn run(self, isa: I) {
        match self.weights.dtype {
            DType::F32 => self.product::<I, F32>(isa),
            DType::F16 => self.product::<I, F16>(isa),
            DType::BF16 => self.product::<I, Bf16>(isa),
            other => unreachable!("the caller let {other} through as a float"),
        }
    }
}

impl FloatSlice<'_> {
    #[inline(always)]
    fn product<I: Isa, T: Float>(&self, isa: I) {
        for row in self.rows.clone().step_by(ROWS) {
            let rows = ROWS.min(self.rows.end - row);
            for column in self.columns.clone().step_by(COLUMNS) {
                match (rows, COLUMNS.min(self.columns.end - column)) {
                    (1, 1) => self.tile::<I, T, 1, 1>(isa, row, column),
                    (1, _) => self.tile::<I, T, 1, COLUMNS>(isa, row, column),
                    (_, 1) => self.tile::<I, T, ROWS, 1>(isa, row, column),
                    _ => self.tile::<I, T, ROWS, COLUMNS>(isa, row, column),
                }
            }
        }
    }

    #[inline(always)]
    fn tile<I: Isa, T: Float, const R: usize, const C: usize>(&self, isa: I, row: usize, column: usize) {
        let (k, bytes) = (self.weights.columns, self.weights.columns * T::BYTES);
        let w: [&[u8]; R] = std::array::from_fn(|r| &self.weights.bytes[(row + r) * bytes..][..bytes]);
        let x: [&[f32]; C] = std::array::from_fn(|c| &self.x[(column + c) * k..][..k]);
        let mut chains = [[isa.splat(0.0); C]; R];
        for at in (0..k / LANES * LANES).step_by(LANES) {
            let mut columns = [isa.splat(0.0); C];
            for c in 0..C {
                columns[c] = isa.load(first(&x[c][at..at + LANES]));
            }
            for r in 0..R {
                let weight = T::load(isa, &w[r][at * T::BYTES..(at + LANES) * T::BYTES]);
                for c in 0..C {
                    chains[r][c] = isa.fma(weight, columns[c], chains[r][c]);
                }
            }
        }
        let tail = k / LANES * LANES;
        for r in 0..R {
            for c in 0..C {
                if tail < k {
                    let mut weight = [0; 4 * LANES];
                    weight[..bytes - tail * T::BYTES].copy_from_slice(&w[r][tail * T::BYTES..]);
                    let weight = T::load(isa, &weight[..LANES * T::BYTES]);
                    chains[r][c] = isa.fma(weight, isa.load(&padded(&x[c][tail..])), chains[r][c]);
                }
                // SAFETY: the rows belong to this slice.
                unsafe { self.target.set(row + r, column + c, isa.sum(chains[r][c])) }
            }
        }
    }
}

/// A float type of weights.
trait Float {
    const BYTES: usize;
    /// Sixteen elements.
    fn load<I: Isa>(isa: I, bytes: &[u8]) -> I::F;
}

struct F32;
struct F16;
struct Bf16;

impl Float for F32 {
    const BYTES: usize = 4;
    #[inline(always)]
    fn load<I: Isa>(isa: I, bytes: &[u8]) -> I::F {
        let mut x = [0.0; LANES];
        for (x, bytes) in x.iter_mut().zip(bytes.as_chunks().0) {
            *x = f32::from_le_bytes(*bytes);
        }
        isa.load(&x)
    }
}

impl Float for F16 {
    const BYTES: usize = 2;
    #[inline(always)]
    fn load<I: Isa>(isa: I, bytes: &[u8]) -> I::F {
        isa.load_f16(first(bytes))
    }
}

impl Float for Bf16 {
    const BYTES: usize = 2;
    #[inline(always)]
    fn load<I: Isa>(isa: I, bytes: &[u8]) -> I::F {
        isa.load_bf16(first(bytes))
    }
}

/// The elements of `x`, of which there are `N`.
#[inline(always)]
fn first<T, const N: usize>(x: &[T]) -> &[T; N] {
    x.first_chunk().expect("a chunk of that many elements")
}
