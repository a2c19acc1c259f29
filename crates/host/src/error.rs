//! What can go wrong between pintpot and the machine.
//!
//! Not a place for prose: a variant carries the facts (path, offset, bytes) and its message says what to do.

use std::io;
use std::path::PathBuf;

use crate::ledger::Refused;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The budget has no room.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The system would not map memory that the budget allows.
    #[error("the system refused {bytes} bytes of memory: {source}; give a smaller --memory or free some")]
    Map {
        /// How much was asked for.
        bytes: u64,
        /// What the system said.
        source: io::Error,
    },
    /// A file could not be opened.
    #[error("cannot open {}: {source}", path.display())]
    Open {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A read from a file failed or ended early.
    #[error("cannot read {len} bytes at {offset} of {}: {source}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Where the read began.
        offset: u64,
        /// How many bytes were wanted.
        len: u64,
        /// What the system said.
        source: io::Error,
    },
    /// A thread could not be started.
    #[error("cannot start thread {index}: {source}; try fewer threads with -t")]
    Thread {
        /// Which one, from 1.
        index: usize,
        /// What the system said.
        source: io::Error,
    },
}
