//! Causal attention with grouped heads over the keys and values of a sequence's state (arXiv 2305.13245).
//!
//! A step first appends its own keys and values to the state, then each row reads the positions up to its own, or
//! the last `window` of them.

use super::{Cost, Operator, WeightUse, expect, expect_f32, expect_vector};
use crate::interpret::{Interpreter, Tensor};
use crate::{Bounds, Elem, Error, Graph, StateId, StateKind, Value, WeightId};

/// Inputs: queries (rows, heads * head_dim), keys and values (rows, kv_heads * head_dim), positions (rows).
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
        expect_f32("Attention", inputs, 0, Some(self.heads * state.head_dim))?;
        expect_f32("Attention", inputs, 1, Some(state.kv_heads * state.head_dim))?;
        expect_f32("Attention", inputs, 2, Some(state.kv_heads * state.head_dim))?;
        expect("Attention", inputs, 3, Elem::Index, None)?;
        if state.kv_heads == 0 || !self.heads.is_multiple_of(state.kv_heads) {
            let expected = format!("heads in groups of {}", state.kv_heads);
            return Err(Error::Shape { op: "Attention", input: 0, found: inputs[0].dims, expected });
        }
        if let Some(sinks) = self.sinks {
            expect_vector("Attention", graph, sinks, self.heads)?;
        }
        Ok(inputs[0])
    }

    fn reference(&self, run: &mut Interpreter<'_>, inputs: &[&Tensor]) -> Tensor {
        let state = *run.graph().state_of(self.state);
        let sinks = self.sinks.map(|sinks| run.weight(sinks).data);
        let dim = state.head_dim as usize;
        let group = (self.heads / state.kv_heads) as usize;
        let mut out = inputs[0].clone();
        for i in 0..inputs[0].rows() {
            let position = inputs[3].data[i] as usize;
            let (keys, values) = run.remember(self.state, position, inputs[1].row(i), inputs[2].row(i));
            let first = match state.kind {
                StateKind::Append => 0,
                StateKind::Ring { window } => (position + 1).saturating_sub(window as usize),
            };
            for (h, query) in inputs[0].row(i).chunks(dim).enumerate() {
                let of = |rows: &[Vec<f32>], p: usize| rows[p][h / group * dim..][..dim].to_vec();
                let scores: Vec<f64> = (first..=position)
                    .map(|p| {
                        let dot: f64 =
                            query.iter().zip(of(keys, p)).map(|(q, k)| f64::from(*q) * f64::from(k)).sum();
                        let score = dot * f64::from(self.scale);
                        self.softcap.map_or(score, |cap| f64::from(cap) * (score / f64::from(cap)).tanh())
                    })
                    .collect();
                let sink = sinks.as_ref().map_or(f64::NEG_INFINITY, |sinks| f64::from(sinks[h]));
                let most = scores.iter().copied().fold(sink, f64::max);
                let total: f64 = scores.iter().chain([&sink]).map(|s| (s - most).exp()).sum();
                let result = &mut out.row_mut(i)[h * dim..][..dim];
                result.fill(0.0);
                for (p, score) in (first..).zip(&scores) {
                    let share = ((score - most).exp() / total) as f32;
                    result.iter_mut().zip(of(values, p)).for_each(|(o, v)| *o += share * v);
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
        let width = u64::from(self.heads * state.head_dim);
        let kv_width = u64::from(state.kv_heads * state.head_dim);
        Cost { float_ops: rows * seen * width * 4, state_bytes: seen * kv_width * 4, ..Cost::default() }
    }

    fn weights(&self) -> Vec<WeightUse> {
        self.sinks.map(WeightUse::Vector).into_iter().collect()
    }

    fn state(&self) -> Option<StateId> {
        Some(self.state)
    }
}
