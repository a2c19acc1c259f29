//! What a step works on: rows of one or more sequences.

use crate::Error;
use ::memory::KvCache;

/// What a sequence remembers, and how far it has come.
pub struct Sequence {
    /// Keys and values.
    pub cache: KvCache,
    /// Positions filled: the position of the next token.
    pub len: u32,
    /// Positions that there is room for.
    pub context: u32,
}

impl Sequence {
    /// An empty sequence of up to `context` tokens.
    pub fn new(cache: KvCache, context: u32) -> Sequence {
        Sequence { cache, len: 0, context }
    }
}

/// Consecutive rows of a batch that belong to one sequence and follow each other in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Index into the sequences given to the step.
    pub sequence: usize,
    /// First row in the batch.
    pub first_row: usize,
    /// How many rows.
    pub rows: usize,
    /// Position of the first row in its sequence.
    pub position: u32,
}

/// The rows of a step. Reused from step to step, so that filling it does not allocate.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    pub(crate) ids: Vec<u32>,
    pub(crate) positions: Vec<u32>,
    pub(crate) wanted: Vec<u32>,
    pub(crate) spans: Vec<Span>,
}

/// For which rows logits are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// None: more of the prompt follows.
    None,
    /// The last: the next token is to be chosen.
    Last,
    /// All: the text is being judged.
    All,
}

impl Batch {
    /// A batch with room for `rows` rows.
    pub fn with_capacity(rows: usize) -> Batch {
        let list = || Vec::with_capacity(rows);
        Batch { ids: list(), positions: list(), wanted: list(), spans: Vec::with_capacity(rows.min(64)) }
    }

    /// Forgets all rows.
    pub fn clear(&mut self) {
        self.ids.clear();
        self.positions.clear();
        self.wanted.clear();
        self.spans.clear();
    }

    /// Appends tokens that come next in sequence number `index`.
    ///
    /// # Errors
    /// [`Error::ContextFull`] if the sequence has no room for all of them.
    pub fn push(
        &mut self,
        index: usize,
        sequence: &Sequence,
        tokens: &[u32],
        wanted: Wanted,
    ) -> Result<(), Error> {
        let room = sequence.context.saturating_sub(sequence.len) as usize;
        if tokens.len() > room {
            return Err(Error::ContextFull { context: sequence.context });
        }
        let first_row = self.ids.len();
        let end = first_row + tokens.len();
        self.ids.extend_from_slice(tokens);
        self.positions.extend((sequence.len..).take(tokens.len()));
        match wanted {
            Wanted::None => {}
            Wanted::Last => self.wanted.push(end as u32 - 1),
            Wanted::All => self.wanted.extend(first_row as u32..end as u32),
        }
        self.spans.push(Span { sequence: index, first_row, rows: tokens.len(), position: sequence.len });
        Ok(())
    }

    /// Rows so far.
    pub fn rows(&self) -> usize {
        self.ids.len()
    }
}
