//! What becomes of sums before they are written.
//!
//! The one design choice: what is short is done in the registers that hold the sum; a function is applied to what a thread has
//! just written, by the kernel that it has everywhere else, so its bits are the same.

use crate::isa::Isa;
use crate::map::MapKind;

/// What becomes of a sum: a number of its column is added, it is multiplied by a number of its row, another is added, then it is held between two bounds,
/// and a function is applied.
#[derive(Clone, Copy)]
pub struct Finish<'a> {
    /// (columns)
    pub of_columns: Option<&'a [f32]>,
    /// (rows)
    pub scale: Option<&'a [f32]>,
    /// (rows)
    pub bias: Option<&'a [f32]>,
    /// Bounds, if there are some.
    pub bounds: Option<(f32, f32)>,
    /// A function of what has come of it, behind all else.
    pub then: Option<MapKind>,
}

impl Finish<'_> {
    /// Nothing.
    pub const NOTHING: Finish<'static> =
        Finish { of_columns: None, scale: None, bias: None, bounds: None, then: None };

    /// As it is for one row.
    #[inline(always)]
    pub(super) fn row<I: Isa>(&self, isa: I, row: usize) -> RowFinish<I> {
        let number = |list: Option<&[f32]>| list.map(|list| isa.splat(list[row]));
        let bounds = self.bounds.map(|(least, most)| [isa.splat(least), isa.splat(most)]);
        RowFinish { scale: number(self.scale), bias: number(self.bias), bounds }
    }
}

/// What becomes of sums of one row, but for the function.
#[derive(Clone, Copy)]
pub(super) struct RowFinish<I: Isa> {
    scale: Option<I::F>,
    bias: Option<I::F>,
    bounds: Option<[I::F; 2]>,
}

impl<I: Isa> RowFinish<I> {
    #[inline(always)]
    pub(super) fn of(&self, isa: I, x: I::F) -> I::F {
        let x = match self.scale {
            Some(scale) => isa.mul(x, scale),
            None => x,
        };
        let x = match self.bias {
            Some(bias) => isa.add(x, bias),
            None => x,
        };
        match self.bounds {
            // What is neither more nor less stays as it is, a NaN too.
            Some([least, most]) => isa.min(most, isa.max(least, x)),
            None => x,
        }
    }
}
