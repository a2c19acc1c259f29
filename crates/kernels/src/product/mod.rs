//! Products of a weight matrix with columns of activations: the types, and what a thread is given to do.
//!
//! `out[i][r] = sum over k of weight[r][k] * x[i][k]`. Not a place for splitting work over threads ([`crate::Cpu`]
//! does that). The one design choice: weights are read as they lie in the file, by whole rows; activations of
//! quantised products are int8 with one scale for 32, whatever the format of the weights.

mod columns;
pub(crate) mod definition;
pub(crate) mod float;
pub(crate) mod outer;
pub(crate) mod panels;
mod rows;

use std::ops::Range;
use tensor::DType;

/// Elements of activations that share a scale.
pub const ACTIVATION_GROUP: usize = 32;

/// Rows of a weight matrix as they lie in the file.
#[derive(Clone, Copy, Debug)]
pub struct Weights<'a> {
    /// The type of the blocks.
    pub dtype: DType,
    /// Exactly `rows` rows of `columns` elements.
    pub bytes: &'a [u8],
    /// How many rows: the outputs of the product.
    pub rows: usize,
    /// Elements of a row, whole blocks: the inputs of the product.
    pub columns: usize,
}

impl Weights<'_> {
    /// Bytes of one row.
    ///
    /// # Panics
    /// If a row is not whole blocks, or the bytes are not the rows: a mistake of the caller.
    pub(crate) fn row_bytes(&self) -> usize {
        let row = self.dtype.bytes_of(self.columns as u64).map_or(0, |bytes| bytes as usize);
        assert!(
            row > 0 && row.checked_mul(self.rows) == Some(self.bytes.len()),
            "{} bytes are not {} rows of {} elements of {}",
            self.bytes.len(),
            self.rows,
            self.columns,
            self.dtype
        );
        row
    }
}

/// Activations as int8: element `j` of column `i` is about `q[i][j] * scale[i][j / 32]`.
#[derive(Clone, Copy, Debug)]
pub struct Quantized<'a> {
    /// Integers, (n, columns).
    pub q: &'a [i8],
    /// Scale of each 32, (n, columns / 32).
    pub scale: &'a [f32],
    /// Sum of each 16 integers, (n, columns / 16).
    pub sums: &'a [i16],
    /// Elements of one column of activations, a multiple of 32: `k` of the product.
    pub columns: usize,
}

/// Room for [`Quantized`]; see [`Quantized::padded`] for its sizes.
#[derive(Debug)]
pub struct QuantizedMut<'a> {
    /// Integers, (n, padded k).
    pub q: &'a mut [i8],
    /// Scale of each 32, (n, padded k / 32).
    pub scale: &'a mut [f32],
    /// Sum of each 16 integers, (n, padded k / 16).
    pub sums: &'a mut [i16],
}

impl Quantized<'_> {
    /// Elements that a column of `k` takes when quantised: `k` rounded up to whole groups of 32, zeros at the end.
    pub fn padded(k: usize) -> usize {
        k.next_multiple_of(ACTIVATION_GROUP)
    }

    /// Bytes of `n` quantised columns of `k` elements: integers, scales and sums together.
    pub fn bytes(n: usize, k: usize) -> usize {
        let k = Self::padded(k);
        n * (k + k / ACTIVATION_GROUP * 4 + k / 16 * 2)
    }

    /// How many columns of activations there are.
    ///
    /// # Panics
    /// If the parts do not fit together: a mistake of the caller.
    pub(crate) fn count(&self) -> usize {
        let n = self.q.len() / self.columns;
        let whole = self.columns.is_multiple_of(ACTIVATION_GROUP) && n * self.columns == self.q.len();
        let groups = n * self.columns / ACTIVATION_GROUP;
        assert!(
            whole && self.scale.len() == groups && self.sums.len() == 2 * groups,
            "{} integers, {} scales and {} sums are not columns of {}",
            self.q.len(),
            self.scale.len(),
            self.sums.len(),
            self.columns
        );
        n
    }
}

/// The part of an output matrix that one thread may write: column `i` of row `r` is `out[i * stride + first + r]`.
#[derive(Clone, Copy)]
pub(crate) struct Target {
    /// The whole output.
    pub out: *mut f32,
    /// Between one column and the next.
    pub stride: usize,
    /// Where row 0 is.
    pub first: usize,
}

// SAFETY: a target is only an address; whoever writes through it says why no one else writes there.
unsafe impl Sync for Target {}
// SAFETY: as above.
unsafe impl Send for Target {}

impl Target {
    /// `len` outputs from number `at`, whatever stride and first row are.
    ///
    /// # Safety
    /// They lie within the output and nobody else touches them for as long as the result lives.
    #[inline(always)]
    pub(crate) unsafe fn slice<'a>(self, at: usize, len: usize) -> &'a mut [f32] {
        // SAFETY: the caller's.
        unsafe { std::slice::from_raw_parts_mut(self.out.add(at), len) }
    }

    /// `len` outputs of a column from row `row`.
    ///
    /// # Safety
    /// As for [`Target::slice`].
    #[inline(always)]
    pub(crate) unsafe fn rows<'a>(self, column: usize, row: usize, len: usize) -> &'a mut [f32] {
        // SAFETY: the caller's.
        unsafe { self.slice(column * self.stride + self.first + row, len) }
    }

    /// Stores one output.
    ///
    /// # Safety
    /// The element lies within the output and no other thread touches it.
    #[inline(always)]
    pub(crate) unsafe fn set(self, row: usize, column: usize, value: f32) {
        // SAFETY: the caller's.
        unsafe { *self.out.add(column * self.stride + self.first + row) = value }
    }
}

/// What one thread does of a quantised product: some of the rows times some of the columns.
pub(crate) struct Slice<'a> {
    /// The whole matrix.
    pub weights: Weights<'a>,
    /// Its rows to compute.
    pub rows: Range<usize>,
    /// All activations.
    pub x: Quantized<'a>,
    /// The columns of them to compute.
    pub columns: Range<usize>,
    /// Where the results go; nobody else writes to these meanwhile.
    pub target: Target,
    /// Memory of this thread alone.
    pub scratch: *mut panels::Scratch,
    /// Which product this is, never the number of an earlier one, and the one for which the scratch was prepared.
    pub number: u64,
    pub prepared: *mut u64,
    /// What is likely to be read after these rows; it need not be valid.
    pub after: *const u8,
}

/// A product for one type of weights.
pub(crate) type SliceFn = fn(&Slice);
