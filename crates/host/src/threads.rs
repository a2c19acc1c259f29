//! Fork and join over a few threads that stay.
//!
//! Not an executor: one job at a time, its tasks handed out one by one from a counter, and the caller works
//! too. The one design choice: a worker *claims* a task by taking one from the number that remain and reads the
//! job only after a successful claim. A job cannot end while a claimed task runs, so what was read is alive,
//! and a worker that the system forgot to schedule holds nobody up; one that lost its core in the middle of a task
//! keeps away for a while ([`Rivals`]). Nothing allocates after [`Pool::new`].

use std::cell::{RefCell, UnsafeCell};
use std::fmt;
use std::hint::spin_loop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, TryLockError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::ledger::{Ledger, Part, Reservation};
use crate::rivals::Rivals;
use crate::sys;

/// How long an idle thread watches for work before it sleeps: longer than the pause between two operators of a step and
/// than choosing a token, since to be woken takes tens of microseconds; shorter than what a person or a battery notices.
const SPIN: Duration = Duration::from_micros(500);

/// User stack of a worker. Kernels keep their scratch elsewhere.
const STACK: usize = 128 << 10;

/// What the kernel holds for a thread: its own stack, and the page with the signal stack and thread-locals.
pub(crate) const KERNEL_PER_THREAD: usize = 24 << 10;

/// A task gets its number, from 0, and the number of the worker that runs it, less than [`Pool::threads`].
/// No two tasks run at the same time under the same worker's number.
type Task<'a> = dyn Fn(usize, usize) + Sync + 'a;

thread_local! {
    /// The watch over a thread that calls.
    static RIVALS: RefCell<Rivals> = RefCell::new(Rivals::new());
}

/// A fixed set of threads, the caller's included.
pub struct Pool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    /// Held by the caller whose job is running.
    turn: Mutex<()>,
    _stacks: Reservation,
}

struct Shared {
    /// Tasks of the job that nobody has claimed.
    unclaimed: AtomicUsize,
    /// Tasks of the job that have not ended.
    unfinished: AtomicUsize,
    /// Valid while `unfinished` is not zero; written only while it is.
    job: UnsafeCell<Job>,
    /// For every worker, whether it sleeps or is about to.
    asleep: Box<[AtomicBool]>,
    panicked: AtomicBool,
    stop: AtomicBool,
    /// Whether the caller lost its core in the middle of a job: a worker that sees it keeps away, and takes it back.
    crowded: AtomicBool,
}

// SAFETY: `job` is the only part that is not Sync by itself. It is written by the one caller who holds `turn`,
// while no task is unclaimed or unfinished, and read only by whoever claimed a task and has not finished it.
unsafe impl Sync for Shared {}
// SAFETY: as above; the pointer inside is only followed under that rule.
unsafe impl Send for Shared {}

#[derive(Clone, Copy)]
struct Job {
    task: *const Task<'static>,
    tasks: usize,
}

impl Pool {
    /// `threads` threads (at least 1), the calling one among them. The stacks are reserved under
    /// [`Part::Kernel`].
    pub fn new(ledger: &Ledger, threads: usize) -> Result<Pool, Error> {
        let others = threads.saturating_sub(1);
        let stacks = ledger
            .reserve(Part::Kernel, (others as u64).saturating_mul((STACK + KERNEL_PER_THREAD) as u64))?;
        let nothing: &Task<'static> = &|_, _| {};
        let shared = Arc::new(Shared {
            unclaimed: AtomicUsize::new(0),
            unfinished: AtomicUsize::new(0),
            job: UnsafeCell::new(Job { task: nothing, tasks: 0 }),
            asleep: (0..others).map(|_| AtomicBool::new(false)).collect(),
            panicked: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            crowded: AtomicBool::new(false),
        });
        let workers = Vec::with_capacity(others);
        let mut pool = Pool { shared, workers, turn: Mutex::new(()), _stacks: stacks };
        for index in 1..=others {
            let shared = Arc::clone(&pool.shared);
            let builder = thread::Builder::new().name(format!("worker-{index}")).stack_size(STACK);
            let worker = builder.spawn(move || shared.serve(index));
            pool.workers.push(worker.map_err(|source| Error::Thread { index, source })?);
        }
        Ok(pool)
    }

