//! What this machine grants: memory, pages, files, flash, threads, and the account kept of them.
//!
//! What it is: floor 1, and the only room that knows an operating system. What it is not: a policy. Nobody
//! here decides what deserves memory; the planner does, and this crate makes its figures true. The one design
//! choice: memory exists only through a [`Reservation`] on the [`Ledger`], so what is not accounted for has no
//! way to come into being, and a budget is a sum, not a hope. Everything that differs between systems is
//! behind `sys`, Linux first, with plain fallbacks elsewhere.

mod alloc;
mod append_file;
mod bounded;
mod budget;
mod cached;
pub mod cgroup;
mod error;
mod fault;
mod file;
mod flash;
mod ledger;
mod link;
mod memory;
mod new_file;
mod plain;
mod pressure;
mod process;
mod region;
mod rights;
mod rivals;
mod sys;
mod threads;

pub use alloc::{CountingAlloc, allocations, heap_in_use, heap_peak, trim_heap, tune_malloc};
pub use append_file::AppendFile;
pub use bounded::{bounded, metered};
pub use budget::{Budget, Source};
pub use cached::cached_share;
pub use error::Error;
pub use fault::{Fault, fail_read_after};
pub use file::{FlashFile, Mode, ReadAt};
pub use flash::{Extent, Options as StreamOptions, Reader, RunId, Stats as StreamStats, Stream};
pub use ledger::{Ledger, Part, Refused, Reservation};
pub use link::symlink;
pub use memory::{Memory, MemoryParseError, format_bytes};
pub use new_file::NewFile;
pub use plain::{Plain, as_bytes, as_bytes_mut, cast, cast_mut};
pub use pressure::Pressure;
pub use process::{
    ProgramBytes, ProgramPages, Resident, drop_program_pages, kernel_overhead, library_bytes, major_faults,
    program_bytes, refuse_huge_pages, resident,
};
pub use region::Region;
pub use rights::{Rights, end_with_parent};
pub use threads::{Pool, default_threads};

/// Bytes in a page of memory.
pub fn page_size() -> usize {
    sys::page_size()
}
