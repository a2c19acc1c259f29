//! A gate on whole rows: `y * sigmoid(x . w)`, which says how much a shared expert counts (Qwen1.5-MoE).

use super::{Cost, Operator, WeightUse, elementwise_cost, expect_f32, expect_vector};
use crate::interpret::{Interpreter, Tensor};
use crate::{Bounds, Error, Graph, Value, WeightId};

/// Inputs: the rows to be gated, and those that the gate looks at.
#[derive(Clone, Debug, PartialEq)]
pub struct SigmoidGate {
    /// The gate's vector.
    pub weight: WeightId,
}

impl Operator for SigmoidGate {
    fn arity(&self) -> usize {
        2
    }

    fn infer(&self, graph: &Graph, inputs: &[Value]) -> Result<Value, Error> {
        let dims = expect_f32("SigmoidGate", inputs, 0, None)?;
        let seen = expect_f32("SigmoidGate", inputs, 1, None)?;
        if seen.rows() != dims.rows() {
            let expected = format!("the rows of {dims}");
            return Err(Error::Shape { op: "SigmoidGate", input: 1, found: Box::new(seen), expected });
        }
        expect_vector("SigmoidGate", graph, self.weight, seen.columns())?;
        Ok(inputs[0])
    }

    fn reference(&self, run: &mut Interpreter<'_>, inputs: &[&Tensor]) -> Tensor {
        let weight = run.weight(self.weight).data;
        let mut out = inputs[0].clone();
        for r in 0..out.rows() {
            let seen = inputs[1].row(r);
            let dot: f64 = seen.iter().zip(&weight).map(|(x, w)| f64::from(*x) * f64::from(*w)).sum();
            let factor = (1.0 / (1.0 + (-dot).exp())) as f32;
            out.row_mut(r).iter_mut().for_each(|y| *y *= factor);
        }
        out
    }

    fn cost(&self, _graph: &Graph, inputs: &[Value], bounds: &Bounds, _context: u32) -> Cost {
        elementwise_cost(inputs, bounds, 3)
    }

    fn in_place(&self) -> Option<usize> {
        Some(0)
    }

    fn weights(&self) -> Vec<WeightUse> {
        vec![WeightUse::Vector(self.weight)]
    }
}
