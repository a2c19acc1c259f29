//! Reads by a few threads, for systems and users that io_uring is refused to.
//!
//! Not a pool for anything else: a thread takes a read, blocks in it, and hands back what came. `pread(2)`.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use super::{Backend, Done, Read};
use crate::error::Error;
use crate::file::FlashFile;

/// User stack of a reading thread, which calls one function.
const STACK: usize = 32 << 10;

/// More threads than this make no disk faster.
const MAX_THREADS: usize = 4;

/// The threads and what passes between them and the stream.
pub(super) struct Pread {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    /// Something is in `todo`, or it is time to stop.
    work: Condvar,
    /// Something is in `done`.
    finished: Condvar,
    files: Vec<Arc<FlashFile>>,
}

struct State {
    todo: VecDeque<Read>,
    done: VecDeque<Done>,
    stop: bool,
}

impl Pread {
    /// Bytes that the threads and queues of [`Pread::new`] take, the kernel's included.
    pub(super) fn memory(depth: usize) -> usize {
        let thread = STACK + crate::threads::KERNEL_PER_THREAD;
        depth.min(MAX_THREADS) * thread + depth * (size_of::<Read>() + size_of::<Done>())
    }

    /// Threads for at most `depth` reads at a time.
    pub(super) fn new(files: Vec<Arc<FlashFile>>, depth: usize) -> Result<Pread, Error> {
        let (todo, done) = (VecDeque::with_capacity(depth), VecDeque::with_capacity(depth));
        let state = Mutex::new(State { todo, done, stop: false });
        let (work, finished) = (Condvar::new(), Condvar::new());
        let shared = Arc::new(Shared { state, work, finished, files });
        let mut pread = Pread { shared, threads: Vec::with_capacity(MAX_THREADS) };
        for index in 1..=depth.min(MAX_THREADS) {
            let shared = Arc::clone(&pread.shared);
            let builder = thread::Builder::new().name(format!("reader-{index}")).stack_size(STACK);
            let thread = builder.spawn(move || shared.serve());
            pread.threads.push(thread.map_err(|source| Error::Thread { index, source })?);
        }
        Ok(pread)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The life of a reading thread.
    fn serve(&self) {
        let mut state = self.lock();
        loop {
            if let Some(read) = state.todo.pop_front() {
                drop(state);
                let result = self.read(&read);
                state = self.lock();
                state.done.push_back(Done { slot: read.slot, result });
                self.finished.notify_one();
            } else if state.stop {
                return;
            } else {
                state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    fn read(&self, read: &Read) -> io::Result<usize> {
        // SAFETY: whoever submitted the read keeps its memory mapped and untouched until it is done.
        let memory = unsafe { std::slice::from_raw_parts_mut(read.memory, read.len) };
        self.files[read.file as usize].read_raw(read.offset, memory)
    }
}

impl Backend for Pread {
    unsafe fn submit(&mut self, read: Read) {
        self.shared.lock().todo.push_back(read);
        self.shared.work.notify_one();
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn next(&mut self, block: bool) -> io::Result<Option<Done>> {
        let mut state = self.shared.lock();
        loop {
            match state.done.pop_front() {
                None if block => {
                    state = self.shared.finished.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
                done => return Ok(done),
            }
        }
    }
}

impl Drop for Pread {
    fn drop(&mut self) {
        self.shared.lock().stop = true;
        self.shared.work.notify_all();
        for thread in self.threads.drain(..) {
            // A reading thread has nothing that panics.
            let _ = thread.join();
        }
    }
}
