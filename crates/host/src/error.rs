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
    /// Work in `bounded` wanted more heap.
    #[error("it takes more than {bytes} bytes of memory")]
    OverHeap {
        /// What it was allowed.
        bytes: u64,
    },
    /// Work in `bounded` took longer.
    #[error("it takes longer than {} s", time.as_secs_f64())]
    OverTime {
        /// What it was allowed.
        time: std::time::Duration,
    },
    /// Work in `bounded` had no thread to be done on.
    #[error("no thread could be started for it: {source}")]
    Worker {
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
    /// A file could not be written.
    #[error("cannot write {}: {source}; nothing was left there", path.display())]
    Write {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file that grows could not be written.
    #[error("cannot add to {}: {source}; what was written before is there", path.display())]
    Append {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process writes the file.
    #[error("{} is being written by another process; wait until that ends, or name another file", path.display())]
    Held {
        /// Which file.
        path: PathBuf,
    },
    /// A file is not what it was when it was opened.
    #[error("{} was changed while it was being read; fetch it again if that was a mistake, and start anew", path.display())]
    Changed {
        /// Which file.
        path: PathBuf,
    },
    /// A range that its file does not have.
    #[error("bytes {offset} to {offset} + {len} are not within file {file} of the stream")]
    Extent {
        /// Index of the file in its stream.
        file: u32,
        /// Where the range begins.
        offset: u64,
        /// How long it is.
        len: u64,
    },
    /// More ranges in one run than the stream has entries for.
    #[error("{count} ranges in one run, at most {most} fit; raise max_extents")]
    Extents {
        /// How many were given.
        count: usize,
        /// How many there may be.
        most: usize,
    },
    /// A control group could not be made.
    #[error("no {controller} control group can be made here: {source}; be root or have one delegated")]
    NoGroup {
        /// What the group was to control.
        controller: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The system does not tell how much memory it has.
    #[error("this system does not tell how much memory is available; give --memory in bytes, as in 2GiB")]
    NoProbe,
    /// io_uring was asked for by name and is not to be had.
    #[error(
        "io_uring is refused here: {source}; choose another reader with --io or PINTPOT_IO, such as pread"
    )]
    NoUring {
        /// What the system said.
        source: io::Error,
    },
    /// The asynchronous reader itself failed, not one of its reads.
    #[error("the reader of flash failed: {source}; try --io pread")]
    Reader {
        /// What the system said.
        source: io::Error,
    },
    /// A run was used after its release.
    #[error("this run was released already; push it again")]
    Released,
    /// An environment variable with a value that means nothing.
    #[error("{name} is '{value}'; it may be {allowed}")]
    Setting {
        /// The variable.
        name: &'static str,
        /// What it is set to.
        value: String,
        /// What it may be set to.
        allowed: &'static str,
    },
    /// A thread could not be started.
    #[error("cannot start thread {index}: {source}; try fewer threads with -t")]
    Thread {
        /// Which one, from 1.
        index: usize,
        /// What the system said.
        source: io::Error,
    },
    /// A run that is larger than the whole window.
    #[error("a run needs a window of {need} bytes and has {window}; give a larger --memory")]
    Window {
        /// The smallest window that surely holds it.
        need: u64,
        /// The window there is.
        window: u64,
    },
}
