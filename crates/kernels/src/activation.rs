//! Activation functions, and the gated unit that most feed-forward layers are.
//!
//! Not the functions' approximations, which are in [`crate::float`].

use crate::float::sigmoid;
use crate::isa::{Isa, Kernel};

/// A function applied to every element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Activation {
    /// The tanh form of GELU, `x * sigmoid(2 * sqrt(2 / pi) * (x + 0.044715 x^3))`.
    GeluTanh,
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
    fn run(self, _: I) {
        match self.activation {
            Activation::GeluTanh => {
                for (g, u) in self.gate.iter_mut().zip(self.up) {
                    *g = gelu_tanh(*g) * u;
                }
            }
            Activation::Silu => {
                for (g, u) in self.gate.iter_mut().zip(self.up) {
                    *g = *g * sigmoid(*g) * u;
                }
            }
        }
    }
}

/// `x * (1 + tanh(y)) / 2` with `y = sqrt(2 / pi) * (x + 0.044715 x^3)`; half of one plus tanh is a sigmoid.
#[inline(always)]
fn gelu_tanh(x: f32) -> f32 {
    const TWICE_ROOT: f32 = 1.595_769;
    x * sigmoid(TWICE_ROOT * (x * x * x).mul_add(0.044_715, x))
}
