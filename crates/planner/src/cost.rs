//! How long a step takes: the largest of three bounds.
//!
//! Arithmetic, bytes from memory, bytes from flash: reads overlap with compute, so the slowest of them decides.

use crate::Profile;
use graph::op::{Op, WeightUse, expected_experts};
use graph::{Bounds, Graph, Value};

/// What limits a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// Multiply-adds.
    Arithmetic,
    /// Reading flash.
    Flash,
    /// Reading memory.
    Memory,
}

impl Bound {
    /// The name to print and to use in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Bound::Arithmetic => "arithmetic",
            Bound::Flash => "flash",
            Bound::Memory => "memory",
        }
    }
}

/// Predicted speed of a placement.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Forecast {
    /// Tokens a second while answering, halfway through the answer.
    pub tokens_per_second: f64,
    /// Seconds from the start of a prompt of `prompt_tokens` to its first token.
    pub first_token_seconds: f64,
    /// The prompt that this is said of.
    pub prompt_tokens: u32,
    /// What limits an answer.
    pub bound: Bound,
    /// Bytes read from flash for a token of the answer.
    pub flash_bytes_per_token: u64,
}

impl Forecast {
    /// Tokens of the prompt a second, up to the first token of the answer.
    pub fn prompt_rate(&self) -> f64 {
        f64::from(self.prompt_tokens) / self.first_token_seconds.max(1e-9)
    }
}

/// The least seconds that a step can take by each of what its operators need, flash aside.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StepBounds {
    /// If arithmetic ran from cache and nothing else took time.
    pub arithmetic: f64,
    /// If memory were read at its full rate and nothing else took time.
    pub memory: f64,
    /// The larger of both, operator by operator, and what an operator costs for being one.
    pub both: f64,
    /// What of that is experts, which begin when they have been chosen.
    pub experts: f64,
}

/// Bounds of one step of `graph` with `bounds` rows, `context` positions before it, on the machine of `profile`.
pub fn step_bounds(graph: &Graph, profile: &Profile, bounds: &Bounds, context: u32) -> StepBounds {
    let mut sum = StepBounds::default();
    for node in &graph.nodes {
        let rows = graph.value_of(node.output).dims.rows().map_or(1, |symbol| bounds.of(symbol));
        if rows == 0 {
            continue; // only steps with logits have rows here
        }
        let inputs: Vec<Value> = node.inputs.iter().map(|&id| *graph.value_of(id)).collect();
        let cost = node.op.cost(graph, &inputs, bounds, context);
        let (product, weight_bytes) = match &node.op {
            Op::Experts(experts) => {
                let met = expected_experts(experts.count, experts.used, rows);
                let each = (f64::from(rows * experts.used) / met).ceil() as u32;
                let dtype = graph.weight_of(experts.gate.first()).dtype;
                (cost.macs as f64 / profile.product(dtype, each), met * experts.bytes(graph) as f64)
            }
            Op::Neurons(neurons) => {
                let met = expected_experts(neurons.clusters(), neurons.likely, rows);
                let dtype = graph.weight_of(neurons.up).dtype;
                (cost.macs as f64 / profile.product(dtype, rows), met * neurons.bytes(graph) as f64)
            }
            op => {
                let whole = op.weights().into_iter().find_map(|used| match used {
                    WeightUse::Whole(id) => Some(graph.weight_of(id)),
                    _ => None,
                });
                let bytes = whole.and_then(|w| w.dtype.bytes_of(w.shape.elements())).unwrap_or(0);
                let product = whole.map_or(0.0, |w| cost.macs as f64 / profile.product(w.dtype, rows));
                (product, bytes as f64)
            }
        };
        let operations = product + cost.float_ops as f64 / profile.float_ops;
        let moving = (weight_bytes + cost.state_bytes as f64) / profile.memory_bytes;
        let seconds = operations.max(moving) + profile.node_seconds;
        sum.arithmetic += operations;
        sum.memory += moving;
        sum.both += seconds;
        sum.experts += if matches!(node.op, Op::Experts(_) | Op::Neurons(_)) { seconds } else { 0.0 };
    }
    sum
}

/// Seconds for which a step reads from flash.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct FlashSeconds {
    /// Known before the step: reading them overlaps with everything.
    pub ahead: f64,
    /// Experts that were chosen and are not here: reading them overlaps with experts of the same layer alone.
    pub experts: f64,
    /// Which share of the layers with experts reads any.
    pub reading: f64,
}

impl FlashSeconds {
    /// Seconds of all layers with experts whose arithmetic takes `arithmetic`: those that read and those that do not follow
    /// each other.
    fn of_experts(&self, arithmetic: f64) -> f64 {
        (1.0 - self.reading) * arithmetic + self.experts.max(self.reading * arithmetic)
    }
}

/// Seconds of one step, and what bounds it.
///
/// Operators follow each other, so their times add up; within a product the weights arrive from memory while the
/// arithmetic goes on.
pub(crate) fn step_seconds(
    graph: &Graph,
    profile: &Profile,
    bounds: &Bounds,
    context: u32,
    flash: FlashSeconds,
) -> (f64, Bound) {
    let StepBounds { arithmetic, memory, both, experts } = step_bounds(graph, profile, bounds, context);
    let seconds = flash.ahead.max(both - experts) + flash.of_experts(experts);
    match () {
        () if flash.ahead + flash.experts > both => (seconds, Bound::Flash),
        () if memory > arithmetic => (seconds, Bound::Memory),
        () => (seconds, Bound::Arithmetic),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_hide_behind_the_arithmetic_of_their_own_layers_alone() {
        let seconds = |experts, reading| FlashSeconds { ahead: 0.0, experts, reading }.of_experts(4.0);
        // Nobody reads; all do, little and much; a quarter does.
        assert_eq!([seconds(0.0, 0.0), seconds(1.0, 1.0), seconds(9.0, 1.0)], [4.0, 4.0, 9.0]);
        assert_eq!([seconds(0.5, 0.25), seconds(3.0, 0.25)], [4.0, 6.0]);
    }
}
