//! Picks the rows whose logits are wanted, so that the vocabulary's product runs for those alone.

use super::{Cost, Operator, expect, expect_f32};
use crate::interpret::{Interpreter, Tensor};
use crate::{Bounds, Dims, Elem, Error, Graph, Symbol, Value};

/// Inputs: `x` (rows, columns) and row numbers (logit rows). Output: (logit rows, columns).
#[derive(Clone, Debug, PartialEq)]
pub struct SelectRows;

impl Operator for SelectRows {
    fn arity(&self) -> usize {
        2
    }

    fn infer(&self, _graph: &Graph, inputs: &[Value]) -> Result<Value, Error> {
        let dims = expect_f32("SelectRows", inputs, 0, None)?;
        let picked = expect("SelectRows", inputs, 1, Elem::Index, None)?;
        let rows = picked.rows().unwrap_or(Symbol::LOGIT_ROWS);
        Ok(Value { dims: Dims::matrix(rows, dims.columns()), elem: Elem::F32 })
    }

    fn reference(&self, _run: &mut Interpreter<'_>, inputs: &[&Tensor]) -> Tensor {
        let x = inputs[0];
        let rows: Vec<f32> = inputs[1].data.iter().flat_map(|&r| x.row(r as usize).iter().copied()).collect();
        Tensor::new(inputs[1].data.len(), x.columns, rows)
    }

    fn cost(&self, _graph: &Graph, _inputs: &[Value], _bounds: &Bounds, _context: u32) -> Cost {
        Cost::default()
    }
}
