//! What is asked of the planner.

use ::memory::KvFormat;
use graph::Graph;

/// A model, what the user wants of it, and what the process costs without it.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The computation.
    pub graph: &'a Graph,
    /// Tokens that a sequence may have.
    pub context: u32,
    /// Sequences of so many tokens that there is room for.
    pub sequences: u32,
    /// How keys and values are stored.
    pub kv: KvFormat,
    /// Rows of a step that caches were made for, if there are some.
    pub kv_rows: Option<u32>,
    /// Logit rows of a step: 1 to generate, more to judge a text.
    pub logit_rows: u32,
    /// Bytes that may be used in all.
    pub budget: u64,
    /// Alignment of direct reads.
    pub align: usize,
    /// What does not depend on the placement.
    pub fixed: Fixed,
}

/// A question and its answer, in tokens: what a forecast is said of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// Tokens of the prompt; a forecast takes no more than the context holds.
    pub prompt: u32,
    /// Tokens of the answer.
    pub answer: u32,
}

impl Exchange {
    /// What placements are compared by.
    pub const TYPICAL: Exchange = Exchange { prompt: 512, answer: 128 };
}

/// Bytes that are needed whatever the placement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fixed {
    /// Pages of the program that a run touches.
    pub program: u64,
    /// What the start of the process takes for a moment, before the rest of the program is dropped.
    pub start: u64,
    /// Threads, whose stacks and kernel structures are counted.
    pub threads: u32,
    /// Small allocations: header, graph, plans, and what a run allocates.
    pub heap: u64,
    /// The vocabulary.
    pub tokenizer: u64,
    /// Scratch of the kernels.
    pub scratch: u64,
    /// What a server holds for those who talk to it.
    pub connections: u64,
}
