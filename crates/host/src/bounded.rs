//! Work of strangers in a fenced room: so much heap, so much time, and not a byte or a second more.
//!
//! What it is: a thread of its own whose every allocation passes [`crate::CountingAlloc`]. What it is not: a jail;
//! the work is trusted not to do harm, only not to end or not to fit. The one design choice: an allocation that would
//! break the bound never returns. It can neither fail (Rust's collections would abort the process) nor unwind, so the
//! thread falls asleep for good inside it, and what it holds, at most the bound, stays held. That is a leak, once for
//! each hostile file, and the only way to stop code that was not written to be stopped.
//!
//! Without the counting allocator only the time is bounded. Work that loops without an allocation goes on behind the
//! caller's back until the process ends.

use std::cell::Cell;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::Relaxed};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::Error;

/// Stack of the thread: address space, of which only what is touched counts. Wide, since values of strangers may lie in
/// one another as deep as the heap allows, and are dropped one within the other.
const STACK: usize = 64 << 20;
/// How often the caller looks whether the bound was met; a result wakes it at once.
const LOOK: Duration = Duration::from_millis(5);

/// The account of one thread at work.
struct Watch {
    left: AtomicI64,
    over: AtomicBool,
}

thread_local! {
    /// The account that this thread's allocations go to; null for all threads but those of [`bounded`].
    static WATCH: Cell<*const Watch> = const { Cell::new(std::ptr::null()) };
}

/// While it stands, this thread's allocations are counted against the account in it.
struct Fence {
    _account: Arc<Watch>,
}

impl Fence {
    fn new(watch: Arc<Watch>) -> Fence {
        WATCH.set(Arc::as_ptr(&watch));
        Fence { _account: watch }
    }
}

impl Drop for Fence {
    fn drop(&mut self) {
        // Before the account goes, the pointer to it does, even if the work unwinds.
        WATCH.set(std::ptr::null());
    }
}

/// Does `work` on a thread of its own with at most `heap` bytes of heap at once, and waits for it at most `time`.
///
/// # Errors
/// [`Error::OverHeap`] and [`Error::OverTime`] if it needs more of either; the thread is then left behind, asleep at its
/// next allocation. [`Error::Worker`] if there is no thread to be had.
///
/// # Panics
/// If `work` does.
pub fn bounded<T: Send + 'static>(
    heap: u64,
    time: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Error> {
    let left = AtomicI64::new(i64::try_from(heap).unwrap_or(i64::MAX));
    let watch = Arc::new(Watch { left, over: AtomicBool::new(false) });
    let (done, result) = sync_channel(1);
    let watched = Arc::clone(&watch);
    let at_work = move || {
        let fence = Fence::new(watched);
        let value = work();
        drop(fence);
        let _ = done.send(value);
    };
    let thread = thread::Builder::new().stack_size(STACK).spawn(at_work).map_err(broken)?;
    let begin = Instant::now();
    loop {
        match result.recv_timeout(LOOK) {
            Ok(value) => {
                let _ = thread.join();
                return Ok(value);
            }
            Err(RecvTimeoutError::Disconnected) => {
                if let Err(panic) = thread.join() {
                    std::panic::resume_unwind(panic);
                }
                return Err(broken(io::ErrorKind::BrokenPipe.into()));
            }
            Err(RecvTimeoutError::Timeout) if watch.over.load(Relaxed) => {
                return Err(Error::OverHeap { bytes: heap });
            }
            Err(RecvTimeoutError::Timeout) if begin.elapsed() > time => {
                // Whatever it does next, it gets no memory for it.
                watch.left.store(i64::MIN / 2, Relaxed);
                return Err(Error::OverTime { time });
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

/// Does `work` here and now, and tells by how many bytes this thread's heap has grown since: negative if it shrank.
/// What other threads take and give meanwhile is not told.
pub fn metered<T>(work: impl FnOnce() -> T) -> (T, i64) {
    let account = || Watch { left: AtomicI64::new(i64::MAX / 2), over: AtomicBool::new(false) };
    let _fence = WATCH.get().is_null().then(|| Fence::new(Arc::new(account())));
    let left = || with_watch(|watch| watch.left.load(Relaxed)).unwrap_or(0);
    let before = left();
    let value = work();
    (value, before - left())
}

fn broken(source: io::Error) -> Error {
    Error::Worker { source }
}

/// Takes `bytes` from this thread's account, if it has one. Does not return if there is not enough.
pub(crate) fn admit(bytes: u64) {
    with_watch(|watch| {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        // A panic on its way out ends by itself, and its report holds locks that others need.
        if watch.left.fetch_sub(bytes, Relaxed) >= bytes || thread::panicking() {
            return;
        }
        watch.over.store(true, Relaxed);
        loop {
            thread::sleep(Duration::MAX);
        }
    });
}

/// Gives `bytes` back to this thread's account, if it has one.
pub(crate) fn restore(bytes: u64) {
    with_watch(|watch| {
        watch.left.fetch_add(i64::try_from(bytes).unwrap_or(i64::MAX), Relaxed);
    });
}

fn with_watch<T>(act: impl FnOnce(&Watch) -> T) -> Option<T> {
    let watch = WATCH.get();
    // SAFETY: only a `Fence` on this very thread sets the pointer, and it holds the account until it has cleared it.
    (!watch.is_null()).then(|| act(unsafe { &*watch }))
}
