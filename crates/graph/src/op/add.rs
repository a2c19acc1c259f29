//! Element-wise sum of two values of one shape: the residual connection.

use super::{Cost, Operator, elementwise_cost, expect_f32};
use crate::interpret::{Interpreter, Tensor};
use crate::{Bounds, Error, Graph, Value};

/// `a + b`.
#[derive(Clone, Debug, PartialEq)]
pub struct Add;

impl Operator for Add {
    fn arity(&self) -> usize {
        2
    }

    fn infer(&self, _graph: &Graph, inputs: &[Value]) -> Result<Value, Error> {
        let dims = expect_f32("Add", inputs, 0, None)?;
        if expect_f32("Add", inputs, 1, None)? != dims {
            let found = inputs[1].dims;
            return Err(Error::Shape {
                op: "Add",
                input: 1,
                found: Box::new(found),
                expected: dims.to_string(),
            });
        }
        Ok(inputs[0])
    }

    fn reference(&self, _run: &mut Interpreter<'_>, inputs: &[&Tensor]) -> Tensor {
        let mut out = inputs[0].clone();
        for (a, b) in out.data.iter_mut().zip(&inputs[1].data) {
            *a += b;
        }
        out
    }

    fn cost(&self, _graph: &Graph, inputs: &[Value], bounds: &Bounds, _context: u32) -> Cost {
        elementwise_cost(inputs, bounds, 1)
    }

    fn in_place(&self) -> Option<usize> {
        Some(0)
    }
}