    /// How many threads there are, the caller's included.
    pub fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Calls `task` with 0 to `tasks - 1`, in any order and on any thread, and returns when all have ended.
    ///
    /// # Panics
    ///
    /// If a task panicked.
    pub fn run(&self, tasks: usize, task: &(dyn Fn(usize) + Sync)) {
        self.run_with_worker(tasks, &|index, _| task(index));
    }

    /// As [`Pool::run`]; the task also learns the number of its worker, less than [`Pool::threads`]. No two
    /// tasks of one call run at the same time under the same number.
    ///
    /// A call from within a task, or while another thread's job runs, does its tasks itself.
    pub fn run_with_worker(&self, tasks: usize, task: &(dyn Fn(usize, usize) + Sync)) {
        let turn = match self.turn.try_lock() {
            Ok(turn) => Some(turn),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        };
        if turn.is_none() || tasks <= 1 || self.workers.is_empty() {
            (0..tasks).for_each(|index| task(index, 0));
            return;
        }
        // SAFETY: only the lifetime is changed. The reference is followed by claimed tasks alone, and all of
        // them have ended before this function returns, by panic or not.
        let task: *const Task<'static> = unsafe { std::mem::transmute::<&Task<'_>, &Task<'static>>(task) };
        let shared = &*self.shared;
        // SAFETY: this thread holds `turn`, and the last job left no task unfinished, so nobody reads.
        unsafe { *shared.job.get() = Job { task, tasks } };
        shared.unfinished.store(tasks, SeqCst);
        shared.unclaimed.store(tasks, SeqCst);
        for (worker, asleep) in self.workers.iter().zip(&shared.asleep).take(tasks - 1) {
            if asleep.load(SeqCst) {
                worker.thread().unpark();
            }
        }
        let start = RIVALS.with_borrow_mut(Rivals::begin);
        while shared.work(0) {}
        if RIVALS.with_borrow_mut(|rivals| rivals.lost(start)) {
            shared.crowded.store(true, SeqCst);
        }
        shared.wait_for_the_rest();
        if shared.panicked.swap(false, SeqCst) {
            panic!("a task of the thread pool panicked");
        }
    }

    /// Cuts `data` into pieces of `piece` elements (the last may be shorter) and calls `task` with the number
    /// and the memory of each.
    pub fn split<T: Send>(&self, data: &mut [T], piece: usize, task: &(dyn Fn(usize, &mut [T]) + Sync)) {
        // Values without a size take no memory.
        let mut nothing = vec![(); self.threads()];
        self.split_with(data, piece, &mut nothing, &|index, piece, ()| task(index, piece));
    }

    /// As [`Pool::split`], and every worker has its own of the `scratch` values, of which there must be at
    /// least [`Pool::threads`].
    ///
    /// # Panics
    ///
    /// If a task panicked, `piece` is zero or there are too few scratch values.
    pub fn split_with<T: Send, S: Send>(
        &self,
        data: &mut [T],
        piece: usize,
        scratch: &mut [S],
        task: &(dyn Fn(usize, &mut [T], &mut S) + Sync),
    ) {
        assert!(
            piece > 0 && scratch.len() >= self.threads(),
            "a piece of {piece}, {} scratch",
            scratch.len()
        );
        let pieces = data.len().div_ceil(piece);
        let (data, scratch) = (Parted::new(data), Parted::new(scratch));
        self.run_with_worker(pieces, &|index, worker| {
            // SAFETY: pieces of different tasks do not overlap, each task runs once, and `data` is borrowed
            // mutably until all have ended.
            let part = unsafe { data.part(index * piece, piece) };
            // SAFETY: no two tasks run at the same time under one worker's number.
            let own = unsafe { scratch.part(worker, 1) };
            task(index, part, &mut own[0]);
        });
    }
}

