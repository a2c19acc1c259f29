//! Products of a weight matrix with columns of activations: the types, and what a thread is given to do.
//!
//! `out[i][r] = sum over k of weight[r][k] * x[i][k]`. Not a place for splitting work over threads ([`crate::Cpu`]
//! does that). The one design choice: weights are bytes of the file, by whole rows or by sixteen rows side by side; activations of
//! quantised products are int8 with one scale for 32, whatever the format of the weights.

mod columns;
pub(crate) mod definition;
pub(crate) mod float;
pub(crate) mod outer;
pub(crate) mod panels;
pub(crate) mod rows;
pub(crate) mod sixteen;
pub(crate) mod turned;

use crate::isa::LANES;
use std::ops::Range;
use tensor::{DType, PanelOrder};

/// Elements of activations that share a scale.
pub const ACTIVATION_GROUP: usize = 32;
/// Times four integers are such a group.
pub(crate) const STEPS: usize = ACTIVATION_GROUP / 4;

/// How the rows of a matrix lie in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// One after another, as in a file.
    Rows,
    /// Sixteen side by side ([`PanelOrder`]): a multiple of sixteen rows of a quantised type.
    Panels,
}

impl Order {
    /// The order in which so many rows are multiplied fastest. The bytes are the same.
    pub fn best(dtype: DType, rows: usize) -> Order {
        match dtype.is_quantized() && rows > 0 && rows.is_multiple_of(LANES) {
            true => Order::Panels,
            false => Order::Rows,
        }
    }
}

/// Rows of a weight matrix.
#[derive(Clone, Copy, Debug)]
pub struct Weights<'a> {
    /// The type of the blocks.
    pub dtype: DType,
    /// How the rows lie.
    pub order: Order,
    /// Exactly `rows` rows of `columns` elements.
    pub bytes: &'a [u8],
    /// How many rows: the outputs of the product.
    pub rows: usize,
    /// Elements of a row, whole blocks: the inputs of the product.
    pub columns: usize,
}

impl<'a> Weights<'a> {
    /// Rows that lie one after another, as in a file.
    pub fn in_rows(dtype: DType, bytes: &'a [u8], rows: usize, columns: usize) -> Weights<'a> {
        Weights { dtype, order: Order::Rows, bytes, rows, columns }
    }

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
        let fits = self.order == Order::Rows || Order::best(self.dtype, self.rows) == Order::Panels;
        assert!(fits, "{} rows of {} are no panels", self.rows, self.dtype);
        row
    }
}

/// Activations as int8: element `j` of column `i` is about `q[i][j] * scale[i][j / 32]`.
///
/// They lie as products read them: sixteen columns side by side, four integers, one scale and two sums of each in turn.
/// Columns that are left over lie one after another.
#[derive(Clone, Copy, Debug)]
pub struct Quantized<'a> {
    /// Integers, (n / 16, columns / 4, 16, 4).
    pub q: &'a [i8],
    /// Scale of each 32, (n / 16, columns / 32, 16).
    pub scale: &'a [f32],
    /// Sum of each 16 integers, (n / 16, columns / 32, 16, 2).
    pub sums: &'a [i16],
    /// Elements of one column of activations, a multiple of 32: `k` of the product.
    pub columns: usize,
}

/// Room for [`Quantized`]; see [`Quantized::padded`] for its sizes.
#[derive(Debug)]
pub struct QuantizedMut<'a> {
    /// Integers, `n * padded k`.
    pub q: &'a mut [i8],
    /// Scale of each 32, `n * padded k / 32`.
    pub scale: &'a mut [f32],
    /// Sum of each 16 integers, `n * padded k / 16`.
    pub sums: &'a mut [i16],
}

impl QuantizedMut<'_> {
    /// Takes whole groups of elements of some columns of `x`, one after another.
    ///
    /// # Panics
    /// If the room is not for so many.
    pub fn take(
        &mut self,
        x: &Quantized<'_>,
        picked: impl ExactSizeIterator<Item = usize>,
        elements: Range<usize>,
    ) {
        let (all, n, groups) = (x.count(), picked.len(), elements.len() / ACTIVATION_GROUP);
        let first = elements.start / ACTIVATION_GROUP;
        assert_eq!(self.scale.len(), n * groups, "scales of {n} columns of {groups} groups");
        let group = x.columns / ACTIVATION_GROUP;
        for (to, from) in picked.enumerate() {
            let (from, to) = (Place::of(from, all), Place::of(to, n));
            let pick =
                |per: usize| Pick { from, to, all: group * per, first: first * per, len: groups * per };
            pick(STEPS).copy(x.q.as_chunks::<4>().0, self.q.as_chunks_mut().0);
            pick(1).copy(x.scale, self.scale);
            pick(1).copy(x.sums.as_chunks::<2>().0, self.sums.as_chunks_mut().0);
        }
    }
}

/// Where a column lies: of as many units as a column has, number `u` is `at(u, units)`. Units are four integers, a scale or
/// two sums.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// The first of the columns that lie side by side.
    first: usize,
    /// Which of them this is.
    lane: usize,
    /// How many they are.
    width: usize,
}

impl Place {
    /// Of column `column` of `n`.
    #[inline(always)]
    pub fn of(column: usize, n: usize) -> Place {
        match column / LANES < n / LANES {
            true => Place { first: column / LANES * LANES, lane: column % LANES, width: LANES },
            false => Place { first: column, lane: 0, width: 1 },
        }
    }

    /// Where unit `u` is if a column has so many.
    #[inline(always)]
    pub fn at(self, u: usize, units: usize) -> usize {
        self.first * units + u * self.width + self.lane
    }
}

/// Some units of a column on their way to another place.
struct Pick {
    from: Place,
    to: Place,
    /// Units of a column there.
    all: usize,
    first: usize,
    len: usize,
}

impl Pick {
    fn copy<T: Copy>(&self, x: &[T], out: &mut [T]) {
        for u in 0..self.len {
            out[self.to.at(u, self.len)] = x[self.from.at(self.first + u, self.all)];
        }
    }
}

impl Quantized<'_> {
    /// Group `group` of the column at `place`: integers, scale and sums.
    #[inline(always)]
    pub(crate) fn group(&self, place: Place, group: usize) -> ([[i8; 4]; STEPS], f32, [i16; 2]) {
        let groups = self.columns / ACTIVATION_GROUP;
        let (at, step) = (place.at(group, groups), place.at(group * STEPS, groups * STEPS));
        let (q, mut integers) = (&self.q.as_chunks().0[step..], [[0; 4]; STEPS]);
        for i in 0..STEPS {
            integers[i] = q[i * place.width];
        }
        (integers, self.scale[at], self.sums.as_chunks().0[at])
    }

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
        assert!(
            self.q.as_ptr().cast::<u32>().is_aligned(),
            "integers that do not begin at a multiple of four"
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

/// What puts rows side by side: how they lie then, the rows, bytes of a row, and where they go.
pub(crate) type InterleaveFn = fn(PanelOrder, &[u8], usize, &mut [u8]);
/// A product for one type of weights.
pub(crate) type SliceFn = fn(&Slice);
