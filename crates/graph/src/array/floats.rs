//! What operators on floats alone have in common.
//!
//! The one design choice: 64-bit floats are computed with as they are and all others as 32-bit floats, so that an operator
//! is two pieces of code; what it works in holds the same kind.

use super::unary::Function;
use super::{LANES, lanes};
use crate::Elem;

/// A kind of float that is computed with.
pub(crate) trait Float: Function {
    /// The kind as elements of an array.
    const ELEM: Elem;
}

impl Float for f32 {
    const ELEM: Elem = Elem::F32;
}

impl Float for f64 {
    const ELEM: Elem = Elem::F64;
}

/// Does something with the kind that floats of `$elem` are computed as, under the name `$wide`.
macro_rules! each_float {
    ($elem:expr, $wide:ident => $body:expr) => {
        match $elem {
            crate::Elem::F64 => {
                type $wide = f64;
                $body
            }
            _ => {
                type $wide = f32;
                $body
            }
        }
    };
}
pub(crate) use each_float;

/// Elements from a place in an array on.
#[derive(Clone, Copy)]
pub(crate) struct Run<'a> {
    pub elem: Elem,
    pub bytes: &'a [u8],
    pub start: usize,
}

impl<'a> Run<'a> {
    pub fn of(view: &'a super::View<'_>, start: usize) -> Run<'a> {
        Run { elem: view.kind.elem, bytes: view.bytes.unwrap_or_default(), start }
    }

    /// Elements of what an operator works in.
    pub fn work<W: Float>(bytes: &'a [u8], start: usize) -> Run<'a> {
        Run { elem: W::ELEM, bytes, start }
    }

    /// Elements from `first` on.
    pub fn load<W: Float>(&self, first: usize, out: &mut [W]) {
        lanes::load(self.elem, self.bytes, self.start + first, out);
    }

    /// One element.
    pub fn at<W: Float>(&self, place: usize) -> W {
        let mut x = [W::default()];
        self.load(place, &mut x);
        x[0]
    }
}

/// Sums that are added up side by side.
const SUMS: usize = 16;

/// The sum of products of `len` elements of each: every sixteenth in one sum, then those sums in order.
pub(crate) fn dot<W: Float>(a: Run<'_>, b: Run<'_>, len: usize) -> W {
    let mut sums = [W::default(); SUMS];
    let (mut x, mut y) = ([W::default(); LANES], [W::default(); LANES]);
    for first in (0..len).step_by(LANES) {
        let count = LANES.min(len - first);
        a.load(first, &mut x[..count]);
        b.load(first, &mut y[..count]);
        for (x, y) in x[..count].chunks(SUMS).zip(y.chunks(SUMS)) {
            for (sum, (x, y)) in sums.iter_mut().zip(x.iter().zip(y)) {
                *sum = sum.add(x.mul(*y));
            }
        }
    }
    sums.iter().fold(W::default(), |sum, x| sum.add(*x))
}
