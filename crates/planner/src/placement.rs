//! A decision that fits: what lies where, how much in all, and how fast.

use crate::cost::Forecast;
use ::memory::{ExpertOptions, ExpertSets, KvFormat, Tiling};
use graph::{Bounds, Plan};
use host::{Part, StreamOptions};
use std::sync::Arc;

/// One line of the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// What it is for.
    pub part: Part,
    /// Bytes.
    pub bytes: u64,
}

/// Everything that the runtime needs to know.
#[derive(Clone, Debug)]
pub struct Placement {
    /// Rows of a step at most.
    pub bounds: Bounds,
    /// Where values live.
    pub plan: Plan,
    /// The order in which weights are read.
    pub tiling: Arc<Tiling>,
    /// For each run of the tiling, whether it stays in memory.
    pub resident: Vec<bool>,
    /// Bytes of the window; all of it is given back after loading if everything stays.
    pub window_bytes: u64,
    /// How the window is read.
    pub stream: StreamOptions,
    /// What experts are made of; empty for most models.
    pub experts: Arc<ExpertSets>,
    /// How they are kept and read.
    pub expert_options: ExpertOptions,
    /// Tokens that a sequence may have.
    pub context: u32,
    /// Sequences of so many tokens that there is room for.
    pub sequences: u32,
    /// How keys and values are stored.
    pub kv: KvFormat,
    /// Rows of a step that caches are made for.
    pub kv_rows: u32,
    /// The account, in printing order; its sum is the predicted peak.
    pub lines: Vec<Line>,
    /// The budget that this was made for.
    pub budget: u64,
    /// How fast it will be.
    pub forecast: Forecast,
    /// Where things lie while a long prompt is read, if elsewhere: larger steps, and as many weights less stay as their values
    /// take. Its peak is no higher.
    pub reading: Option<Box<Placement>>,
}

impl Placement {
    /// Rows of a step in which a prompt is fed.
    pub fn chunk(&self) -> u32 {
        self.while_reading().bounds.rows
    }

    /// Where things lie while a prompt is read.
    pub fn while_reading(&self) -> &Placement {
        self.reading.as_deref().unwrap_or(self)
    }

    /// Predicted peak of the whole process, bytes.
    pub fn peak(&self) -> u64 {
        self.lines.iter().map(|l| l.bytes).sum()
    }

    /// Bytes of its largest run, which say how weights are read; of a model without any, 1 MiB.
    pub fn run_bytes(&self) -> u64 {
        self.tiling.runs.iter().map(|run| run.bytes).max().unwrap_or(1 << 20)
    }

    /// Bytes of weights that stay, experts included.
    pub fn resident_bytes(&self) -> u64 {
        let runs = self.tiling.runs.iter().zip(&self.resident);
        let slots = self.experts.iter().zip(&self.expert_options.slots);
        runs.filter(|(_, stays)| **stays).map(|(r, _)| r.bytes).sum::<u64>()
            + slots.map(|(set, &slots)| u64::from(slots) * set.slot_bytes).sum::<u64>()
    }

    /// Bytes of weights that do not stay: a step reads all of them, and of experts those that it meets.
    pub fn streamed_bytes(&self) -> u64 {
        self.tiling.bytes(true) + self.experts.bytes() - self.resident_bytes()
    }

    /// Whether some experts do not stay.
    pub(crate) fn misses_experts(&self) -> bool {
        self.experts.iter().zip(&self.expert_options.slots).any(|(set, &slots)| slots < set.count)
    }

    /// Bytes of one part of the account.
    pub fn bytes_of(&self, part: Part) -> u64 {
        self.lines.iter().filter(|l| l.part == part).map(|l| l.bytes).sum()
    }
}
