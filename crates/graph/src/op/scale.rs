//! Multiplication by a constant (Gemma scales its embeddings by the root of the width).

use super::{Cost, Operator, elementwise_cost, expect_f32};
use crate::interpret::{Interpreter, Tensor};
use crate::{Bounds, Error, Graph, Value};

/// `x * factor`.
#[derive(Clone, Debug, PartialEq)]
pub struct Scale {
    /// The constant.
    pub factor: f32,
}

impl Operator for Scale {
    fn arity(&self) -> usize {
        1
    }

    fn infer(&self, _graph: &Graph, inputs: &[Value]) -> Result<Value, Error> {
        expect_f32("Scale", inputs, 0, None)?;
        Ok(inputs[0])
    }

    fn reference(&self, _run: &mut Interpreter<'_>, inputs: &[&Tensor]) -> Tensor {
        let mut out = inputs[0].clone();
        out.data.iter_mut().for_each(|x| *x *= self.factor);
        out
    }

    fn cost(&self, _graph: &Graph, inputs: &[Value], bounds: &Bounds, _context: u32) -> Cost {
        elementwise_cost(inputs, bounds, 1)
    }

    fn in_place(&self) -> Option<usize> {
        Some(0)
    }
}
