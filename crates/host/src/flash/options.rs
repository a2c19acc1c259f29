//! How a stream is read: by whom, how much at a time, and what that takes.
//!
//! Not the reading. The one design choice: what a reader takes follows from these settings alone, what it leaves in the
//! page cache for a moment included, so that a plan can reckon with it before anything is opened.

use std::str::FromStr;

use super::queue::Queue;
use super::{MAX_DEPTH, cached, pread};
use crate::error::Error;
use crate::threads::KERNEL_PER_THREAD;

/// Who does the reading.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Reader {
    /// io_uring if it is granted and every file is read past the page cache, else threads.
    #[default]
    Auto,
    /// The thread that waits, out of the page cache, which was told before what will be needed.
    Cached,
    /// A pool of threads that call `pread`.
    Pread,
    /// io_uring, or an error; reads begin on the thread that asks for them.
    Uring,
    /// io_uring, or an error; reads begin on two threads of the kernel, which is faster where a disk serves each
    /// processor by a queue of its own.
    Uring2,
}

/// Threads of the kernel that begin reads for [`Reader::Uring2`].
pub(super) const SUBMITTERS: u32 = 2;

impl Reader {
    /// The variable of the environment that names a reader.
    const VARIABLE: &str = "PINTPOT_IO";

    /// All that can be named besides `Auto`.
    pub const NAMED: [Reader; 4] = [Reader::Cached, Reader::Pread, Reader::Uring, Reader::Uring2];

    /// What people write and read.
    pub fn name(self) -> &'static str {
        match self {
            Reader::Auto => "auto",
            Reader::Cached => "cached",
            Reader::Pread => "pread",
            Reader::Uring => "uring",
            Reader::Uring2 => "uring2",
        }
    }

    /// Whether this system lets it read; only io_uring is ever refused.
    pub fn is_granted(self) -> bool {
        !matches!(self, Reader::Uring | Reader::Uring2) || super::has_uring()
    }

    /// What the environment variable `PINTPOT_IO` says; `Auto` if nothing.
    ///
    /// # Errors
    /// [`Error::Setting`] if it names no reader.
    pub fn from_environment() -> Result<Reader, Error> {
        let value = std::env::var_os(Reader::VARIABLE).unwrap_or_default();
        if value.is_empty() { Ok(Reader::Auto) } else { value.to_string_lossy().parse() }
    }
}

impl FromStr for Reader {
    type Err = Error;

    fn from_str(text: &str) -> Result<Reader, Error> {
        let found = [&[Reader::Auto][..], &Reader::NAMED].concat().into_iter().find(|r| r.name() == text);
        found.ok_or_else(|| Error::Setting {
            name: Reader::VARIABLE,
            value: text.to_owned(),
            allowed: "auto, cached, pread, uring or uring2",
        })
    }
}

/// How a stream reads.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Who reads.
    pub reader: Reader,
    /// Reads under way at once, 1 to 64.
    pub depth: usize,
    /// Bytes in one read; rounded up to whole pages.
    pub request_bytes: usize,
    /// Runs that can be held at once.
    pub max_runs: usize,
    /// Extents of all runs that can be held at once.
    pub max_extents: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options { reader: Reader::Auto, depth: 8, request_bytes: 512 << 10, max_runs: 64, max_extents: 512 }
    }
}

impl Options {
    pub(super) fn depth(&self) -> usize {
        self.depth.clamp(1, MAX_DEPTH)
    }

    /// Bytes in one read: whole pages.
    pub(super) fn request(&self) -> usize {
        self.request_bytes.clamp(1, 1 << 30).next_multiple_of(crate::page_size())
    }

    /// Bytes that a stream with these options takes beside its window of `window_bytes`; of `Auto`, by the more costly of
    /// the two that it may be.
    pub fn memory(&self, window_bytes: u64) -> u64 {
        let depth = self.depth();
        let workers = SUBMITTERS as usize * KERNEL_PER_THREAD;
        let reader = match self.reader {
            Reader::Auto => pread(depth).max(uring(depth, window_bytes)),
            Reader::Cached => cached::memory(depth, self.request(), window_bytes),
            Reader::Pread => pread(depth),
            Reader::Uring => uring(depth, window_bytes),
            Reader::Uring2 => uring(depth, window_bytes) + workers as u64,
        };
        reader.saturating_add(Queue::memory(self.max_runs, self.max_extents) as u64)
    }
}

fn pread(depth: usize) -> u64 {
    pread::Pread::memory(depth) as u64
}

/// The rings, the kernel's records of reads under way, and its list of the pages of the window.
fn uring(depth: usize, window_bytes: u64) -> u64 {
    const ENTRY: u64 = 16;
    (16 << 10) + depth as u64 * 512 + window_bytes / crate::page_size() as u64 * ENTRY
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_go_by_their_names() {
        for reader in Reader::NAMED {
            assert_eq!(reader.name().parse::<Reader>().unwrap(), reader);
        }
        assert_eq!("auto".parse::<Reader>().unwrap(), Reader::Auto);
        let error = "mmap".parse::<Reader>().unwrap_err().to_string();
        assert_eq!(error, "PINTPOT_IO is 'mmap'; it may be auto, cached, pread, uring or uring2");
    }

    #[test]
    fn what_the_page_cache_may_hold_is_counted_and_no_more_than_the_window_asks_for() {
        let options = Options { reader: Reader::Cached, ..Options::default() };
        let (small, large) = (options.memory(1 << 20), options.memory(1 << 30));
        assert!((1 << 20..2 << 20).contains(&small), "{small}");
        assert!((4 << 20..5 << 20).contains(&large), "{large}");
        assert!(Options::default().memory(1 << 20) < 1 << 20);
    }
}
