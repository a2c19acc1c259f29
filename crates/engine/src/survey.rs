//! The disk by how it is asked, and which way is best.
//!
//! What it is: a quick look at a few ways, for the profile and for people. What it is not: a benchmark of the disk; a second
//! or two must do. The one design choice: ways take turns, and one is preferred to the default only if it was clearly
//! faster nearly every time, since what a disk gives from one moment to the next varies by more than ways do.

use crate::Error;
use host::{Extent, FlashFile, Ledger, ReadAt, Reader, Stream};
use planner::{FlashWay, RUN_BYTES};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Reads of the shortest runs that are tried besides the default: how many at once, of how many bytes.
const SHORT: [(usize, usize); 1] = [(32, 128 << 10)];
/// The same of the longest runs.
const LONG: [(usize, usize); 3] = [(8, 512 << 10), (8, 1 << 20), (4, 4 << 20)];
/// How often each way has its turn, how often it must have been faster, and how much.
const ROUNDS: usize = 7;
const WON: usize = 6;
const CLEARLY: f64 = 1.08;
/// How long a turn is, and after how long no further round begins.
const TURN: Duration = Duration::from_millis(12);
const ENOUGH: Duration = Duration::from_millis(1500);

/// What was found of a disk.
pub(crate) struct Survey {
    /// The best ways, as the profile has them.
    pub best: Vec<FlashWay>,
    /// All that were tried.
    pub tried: Vec<FlashWay>,
}

/// Tries ways to read `path`. One that the system refuses is left out.
///
/// # Errors
/// A file that cannot be read.
pub(crate) fn survey(path: &Path) -> Result<Survey, Error> {
    let mut ways: Vec<FlashWay> = ways().filter(|way| way.reader.is_granted()).collect();
    let mut rates = vec![Vec::new(); ways.len()];
    let mut walk = Walk { path, file_bytes: FlashFile::open(path)?.len(), at: 0 };
    let start = Instant::now();
    // What is in the page cache already would flatter whoever reads from there.
    host::cgroup::evict(path)?;
    walk.rate(&ways[0])?; // the first of all finds a disk that slept
    for round in 0..ROUNDS {
        if start.elapsed() > ENOUGH {
            break;
        }
        for turn in 0..ways.len() {
            // Forwards and backwards: who comes after whom matters.
            let turn = if round % 2 == 0 { turn } else { ways.len() - 1 - turn };
            let way = (round + turn) % ways.len();
            rates[way].push(walk.rate(&ways[way])?);
        }
    }
    for (way, rates) in ways.iter_mut().zip(&rates) {
        way.bytes_per_second = crate::measure::median(rates.clone());
    }
    let short = best(0, ways.iter().map(|way| way.run_bytes == RUN_BYTES[0]), &ways, &rates);
    let long = best(short, ways.iter().map(|way| way.run_bytes != RUN_BYTES[0]), &ways, &rates);
    let mut best = vec![ways[short], ways[long]];
    best.dedup();
    Ok(Survey { best, tried: ways })
}

/// The ways that are tried, the default first.
fn ways() -> impl Iterator<Item = FlashWay> {
    let [short, .., long] = RUN_BYTES;
    let plain = move |reader| FlashWay::plain(reader, short, 0.0);
    let auto = FlashWay::plain(Reader::Auto, 0, 0.0);
    let asked =
        move |run_bytes| move |(depth, request_bytes)| FlashWay { run_bytes, depth, request_bytes, ..auto };
    let readers = [Reader::Auto, Reader::Uring2, Reader::Pread, Reader::Cached].map(plain);
    readers.into_iter().chain(SHORT.map(asked(short))).chain(LONG.map(asked(long)))
}

/// The fastest of those among the candidates that were clearly faster than `base`, or that.
fn best(base: usize, candidates: impl Iterator<Item = bool>, ways: &[FlashWay], rates: &[Vec<f64>]) -> usize {
    let is_clear = |way: &usize| {
        let faster = rates[*way].iter().zip(&rates[base]).filter(|(rate, base)| **rate > **base * CLEARLY);
        faster.count() >= WON
    };
    let clear = candidates.enumerate().filter(|(_, is)| *is).map(|(way, _)| way).filter(is_clear);
    let fastest = clear.max_by(|&a, &b| f64::total_cmp(&ways[a].bytes_per_second, &ways[b].bytes_per_second));
    fastest.unwrap_or(base)
}

/// A file, and how far it was read.
struct Walk<'a> {
    path: &'a Path,
    file_bytes: u64,
    at: u64,
}

impl Walk<'_> {
    /// Bytes a second of reading on for a turn.
    fn rate(&mut self, way: &FlashWay) -> Result<f64, Error> {
        let run = way.run_bytes.min(self.file_bytes);
        let file = Arc::new(FlashFile::open(self.path)?);
        let window = Stream::window_needed(&[Extent { file: 0, offset: 1, len: run }; 3], file.align());
        let ledger = Ledger::new(u64::MAX / 2);
        let mut stream = Stream::new(&ledger, vec![file], window as usize, way.options())?;
        let start = Instant::now();
        let mut held = std::collections::VecDeque::new();
        while start.elapsed() < TURN {
            self.at = if self.at + run > self.file_bytes { 0 } else { self.at };
            match stream.push(&[Extent { file: 0, offset: self.at, len: run }])? {
                Some(id) => {
                    held.push_back(id);
                    self.at += run;
                }
                None => {
                    let Some(id) = held.pop_front() else { break };
                    stream.wait(id)?;
                    stream.release(id);
                }
            }
        }
        // A run that is half here counts by half.
        let rate = stream.stats().bytes_read as f64 / start.elapsed().as_secs_f64();
        stream.reset()?;
        Ok(rate.max(1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_has_a_rate_and_the_best_begins_with_the_shortest_runs() {
        let path = std::env::temp_dir().join(format!("survey-{}", std::process::id()));
        std::fs::write(&path, vec![1; 3 << 20]).unwrap();
        let found = survey(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert!(found.tried.iter().all(|way| way.bytes_per_second > 0.0));
        assert!(found.tried.len() >= ways().count() - 1);
        assert_eq!(found.best[0].run_bytes, RUN_BYTES[0]);
    }

    #[test]
    fn the_default_stays_unless_another_is_clearly_faster() {
        let all: Vec<FlashWay> = ways().collect();
        let rates = |of: &[(usize, [f64; ROUNDS])]| {
            let mut rates = vec![vec![100.0; ROUNDS]; all.len()];
            of.iter().for_each(|(way, of)| rates[*way] = of.to_vec());
            let mut ways = all.clone();
            ways.iter_mut()
                .zip(&rates)
                .for_each(|(w, r)| w.bytes_per_second = crate::measure::median(r.clone()));
            best(0, ways.iter().map(|_| true), &ways, &rates)
        };
        assert_eq!(rates(&[]), 0);
        assert_eq!(rates(&[(2, [107.0; ROUNDS])]), 0);
        assert_eq!(rates(&[(2, [150.0, 150.0, 150.0, 150.0, 150.0, 100.0, 90.0])]), 0);
        assert_eq!(rates(&[(2, [110.0, 60.0, 110.0, 120.0, 110.0, 110.0, 110.0])]), 2);
        assert_eq!(rates(&[(2, [110.0; ROUNDS]), (3, [140.0; ROUNDS])]), 3);
    }
}
