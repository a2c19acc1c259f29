//! Where the time of a step goes.

use graph::Op;

/// Kinds of work that are timed apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Products with weights, reads included.
    Products,
    /// Attention over the caches.
    Attention,
    /// Everything else.
    Other,
}

impl Phase {
    /// All, in printing order.
    pub const ALL: [Phase; 3] = [Phase::Products, Phase::Attention, Phase::Other];

    /// The name to print.
    pub fn name(self) -> &'static str {
        match self {
            Phase::Products => "products",
            Phase::Attention => "attention",
            Phase::Other => "other",
        }
    }

    pub(crate) fn of(op: &Op) -> Phase {
        match op {
            Op::Experts(_) | Op::HeadLinear(_) | Op::Linear(_) | Op::Neurons(_) => Phase::Products,
            Op::Attention(_) => Phase::Attention,
            _ => Phase::Other,
        }
    }
}

/// Sums over the steps of an executor.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StepStats {
    /// Steps done.
    pub steps: u64,
    /// Rows of all steps.
    pub rows: u64,
    /// Bytes of weights that products touched, resident or streamed.
    pub bytes_touched: u64,
    /// Multiply-adds of products with weights.
    pub macs: u64,
    /// Experts that were chosen and left out, since the user wants that.
    pub experts_skipped: u64,
    /// What those counted beside the strongest of their row, squared and added up.
    pub weight_skipped: f64,
    /// Seconds by phase, in the order of [`Phase::ALL`].
    pub seconds: [f64; 3],
}
