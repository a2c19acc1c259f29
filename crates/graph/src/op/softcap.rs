//! Soft cap of logits: `cap * tanh(x / cap)` (Gemma 2, arXiv 2408.00118).

use super::{Cost, Operator, elementwise_cost, expect_f32};
use crate::interpret::{Interpreter, Tensor};
use crate::{Bounds, Error, Graph, Value};

/// `cap * tanh(x / cap)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Softcap {
    /// Bound of the result.
    pub cap: f32,
}

impl Operator for Softcap {
    fn arity(&self) -> usize {
        1
    }

    fn infer(&self, _graph: &Graph, inputs: &[Value]) -> Result<Value, Error> {
        expect_f32("Softcap", inputs, 0, None)?;
        Ok(inputs[0])
    }

    fn reference(&self, _run: &mut Interpreter<'_>, inputs: &[&Tensor]) -> Tensor {
        let mut out = inputs[0].clone();
        out.data.iter_mut().for_each(|x| *x = self.cap * (*x / self.cap).tanh());
        out
    }

    fn cost(&self, _graph: &Graph, inputs: &[Value], bounds: &Bounds, _context: u32) -> Cost {
        elementwise_cost(inputs, bounds, 20)
    }

    fn in_place(&self) -> Option<usize> {
        Some(0)
    }
}
