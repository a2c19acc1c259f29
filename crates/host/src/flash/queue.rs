//! The runs that a stream holds, oldest first, and which bytes of them are still to be asked for.
//!
//! Not the reading: it says what to read next and learns what came. The one design choice: everything has an
//! ever-growing number and lives in a queue of fixed capacity, so an id stays right and nothing allocates.

use std::collections::VecDeque;
use std::io;

use super::ring::Ring;

/// A piece of a file in the ring, widened to what the file's alignment wants.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placed {
    pub(super) file: u32,
    pub(super) offset: u64,
    pub(super) len: u64,
    /// Position in the ring.
    pub(super) position: u64,
    run: u64,
}

/// Extents that are wanted together.
#[derive(Debug)]
pub(super) struct Run {
    first_extent: u64,
    extents: usize,
    /// The ring's tail after this run.
    end: u64,
    /// Bytes that have not come yet.
    left: u64,
    /// Reads under way.
    flying: usize,
    released: bool,
    failure: Option<Failure>,
}

/// A read that failed, in a form that can be told more than once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failure {
    pub(super) file: u32,
    pub(super) offset: u64,
    pub(super) len: u64,
    code: Result<i32, io::ErrorKind>,
}

impl Failure {
    pub(super) fn new(piece: &Piece, error: &io::Error) -> Failure {
        let code = error.raw_os_error().ok_or(error.kind());
        Failure { file: piece.file, offset: piece.offset, len: piece.len, code }
    }

    pub(super) fn error(&self) -> io::Error {
        self.code.map_or_else(io::Error::from, io::Error::from_raw_os_error)
    }
}

/// One read, or what remains of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece {
    pub(super) run: u64,
    pub(super) file: u32,
    pub(super) offset: u64,
    pub(super) len: u64,
    pub(super) position: u64,
}

/// All runs and extents that are held.
#[derive(Debug)]
pub(super) struct Queue {
    runs: VecDeque<Run>,
    extents: VecDeque<Placed>,
    /// Numbers of the first of each.
    first_run: u64,
    first_extent: u64,
    /// The next byte to ask for: an extent's number and how much of it was asked for.
    next_extent: u64,
    next_byte: u64,
    max_runs: usize,
    max_extents: usize,
}

impl Queue {
    pub(super) fn new(max_runs: usize, max_extents: usize) -> Queue {
        Queue {
            runs: VecDeque::with_capacity(max_runs),
            extents: VecDeque::with_capacity(max_extents),
            first_run: 0,
            first_extent: 0,
            next_extent: 0,
            next_byte: 0,
            max_runs,
            max_extents,
        }
    }

    /// Bytes that the queues take.
    pub(super) fn memory(max_runs: usize, max_extents: usize) -> usize {
        max_runs
            .saturating_mul(size_of::<Run>())
            .saturating_add(max_extents.saturating_mul(size_of::<Placed>()))
    }

    /// Whether a run of so many extents can be written down now.
    pub(super) fn has_room(&self, extents: usize) -> bool {
        self.runs.len() < self.max_runs && self.extents.len().saturating_add(extents) <= self.max_extents
    }

    /// How many extents can be written down at once.
    pub(super) fn max_extents(&self) -> usize {
        self.max_extents
    }

    pub(super) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Whether the oldest run is held only by reads that nobody wants any more.
    pub(super) fn oldest_is_released(&self) -> bool {
        self.runs.front().is_some_and(|run| run.released)
    }

    /// Adds an extent to the run that [`Queue::add_run`] or [`Queue::forget_extents`] will end.
    pub(super) fn add_extent(&mut self, file: u32, offset: u64, len: u64, position: u64) {
        let run = self.first_run + self.runs.len() as u64;
        self.extents.push_back(Placed { file, offset, len, position, run });
    }

    /// Takes back the last `extents`.
    pub(super) fn forget_extents(&mut self, extents: usize) {
        self.extents.truncate(self.extents.len() - extents);
    }

    /// Makes a run of the last `extents`; its number.
    pub(super) fn add_run(&mut self, extents: usize, end: u64) -> u64 {
        let before = self.extents.len() - extents;
        let left = self.extents.range(before..).map(|placed| placed.len).sum();
        let first_extent = self.first_extent + before as u64;
        self.runs.push_back(Run {
            first_extent,
            extents,
            end,
            left,
            flying: 0,
            released: false,
            failure: None,
        });
        self.first_run + self.runs.len() as u64 - 1
    }

    fn run_mut(&mut self, run: u64) -> Option<&mut Run> {
        let index = usize::try_from(run.checked_sub(self.first_run)?).ok()?;
        self.runs.get_mut(index)
    }

    /// A run that was not released.
    pub(super) fn run(&self, run: u64) -> Option<&Run> {
        let index = usize::try_from(run.checked_sub(self.first_run)?).ok()?;
        self.runs.get(index).filter(|run| !run.released)
    }

    /// The extents of a run.
    pub(super) fn extents_of(&self, run: &Run) -> impl Iterator<Item = &Placed> {
        let start = (run.first_extent - self.first_extent) as usize;
        self.extents.range(start..start + run.extents)
    }

    /// The next piece to read, of at most `most` bytes; it counts as under way.
    pub(super) fn next_piece(&mut self, most: u64) -> Option<Piece> {
        loop {
            let extent = *self.extents.get((self.next_extent - self.first_extent) as usize)?;
            let at = self.next_byte;
            let run = self.run_mut(extent.run)?;
            if run.released || at == extent.len {
                (self.next_extent, self.next_byte) = (self.next_extent + 1, 0);
                continue;
            }
            run.flying += 1;
            let len = most.min(extent.len - at);
            self.next_byte += len;
            let (offset, position) = (extent.offset + at, extent.position + at);
            return Some(Piece { run: extent.run, file: extent.file, offset, len, position });
        }
    }

    /// Notes that `bytes` of a piece came; `ended` if nothing of it is under way any more.
    pub(super) fn arrived(&mut self, piece: &Piece, bytes: u64, ended: bool, failure: Option<Failure>) {
        if let Some(run) = self.run_mut(piece.run) {
            run.left -= bytes;
            run.flying -= usize::from(ended);
            run.failure = run.failure.or(failure);
        }
    }

    /// Marks a run as not wanted; what was not asked for yet never will be.
    pub(super) fn release(&mut self, run: u64) {
        if let Some(run) = self.run_mut(run) {
            run.released = true;
        }
    }

    /// Marks every run as not wanted.
    pub(super) fn release_all(&mut self) {
        self.runs.iter_mut().for_each(|run| run.released = true);
    }

    /// Forgets the oldest runs that are released and at rest, and gives their room back.
    pub(super) fn retire(&mut self, ring: &mut Ring) {
        while let Some(run) = self.runs.front().filter(|run| run.released && run.flying == 0) {
            let (extents, end) = (run.extents, run.end);
            self.extents.drain(..extents);
            self.first_extent += extents as u64;
            if self.next_extent < self.first_extent {
                (self.next_extent, self.next_byte) = (self.first_extent, 0);
            }
            self.runs.pop_front();
            self.first_run += 1;
            ring.give_back(end);
        }
        if self.runs.is_empty() {
            ring.clear();
        }
    }
}

impl Run {
    /// Whether all bytes came or failed to.
    pub(super) fn is_complete(&self) -> bool {
        self.left == 0
    }

    pub(super) fn failure(&self) -> Option<Failure> {
        self.failure
    }
}
