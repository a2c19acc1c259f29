//! Why a step did not end well.

/// Why a step did not end well.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Memory or flash failed.
    #[error(transparent)]
    Memory(#[from] memory::Error),
    /// More rows than the plan has room for.
    #[error(
        "a step of {rows} rows with logits for {logit_rows}, but the plan has room for {most} and {most_logits}"
    )]
    TooManyRows {
        /// Rows asked for.
        rows: usize,
        /// Logit rows asked for.
        logit_rows: usize,
        /// Rows planned.
        most: u32,
        /// Logit rows planned.
        most_logits: u32,
    },
    /// A sequence has no room for another token.
    #[error("the context of {context} tokens is full; start again with a larger one (-c)")]
    ContextFull {
        /// Tokens that the sequence can hold.
        context: u32,
    },
    /// An input has not as many bytes as the network was built for.
    #[error("an input has {found} bytes, but the network was built for {expected}")]
    InputBytes {
        /// How many there are.
        found: usize,
        /// How many there should be.
        expected: usize,
    },
    /// An operator could not do with what is in its inputs.
    #[error(transparent)]
    Operator(#[from] graph::Error),
    /// The graph and its plan do not belong together; a fault of the program.
    #[error("value {value} has no place in the arena; the plan is not this graph's")]
    Unplanned {
        /// Index of the value.
        value: u32,
    },
}

impl From<host::Error> for Error {
    fn from(error: host::Error) -> Error {
        Error::Memory(error.into())
    }
}
