//! Operations on each element by itself: add, scale, soft cap.
//!
//! Not vectors by hand: these loops are bound by memory, and the compiler sees through them.

use crate::float::tanh;
use crate::isa::{Isa, Kernel};

/// `a += b`.
pub(crate) struct Add<'a> {
    pub a: &'a mut [f32],
    pub b: &'a [f32],
}

impl<I: Isa> Kernel<I> for Add<'_> {
    #[inline(always)]
    fn run(self, _: I) {
        for (a, b) in self.a.iter_mut().zip(self.b) {
            *a += b;
        }
    }
}

/// `x *= factor`.
pub(crate) struct Scale<'a> {
    pub x: &'a mut [f32],
    pub factor: f32,
}

impl<I: Isa> Kernel<I> for Scale<'_> {
    #[inline(always)]
    fn run(self, _: I) {
        for x in self.x.iter_mut() {
            *x *= self.factor;
        }
    }
}

/// `x = cap * tanh(x / cap)`.
pub(crate) struct SoftCap<'a> {
    pub x: &'a mut [f32],
    pub cap: f32,
}

impl<I: Isa> Kernel<I> for SoftCap<'_> {
    #[inline(always)]
    fn run(self, _: I) {
        for x in self.x.iter_mut() {
            *x = soft_cap(*x, self.cap);
        }
    }
}

/// `cap * tanh(x / cap)`.
#[inline(always)]
pub(crate) fn soft_cap(x: f32, cap: f32) -> f32 {
    cap * tanh(x / cap)
}
