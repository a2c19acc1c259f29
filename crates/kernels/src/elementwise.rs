//! Operations on each element by itself: add, scale, gate, soft cap, and the loop that all such operations share.
//!
//! Not left to the compiler's vectors: whether it makes them depends on settings of the program that this is linked into.

use crate::float::{exp, sigmoid, tanh};
use crate::isa::{Isa, Kernel, LANES};

/// What becomes of sixteen elements `a` with the elements `b` of another array.
pub(crate) trait Lanes<I: Isa>: Copy {
    fn of(self, isa: I, a: I::F, b: I::F) -> I::F;
}

/// `a = op(a, b)` for all elements; they are as many.
#[inline(always)]
pub(crate) fn each<I: Isa, L: Lanes<I>>(isa: I, op: L, a: &mut [f32], b: &[f32]) {
    let (a, a_tail) = a.as_chunks_mut::<LANES>();
    let (b, b_tail) = b.as_chunks::<LANES>();
    for (a, b) in a.iter_mut().zip(b) {
        isa.store(op.of(isa, isa.load(a), isa.load(b)), a);
    }
    if !a_tail.is_empty() {
        let mut all = padded(a_tail);
        isa.store(op.of(isa, isa.load(&all), isa.load(&padded(b_tail))), &mut all);
        a_tail.copy_from_slice(&all[..a_tail.len()]);
    }
}

/// `a = op(a, _)` for all elements.
#[inline(always)]
pub(crate) fn each_alone<I: Isa, L: Lanes<I>>(isa: I, op: L, a: &mut [f32]) {
    let (a, tail) = a.as_chunks_mut::<LANES>();
    for a in a.iter_mut() {
        let x = isa.load(a);
        isa.store(op.of(isa, x, x), a);
    }
    if !tail.is_empty() {
        let mut all = padded(tail);
        let x = isa.load(&all);
        isa.store(op.of(isa, x, x), &mut all);
        tail.copy_from_slice(&all[..tail.len()]);
    }
}

/// Up to sixteen elements and zeros.
#[inline(always)]
pub(crate) fn padded(x: &[f32]) -> [f32; LANES] {
    let mut out = [0.0; LANES];
    out[..x.len()].copy_from_slice(x);
    out
}

/// `a += b`.
pub(crate) struct Add<'a> {
    pub a: &'a mut [f32],
    pub b: &'a [f32],
}

impl<I: Isa> Kernel<I> for Add<'_> {
    #[inline(always)]
    fn run(self, isa: I) {
        each(isa, Sum, self.a, self.b);
    }
}

#[derive(Clone, Copy)]
struct Sum;

impl<I: Isa> Lanes<I> for Sum {
    #[inline(always)]
    fn of(self, isa: I, a: I::F, b: I::F) -> I::F {
        isa.add(a, b)
    }
}

/// `a = fma(b, factor, a)`.
pub(crate) struct AddScaled<'a> {
    pub a: &'a mut [f32],
    pub b: &'a [f32],
    pub factor: f32,
}

impl<I: Isa> Kernel<I> for AddScaled<'_> {
    #[inline(always)]
    fn run(self, isa: I) {
        each(isa, PlusTimes(self.factor), self.a, self.b);
    }
}

#[derive(Clone, Copy)]
struct PlusTimes(f32);

impl<I: Isa> Lanes<I> for PlusTimes {
    #[inline(always)]
    fn of(self, isa: I, a: I::F, b: I::F) -> I::F {
        isa.fma(b, isa.splat(self.0), a)
    }
}

/// `x *= sigmoid(by)`.
pub(crate) struct Gate<'a> {
    pub x: &'a mut [f32],
    pub by: f32,
}

impl<I: Isa> Kernel<I> for Gate<'_> {
    #[inline(always)]
    fn run(self, isa: I) {
        each_alone(isa, Gated(self.by), self.x);
    }
}

#[derive(Clone, Copy)]
struct Gated(f32);

impl<I: Isa> Lanes<I> for Gated {
    #[inline(always)]
    fn of(self, isa: I, a: I::F, _: I::F) -> I::F {
        isa.mul(a, sigmoid(isa, isa.splat(self.0)))
    }
}

/// Scores of a router: `e^(x - most)`, or the sigmoid of each where there is no `most`.
pub(crate) struct Scores<'a> {
    pub x: &'a mut [f32],
    pub most: Option<f32>,
}

impl<I: Isa> Kernel<I> for Scores<'_> {
    #[inline(always)]
    fn run(self, isa: I) {
        match self.most {
            Some(most) => each_alone(isa, Raised(most), self.x),
            None => each_alone(isa, Sigmoid, self.x),
        }
    }
}

#[derive(Clone, Copy)]
struct Raised(f32);

impl<I: Isa> Lanes<I> for Raised {
    #[inline(always)]
    fn of(self, isa: I, a: I::F, _: I::F) -> I::F {
        exp(isa, isa.add(a, isa.splat(-self.0)))
    }
}

#[derive(Clone, Copy)]
struct Sigmoid;

impl<I: Isa> Lanes<I> for Sigmoid {
    #[inline(always)]
    fn of(self, isa: I, a: I::F, _: I::F) -> I::F {
        sigmoid(isa, a)
    }
}

/// `x *= factor`.
pub(crate) struct Scale<'a> {
    pub x: &'a mut [f32],
    pub factor: f32,
}

impl<I: Isa> Kernel<I> for Scale<'_> {
    #[inline(always)]
    fn run(self, isa: I) {
        each_alone(isa, Times(self.factor), self.x);
    }
}

/// Multiplies by a number.
#[derive(Clone, Copy)]
pub(crate) struct Times(pub f32);

impl<I: Isa> Lanes<I> for Times {
    #[inline(always)]
    fn of(self, isa: I, a: I::F, _: I::F) -> I::F {
        isa.mul(a, isa.splat(self.0))
    }
}

/// Divides by a number.
#[derive(Clone, Copy)]
pub(crate) struct Over(pub f32);

impl<I: Isa> Lanes<I> for Over {
    #[inline(always)]
    fn of(self, isa: I, a: I::F, _: I::F) -> I::F {
        isa.div(a, isa.splat(self.0))
    }
}

/// The same number, whatever was there.
#[derive(Clone, Copy)]
pub(crate) struct Always(pub f32);

impl<I: Isa> Lanes<I> for Always {
    #[inline(always)]
    fn of(self, isa: I, _: I::F, _: I::F) -> I::F {
        isa.splat(self.0)
    }
}

/// `x = cap * tanh(x / cap)`.
pub(crate) struct SoftCap<'a> {
    pub x: &'a mut [f32],
    pub cap: f32,
}

impl<I: Isa> Kernel<I> for SoftCap<'_> {
    #[inline(always)]
    fn run(self, isa: I) {
        each_alone(isa, Cap(self.cap), self.x);
    }
}

/// `cap * tanh(x / cap)`.
#[derive(Clone, Copy)]
pub(crate) struct Cap(pub f32);

impl<I: Isa> Lanes<I> for Cap {
    #[inline(always)]
    fn of(self, isa: I, a: I::F, _: I::F) -> I::F {
        let cap = isa.splat(self.0);
        isa.mul(cap, tanh(isa, isa.div(a, cap)))
    }
}
