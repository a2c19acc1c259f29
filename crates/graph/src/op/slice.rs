//! Some columns of every head.
//!
//! A copy, so that every value of a graph lies in one piece.

use super::{Cost, Operator, elementwise_cost, expect_f32};
use crate::interpret::{Interpreter, Tensor};
use crate::{Bounds, Dims, Error, Graph, Symbol, Value};

/// Input: (rows, heads * head_dim). Output: (rows, heads * len).
#[derive(Clone, Debug, PartialEq)]
pub struct Slice {
    /// Elements of a head.
    pub head_dim: u32,
    /// The first that is wanted.
    pub first: u32,
    /// How many are.
    pub len: u32,
}

impl Operator for Slice {
    fn arity(&self) -> usize {
        1
    }

    fn infer(&self, _graph: &Graph, inputs: &[Value]) -> Result<Value, Error> {
        let dims = expect_f32("Slice", inputs, 0, None)?;
        let Slice { head_dim, first, len } = *self;
        let within = len > 0 && first.checked_add(len).is_some_and(|end| end <= head_dim);
        if !within || !dims.columns().is_multiple_of(head_dim) {
            let expected = format!("heads of {head_dim} with columns {first}..{first} + {len}");
            return Err(Error::Shape { op: "Slice", input: 0, found: Box::new(dims), expected });
        }
        let rows = dims.rows().unwrap_or(Symbol::ROWS);
        Ok(Value { dims: Dims::matrix(rows, dims.columns() / head_dim * len), ..inputs[0] })
    }

    fn reference(&self, _run: &mut Interpreter<'_>, inputs: &[&Tensor]) -> Tensor {
        let (x, first, len) = (inputs[0], self.first as usize, self.len as usize);
        let heads = x.data.chunks_exact(self.head_dim as usize);
        let data: Vec<f32> = heads.flat_map(|head| &head[first..first + len]).copied().collect();
        Tensor::new(x.rows(), data.len() / x.rows().max(1), data)
    }

    fn cost(&self, _graph: &Graph, inputs: &[Value], bounds: &Bounds, _context: u32) -> Cost {
        elementwise_cost(inputs, bounds, 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Elem;

    #[test]
    fn columns_of_every_head_and_none_outside() {
        let mut graph = Graph::new();
        let x = graph.input(Dims::matrix(Symbol::ROWS, 6), Elem::F32);
        let y = graph.push(Slice { head_dim: 3, first: 1, len: 2 }, &[x]).unwrap();
        graph.outputs.push(y);
        for (head_dim, first, len) in [(3, 2, 2), (4, 0, 1), (3, 0, 0), (3, u32::MAX, 2), (0, 0, 1)] {
            assert!(graph.push(Slice { head_dim, first, len }, &[x]).is_err(), "{head_dim} {first} {len}");
        }
        let mut run = Interpreter::new(&graph, |_| Vec::new());
        let out = run.step(&[Tensor::new(1, 6, vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0])]);
        assert_eq!(out[0].data, [1.0, 2.0, 4.0, 5.0]);
    }
}
