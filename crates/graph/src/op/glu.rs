//! Gated linear unit: `act(gate) * up` (Shazeer, arXiv 2002.05202).

use super::{Cost, Operator, elementwise_cost, expect_f32};
use crate::interpret::{Interpreter, Tensor};
use crate::{Bounds, Error, Graph, Value};

/// The non-linearity of a gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// `x sigmoid(1.702 x) (up + 1)`, of a gate `x` of at most 7 and an `up` held within +-7 (gpt-oss).
    ClampedSwiglu,
    /// `x`, or 0 if that is more.
    Relu,
    /// `x / (1 + exp(-x))`.
    Silu,
    /// `x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3)))`.
    GeluTanh,
}

impl Activation {
    pub(super) fn apply(self, x: f32, up: f32) -> f32 {
        match self {
            Activation::ClampedSwiglu => {
                let x = x.min(7.0);
                x / (1.0 + (-1.702 * x).exp()) * (up.clamp(-7.0, 7.0) + 1.0)
            }
            Activation::Relu => x.max(0.0) * up,
            Activation::Silu => x / (1.0 + (-x).exp()) * up,
            Activation::GeluTanh => {
                let inner = (2.0 / std::f32::consts::PI).sqrt() * (x + 0.044715 * x * x * x);
                0.5 * x * (1.0 + inner.tanh()) * up
            }
        }
    }
}

/// Inputs: gate and up, of one shape.
#[derive(Clone, Debug, PartialEq)]
pub struct Glu {
    /// The gate's non-linearity.
    pub activation: Activation,
}

impl Operator for Glu {
    fn arity(&self) -> usize {
        2
    }

    fn infer(&self, _graph: &Graph, inputs: &[Value]) -> Result<Value, Error> {
        let dims = expect_f32("Glu", inputs, 0, None)?;
        if expect_f32("Glu", inputs, 1, None)? != dims {
            let found = inputs[1].dims;
            return Err(Error::Shape {
                op: "Glu",
                input: 1,
                found: Box::new(found),
                expected: dims.to_string(),
            });
        }
        Ok(inputs[0])
    }

    fn reference(&self, _run: &mut Interpreter<'_>, inputs: &[&Tensor]) -> Tensor {
        let mut out = inputs[0].clone();
        for (gate, up) in out.data.iter_mut().zip(&inputs[1].data) {
            *gate = self.activation.apply(*gate, *up);
        }
        out
    }

    fn cost(&self, _graph: &Graph, inputs: &[Value], bounds: &Bounds, _context: u32) -> Cost {
        elementwise_cost(inputs, bounds, 20)
    }

    fn in_place(&self) -> Option<usize> {
        Some(0)
    }
}
