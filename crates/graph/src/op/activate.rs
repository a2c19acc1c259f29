//! An activation by itself, with what is too small to matter set to zero.
//!
//! `y = act(x)` where `|act(x)| > threshold`, else 0; without thresholds, 0 where `act(x)` is. A ReLU makes most of its zeros
//! by itself (Mirzadeh et al., "ReLU Strikes Back", arXiv 2310.04564); for other activations thresholds of each channel,
//! chosen on a text, do (He et al., "CHESS", arXiv 2409.01366).

use super::{Activation, Cost, Operator, WeightUse, elementwise_cost, expect_f32, expect_vector};
use crate::interpret::{Interpreter, Tensor};
use crate::{Bounds, Error, Graph, Value, WeightId};

/// Input: rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Activate {
    /// The function, with nothing gated by it.
    pub activation: Activation,
    /// For each column, what an element must exceed to count.
    pub threshold: Option<WeightId>,
}

impl Operator for Activate {
    fn arity(&self) -> usize {
        1
    }

    fn infer(&self, graph: &Graph, inputs: &[Value]) -> Result<Value, Error> {
        let dims = expect_f32("Activate", inputs, 0, None)?;
        if let Some(threshold) = self.threshold {
            expect_vector("Activate", graph, threshold, dims.columns())?;
        }
        Ok(inputs[0])
    }

    fn reference(&self, run: &mut Interpreter<'_>, inputs: &[&Tensor]) -> Tensor {
        let mut out = inputs[0].clone();
        let threshold = self.threshold.map(|id| run.weight(id).data);
        for r in 0..out.rows() {
            for (c, x) in out.row_mut(r).iter_mut().enumerate() {
                let y = self.activation.apply(*x, 1.0);
                let least = threshold.as_ref().map_or(0.0, |list| list[c]);
                *x = if y.abs() > least { y } else { 0.0 };
            }
        }
        out
    }

    fn cost(&self, _graph: &Graph, inputs: &[Value], bounds: &Bounds, _context: u32) -> Cost {
        elementwise_cost(inputs, bounds, 10)
    }

    fn in_place(&self) -> Option<usize> {
        Some(0)
    }

    fn weights(&self) -> Vec<WeightUse> {
        self.threshold.into_iter().map(WeightUse::Vector).collect()
    }
}
