//! Product of every head with a matrix of its own: `y[h] = x[h] W[h]^T`.
//!
//! One tensor holds the matrices one under the other, so that its rows are the columns of the output. Used where keys
//! and values of all heads come from one latent (DeepSeek-V2, arXiv 2405.04434). Types of inputs are as for
//! [`super::Linear`].

use super::{Cost, Operator, WeightUse, takes_int8, weight_error};
use crate::interpret::{Interpreter, Tensor};
use crate::{Bounds, Dims, Elem, Error, Graph, Symbol, Value, WeightId};

/// Input: (rows, heads * inputs). Output: (rows, heads * outputs).
#[derive(Clone, Debug, PartialEq)]
pub struct HeadLinear {
    /// The matrices, (heads, outputs, inputs) or (heads * outputs, inputs).
    pub weight: WeightId,
    /// How many heads there are.
    pub heads: u32,
}

impl Operator for HeadLinear {
    fn arity(&self) -> usize {
        1
    }

    fn infer(&self, graph: &Graph, inputs: &[Value]) -> Result<Value, Error> {
        let (weight, input, heads) = (graph.weight_of(self.weight), inputs[0], self.heads);
        let fits = match *weight.shape.extents() {
            [stacked, _, _] => stacked == u64::from(heads),
            [rows, _] => heads > 0 && rows.is_multiple_of(u64::from(heads)),
            _ => false,
        };
        let columns = weight.shape.columns().checked_mul(u64::from(heads));
        if !fits || columns != Some(u64::from(input.dims.columns())) {
            let expected = format!("{heads} matrices for heads of {} in all", input.dims.columns());
            return Err(weight_error("HeadLinear", graph, self.weight, expected));
        }
        let int8 = input.elem == Elem::Quantized;
        if input.elem == Elem::Index || (int8 && !takes_int8(weight.dtype)) {
            return Err(Error::Elem { op: "HeadLinear", input: 0, found: input.elem, expected: Elem::F32 });
        }
        let outputs = u32::try_from(weight.shape.rows())
            .map_err(|_| Error::Overflow { op: "HeadLinear", what: "the number of outputs" })?;
        let rows = input.dims.rows().unwrap_or(Symbol::ROWS);
        Ok(Value { dims: Dims::matrix(rows, outputs), elem: Elem::F32 })
    }

    fn reference(&self, run: &mut Interpreter<'_>, inputs: &[&Tensor]) -> Tensor {
        let (x, weight) = (inputs[0], run.weight(self.weight));
        let (outputs, columns) = (weight.rows() / self.heads as usize, weight.columns);
        let mut out = Vec::with_capacity(x.rows() * weight.rows());
        for i in 0..x.rows() {
            for o in 0..weight.rows() {
                let head = &x.row(i)[o / outputs * columns..][..columns];
                let dot: f64 =
                    head.iter().zip(weight.row(o)).map(|(a, w)| f64::from(*a) * f64::from(*w)).sum();
                out.push(dot as f32);
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
        vec![WeightUse::Whole(self.weight)]
    }

    /// Room for one head of all rows.
    fn scratch(&self, _graph: &Graph, inputs: &[Value], bounds: &Bounds) -> u64 {
        let rows = inputs[0].dims.rows().map_or(1, |s| u64::from(bounds.of(s)));
        rows * inputs[0].elem.row_bytes(u64::from(inputs[0].dims.columns() / self.heads.max(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Weight;
    use tensor::{DType, Shape};

    #[test]
    fn every_head_has_its_matrix() {
        for extents in [&[2, 1, 3][..], &[2, 3]] {
            let mut graph = Graph::new();
            let shape = Shape::new(extents).unwrap();
            let weight = Weight { name: "w".into(), tensor: 0, dtype: DType::F32, shape, offset: 0.0 };
            let weight = graph.weight(weight);
            let x = graph.input(Dims::matrix(Symbol::ROWS, 6), Elem::F32);
            let y = graph.push(HeadLinear { weight, heads: 2 }, &[x]).unwrap();
            graph.outputs.push(y);
            assert!(graph.push(HeadLinear { weight, heads: 3 }, &[x]).is_err());
            let mut run = Interpreter::new(&graph, |_| vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
            let out = run.step(&[Tensor::new(1, 6, vec![1.0, 0.0, 1.0, 0.0, 2.0, 0.0])]);
            assert_eq!(out[0].data, [4.0, 10.0]);
        }
    }
}
