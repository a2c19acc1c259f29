//! What becomes of sums before they are written.
//!
//! The one design choice: what is short is done in the registers that hold the sum; a function is applied to what a thread has
//! just written, by the kernel that it has everywhere else, so its bits are the same.

use crate::isa::Isa;
use crate::map::MapKind;

/// What becomes of a sum: it is multiplied by a number of its row, another is added, then it is held between two bounds,
/// and a function is applied.
#[derive(Clone, Copy)]
pub struct Finish<'a> {
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
    pub const NOTHING: Finish<'static> = Finish { scale: None, bias: None, bounds: None, then: None };

    #[inline(always)]
    pub(super) fn of<I: Isa>(&self, isa: I, row: usize, x: I::F) -> I::F {
        let x = match self.scale {
            Some(scale) => isa.mul(x, isa.splat(scale[row])),
            None => x,
        };
        let x = match self.bias {
            Some(bias) => isa.add(x, isa.splat(bias[row])),
            None => x,
        };
        match self.bounds {
            Some((least, most)) => {
                let (least, most) = (isa.splat(least), isa.splat(most));
                let x = isa.less(x, least, least, x);
                isa.less(most, x, most, x)
            }
            None => x,
        }
    }
}
