//! A job of the threads: matrices that are multiplied by the same activations at once, and who does which part of them.
//!
//! Not the products themselves. The one design choice: a job is a list, since to hand over and to wait at the end costs as
//! much for a small matrix as for a large one, and what stays in memory of one matrix need not lie in one place.

use crate::isa::LANES;
use crate::product::{Quantized, Weights, panels};
use std::ops::Range;
use tensor::DType;

/// Bytes of weights that a thread takes at a time, at least, and at most where there is one column.
const PIECE: Range<usize> = 8 << 10..64 << 10;
/// Pieces of a worker's share, unless they would be too large or too small: as many as make the wait for the last one short.
const PIECES: usize = 32;
/// As [`PIECES`], where there are a few columns.
const PIECES_OF_FEW: usize = 8;
/// Columns of activations that a worker takes at a time, at most.
const COLUMNS: usize = 128;

/// Some rows of a matrix, and where results go.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    /// The rows.
    pub weights: Weights<'a>,
    /// Which of the outputs of the job takes the results.
    pub output: usize,
    /// Where in a row of it the result of the first row goes.
    pub first: usize,
}

/// Where results of a job go: number `r` of column `i` is `values[i * stride + r]`.
#[derive(Debug)]
pub struct Output<'a> {
    /// Of all columns.
    pub values: &'a mut [f32],
    /// Between one column and the next.
    pub stride: usize,
}

/// What is multiplied.
#[derive(Clone, Copy, Debug)]
pub enum Activations<'a> {
    /// By quantised weights.
    Int8(Quantized<'a>),
    /// By weights of F32, F16 or BF16; columns one after another.
    Floats(&'a [f32]),
}

impl Activations<'_> {
    /// How many columns they are, for `weights`.
    ///
    /// # Panics
    /// If they are not for such weights.
    pub(crate) fn count(&self, weights: &Weights<'_>) -> usize {
        let floats = matches!(weights.dtype, DType::F32 | DType::F16 | DType::BF16);
        match self {
            Activations::Int8(x) => {
                assert_eq!(weights.columns, x.columns, "elements of weight rows and of activations");
                x.count()
            }
            Activations::Floats(x) => {
                assert!(floats, "{} weights in a product of floats", weights.dtype);
                assert!(x.len().is_multiple_of(weights.columns), "{} elements are no columns", x.len());
                x.len() / weights.columns
            }
        }
    }
}

/// Rows of a product that is likely to come next.
#[derive(Clone, Copy, Debug, Default)]
pub struct NextRows<'a> {
    /// Whole rows.
    pub bytes: &'a [u8],
    /// How many they are.
    pub rows: usize,
}

impl NextRows<'_> {
    /// Where the share of `worker` begins in a job of these, with `n` columns. It may be outside of them.
    pub(crate) fn start(next: &[NextRows<'_>], threads: usize, worker: usize, n: usize) -> Option<*const u8> {
        let sizes = next.iter().map(|next| (next.rows, next.bytes.len()));
        let shares = Shares::new(threads, sizes, n);
        let Piece { matrix, rows, .. } = shares.piece(worker * shares.share());
        let next = next.get(matrix)?;
        Some(next.bytes.as_ptr().wrapping_add(rows.start * (next.bytes.len() / next.rows.max(1))))
    }
}

/// A part of a job.
pub(crate) struct Piece {
    pub matrix: usize,
    pub rows: Range<usize>,
    pub columns: Range<usize>,
}

/// How a job is divided among workers: matrix by matrix blocks of columns, and in each of them blocks of rows.
pub(crate) struct Shares {
    cuts: [Cut; Self::MATRICES],
    matrices: usize,
    pieces: usize,
    threads: usize,
}

/// How a matrix is cut.
#[derive(Clone, Copy, Default)]
struct Cut {
    /// Rows of the matrix, and of a piece.
    rows: (usize, usize),
    /// Columns of activations, and of a piece.
    columns: (usize, usize),
    /// The number of its first piece.
    first: usize,
}

impl Shares {
    /// Matrices that a job may have.
    pub const MATRICES: usize = 16;

