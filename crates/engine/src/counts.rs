//! What a schedule has done: counters, and histograms of how long it took.
//!
//! What it is: numbers, with the bounds that vLLM's histograms have, so that dashboards made for those work. What it is not:
//! their names, which are a shell's. The one design choice: a plain value, copied to whoever asks.

use crate::{Finish, Timing};
use runtime::Executor;

/// Bounds of the seconds until a first token.
const FIRST: &[f64] = &[
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0,
    80.0, 160.0, 640.0, 2560.0,
];
/// ... between two tokens.
const BETWEEN: &[f64] = &[
    0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0,
];
/// ... of a request, or of a part of it.
const WHOLE: &[f64] = &[
    0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0, 120.0, 240.0, 480.0,
    960.0, 1920.0, 7680.0,
];
/// Bounds of tokens.
const TOKENS: &[f64] = &[
    1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0, 10000.0, 20000.0, 50000.0,
    100_000.0,
];
const MOST_BOUNDS: usize = 22;
/// Tokens of an answer as long as none was given, and how many answers that weighs.
const FIRST_ANSWER: f64 = 128.0;
const FIRST_ANSWERS: f64 = 4.0;

/// How often a figure lay between which bounds.
#[derive(Clone, Copy, Debug)]
pub struct Histogram {
    bounds: &'static [f64],
    /// Figures at most as large as each bound and larger than the one before; the last is those beyond all.
    counts: [u64; MOST_BOUNDS + 1],
    /// The sum of all figures.
    pub sum: f64,
}

impl Histogram {
    fn new(bounds: &'static [f64]) -> Histogram {
        Histogram { bounds, counts: [0; MOST_BOUNDS + 1], sum: 0.0 }
    }

    fn add(&mut self, figure: f64) {
        let at = self.bounds.iter().position(|bound| figure <= *bound).unwrap_or(self.bounds.len());
        self.counts[at] += 1;
        self.sum += figure;
    }

    /// Every bound, and how many figures were at most that.
    pub fn buckets(&self) -> impl Iterator<Item = (f64, u64)> {
        let mut below = 0;
        self.bounds.iter().zip(self.counts).map(move |(bound, count)| {
            below += count;
            (*bound, below)
        })
    }

    /// How many figures there were.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

/// What a schedule has done, and what it does now.
#[derive(Clone, Copy, Debug)]
pub struct Counts {
    /// Answers that are being given.
    pub running: usize,
    /// Requests that wait for their turn.
    pub waiting: usize,
    /// Bytes of keys and values that are held.
    pub state_bytes: u64,
    /// Bytes of keys and values that may be held.
    pub state_room: u64,
    /// Tokens of prompts.
    pub prompt_tokens: u64,
    /// Tokens of prompts that were known from before.
    pub cached_tokens: u64,
    /// Tokens of answers.
    pub answer_tokens: u64,
    /// Answers that ended, by [`Finish`].
    pub finished: [u64; Finish::ALL.len()],
    /// Requests that were let in or waited, and failed.
    pub failed: u64,
    /// How often the turn of an answer was taken from it, to be given back later.
    pub preempted: u64,
    /// Bytes of weights read from flash.
    pub flash_bytes: u64,
    /// Seconds that steps waited for flash.
    pub flash_wait_seconds: f64,
    /// Steps so far.
    pub steps: u64,
    /// Seconds until the first token.
    pub first: Histogram,
    /// Seconds between two tokens.
    pub between: Histogram,
    /// Seconds from a request to the end of its answer.
    pub whole: Histogram,
    /// Seconds until the turn of a request came.
    pub queue: Histogram,
    /// Seconds in which prompts were read.
    pub prefill: Histogram,
    /// Seconds from the first token to the last.
    pub decode: Histogram,
    /// Tokens of a prompt.
    pub prompts: Histogram,
    /// Tokens of an answer.
    pub answers: Histogram,
    /// Bytes, seconds and steps from before the model was loaded as it is now.
    before: (u64, f64, u64),
}

impl Default for Counts {
    fn default() -> Counts {
        let whole = Histogram::new(WHOLE);
        Counts {
            running: 0,
            waiting: 0,
            state_bytes: 0,
            state_room: 0,
            prompt_tokens: 0,
            cached_tokens: 0,
            answer_tokens: 0,
            finished: [0; Finish::ALL.len()],
            failed: 0,
            preempted: 0,
            flash_bytes: 0,
            flash_wait_seconds: 0.0,
            steps: 0,
            first: Histogram::new(FIRST),
            between: Histogram::new(BETWEEN),
            whole,
            queue: whole,
            prefill: whole,
            decode: whole,
            prompts: Histogram::new(TOKENS),
            answers: Histogram::new(TOKENS),
            before: (0, 0.0, 0),
        }
    }
}

impl Counts {
    /// Tokens of an answer, as those before it had; of the first nothing is known.
    pub(crate) fn likely_answer(&self) -> usize {
        let (sum, count) = (self.answers.sum, self.answers.count() as f64);
        ((sum + FIRST_ANSWERS * FIRST_ANSWER) / (count + FIRST_ANSWERS)) as usize
    }

