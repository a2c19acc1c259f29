//! Bytes from flash that are there when they are needed: a window of memory with reads running ahead in it.
//!
//! Not a cache: it knows no weights and no layers; it reads the runs it is told to, in order, and keeps each
//! until it is released. The one design choice: whoever knows the future (the plan) pushes it, so nothing is
//! guessed and nothing is read twice. Past the page cache wherever the file allows it.

mod cached;
mod options;
mod pread;
mod queue;
mod ring;
#[cfg(target_os = "linux")]
mod uring;

use std::io;
use std::sync::Arc;
use std::time::Instant;

use crate::error::Error;
use crate::file::{FlashFile, Mode, ReadAt};
use crate::ledger::{Ledger, Part, Reservation};
use crate::region::Region;
pub use options::{Options, Reader};
use queue::{Failure, Piece, Queue};
use ring::Ring;

/// A range of one of a stream's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Extent {
    /// Which file, as an index into the list given to [`Stream::new`].
    pub file: u32,
    /// Where it begins, in bytes.
    pub offset: u64,
    /// How long it is, in bytes.
    pub len: u64,
}

/// Names a run until it is released.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunId(u64);

/// What a stream did so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Bytes that came from the files.
    pub bytes_read: u64,
    /// Bytes in the extents of all runs pushed.
    pub bytes_wanted: u64,
    /// Reads that ended.
    pub reads: u64,
    /// Nanoseconds for which [`Stream::wait`] had nothing to do but wait.
    pub wait_nanos: u64,
}

/// A window of memory through which runs of file ranges pass, first in, first out.
pub struct Stream {
    backend: Box<dyn Backend>,
    reader: Reader,
    files: Vec<Arc<FlashFile>>,
    window: Arc<Region>,
    ring: Ring,
    queue: Queue,
    flights: Vec<Option<Piece>>,
    request_bytes: u64,
    stats: Stats,
    _tables: Reservation,
}

/// The most reads under way at once.
const MAX_DEPTH: usize = 64;

/// Extents begin at multiples of this in memory, so that vector loads seldom cross a cache line.
const MIN_ALIGN: u64 = 64;

impl Stream {
    /// A window of `window_bytes` over `files`. Charged: the window to [`Part::Window`], the rest
    /// ([`Options::memory`]) to [`Part::Io`]. Nothing allocates afterwards.
    pub fn new(
        ledger: &Ledger,
        files: Vec<Arc<FlashFile>>,
        window_bytes: usize,
        options: Options,
    ) -> Result<Stream, Error> {
        let tables = ledger.reserve(Part::Io, options.memory(window_bytes as u64))?;
        let window = Region::new(ledger, Part::Window, window_bytes.next_multiple_of(crate::page_size()))?;
        let window = Arc::new(window);
        let (backend, reader) = open_backend(&files, &window, &options)?;
        Ok(Stream {
            backend,
            reader,
            files,
            ring: Ring::new((window.len() as u64).max(MIN_ALIGN)),
            window,
            queue: Queue::new(options.max_runs, options.max_extents),
            flights: vec![None; options.depth()],
            request_bytes: options.request() as u64,
            stats: Stats::default(),
            _tables: tables,
        })
    }

    /// Who reads: never `Auto`.
    pub fn reader(&self) -> Reader {
        self.reader
    }

    /// What it did so far.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// Takes room for every extent and starts to read them. `None`: there is no room now, release a run first. Room that
    /// only cancelled reads still hold is waited for.
    ///
    /// # Errors
    ///
    /// If an extent lies outside its file, if the run could not fit an empty window, or if the system does not
    /// take the reads.
    pub fn push(&mut self, extents: &[Extent]) -> Result<Option<RunId>, Error> {
        if extents.len() > self.queue.max_extents() {
            return Err(Error::Extents { count: extents.len(), most: self.queue.max_extents() });
        }
        loop {
            match self.push_now(extents)? {
                None if self.queue.oldest_is_released() => self.await_one()?,
                pushed => return Ok(pushed),
            }
        }
    }

    /// [`Stream::push`] into the room that is free.
    fn push_now(&mut self, extents: &[Extent]) -> Result<Option<RunId>, Error> {
        if !self.queue.has_room(extents.len()) {
            return Ok(None);
        }
        let mut tail = self.ring.tail();
        let mut wanted = 0;
        for (added, extent) in extents.iter().enumerate() {
            let placed = self
                .widen(extent)
                .map(|(offset, len, align)| (offset, len, self.ring.place(tail, len, align.max(MIN_ALIGN))));
            match placed {
                Ok((offset, len, Some(position))) => {
                    self.queue.add_extent(extent.file, offset, len, position);
                    tail = position + len;
                    wanted += extent.len;
                }
                Ok((_, _, None)) => {
                    self.queue.forget_extents(added);
                    return if self.queue.is_empty() { Err(self.too_large(extents)) } else { Ok(None) };
                }
                Err(error) => {
                    self.queue.forget_extents(added);
                    return Err(error);
                }
            }
        }
        self.ring.take(tail);
        self.stats.bytes_wanted += wanted;
        let run = self.queue.add_run(extents.len(), tail);
        self.pump()?;
        Ok(Some(RunId(run)))
    }