/// A mutable slice that threads take apart among themselves.
struct Parted<T> {
    start: *mut T,
    len: usize,
}

// SAFETY: sharing it only shares the right to take parts, whose elements are Send; `part` says the rest.
unsafe impl<T: Send> Sync for Parted<T> {}

impl<T> Parted<T> {
    fn new(slice: &mut [T]) -> Parted<T> {
        Parted { start: slice.as_mut_ptr(), len: slice.len() }
    }

    /// Up to `len` elements from `at`, fewer at the end.
    ///
    /// # Safety
    ///
    /// The slice is still borrowed, and no other part that is in use overlaps this one.
    #[allow(clippy::mut_from_ref)]
    unsafe fn part(&self, at: usize, len: usize) -> &mut [T] {
        let at = at.min(self.len);
        let len = len.min(self.len - at);
        // SAFETY: within the slice; the caller answers for the rest.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(at), len) }
    }
}

impl Shared {
    /// The life of a worker.
    fn serve(&self, index: usize) {
        let asleep = &self.asleep[index - 1];
        let mut rivals = Rivals::new();
        while !self.stop.load(SeqCst) {
            let mut start = rivals.begin();
            while self.work(index) {
                if rivals.lost(start) || self.crowded.swap(false, SeqCst) {
                    self.keep_away(rivals.leave(Instant::now()));
                }
                start = rivals.begin();
            }
            if spin_until(SPIN, || self.unclaimed.load(SeqCst) > 0 || self.stop.load(SeqCst)) {
                continue;
            }
            asleep.store(true, SeqCst);
            // A job that was posted before the line above saw nobody asleep, so look once more.
            if self.unclaimed.load(SeqCst) == 0 && !self.stop.load(SeqCst) {
                thread::park();
            }
            asleep.store(false, SeqCst);
        }
    }

    /// Leaves all work to the others for a while.
    fn keep_away(&self, until: Instant) {
        while !self.stop.load(SeqCst)
            && let Some(rest) = until.checked_duration_since(Instant::now())
        {
            thread::park_timeout(rest);
        }
    }

