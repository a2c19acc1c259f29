//! One model in many budgets: from the smallest that works to one that keeps everything.
//!
//! What it is: the budgets, and an answer timed in each beside its forecast. What it is not: a proof that a budget holds,
//! which `tests/tests/budget.rs` gives. The one design choice: a budget in which tokens are slow gets fewer of them, so
//! that the whole takes about as long for a large model as for a small one.

use super::{Bench, Outcome, Test, bound};
use crate::{Engine, Error, Forecast, LoadOptions, Memory};
use host::Ledger;
use std::path::Path;

/// Seconds that the answers of one budget should take, and the least tokens of one.
const SECONDS: f64 = 4.0;
const LEAST: u32 = 2;
/// Added to the smallest budget, in bytes: what was measured before takes some memory too.
const SPARE: u64 = 256 << 10;

/// What one budget gave.
#[derive(Clone, Debug)]
pub struct SweepPoint {
    /// The answer that was timed; its placement has the budget.
    pub outcome: Outcome,
    /// What the planner says of that placement on the machine as it was measured.
    pub forecast: Forecast,
}

impl Bench {
    /// Times the longest answer, or fewer tokens of it, at the first depth in `count` budgets, evenly from the smallest
    /// to the roomiest; the latter may be less than this machine has. Threads, kernels and profile are those of `engine`.
    ///
    /// # Errors
    /// As [`Bench::run`]; a model that fits no budget.
    pub fn sweep(
        &self,
        engine: &Engine,
        path: &Path,
        count: u32,
        on_run: &mut dyn FnMut(&Test, usize, u32),
    ) -> Result<Vec<SweepPoint>, Error> {
        let depth = self.depths.first().copied().unwrap_or(0);
        let answer = self.answers.iter().copied().max().unwrap_or(0).max(LEAST);
        let load = LoadOptions { context: Some(depth + answer), ..self.load };
        let opened = engine.open(path)?;
        let roomiest = match engine.plan_in(&opened, &load, u64::MAX / 4)? {
            Ok(placement) => placement.peak(),
            Err(refused) => return Err(Error::Refused(Box::new(refused))),
        };
        let smallest = match engine.plan_in(&opened, &load, 0)? {
            Ok(placement) => placement.peak(),
            Err(refused) => refused.needed,
        };
        let most = engine.budget.bytes.min(roomiest.max(smallest)) + SPARE;
        let span = most.saturating_sub(smallest + SPARE);
        let mut outcomes = Vec::new();
        for step in 0..count.max(2) {
            let bytes = smallest + SPARE + span / u64::from(count.max(2) - 1) * u64::from(step);
            let budget = Memory::Bytes(bytes).resolve()?;
            let profile = engine.profile.clone();
            let within = Engine { ledger: Ledger::new(bytes), budget, profile, ..*engine };
            let Ok(placement) = within.plan(&opened, &load)? else { continue };
            let tokens = (SECONDS * placement.forecast.tokens_per_second) as u32;
            let bench = Bench {
                prompts: Vec::new(),
                answers: vec![tokens.clamp(LEAST, answer)],
                depths: vec![depth],
                repetitions: self.repetitions,
                load,
            };
            bench.at_depth(&within, path, depth, on_run, &mut outcomes)?;
        }
        let Some(first) = outcomes.first() else { return Ok(Vec::new()) };
        let profile = engine.measure_bounds(&opened, &first.placement)?;
        let point = |mut outcome: Outcome| {
            bound(&mut outcome, &opened, &profile);
            let forecast = engine.forecast(&opened, &load, &outcome.placement, &profile);
            SweepPoint { outcome, forecast }
        };
        Ok(outcomes.into_iter().map(point).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_grow_and_reads_shrink() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/tiny/llama-q4.gguf");
        let engine = Engine::builder().memory(Memory::Bytes(1 << 30)).threads(Some(1)).build().unwrap();
        let bench = Bench { answers: vec![4], repetitions: 1, ..Bench::default() };
        let points = bench.sweep(&engine, &path, 3, &mut |_, _, _| ()).unwrap();
        assert!(!points.is_empty());
        let budgets: Vec<u64> = points.iter().map(|point| point.outcome.placement.budget).collect();
        assert!(budgets.is_sorted());
        let read = |point: &SweepPoint| point.outcome.placement.streamed_bytes();
        assert!(points.windows(2).all(|pair| read(&pair[0]) >= read(&pair[1])));
        assert!(
            points.iter().all(|point| point.outcome.rate().0 > 0.0 && point.forecast.tokens_per_second > 0.0)
        );
    }
}
