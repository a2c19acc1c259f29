//! Activation functions, and the gated unit that most feed-forward layers are.
//!
//! Not the functions' approximations, which are in [`crate::float`].

use crate::elementwise::{Lanes, each, each_alone};
use crate::float::sigmoid;
use crate::isa::{Isa, Kernel};

/// A function applied to every element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Activation {
    /// `x * sigmoid(1.702 x)` of a gate of at most 7, times one more than what it gates, which is held within +-7.
    ClampedSwiglu,
    /// The tanh form of GELU, `x * sigmoid(2 * sqrt(2 / pi) * (x + 0.044715 x^3))`.
    GeluTanh,
    /// `x`, or 0 if that is more.
    Relu,
    /// `x / (1 + e^-x)`.
    Silu,
}

/// `gate = activation(gate) * up`.
pub(crate) struct Glu<'a> {
    pub activation: Activation,
    pub gate: &'a mut [f32],
    pub up: &'a [f32],
}

impl<I: Isa> Kernel<I> for Glu<'_> {
    #[inline(always)]
    fn run(self, isa: I) {
        match self.activation {
            Activation::ClampedSwiglu => each(isa, ClampedSwiglu, self.gate, self.up),
            Activation::GeluTanh => each(isa, GeluTanh, self.gate, self.up),
            Activation::Relu => each(isa, Relu, self.gate, self.up),
            Activation::Silu => each(isa, Silu, self.gate, self.up),
        }
    }
}

/// `x = activation(x)`, with nothing gated by it.
pub(crate) struct Activate<'a> {
    pub activation: Activation,
    pub x: &'a mut [f32],
}

impl<I: Isa> Kernel<I> for Activate<'_> {
    #[inline(always)]
    fn run(self, isa: I) {
        match self.activation {
            Activation::ClampedSwiglu => each_alone(isa, Alone(ClampedSwiglu), self.x),
            Activation::GeluTanh => each_alone(isa, Alone(GeluTanh), self.x),
            Activation::Relu => each_alone(isa, Alone(Relu), self.x),
            Activation::Silu => each_alone(isa, Alone(Silu), self.x),
        }
    }
}

/// A gate of ones.
#[derive(Clone, Copy)]
struct Alone<L>(L);

impl<I: Isa, L: Lanes<I>> Lanes<I> for Alone<L> {
    #[inline(always)]
    fn of(self, isa: I, a: I::F, _: I::F) -> I::F {
        self.0.of(isa, a, isa.splat(1.0))
    }
}

#[derive(Clone, Copy)]
struct Relu;

impl<I: Isa> Lanes<I> for Relu {
    #[inline(always)]
    fn of(self, isa: I, gate: I::F, up: I::F) -> I::F {
        isa.mul(isa.max(gate, isa.splat(0.0)), up)
    }
}

#[derive(Clone, Copy)]
struct ClampedSwiglu;

impl<I: Isa> Lanes<I> for ClampedSwiglu {
    #[inline(always)]
    fn of(self, isa: I, gate: I::F, up: I::F) -> I::F {
        let (most, least) = (isa.splat(7.0), isa.splat(-7.0));
        let gate = isa.less(most, gate, most, gate);
        let up = isa.less(most, up, most, up);
        let up = isa.less(up, least, least, up);
        let opened = isa.mul(gate, sigmoid(isa, isa.mul(gate, isa.splat(1.702))));
        isa.fma(opened, up, opened)
    }
}

#[derive(Clone, Copy)]
struct Silu;

impl<I: Isa> Lanes<I> for Silu {
    #[inline(always)]
    fn of(self, isa: I, gate: I::F, up: I::F) -> I::F {
        isa.mul(isa.mul(gate, sigmoid(isa, gate)), up)
    }
}

/// `x * (1 + tanh(y)) / 2` with `y = sqrt(2 / pi) * (x + 0.044715 x^3)`; half of one plus tanh is a sigmoid.
#[derive(Clone, Copy)]
struct GeluTanh;

impl<I: Isa> Lanes<I> for GeluTanh {
    #[inline(always)]
    fn of(self, isa: I, gate: I::F, up: I::F) -> I::F {
        const TWICE_ROOT: f32 = 1.595_769;
        let cube = isa.mul(isa.mul(gate, gate), gate);
        let y = isa.mul(isa.splat(TWICE_ROOT), isa.fma(cube, isa.splat(0.044_715), gate));
        isa.mul(isa.mul(gate, sigmoid(isa, y)), up)
    }
}
