//! Token embedding: row `id` of the vocabulary matrix for each token.

use super::{Cost, Operator, WeightUse, expect, weight_error};
use crate::interpret::{Interpreter, Tensor};
use crate::{Bounds, Dims, Elem, Error, Graph, Symbol, Value, WeightId};

/// Input: token ids (rows). Output: (rows, width).
#[derive(Clone, Debug, PartialEq)]
pub struct Embed {
    /// The vocabulary matrix, (tokens, width).
    pub weight: WeightId,
}

impl Operator for Embed {
    fn arity(&self) -> usize {
        1
    }

    fn infer(&self, graph: &Graph, inputs: &[Value]) -> Result<Value, Error> {
        let ids = expect("Embed", inputs, 0, Elem::Index, None)?;
        let shape = graph.weight_of(self.weight).shape;
        let width = u32::try_from(shape.columns())
            .map_err(|_| weight_error("Embed", graph, self.weight, "a narrower matrix".into()))?;
        let rows = ids.rows().unwrap_or(Symbol::ROWS);
        Ok(Value { dims: Dims::matrix(rows, width), elem: Elem::F32 })
    }

    fn reference(&self, run: &mut Interpreter<'_>, inputs: &[&Tensor]) -> Tensor {
        let weight = run.weight(self.weight);
        let rows: Vec<f32> = inputs[0].data.iter().flat_map(|&id| weight.row(id as usize).to_vec()).collect();
        Tensor::new(inputs[0].data.len(), weight.columns, rows)
    }

    fn cost(&self, _graph: &Graph, _inputs: &[Value], _bounds: &Bounds, _context: u32) -> Cost {
        Cost::default()
    }

    fn weights(&self) -> Vec<WeightUse> {
        vec![WeightUse::Rows(self.weight)]
    }
}
