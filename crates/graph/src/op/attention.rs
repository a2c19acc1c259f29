//! Causal attention with grouped heads over the keys and values of a sequence's state (arXiv 2305.13245).
//!
//! A step first appends its own keys and values to the state, then each row reads the positions up to its own, or
//! the last `window` of them. Values that a state takes from its keys are given as those keys once more.

use super::{Cost, Operator, WeightUse, expect, expect_f32, expect_vector};
use crate::interpret::{Interpreter, Tensor};
use crate::{Bounds, Dims, Elem, Error, Graph, State, StateId, StateKind, Symbol, Value, Values, WeightId};

/// Inputs: queries (rows, heads * head_dim), keys (rows, kv_heads * head_dim), values (rows, kv_heads * their head_dim),
/// positions (rows). Output: (rows, heads * the values' head_dim).
#[derive(Clone, Debug, PartialEq)]
pub struct Attention {
    /// Where keys and values live; gives heads of keys, their width and the window.
    pub state: StateId,
    /// Heads of queries, a multiple of the state's.
    pub heads: u32,
    /// Factor on the products of queries and keys.
    pub scale: f32,
    /// `cap * tanh(score / cap)` before the softmax.
    pub softcap: Option<f32>,
    /// A vector with a score for each head of queries: one more key, whose value is zero (arXiv 2309.17453).
    pub sinks: Option<WeightId>,
}

impl Operator for Attention {
    fn arity(&self) -> usize {
        4
    }

    fn infer(&self, graph: &Graph, inputs: &[Value]) -> Result<Value, Error> {
        let state = graph.state_of(self.state);
        let queries = expect_f32("Attention", inputs, 0, Some(self.heads * state.head_dim))?;
        expect_f32("Attention", inputs, 1, Some(state.kv_heads * state.head_dim))?;
        expect_f32("Attention", inputs, 2, Some(state.kv_heads * value_stride(state)))?;
        expect("Attention", inputs, 3, Elem::Index, None)?;
        if state.kv_heads == 0 || !self.heads.is_multiple_of(state.kv_heads) {
            let expected = format!("heads in groups of {}", state.kv_heads);
            return Err(Error::Shape {
                op: "Attention",
                input: 0,
                found: Box::new(inputs[0].dims),
                expected,
            });
        }
        if let Values::OfKeys(dim) = state.values
            && dim > state.head_dim
        {
            let expected = format!("at least {dim} columns a head");
            return Err(Error::Shape {
                op: "Attention",
                input: 1,
                found: Box::new(inputs[1].dims),
                expected,
            });
        }
        if let Some(sinks) = self.sinks {
            expect_vector("Attention", graph, sinks, self.heads)?;
        }
        let rows = queries.rows().unwrap_or(Symbol::ROWS);
        Ok(Value { dims: Dims::matrix(rows, self.heads * state.values.head_dim()), elem: Elem::F32 })
    }

    fn reference(&self, run: &mut Interpreter<'_>, inputs: &[&Tensor]) -> Tensor {
        let state = *run.graph().state_of(self.state);
        let sinks = self.sinks.map(|sinks| run.weight(sinks).data);
        let (dim, value_dim) = (state.head_dim as usize, state.values.head_dim() as usize);
        let (group, stride) = ((self.heads / state.kv_heads) as usize, value_stride(&state) as usize);
        let width = self.heads as usize * value_dim;
        let mut out = Tensor::new(inputs[0].rows(), width, vec![0.0; inputs[0].rows() * width]);
        for i in 0..inputs[0].rows() {
            let position = inputs[3].data[i] as usize;
            let (keys, values) = run.remember(self.state, position, inputs[1].row(i), inputs[2].row(i));
            let first = match state.kind {
                StateKind::Append => 0,
                StateKind::Ring { window } => (position + 1).saturating_sub(window as usize),
            };
            for (h, query) in inputs[0].row(i).chunks(dim).enumerate() {
                let scores: Vec<f64> = (first..=position)
                    .map(|p| {
                        let key = &keys[p][h / group * dim..][..dim];
                        let dot: f64 =
                            query.iter().zip(key).map(|(q, k)| f64::from(*q) * f64::from(*k)).sum();
                        let score = dot * f64::from(self.scale);
                        self.softcap.map_or(score, |cap| f64::from(cap) * (score / f64::from(cap)).tanh())
                    })
                    .collect();
                let sink = sinks.as_ref().map_or(f64::NEG_INFINITY, |sinks| f64::from(sinks[h]));
                let most = scores.iter().copied().fold(sink, f64::max);
                let total: f64 = scores.iter().chain([&sink]).map(|s| (s - most).exp()).sum();
                let result = &mut out.row_mut(i)[h * value_dim..][..value_dim];
                for (p, score) in (first..).zip(&scores) {
                    let share = ((score - most).exp() / total) as f32;
                    let value = &values[p][h / group * stride..][..value_dim];
                    result.iter_mut().zip(value).for_each(|(o, v)| *o += share * v);
                }
            }
        }
        out
    }

    fn cost(&self, graph: &Graph, inputs: &[Value], bounds: &Bounds, context: u32) -> Cost {
        let state = graph.state_of(self.state);
        let rows = inputs[0].dims.rows().map_or(1, |s| u64::from(bounds.of(s)));
        let seen = match state.kind {
            StateKind::Append => u64::from(context) + rows / 2,
            StateKind::Ring { window } => (u64::from(context) + rows / 2).min(u64::from(window)),
        };
        let (key, value) = (u64::from(state.head_dim), u64::from(state.values.head_dim()));
        let kept: u64 = state.kept().into_iter().map(u64::from).sum();
        Cost {
            float_ops: rows * seen * u64::from(self.heads) * (key + value) * 2,
            state_bytes: seen * u64::from(state.kv_heads) * kept * 2,
            ..Cost::default()
        }
    }

    fn weights(&self) -> Vec<WeightUse> {
        self.sinks.map(WeightUse::Vector).into_iter().collect()
    }

    fn state(&self) -> Option<StateId> {
        Some(self.state)
    }
}

/// Elements from the values of one head of a row to those of the next.
fn value_stride(state: &State) -> u32 {
    match state.values {
        Values::Own(dim) => dim,
        Values::OfKeys(_) => state.head_dim,
    }
}
