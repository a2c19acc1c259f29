//! What can go wrong while bytes are fetched or memory is taken.

/// Why weights or state could not be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The machine refused: memory beyond the budget, a failed read, a file that cannot be opened.
    #[error(transparent)]
    Host(#[from] host::Error),
    /// A weight could not be read.
    #[error(
        "cannot read tensor '{tensor}' at byte {offset}: {source}; check the disk, or fetch the model again"
    )]
    Read {
        /// The tensor.
        tensor: String,
        /// Where in its file.
        offset: u64,
        /// What the system said.
        source: std::io::Error,
    },
    /// A step asked for weights in another order than was planned; a fault of the program.
    #[error("run {run} of the weights was asked for out of order; {next:?} comes next")]
    OutOfOrder {
        /// The run asked for.
        run: u32,
        /// The run that would have been next.
        next: Option<u32>,
    },
    /// A token id or row that the matrix does not have.
    #[error("row {row} of '{tensor}' was asked for, but it has {rows}")]
    Row {
        /// The tensor.
        tensor: String,
        /// The row asked for.
        row: u32,
        /// How many there are.
        rows: u64,
    },
    /// A matrix whose single row is larger than a tile may be.
    #[error("a row of '{tensor}' takes {bytes} bytes, more than the {limit} that a tile may have")]
    WideRow {
        /// The tensor.
        tensor: String,
        /// Bytes of a row.
        bytes: u64,
        /// Bytes that a tile may have.
        limit: u64,
    },
}

impl From<host::Refused> for Error {
    fn from(refused: host::Refused) -> Error {
        Error::Host(refused.into())
    }
}