    /// Returns when every byte of the run is there.
    ///
    /// # Errors
    ///
    /// If one of its reads failed (each time it is asked), if the run was released, or if the reader broke.
    pub fn wait(&mut self, run: RunId) -> Result<(), Error> {
        self.poll()?;
        loop {
            let held = self.queue.run(run.0).ok_or(Error::Released)?;
            if held.is_complete() {
                return held.failure().map_or(Ok(()), |failure| Err(self.read_error(&failure)));
            }
            let start = Instant::now();
            self.await_one()?;
            self.stats.wait_nanos += start.elapsed().as_nanos() as u64;
            self.poll()?;
        }
    }

    /// Bytes of a run, if it is complete and contains them within one extent.
    pub fn bytes(&self, run: RunId, file: u32, offset: u64, len: u64) -> Option<&[u8]> {
        let run = self.queue.run(run.0).filter(|run| run.is_complete() && run.failure().is_none())?;
        let end = offset.checked_add(len)?;
        let holds = |placed: &&queue::Placed| {
            placed.file == file && placed.offset <= offset && end <= placed.offset + placed.len
        };
        let placed = self.queue.extents_of(run).find(holds)?;
        let place = self.ring.place_of(placed.position) + (offset - placed.offset) as usize;
        // SAFETY: the place is within the window, since extents never wrap; the run is complete, so no read
        // writes here; it stays so while `self` is borrowed, because every new read needs `&mut self`.
        Some(unsafe { std::slice::from_raw_parts(self.window.start().add(place), len as usize) })
    }

    /// Ends a run. Its room is free once all older runs are released too; a run that is not complete is
    /// cancelled.
    pub fn release(&mut self, run: RunId) {
        self.queue.release(run.0);
        self.queue.retire(&mut self.ring);
        // Reads that the system does not take now are tried again, and their errors told, by `wait`.
        let _ = self.pump();
    }

    /// Learns what came and starts what can be started, without waiting.
    pub fn poll(&mut self) -> Result<(), Error> {
        while let Some(done) = self.backend.next(false).map_err(broken)? {
            self.finish(done);
        }
        self.pump()
    }

    /// Releases every run and waits until no read is under way.
    pub fn reset(&mut self) -> Result<(), Error> {
        self.queue.release_all();
        while self.flights.iter().any(Option::is_some) {
            self.await_one()?;
        }
        self.queue.retire(&mut self.ring);
        Ok(())
    }

    /// The smallest window that holds all of `extents` at once, wherever its ring stands, for files whose
    /// reads are aligned to `align` bytes ([`FlashFile::align`]).
    pub fn window_needed(extents: &[Extent], align: usize) -> u64 {
        let align = align as u64;
        let room =
            |extent: &Extent| widened(extent, align).map_or(u64::MAX, |(_, len)| len + align.max(MIN_ALIGN));
        let sum = extents.iter().map(room).fold(0, u64::saturating_add);
        let largest = extents.iter().map(room).max().unwrap_or(0);
        sum.saturating_add(largest).checked_next_multiple_of(crate::page_size() as u64).unwrap_or(u64::MAX)
    }

    /// Offset and length as the file's alignment wants them, and that alignment.
    fn widen(&self, extent: &Extent) -> Result<(u64, u64, u64), Error> {
        let &Extent { file, offset, len } = extent;
        let outside = Error::Extent { file, offset, len };
        let Some(source) = self.files.get(file as usize) else { return Err(outside) };
        if offset.checked_add(len).is_none_or(|end| end > source.len()) {
            return Err(outside);
        }
        let align = source.align() as u64;
        let (offset, len) = widened(extent, align).ok_or(outside)?;
        Ok((offset, len, align))
    }

    fn too_large(&self, extents: &[Extent]) -> Error {
        let align = self.files.iter().map(|file| file.align()).max().unwrap_or(1);
        let need = Stream::window_needed(extents, align);
        Error::Window { need, window: self.ring.capacity() }
    }

    /// Starts reads while there are free slots and bytes to ask for.
    fn pump(&mut self) -> Result<(), Error> {
        while let Some(slot) = self.flights.iter().position(Option::is_none) {
            let Some(piece) = self.queue.next_piece(self.request_bytes) else { break };
            self.start(slot, piece);
        }
        self.backend.flush().map_err(broken)
    }

    fn start(&mut self, slot: usize, piece: Piece) {
        self.flights[slot] = Some(piece);
        match self.files[piece.file as usize].before_read(piece.len as usize) {
            Ok(len) => {
                let place = self.ring.place_of(piece.position);
                // SAFETY: a piece lies within its extent and that within the window. Its memory belongs to a
                // run that is neither complete nor retired, so nobody looks at it; `drop` outwaits it.
                unsafe {
                    let memory = self.window.start().add(place);
                    let (file, offset) = (piece.file, piece.offset);
                    self.backend.submit(Read { slot: slot as u32, file, offset, memory, len });
                }
            }
            Err(error) => self.finish(Done { slot: slot as u32, result: Err(error) }),
        }
    }