    /// Divides matrices of so many rows and bytes, multiplied by `n` columns.
    ///
    /// # Panics
    /// If they are more than a job may have.
    pub fn new(threads: usize, sizes: impl Iterator<Item = (usize, usize)> + Clone, n: usize) -> Shares {
        let all = sizes.clone().fold((0, 0), |all, (rows, bytes)| (all.0 + rows, all.1 + bytes));
        let mut shares = Shares { cuts: [Cut::default(); Self::MATRICES], matrices: 0, pieces: 0, threads };
        for (rows, bytes) in sizes {
            let (block, columns) = match n {
                0 | 1 if threads == 1 => (rows.max(1), n),
                0 | 1 => {
                    let piece = (all.1 / (PIECES * threads)).clamp(PIECE.start, PIECE.end);
                    (piece.div_ceil((bytes / rows.max(1)).max(1)).next_multiple_of(LANES), n)
                }
                // Pieces of whole tiles, of which several share what is prepared of columns that do not lie side by side.
                _ if n < LANES => {
                    let fair = (all.0 / (PIECES_OF_FEW * threads)).max(1);
                    (fair.next_multiple_of(panels::TILE_ROWS).min(panels::FEW_ROWS), n)
                }
                // Activations that stay in a cache of the core's own while the matrix passes.
                _ => (panels::TILE_ROWS, n.div_ceil(n.div_ceil(COLUMNS)).next_multiple_of(LANES).min(n)),
            };
            let (rows, columns) = ((rows, block), (n, columns));
            shares.cuts[shares.matrices] = Cut { rows, columns, first: shares.pieces };
            shares.matrices += 1;
            shares.pieces += rows.0.div_ceil(block) * n.div_ceil(columns.1.max(1));
        }
        shares
    }

    /// How many pieces there are.
    pub fn pieces(&self) -> usize {
        self.pieces
    }

    /// Pieces of a worker's own.
    pub fn share(&self) -> usize {
        self.pieces.div_ceil(self.threads)
    }

    /// A piece by its number.
    pub fn piece(&self, number: usize) -> Piece {
        let cuts = &self.cuts[..self.matrices];
        let matrix = cuts.iter().rposition(|cut| cut.first <= number).unwrap_or(0);
        let Cut { rows, columns, first } = cuts.get(matrix).copied().unwrap_or_default();
        let part = |(all, block): (usize, usize), i: usize| (i * block).min(all)..all.min((i + 1) * block);
        let (number, down) = (number - first, rows.0.div_ceil(rows.1.max(1)).max(1));
        Piece { matrix, rows: part(rows, number % down), columns: part(columns, number / down) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_result_is_in_one_piece() {
        let matrices = [(160, 160 * 616), (1, 700), (48, 48 * 2304), (0, 0), (1000, 1000 * 18)];
        for (threads, n) in [1, 2, 3].into_iter().flat_map(|t| [1, 2, 15, 16, 130, 300].map(|n| (t, n))) {
            let shares = Shares::new(threads, matrices.into_iter(), n);
            let mut counts: Vec<Vec<u8>> = matrices.map(|(rows, _)| vec![0; rows * n]).into();
            for number in 0..shares.pieces() {
                let Piece { matrix, rows, columns } = shares.piece(number);
                for row in rows {
                    columns.clone().for_each(|column| counts[matrix][row * n + column] += 1);
                }
            }
            let once = counts.iter().flatten().all(|count| *count == 1);
            assert!(once, "{threads} threads, {n} columns");
        }
    }

    #[test]
    fn shares_begin_where_pieces_do() {
        let bytes = vec![0u8; 4096 * 100];
        let next =
            [NextRows { bytes: &bytes[..4096], rows: 1 }, NextRows { bytes: &bytes[4096..], rows: 99 }];
        let start = |worker| NextRows::start(&next, 2, worker, 1).unwrap().addr() - bytes.as_ptr().addr();
        assert_eq!((start(0), start(1)), (0, 4096 * (1 + 48)));
        assert!(NextRows::start(&[], 2, 1, 1).is_none());
    }
}
