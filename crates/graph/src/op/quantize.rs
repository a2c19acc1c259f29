//! Activations to int8: one quantisation serves every matrix that reads the value.
//!
//! Symmetric, a scale for each 32 columns; the arithmetic is the kernels' contract. The reference leaves the
//! value as it is: it defines the computation that quantisation approximates.

use super::{Cost, Operator, elementwise_cost, expect_f32};
use crate::interpret::{Interpreter, Tensor};
use crate::{Bounds, Elem, Error, Graph, Value};

/// Input: f32 (rows, columns), columns a multiple of 32. Output: the same as int8.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantize;

impl Operator for Quantize {
    fn arity(&self) -> usize {
        1
    }

    fn infer(&self, _graph: &Graph, inputs: &[Value]) -> Result<Value, Error> {
        let dims = expect_f32("Quantize", inputs, 0, None)?;
        if !dims.columns().is_multiple_of(32) {
            let expected = "a multiple of 32 columns".to_string();
            return Err(Error::Shape { op: "Quantize", input: 0, found: Box::new(dims), expected });
        }
        Ok(Value { dims, elem: Elem::Quantized })
    }

    fn reference(&self, _run: &mut Interpreter<'_>, inputs: &[&Tensor]) -> Tensor {
        inputs[0].clone()
    }

    fn cost(&self, _graph: &Graph, inputs: &[Value], bounds: &Bounds, _context: u32) -> Cost {
        elementwise_cost(inputs, bounds, 4)
    }
}