    /// Waits for one read and takes what it brought.
    fn await_one(&mut self) -> Result<(), Error> {
        if let Some(done) = self.backend.next(true).map_err(broken)? {
            self.finish(done);
        }
        Ok(())
    }

    /// Books what a read brought; a part of it means another read for the rest.
    fn finish(&mut self, done: Done) {
        let slot = done.slot as usize;
        let Some(piece) = self.flights.get_mut(slot).and_then(Option::take) else { return };
        let file = &self.files[piece.file as usize];
        let ended = match done.result {
            Err(error) if matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock) => {
                return self.start(slot, piece);
            }
            Err(error) => Err(error),
            Ok(read) => {
                file.after_read(piece.offset, read);
                self.stats.reads += 1;
                self.stats.bytes_read += read as u64;
                let whole = read - read % file.align();
                if read as u64 >= piece.len || piece.offset + read as u64 >= file.len() {
                    Ok(())
                } else if whole > 0 {
                    let came = whole as u64;
                    self.queue.arrived(&piece, came, false, None);
                    let (offset, position) = (piece.offset + came, piece.position + came);
                    return self.start(slot, Piece { offset, position, len: piece.len - came, ..piece });
                } else {
                    Err(io::ErrorKind::UnexpectedEof.into())
                }
            }
        };
        let failure = ended.err().map(|error| Failure::new(&piece, &error));
        self.queue.arrived(&piece, piece.len, true, failure);
        self.queue.retire(&mut self.ring);
    }

    fn read_error(&self, failure: &Failure) -> Error {
        let path = self.files[failure.file as usize].path().to_owned();
        Error::Read { path, offset: failure.offset, len: failure.len, source: failure.error() }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if self.reset().is_err() {
            // The kernel might still write to the window: it stays for ever.
            std::mem::forget(Arc::clone(&self.window));
        }
    }
}

/// The offset and length of `extent` moved outwards to multiples of `align`.
fn widened(extent: &Extent, align: u64) -> Option<(u64, u64)> {
    let start = extent.offset - extent.offset % align;
    let end = extent.offset.checked_add(extent.len)?.checked_next_multiple_of(align)?;
    Some((start, if extent.len == 0 { 0 } else { end - start }))
}

fn broken(source: io::Error) -> Error {
    Error::Reader { source }
}

/// A read for a backend to do. The memory is the window's, aligned as the file wants.
struct Read {
    slot: u32,
    file: u32,
    offset: u64,
    memory: *mut u8,
    len: usize,
}

// SAFETY: the pointer is followed only by the one backend thread that does this read.
unsafe impl Send for Read {}
// SAFETY: a shared reference to a read follows no pointer.
unsafe impl Sync for Read {}

/// A read that ended.
struct Done {
    slot: u32,
    result: io::Result<usize>,
}

/// Does reads, in any order, each in one go, however short.
trait Backend: Send + Sync {
    /// Queues a read; at most the depth given at set-up are under way.
    ///
    /// # Safety
    ///
    /// The memory stays mapped, and nobody else looks at it, until the read is handed back as done.
    unsafe fn submit(&mut self, read: Read);

    /// Makes sure that what was queued begins soon.
    fn flush(&mut self) -> io::Result<()>;

    /// A read that ended; with `block`, waits for one.
    fn next(&mut self, block: bool) -> io::Result<Option<Done>>;
}

fn open_backend(
    files: &[Arc<FlashFile>],
    window: &Arc<Region>,
    options: &Options,
) -> Result<(Box<dyn Backend>, Reader), Error> {
    let direct = files.iter().all(|file| matches!(file.mode(), Mode::Direct { .. }));
    let reader = match options.reader {
        Reader::Auto if direct => Reader::Uring,
        Reader::Auto => Reader::Pread,
        named => named,
    };
    let depth = options.depth();
    match reader {
        Reader::Cached => return Ok((Box::new(cached::Cached::new(files, depth)?), reader)),
        Reader::Uring | Reader::Uring2 => match open_uring(files, window, depth, reader == Reader::Uring2) {
            Ok(uring) => return Ok((uring, reader)),
            Err(source) if reader == options.reader => return Err(Error::NoUring { source }),
            Err(_) => {}
        },
        Reader::Auto | Reader::Pread => {}
    }
    Ok((Box::new(pread::Pread::new(files.to_vec(), depth)?), Reader::Pread))
}

#[cfg(target_os = "linux")]
fn open_uring(
    files: &[Arc<FlashFile>],
    window: &Arc<Region>,
    depth: usize,
    two: bool,
) -> io::Result<Box<dyn Backend>> {
    Ok(Box::new(uring::Uring::new(files.to_vec(), depth, Arc::clone(window), two)?))
}

#[cfg(target_os = "linux")]
fn has_uring() -> bool {
    io_uring::IoUring::new(1).is_ok()
}

#[cfg(not(target_os = "linux"))]
fn has_uring() -> bool {
    false
}

#[cfg(not(target_os = "linux"))]
fn open_uring(_: &[Arc<FlashFile>], _: &Arc<Region>, _: usize, _: bool) -> io::Result<Box<dyn Backend>> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests;
