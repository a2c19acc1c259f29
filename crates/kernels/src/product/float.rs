//! Products with weights that are floats: F32, F16, BF16.
//!
//! Not the quantised ones. Each output is a sum by sixteen chains over the row, which are added up in the end as a tree. Tiles
//! of a few rows and columns keep as many such chains in flight as registers hold. The one design choice: a row is worked
//! through in chunks that stay in the first cache while all columns pass, and chains wait in scratch meanwhile, so nothing
//! about the order of a sum depends on a tile.

use super::panels::Scratch;
use super::{Target, Weights};
use crate::elementwise::padded;
use crate::isa::{Isa, Kernel, LANES};
use std::ops::Range;
use tensor::DType;

/// Elements of a row that are multiplied by all columns before the next.
const CHUNK: usize = 1024;
/// Columns whose chains wait side by side.
const SLAB: usize = 64;
/// Rows and columns of a tile where registers have room for 24 sums, and elsewhere.
const LARGE: (usize, usize) = (6, 4);
const SMALL: (usize, usize) = (2, 2);
/// Rows that are read side by side for one column: memory gives more where it is read in several places.
const ALONE: usize = 4;

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
    /// Memory of this thread alone.
    pub scratch: *mut Scratch,
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
        for column in self.columns.clone().step_by(SLAB) {
            let columns = column..self.columns.end.min(column + SLAB);
            let most = match columns.len() {
                1 => ALONE,
                _ if I::CHAINS >= LARGE.0 * LARGE.1 => LARGE.0,
                _ => SMALL.0,
            };
            for row in self.rows.clone().step_by(most) {
                let left = (self.rows.end - row).min(most);
                match (most, left == most) {
                    (ALONE, true) => self.rows::<I, T, ALONE, 1>(isa, row, &columns),
                    (_, true) if most == LARGE.0 => {
                        self.rows::<I, T, { LARGE.0 }, { LARGE.1 }>(isa, row, &columns);
                    }
                    (_, true) => self.rows::<I, T, { SMALL.0 }, { SMALL.1 }>(isa, row, &columns),
                    _ => (row..row + left)
                        .for_each(|row| self.rows::<I, T, 1, { SMALL.1 }>(isa, row, &columns)),
                }
            }
        }
    }

    /// `R` rows from `row` times some columns, `C` at a time.
    #[inline(always)]
    fn rows<I: Isa, T: Float, const R: usize, const C: usize>(
        &self,
        isa: I,
        row: usize,
        columns: &Range<usize>,
    ) {
        const { assert!(R <= LARGE.0 && size_of::<I::F>() == LANES * 4) }
        // SAFETY: the scratch belongs to this thread and has room for more sums than these rows and a slab of columns have.
        let chains = unsafe { Scratch::sums::<I::F, { LARGE.0 * SLAB }>(self.scratch) };
        let chains = &mut chains[..R * columns.len()];
        chains.fill(isa.splat(0.0));
        for start in (0..self.weights.columns).step_by(CHUNK) {
            let elements = start..self.weights.columns.min(start + CHUNK);
            let (whole, one) = (chains.len() / (R * C) * C, columns.len());
            for c in (0..whole).step_by(C) {
                let sums = &mut chains[c * R..(c + C) * R];
                self.tile::<I, T, R, C>(isa, row, columns.start + c, elements.clone(), sums);
            }
            for c in whole..one {
                let sums = &mut chains[c * R..(c + 1) * R];
                self.tile::<I, T, R, 1>(isa, row, columns.start + c, elements.clone(), sums);
            }
        }
        for (column, sums) in columns.clone().zip(chains.chunks_exact(R)) {
            for (r, &sum) in sums.iter().enumerate() {
                // SAFETY: the rows and columns belong to this slice.
                unsafe { self.target.set(row + r, column, isa.sum(sum)) }
            }
        }
    }

    /// Adds a chunk of `R` rows times `C` columns to `sums`, (column, row).
    #[inline(always)]
    fn tile<I: Isa, T: Float, const R: usize, const C: usize>(
        &self,
        isa: I,
        row: usize,
        column: usize,
        elements: Range<usize>,
        sums: &mut [I::F],
    ) {
        let (k, bytes) = (self.weights.columns, self.weights.columns * T::BYTES);
        let (len, start) = (elements.len(), elements.start);
        let w: [&[u8]; R] = std::array::from_fn(|r| {
            &self.weights.bytes[(row + r) * bytes + start * T::BYTES..][..len * T::BYTES]
        });
        let x: [&[f32]; C] = std::array::from_fn(|c| &self.x[(column + c) * k + start..][..len]);
        let mut chains = [[isa.splat(0.0); C]; R];
        for r in 0..R {
            for c in 0..C {
                chains[r][c] = sums[c * R + r];
            }
        }
        let whole = len / LANES * LANES;
        for at in (0..whole).step_by(LANES) {
            let mut weights = [isa.splat(0.0); R];
            for r in 0..R {
                weights[r] = T::load(isa, &w[r][at * T::BYTES..(at + LANES) * T::BYTES]);
            }
            for c in 0..C {
                let column = isa.load(first(&x[c][at..at + LANES]));
                for r in 0..R {
                    chains[r][c] = isa.fma(weights[r], column, chains[r][c]);
                }
            }
        }
        for r in 0..R {
            for c in 0..C {
                sums[c * R + r] = chains[r][c];
            }
        }
        if whole < len {
            for (at, sum) in sums.iter_mut().enumerate() {
                let mut weight = [0; 4 * LANES];
                weight[..(len - whole) * T::BYTES].copy_from_slice(&w[at % R][whole * T::BYTES..]);
                let weight = T::load(isa, &weight[..LANES * T::BYTES]);
                *sum = isa.fma(weight, isa.load(&padded(&x[at / R][whole..])), *sum);
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
