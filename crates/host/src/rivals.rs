//! Whether somebody else wants the core that a thread computes on.
//!
//! A thread that loses its core while it holds a task keeps all others waiting until it is back, some milliseconds later, in jobs
//! that take a tenth of one: two threads are then slower than one. What it is: a watch over one thread, by the time that passed
//! and the time that it ran. What it is not: a choice of cores, which is the system's. The one design choice: where a thread lost its
//! core one that can be spared keeps away from work for a while, asleep, so that the system has a core to give to whoever waits
//! for one; each time that it happens again soon, for twice as long. What a host takes from a virtual machine is no rival's: nobody here
//! would get the core, and the other threads lose theirs as often, so only what this system itself took counts.

use std::ffi::c_long;
use std::time::{Duration, Instant};

use crate::sys;

/// Tasks that take less were not interrupted, at least not by a slice of time: these are a millisecond at least.
const SUSPECT: Duration = Duration::from_millis(1);

/// How long a thread keeps away, at first and at most.
const FIRST: Duration = Duration::from_millis(20);
const LONGEST: Duration = Duration::from_millis(640);

/// For so many times as long as it kept away, it will keep away longer if it happens again.
const SOON: u32 = 4;

/// How old a look at the thread may be when a task begins: what passed before was no loss to anybody.
const STALE: Duration = Duration::from_millis(2);

/// The watch over the thread that made it.
pub(crate) struct Rivals {
    /// When it was looked at last; how long the thread had run by then, and how often it had lost its core.
    seen: Instant,
    used: Option<(Duration, c_long)>,
    /// How long it kept away the last time, and until when.
    away: Duration,
    until: Instant,
}

impl Rivals {
    pub(crate) fn new() -> Rivals {
        let now = Instant::now();
        Rivals { seen: now, used: sys::thread_use(), away: Duration::ZERO, until: now }
    }

    /// A task begins now.
    pub(crate) fn begin(&mut self) -> Instant {
        let now = Instant::now();
        if now - self.seen > STALE {
            (self.seen, self.used) = (now, sys::thread_use());
        }
        now
    }

    /// Whether somebody else had the core for most of the time since `start`, when a task began.
    pub(crate) fn lost(&mut self, start: Instant) -> bool {
        let now = Instant::now();
        let took = now - start;
        if took < SUSPECT {
            return false;
        }
        let (passed, before) = (now - self.seen, self.used);
        (self.seen, self.used) = (now, sys::thread_use());
        let (Some((ran_before, lost_before)), Some((ran, lost))) = (before, self.used) else { return false };
        lost > lost_before && is_worse(took, passed.saturating_sub(ran.saturating_sub(ran_before)))
    }

    /// Until when the thread keeps away, if it goes now.
    pub(crate) fn leave(&mut self, now: Instant) -> Instant {
        let again = now < self.until + SOON * self.away;
        self.away = if again { (2 * self.away).clamp(FIRST, LONGEST) } else { FIRST };
        self.until = now + self.away;
        self.until
    }
}

/// Whether others waited longer for a task that took so long than it was worth to them: for all that was lost of it, but what was
/// lost before it began.
fn is_worse(took: Duration, lost: Duration) -> bool {
    3 * lost.min(took) >= 2 * took
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_keeps_away_longer_each_time_until_it_has_worked_for_long() {
        let ms = Duration::from_millis;
        let mut rivals = Rivals::new();
        let mut now = rivals.until + ms(100);
        for away in [20, 40, 80, 160, 320, 640, 640] {
            assert_eq!(rivals.leave(now), now + ms(away));
            now = now + ms(away) + ms(5);
        }
        now += SOON * LONGEST;
        assert_eq!(rivals.leave(now), now + FIRST);
    }

    #[test]
    fn only_tasks_that_were_interrupted_for_most_of_their_time_count() {
        let ms = Duration::from_millis;
        assert!(is_worse(ms(4), ms(3)) && is_worse(ms(4), ms(400)));
        assert!(!is_worse(ms(9), ms(5)) && !is_worse(ms(4), ms(0)));
        let mut rivals = Rivals::new();
        std::thread::sleep(2 * STALE);
        let start = rivals.begin();
        assert!(!rivals.lost(start), "what passed before is no loss");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_core_is_lost_to_others_and_not_to_a_task_that_sleeps() {
        use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
        use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

        let allowed = sched_getaffinity(None).unwrap();
        let mut one = CpuSet::new();
        one.set((0..CpuSet::MAX_CPU).find(|&cpu| allowed.is_set(cpu)).unwrap());
        let end = AtomicBool::new(false);
        std::thread::scope(|scope| {
            // What sleeps has lost its time to nobody, as what waits for a host has.
            let mut rivals = Rivals::new();
            let kept = (0..50).any(|_| {
                let start = rivals.begin();
                std::thread::sleep(Duration::from_millis(5));
                !rivals.lost(start)
            });
            assert!(kept, "a task that slept");

            for _ in 0..5 {
                scope.spawn(|| {
                    sched_setaffinity(None, &one).unwrap();
                    while !end.load(Relaxed) {
                        std::hint::spin_loop();
                    }
                });
            }
            let task = scope.spawn(|| {
                sched_setaffinity(None, &one).unwrap();
                let mut rivals = Rivals::new();
                (0..50).any(|_| {
                    let start = rivals.begin();
                    while start.elapsed() < Duration::from_millis(40) {}
                    rivals.lost(start)
                })
            });
            let lost = task.join();
            end.store(true, Relaxed);
            assert!(lost.unwrap(), "one of six has a sixth of the core");
        });
    }
}
