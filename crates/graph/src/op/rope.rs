//! Rotary position embedding: pairs of a head's elements turned by the angles of [`super::RopeTable`].

use super::{Cost, Operator, elementwise_cost, expect_f32};
use crate::interpret::{Interpreter, Tensor};
use crate::{Bounds, Error, Graph, Value};

/// Which elements form a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RopeStyle {
    /// Neighbours `2 i` and `2 i + 1` (the original; Llama in GGUF).
    Interleaved,
    /// `i` and `i + dims / 2` (GPT-NeoX; most models of the Hugging Face hub).
    Halves,
}

/// Inputs: `x` (rows, heads * head_dim) and the table (rows, rotated dims).
#[derive(Clone, Debug, PartialEq)]
pub struct Rope {
    /// Elements of a head; the table's width may be less, the rest is left alone.
    pub head_dim: u32,
    /// Which elements form a pair.
    pub style: RopeStyle,
}

impl Operator for Rope {
    fn arity(&self) -> usize {
        2
    }

    fn infer(&self, _graph: &Graph, inputs: &[Value]) -> Result<Value, Error> {
        let dims = expect_f32("Rope", inputs, 0, None)?;
        let table = expect_f32("Rope", inputs, 1, None)?;
        if self.head_dim == 0 || !dims.columns().is_multiple_of(self.head_dim) {
            let expected = format!("a multiple of {} columns", self.head_dim);
            return Err(Error::Shape { op: "Rope", input: 0, found: Box::new(dims), expected });
        }
        if table.columns() > self.head_dim || !table.columns().is_multiple_of(2) {
            let expected = format!("an even number of at most {} columns", self.head_dim);
            return Err(Error::Shape { op: "Rope", input: 1, found: Box::new(table), expected });
        }
        Ok(inputs[0])
    }

    fn reference(&self, _run: &mut Interpreter<'_>, inputs: &[&Tensor]) -> Tensor {
        let mut out = inputs[0].clone();
        let half = inputs[1].columns / 2;
        for i in 0..out.rows() {
            let (cosines, sines) = inputs[1].row(i).split_at(half);
            for head in out.row_mut(i).chunks_mut(self.head_dim as usize) {
                for j in 0..half {
                    let (a, b) = match self.style {
                        RopeStyle::Interleaved => (2 * j, 2 * j + 1),
                        RopeStyle::Halves => (j, j + half),
                    };
                    let (x, y) = (head[a], head[b]);
                    head[a] = x * cosines[j] - y * sines[j];
                    head[b] = x * sines[j] + y * cosines[j];
                }
            }
        }
        out
    }

    fn cost(&self, _graph: &Graph, inputs: &[Value], bounds: &Bounds, _context: u32) -> Cost {
        elementwise_cost(inputs, bounds, 3)
    }

    fn in_place(&self) -> Option<usize> {
        Some(0)
    }
}