    /// Claims and runs one task; false if none was left.
    fn work(&self, worker: usize) -> bool {
        let Ok(left) = self.unclaimed.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)) else {
            return false;
        };
        // SAFETY: a task is claimed, so the job is written, stays until the task is finished below, and the
        // closure it points to is still borrowed by `run_with_worker`.
        let (job, task) = unsafe {
            let job = *self.job.get();
            (job, &*job.task)
        };
        if catch_unwind(AssertUnwindSafe(|| task(job.tasks - left, worker))).is_err() {
            self.panicked.store(true, SeqCst);
        }
        self.unfinished.fetch_sub(1, SeqCst);
        true
    }

    /// Returns when the tasks that other workers claimed have ended.
    fn wait_for_the_rest(&self) {
        while !spin_until(SPIN, || self.unfinished.load(SeqCst) == 0) {
            thread::yield_now();
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.stop.store(true, SeqCst);
        for worker in self.workers.drain(..) {
            worker.thread().unpark();
            // A worker catches the panics of its tasks and has no others.
            let _ = worker.join();
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("threads", &self.threads()).finish()
    }
}

/// Watches `ready` for a while; whether it became true.
fn spin_until(limit: Duration, ready: impl Fn() -> bool) -> bool {
    let start = Instant::now();
    loop {
        for _ in 0..64 {
            if ready() {
                return true;
            }
            spin_loop();
        }
        if start.elapsed() > limit {
            return false;
        }
    }
}

/// As many threads as there are physical cores that this process may use, under its CPU quota.
pub fn default_threads() -> usize {
    let allowed = thread::available_parallelism().map_or(1, usize::from);
    sys::physical_cores().map_or(allowed, |cores| cores.min(allowed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU32;

    fn pool(threads: usize) -> Pool {
        Pool::new(&Ledger::new(64 << 20), threads).unwrap()
    }

    #[test]
    fn every_task_runs_once() {
        for threads in [1, 2, 3, 16] {
            let pool = pool(threads);
            for tasks in [0, 1, 2, 7, 100, 1000] {
                let counts: Vec<AtomicU32> = (0..tasks).map(|_| AtomicU32::new(0)).collect();
                pool.run(tasks, &|i| {
                    counts[i].fetch_add(1, SeqCst);
                });
                assert!(counts.iter().all(|c| c.load(SeqCst) == 1), "{threads} threads, {tasks} tasks");
            }
        }
    }

    #[test]
    fn many_short_jobs_with_and_without_sleep() {
        let pool = pool(4);
        let sum = AtomicUsize::new(0);
        for round in 0..5000 {
            pool.run(5, &|i| {
                sum.fetch_add(i, SeqCst);
            });
            if round % 500 == 0 {
                thread::sleep(3 * SPIN);
            }
        }
        assert_eq!(sum.load(SeqCst), 5000 * 10);
    }

    #[test]
    fn a_worker_number_is_held_by_one_task_at_a_time() {
        let pool = pool(4);
        let busy: Vec<AtomicBool> = (0..pool.threads()).map(|_| AtomicBool::new(false)).collect();
        for _ in 0..200 {
            pool.run_with_worker(16, &|_, worker| {
                assert!(!busy[worker].swap(true, SeqCst));
                thread::yield_now();
                busy[worker].store(false, SeqCst);
            });
        }
    }

    #[test]
    fn pieces_and_scratch_are_disjoint() {
        let pool = pool(3);
        let mut data = vec![0usize; 1003];
        let mut scratch = [0usize; 3];
        pool.split_with(&mut data, 10, &mut scratch, &|index, piece, seen| {
            piece.fill(index + 1);
            *seen += piece.len();
        });
        assert!(data.iter().enumerate().all(|(i, &v)| v == i / 10 + 1));
        assert_eq!(scratch.iter().sum::<usize>(), 1003);
        pool.split(&mut data[..0], 10, &|_, _| unreachable!());
    }

    #[test]
    fn calls_from_tasks_and_other_threads_finish() {
        let pool = pool(2);
        let sum = AtomicUsize::new(0);
        let add = |i: usize| {
            sum.fetch_add(i, SeqCst);
        };
        pool.run(4, &|_| pool.run(4, &add));
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| (0..200).for_each(|_| pool.run(4, &add)));
            }
        });
        assert_eq!(sum.load(SeqCst), (4 + 600) * 6);
    }

    #[test]
    fn a_panic_reaches_the_caller_and_the_pool_lives() {
        let pool = pool(3);
        let result = catch_unwind(AssertUnwindSafe(|| pool.run(9, &|i| assert_ne!(i, 4))));
        assert!(result.is_err());
        pool.run(9, &|_| {});
    }

    #[test]
    fn a_worker_that_keeps_away_leaves_its_tasks_to_the_others() {
        let pool = pool(2);
        pool.shared.crowded.store(true, SeqCst);
        let count = AtomicUsize::new(0);
        let mut jobs = 0;
        // It sees that it should go when it has done a task.
        while pool.shared.crowded.load(SeqCst) || jobs < 100 {
            pool.run(4, &|_| {
                thread::yield_now();
                count.fetch_add(1, SeqCst);
            });
            jobs += 1;
        }
        assert_eq!(count.load(SeqCst), 4 * jobs);
    }

    #[test]
    fn stacks_are_on_the_ledger() {
        let ledger = Ledger::new(1 << 20);
        let pool = Pool::new(&ledger, 3).unwrap();
        assert_eq!(ledger.lines()[Part::Kernel as usize].1, 2 * (STACK + KERNEL_PER_THREAD) as u64);
        drop(pool);
        assert_eq!(ledger.used(), 0);
        assert!(matches!(Pool::new(&ledger, 100), Err(Error::Refused(_))));
        assert!(default_threads() >= 1);
    }
}
