//! How long a step takes: the largest of three bounds.
//!
//! Arithmetic, bytes from memory, bytes from flash: reads overlap with compute, so the slowest of them decides.

use crate::Profile;
use graph::op::WeightUse;
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
    /// Tokens a second while answering, in the middle of the context.
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

/// The least seconds that a step can take by each of what its operators need, flash aside.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StepBounds {
    /// If arithmetic ran from cache and nothing else took time.
    pub arithmetic: f64,
    /// If memory were read at its full rate and nothing else took time.
    pub memory: f64,
    /// The larger of both, operator by operator, and what an operator costs for being one.
    pub both: f64,
}

/// Bounds of one step of `graph` with `bounds` rows, `context` positions before it, on the machine of `profile`.
pub fn step_bounds(graph: &Graph, profile: &Profile, bounds: &Bounds, context: u32) -> StepBounds {
    let (mut arithmetic, mut memory, mut both) = (0.0, 0.0, 0.0);
    for node in &graph.nodes {
        let rows = graph.value_of(node.output).dims.rows().map_or(1, |symbol| bounds.of(symbol));
        if rows == 0 {
            continue; // only steps with logits have rows here
        }
        let inputs: Vec<Value> = node.inputs.iter().map(|&id| *graph.value_of(id)).collect();
        let cost = node.op.cost(graph, &inputs, bounds, context);
        let whole = node.op.weights().into_iter().find_map(|used| match used {
            WeightUse::Whole(id) => Some(graph.weight_of(id)),
            _ => None,
        });
        let product = whole.map_or(0.0, |w| cost.macs as f64 / profile.product(w.dtype, rows));
        let operations = product + cost.float_ops as f64 / profile.float_ops;
        let weight_bytes = whole.and_then(|w| w.dtype.bytes_of(w.shape.elements())).unwrap_or(0);
        let moving = (weight_bytes + cost.state_bytes) as f64 / profile.memory_bytes;
        arithmetic += operations;
        memory += moving;
        both += operations.max(moving) + profile.node_seconds;
    }
    StepBounds { arithmetic, memory, both }
}

/// Seconds of one step, and what bounds it.
///
/// Operators follow each other, so their times add up; within a product the weights arrive from memory while the
/// arithmetic goes on. Reading flash overlaps with all of it.
pub(crate) fn step_seconds(
    graph: &Graph,
    profile: &Profile,
    bounds: &Bounds,
    context: u32,
    flash_bytes: u64,
) -> (f64, Bound) {
    let StepBounds { arithmetic, memory, both: compute } = step_bounds(graph, profile, bounds, context);
    let flash = flash_bytes as f64 / profile.flash_bytes;
    match flash > compute {
        true => (flash, Bound::Flash),
        false if memory > arithmetic => (compute, Bound::Memory),
        false => (compute, Bound::Arithmetic),
    }
}
