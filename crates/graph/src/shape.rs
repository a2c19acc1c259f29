//! Shapes of values whose extents may be symbols, and the kinds of element that flow between operators.
//!
//! A symbol is a size that varies from step to step (tokens in a batch); planning binds each to a bound, a step
//! binds each to what it really is.

use std::fmt;

/// A size that varies from step to step; [`Bounds`] says how large it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Symbol(pub u8);

impl Symbol {
    /// Rows of a batch: one for each token of each sequence in the step.
    pub const ROWS: Symbol = Symbol(0);
    /// Rows of a batch whose logits are wanted.
    pub const LOGIT_ROWS: Symbol = Symbol(1);
}

/// One extent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dim {
    /// Known from the file.
    Fixed(u32),
    /// Varies between steps.
    Symbol(Symbol),
}

/// The size of every symbol: its bound when planning, its value in a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Size of [`Symbol::ROWS`].
    pub rows: u32,
    /// Size of [`Symbol::LOGIT_ROWS`].
    pub logit_rows: u32,
}

impl Bounds {
    /// The size of one symbol; symbols that no graph declares count as one.
    pub fn of(&self, symbol: Symbol) -> u32 {
        match symbol {
            Symbol::ROWS => self.rows,
            Symbol::LOGIT_ROWS => self.logit_rows,
            _ => 1,
        }
    }

    /// The size of an extent.
    pub fn dim(&self, dim: Dim) -> u32 {
        match dim {
            Dim::Fixed(n) => n,
            Dim::Symbol(symbol) => self.of(symbol),
        }
    }
}

/// The most extents that a value has.
pub const MAX_RANK: usize = 8;

/// Extents of a value, outermost first, at most [`MAX_RANK`].
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Dims {
    dims: [Dim; MAX_RANK],
    rank: u8,
}

impl Dims {
    /// At most [`MAX_RANK`] extents; more are cut off, which [`crate::verify`] reports as a mismatch.
    pub fn new(dims: &[Dim]) -> Dims {
        let mut stored = [Dim::Fixed(1); MAX_RANK];
        let rank = dims.len().min(MAX_RANK);
        stored[..rank].copy_from_slice(&dims[..rank]);
        Dims { dims: stored, rank: rank as u8 }
    }

    /// `[rows, columns]` with a symbolic number of rows.
    pub fn matrix(rows: Symbol, columns: u32) -> Dims {
        Dims::new(&[Dim::Symbol(rows), Dim::Fixed(columns)])
    }

    /// `[rows]`.
    pub fn vector(rows: Symbol) -> Dims {
        Dims::new(&[Dim::Symbol(rows)])
    }

    /// The extents.
    pub fn as_slice(&self) -> &[Dim] {
        &self.dims[..usize::from(self.rank)]
    }

    /// The innermost extent if it is fixed, else 1.
    pub fn columns(&self) -> u32 {
        match self.as_slice().last() {
            Some(&Dim::Fixed(n)) => n,
            _ => 1,
        }
    }

    /// The symbol of the outermost extent, if it is one.
    pub fn rows(&self) -> Option<Symbol> {
        match self.as_slice().first() {
            Some(&Dim::Symbol(symbol)) => Some(symbol),
            _ => None,
        }
    }

    /// Number of elements under `bounds`.
    pub fn elements(&self, bounds: &Bounds) -> u64 {
        self.as_slice().iter().map(|&d| u64::from(bounds.dim(d))).product()
    }
}

impl fmt::Display for Dims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (i, dim) in self.as_slice().iter().enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            match dim {
                Dim::Fixed(n) => write!(f, "{comma}{n}")?,
                Dim::Symbol(Symbol::ROWS) => write!(f, "{comma}rows")?,
                Dim::Symbol(Symbol::LOGIT_ROWS) => write!(f, "{comma}logit rows")?,
                Dim::Symbol(Symbol(n)) => write!(f, "{comma}s{n}")?,
            }
        }
        f.write_str("]")
    }
}

