//! Every head of one value, then the same head of another.
//!
//! A copy. What has one head goes to all heads of the other.

use super::{Cost, Operator, elementwise_cost, expect_f32};
use crate::interpret::{Interpreter, Tensor};
use crate::{Bounds, Dims, Elem, Error, Graph, Symbol, Value};

/// Inputs: (rows, heads * `dims[0]`) and (rows, heads * `dims[1]`), or (rows, `dims[1]`) for all heads.
/// Output: (rows, heads * (`dims[0]` + `dims[1]`)).
#[derive(Clone, Debug, PartialEq)]
pub struct Concat {
    /// Elements of a head of each input.
    pub dims: [u32; 2],
}

impl Operator for Concat {
    fn arity(&self) -> usize {
        2
    }

    fn infer(&self, _graph: &Graph, inputs: &[Value]) -> Result<Value, Error> {
        let [first, second] = self.dims;
        let dims = expect_f32("Concat", inputs, 0, None)?;
        if first == 0 || !dims.columns().is_multiple_of(first) {
            let expected = format!("heads of {first}");
            return Err(Error::Shape { op: "Concat", input: 0, found: Box::new(dims), expected });
        }
        let heads = dims.columns() / first;
        let other = expect_f32("Concat", inputs, 1, None)?;
        let fits = other.columns() == second || Some(other.columns()) == heads.checked_mul(second);
        if second == 0 || !fits || other.rows() != dims.rows() {
            let expected = format!("the rows of {dims}, {heads} heads of {second} or one");
            return Err(Error::Shape { op: "Concat", input: 1, found: Box::new(other), expected });
        }
        let columns = first.checked_add(second).and_then(|head| head.checked_mul(heads));
        let columns = columns.ok_or(Error::Overflow { op: "Concat", what: "the number of columns" })?;
        let rows = dims.rows().unwrap_or(Symbol::ROWS);
        Ok(Value { dims: Dims::matrix(rows, columns), elem: Elem::F32 })
    }

    fn reference(&self, _run: &mut Interpreter<'_>, inputs: &[&Tensor]) -> Tensor {
        let [first, second] = self.dims.map(|dim| dim as usize);
        let mut data = Vec::new();
        for r in 0..inputs[0].rows() {
            let tails = inputs[1].row(r).chunks_exact(second).cycle();
            for (head, tail) in inputs[0].row(r).chunks_exact(first).zip(tails) {
                data.extend_from_slice(head);
                data.extend_from_slice(tail);
            }
        }
        Tensor::new(inputs[0].rows(), inputs[0].columns / first * (first + second), data)
    }

    fn cost(&self, _graph: &Graph, inputs: &[Value], bounds: &Bounds, _context: u32) -> Cost {
        elementwise_cost(inputs, bounds, 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_alternate_and_one_goes_to_all() {
        let concat = Concat { dims: [2, 1] };
        let cases = [
            (4, vec![5.0, 6.0, 7.0, 8.0], vec![1.0, 2.0, 5.0, 3.0, 4.0, 6.0, 1.0, 2.0, 7.0, 3.0, 4.0, 8.0]),
            (2, vec![5.0, 7.0], vec![1.0, 2.0, 5.0, 3.0, 4.0, 5.0, 1.0, 2.0, 7.0, 3.0, 4.0, 7.0]),
        ];
        for (elements, other, want) in cases {
            let mut graph = Graph::new();
            let x = graph.input(Dims::matrix(Symbol::ROWS, 4), Elem::F32);
            let y = graph.input(Dims::matrix(Symbol::ROWS, elements / 2), Elem::F32);
            let joined = graph.push(concat.clone(), &[x, y]).unwrap();
            graph.outputs.push(joined);
            assert_eq!(graph.value_of(joined).dims.columns(), 6);
            let mut run = Interpreter::new(&graph, |_| Vec::new());
            let first = Tensor::new(2, 4, [1.0, 2.0, 3.0, 4.0].repeat(2));
            let out = run.step(&[first, Tensor::new(2, elements as usize / 2, other)]);
            assert_eq!(out[0].data, want);
        }
        let mut graph = Graph::new();
        let inputs = [4, 3].map(|columns| graph.input(Dims::matrix(Symbol::ROWS, columns), Elem::F32));
        assert!(graph.push(concat, &inputs).is_err());
    }
}
