//! Product with a weight matrix, and a bias: `y = x W^T + b`.
//!
//! With a quantised matrix the input is int8 (the pass [`crate::pass::int8_products`] sees to that); the
//! reference takes either, because an interpreter keeps all activations as f32.

use super::{Cost, Operator, WeightUse, expect_vector, takes_int8, weight_error};
use crate::interpret::{Interpreter, Tensor};
use crate::{Bounds, Dims, Elem, Error, Graph, Symbol, Value, WeightId};

/// Input: (rows, inputs). Output: (rows, outputs).
#[derive(Clone, Debug, PartialEq)]
pub struct Linear {
    /// The matrix, (outputs, inputs).
    pub weight: WeightId,
    /// Added to every row of the output.
    pub bias: Option<WeightId>,
}

impl Operator for Linear {
    fn arity(&self) -> usize {
        1
    }

    fn infer(&self, graph: &Graph, inputs: &[Value]) -> Result<Value, Error> {
        let weight = graph.weight_of(self.weight);
        let input = inputs[0];
        if weight.shape.extents().len() != 2 || weight.shape.columns() != u64::from(input.dims.columns()) {
            let expected = format!("[outputs, {}]", input.dims.columns());
            return Err(weight_error("Linear", graph, self.weight, expected));
        }
        let int8 = input.elem == Elem::Quantized;
        if input.elem == Elem::Index || (int8 && !takes_int8(weight.dtype)) {
            return Err(Error::Elem { op: "Linear", input: 0, found: input.elem, expected: Elem::F32 });
        }
        let outputs = u32::try_from(weight.shape.rows())
            .map_err(|_| Error::Overflow { op: "Linear", what: "the number of outputs" })?;
        if let Some(bias) = self.bias {
            expect_vector("Linear", graph, bias, outputs)?;
        }
        let rows = input.dims.rows().unwrap_or(Symbol::ROWS);
        Ok(Value { dims: Dims::matrix(rows, outputs), elem: Elem::F32 })
    }

    fn reference(&self, run: &mut Interpreter<'_>, inputs: &[&Tensor]) -> Tensor {
        let x = inputs[0];
        let bias = self.bias.map(|b| run.weight(b).data);
        let weight = run.weight(self.weight);
        let mut out = Vec::with_capacity(x.rows() * weight.rows());
        for i in 0..x.rows() {
            for o in 0..weight.rows() {
                let dot: f64 =
                    x.row(i).iter().zip(weight.row(o)).map(|(a, w)| f64::from(*a) * f64::from(*w)).sum();
                out.push(dot as f32 + bias.as_ref().map_or(0.0, |b| b[o]));
            }
        }
        Tensor::new(x.rows(), weight.rows(), out)
    }

    fn cost(&self, graph: &Graph, inputs: &[Value], bounds: &Bounds, _context: u32) -> Cost {
        let weight = graph.weight_of(self.weight);
        let rows = inputs[0].dims.rows().map_or(1, |s| u64::from(bounds.of(s)));
        Cost { macs: rows * weight.shape.elements(), ..Cost::default() }
    }

    fn weights(&self) -> Vec<WeightUse> {
        let mut uses = vec![WeightUse::Whole(self.weight)];
        uses.extend(self.bias.map(WeightUse::Vector));
        uses
    }
}