impl fmt::Debug for Dims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What the elements of a value are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Elem {
    /// Brain floats: f32 without its last 16 bits.
    BF16,
    /// Truth values, a byte each, zero or one.
    Bool,
    /// 16-bit floats.
    F16,
    /// 32-bit floats.
    F32,
    /// 64-bit floats.
    F64,
    /// Signed integers.
    I8,
    /// Signed integers.
    I16,
    /// Signed integers.
    I32,
    /// Signed integers.
    I64,
    /// Token ids, positions, row numbers: u32.
    Index,
    /// Activations as int8 with an f32 scale for each 32 and an i16 sum for each 16 elements of a row.
    Quantized,
    /// Unsigned integers.
    U8,
    /// Unsigned integers.
    U16,
    /// Unsigned integers.
    U32,
    /// Unsigned integers.
    U64,
}

impl Elem {
    /// Bytes of an element; of what comes with scales, those of the element alone.
    pub const fn bytes(self) -> usize {
        match self {
            Elem::Bool | Elem::I8 | Elem::Quantized | Elem::U8 => 1,
            Elem::BF16 | Elem::F16 | Elem::I16 | Elem::U16 => 2,
            Elem::F32 | Elem::I32 | Elem::Index | Elem::U32 => 4,
            Elem::F64 | Elem::I64 | Elem::U64 => 8,
        }
    }

    /// Whether these are floats.
    pub const fn is_float(self) -> bool {
        matches!(self, Elem::BF16 | Elem::F16 | Elem::F32 | Elem::F64)
    }

    /// Bytes of a row of `columns` elements, with what belongs to it.
    pub fn row_bytes(self, columns: u64) -> u64 {
        match self {
            Elem::Quantized => columns + columns / 32 * 4 + columns / 16 * 2,
            elem => columns * elem.bytes() as u64,
        }
    }
}

/// Extents that are known, outermost first, at most [`MAX_RANK`]; none for a single number. An extent may be zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Extents {
    extents: [usize; MAX_RANK],
    rank: u8,
}

impl Extents {
    /// Checks and stores extents; `None` if there are too many, or more elements than can be counted.
    pub fn new(extents: &[usize]) -> Option<Extents> {
        let mut stored = Extents { rank: u8::try_from(extents.len()).ok()?, ..Extents::default() };
        stored.extents.get_mut(..extents.len())?.copy_from_slice(extents);
        let fits = |extent: &usize| u32::try_from(*extent).is_ok();
        let product = extents.iter().filter(|extent| **extent > 0).try_fold(8usize, |product, extent| {
            product.checked_mul(*extent).filter(|product| *product < isize::MAX as usize)
        });
        product.filter(|_| extents.iter().all(fits)).map(|_| stored)
    }

    /// How many elements there are.
    pub fn elements(&self) -> usize {
        self.iter().product()
    }

    /// Elements between neighbours along each axis, for elements without gaps in row-major order.
    pub fn strides(&self) -> [usize; MAX_RANK] {
        let mut strides = [0; MAX_RANK];
        let mut stride = 1;
        for axis in (0..self.len()).rev() {
            strides[axis] = stride;
            stride *= self.extents[axis];
        }
        strides
    }
}

impl std::ops::Deref for Extents {
    type Target = [usize];

    fn deref(&self) -> &[usize] {
        &self.extents[..usize::from(self.rank)]
    }
}

impl std::ops::DerefMut for Extents {
    fn deref_mut(&mut self) -> &mut [usize] {
        &mut self.extents[..usize::from(self.rank)]
    }
}

impl fmt::Debug for Extents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl From<Extents> for Dims {
    fn from(extents: Extents) -> Dims {
        let mut dims = [Dim::Fixed(1); MAX_RANK];
        for (dim, extent) in dims.iter_mut().zip(extents.iter()) {
            *dim = Dim::Fixed(*extent as u32);
        }
        Dims { dims, rank: extents.rank }
    }
}

impl Dims {
    /// The extents, if none of them varies.
    pub fn known(&self) -> Option<Extents> {
        let mut extents = Extents { rank: self.rank, ..Extents::default() };
        for (extent, dim) in extents.iter_mut().zip(self.as_slice()) {
            let Dim::Fixed(known) = *dim else { return None };
            *extent = known as usize;
        }
        Some(extents)
    }
}
