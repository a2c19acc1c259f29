//! How long a step takes: the largest of three bounds.
//!
//! Arithmetic, bytes from memory, bytes from flash: reads overlap with compute, so the slowest of them decides.

use crate::Profile;
use graph::{Bounds, Graph};

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

/// Bytes of weights that a step touches in all and reads from flash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Traffic {
    pub touched: u64,
    pub flash: u64,
}

/// Seconds of one step, and what bounds it.
pub(crate) fn step_seconds(
    graph: &Graph,
    profile: &Profile,
    bounds: &Bounds,
    context: u32,
    traffic: Traffic,
) -> (f64, Bound) {
    let cost = graph::plan::cost(graph, bounds, context);
    let macs = if bounds.rows > 4 { profile.int8_macs } else { profile.vector_macs };
    let arithmetic = cost.int8_macs as f64 / macs + cost.float_ops as f64 / profile.float_ops;
    let memory = (traffic.touched + cost.state_bytes) as f64 / profile.memory_bytes;
    let flash = traffic.flash as f64 / profile.flash_bytes;
    let all = [(arithmetic, Bound::Arithmetic), (memory, Bound::Memory), (flash, Bound::Flash)];
    all.into_iter().fold((0.0, Bound::Arithmetic), |most, one| if one.0 > most.0 { one } else { most })
}