    pub(crate) fn begun(&mut self, prompt_tokens: usize, cached_tokens: usize, queue_seconds: f64) {
        self.prompt_tokens += prompt_tokens as u64;
        self.cached_tokens += cached_tokens as u64;
        self.queue.add(queue_seconds);
    }

    pub(crate) fn first_token(&mut self, seconds: f64) {
        self.answer_tokens += 1;
        self.first.add(seconds);
    }

    pub(crate) fn next_token(&mut self, seconds: f64) {
        self.answer_tokens += 1;
        self.between.add(seconds);
    }

    pub(crate) fn finished(&mut self, finish: Finish, timing: &Timing) {
        self.finished[finish as usize] += 1;
        self.prompts.add(timing.prompt_tokens as f64);
        self.answers.add(timing.answer_tokens as f64);
        self.prefill.add(timing.prompt_seconds);
        self.decode.add(timing.answer_seconds);
        self.whole.add(timing.queue_seconds + timing.prompt_seconds + timing.answer_seconds);
    }

    pub(crate) fn failed(&mut self) {
        self.failed += 1;
    }

    pub(crate) fn now(&mut self, requests: (usize, usize), state: (u64, u64), executor: &Executor) {
        (self.running, self.waiting) = requests;
        (self.state_bytes, self.state_room) = state;
        let (flash, stats) = (executor.flash_stats(), executor.stats());
        self.flash_bytes = self.before.0 + flash.bytes_read;
        self.flash_wait_seconds = self.before.1 + flash.wait_seconds;
        self.steps = self.before.2 + stats.steps;
    }

    /// What was counted so far was counted before what `executor` counts from now on.
    pub(crate) fn go_on(&mut self, executor: &Executor) {
        let (flash, steps) = (executor.flash_stats(), executor.stats().steps);
        self.before = (
            self.flash_bytes.saturating_sub(flash.bytes_read),
            (self.flash_wait_seconds - flash.wait_seconds).max(0.0),
            self.steps.saturating_sub(steps),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_fall_between_bounds() {
        for bounds in [FIRST, BETWEEN, WHOLE, TOKENS] {
            assert!(bounds.is_sorted() && bounds.len() <= MOST_BOUNDS);
        }
        let mut histogram = Histogram::new(BETWEEN);
        [0.005, 0.01, 0.02, 100.0].into_iter().for_each(|figure| histogram.add(figure));
        let buckets: Vec<(f64, u64)> = histogram.buckets().collect();
        assert_eq!(buckets[..3], [(0.01, 2), (0.025, 3), (0.05, 3)]);
        assert_eq!((buckets.last().unwrap().1, histogram.count()), (3, 4));
        assert!((histogram.sum - 100.035).abs() < 1e-9);
    }
}
