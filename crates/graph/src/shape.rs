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

/// Extents of a value, outermost first, at most four.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Dims {
    dims: [Dim; 4],
    rank: u8,
}

impl Dims {
    /// At most four extents; more are cut off, which [`crate::verify`] reports as a mismatch.
    pub fn new(dims: &[Dim]) -> Dims {
        let mut stored = [Dim::Fixed(1); 4];
        let rank = dims.len().min(4);
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
    /// 32-bit floats.
    F32,
    /// Token ids, positions, row numbers: u32.
    Index,
    /// Activations as int8 with an f32 scale for each 32 and an i16 sum for each 16 elements of a row.
    Int8,
}

impl Elem {
    /// Bytes of a row of `columns` elements, with what belongs to it.
    pub fn row_bytes(self, columns: u64) -> u64 {
        match self {
            Elem::F32 | Elem::Index => columns * 4,
            Elem::Int8 => columns + columns / 32 * 4 + columns / 16 * 2,
        }
    }
}
