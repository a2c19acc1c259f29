//! Root-mean-square normalisation over groups of columns (Zhang and Sennrich, arXiv 1910.07467).
//!
//! A group is the width of the weight: the whole row for a layer's norm, one head for the norms of queries and
//! keys.

use super::{Cost, Operator, WeightUse, elementwise_cost, expect_f32, weight_error};
use crate::interpret::{Interpreter, Tensor};
use crate::{Bounds, Error, Graph, Value, WeightId};

/// `x / sqrt(mean(x^2) + eps) * weight`, for each group of `weight.len()` columns.
#[derive(Clone, Debug, PartialEq)]
pub struct Norm {
    /// Scale of each element, a vector.
    pub weight: WeightId,
    /// Keeps the root away from zero.
    pub eps: f32,
}

impl Operator for Norm {
    fn arity(&self) -> usize {
        1
    }

    fn infer(&self, graph: &Graph, inputs: &[Value]) -> Result<Value, Error> {
        let dims = expect_f32("Norm", inputs, 0, None)?;
        let weight = graph.weight_of(self.weight);
        if !weight.is_vector() || !u64::from(dims.columns()).is_multiple_of(weight.shape.columns()) {
            let expected = format!("a vector that divides {}", dims.columns());
            return Err(weight_error("Norm", graph, self.weight, expected));
        }
        Ok(inputs[0])
    }

    fn reference(&self, run: &mut Interpreter<'_>, inputs: &[&Tensor]) -> Tensor {
        let weight = run.weight(self.weight).data;
        let mut out = inputs[0].clone();
        for group in out.data.chunks_mut(weight.len()) {
            let square: f64 = group.iter().map(|x| f64::from(*x) * f64::from(*x)).sum();
            let root = (square / group.len() as f64 + f64::from(self.eps)).sqrt();
            for (x, w) in group.iter_mut().zip(&weight) {
                *x = (f64::from(*x) / root) as f32 * w;
            }
        }
        out
    }

    fn cost(&self, _graph: &Graph, inputs: &[Value], bounds: &Bounds, _context: u32) -> Cost {
        elementwise_cost(inputs, bounds, 4)
    }

    fn weights(&self) -> Vec<WeightUse> {
        vec![WeightUse::Vector(self.weight)]
    }
}
