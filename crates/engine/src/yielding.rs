//! A budget that gives way: less while the system is short of memory, and all of it again when that has passed.
//!
//! What it is: a source of budgets around another one. What it is not: a promise; that stays the budget, which is never
//! exceeded. The one design choice: down by a quarter as soon as tasks wait for memory, up by an eighth after a while of
//! calm and only if there is room, so that it does not swing.

use crate::BudgetSource;
use host::{Memory, Pressure};
use planner::Refusal;
use std::time::{Duration, Instant};

/// How often the system is asked.
const EVERY: Duration = Duration::from_millis(500);
/// Share of the time in which tasks wait for memory from which on some is given back.
const SHORT: f64 = 0.05;
/// ... below which all is calm.
const CALM: f64 = 0.005;
/// How long it must be calm before some is taken again.
const PATIENCE: Duration = Duration::from_secs(10);

/// Gives memory back while the system is short of it.
pub struct Yielding<S> {
    source: S,
    /// Share of the time since it was last asked in which tasks waited for memory.
    pressure: Box<dyn FnMut() -> f64 + Send>,
    /// Bytes that could be had now.
    room: Box<dyn FnMut() -> u64 + Send>,
    most: u64,
    now: u64,
    /// Both before the source changed them.
    before: (u64, u64),
    asked: Instant,
    calm: Instant,
}

impl<S: BudgetSource> Yielding<S> {
    /// Budgets of `source`, of which the present is `most`, less what the system needs. `None` if the system does not tell
    /// whether it is short of memory.
    pub fn new(source: S, most: u64) -> Option<Yielding<S>> {
        let mut pressure = Pressure::open()?;
        let room = || Memory::Auto.resolve().map_or(0, |budget| budget.bytes);
        Some(Yielding::of(source, most, move || pressure.share(), room))
    }

    fn of(
        source: S,
        most: u64,
        pressure: impl FnMut() -> f64 + Send + 'static,
        room: impl FnMut() -> u64 + Send + 'static,
    ) -> Yielding<S> {
        let (pressure, room, start) = (Box::new(pressure), Box::new(room), Instant::now());
        Yielding { source, pressure, room, most, now: most, before: (most, most), asked: start, calm: start }
    }

    /// What is wanted if it is `time` now.
    fn at(&mut self, time: Instant) -> Option<u64> {
        if time - self.asked < EVERY {
            return None;
        }
        self.asked = time;
        let share = (self.pressure)();
        if share >= CALM {
            self.calm = time;
        }
        let next = if share >= SHORT {
            self.now - self.now / 4
        } else if self.now < self.most && time - self.calm >= PATIENCE {
            self.calm = time;
            let next = (self.now + self.most / 8).min(self.most);
            if (self.room)() < next { self.now } else { next }
        } else {
            self.now
        };
        (next != self.now).then(|| {
            self.now = next;
            next
        })
    }
}

impl<S: BudgetSource> BudgetSource for Yielding<S> {
    fn wanted(&mut self) -> Option<u64> {
        if let Some(bytes) = self.source.wanted() {
            self.before = (self.most, self.now);
            (self.most, self.now) = (bytes, bytes);
            return Some(bytes);
        }
        self.at(Instant::now())
    }

    fn refused(&mut self, refusal: &Refusal) {
        if refusal.budget == self.most {
            (self.most, self.now) = self.before;
            return self.source.refused(refusal);
        }
        // It cannot give more than that; the next time it stays where it is.
        self.now = refusal.needed.min(self.most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    struct Nobody;

    impl BudgetSource for Nobody {
        fn wanted(&mut self) -> Option<u64> {
            None
        }
    }

    #[test]
    fn it_gives_at_once_and_takes_again_slowly_and_only_what_there_is() {
        static SHARE: Mutex<f64> = Mutex::new(0.0);
        static ROOM: Mutex<u64> = Mutex::new(0);
        let read_share = || *SHARE.lock().unwrap();
        let mut budget = Yielding::of(Nobody, 800, read_share, || *ROOM.lock().unwrap());
        let start = Instant::now();
        let mut at = |seconds: u64, share: f64, room: u64| {
            (*SHARE.lock().unwrap(), *ROOM.lock().unwrap()) = (share, room);
            budget.at(start + Duration::from_secs(seconds))
        };
        assert_eq!(at(1, 0.0, 0), None);
        assert_eq!(at(2, 0.2, 0), Some(600));
        assert_eq!(at(2, 0.2, 0), None, "not asked twice within a moment");
        assert_eq!(at(3, 0.2, 0), Some(450));
        assert_eq!(at(4, 0.03, 900), None, "neither short nor calm");
        assert_eq!(at(13, 0.0, 900), None);
        assert_eq!(at(14, 0.0, 500), None, "no room");
        assert_eq!(at(24, 0.0, 900), Some(550));
        assert_eq!([34, 44, 54].map(|s| at(s, 0.0, 900)), [Some(650), Some(750), Some(800)]);
        assert_eq!(at(70, 0.0, 900), None);
    }
}
