//! How fast a model is, beside what bounds it: the measuring behind `pintpot bench`.
//!
//! What it is: [`Bench`], a list of tests in llama-bench's terms, and what came out. What it is not: printing. The one
//! design choice: models are timed first and the machine's rates after them, since measuring those takes memory that
//! no budget knows of.

mod cold;
mod network;
mod peers;
mod products;
mod silicon;
mod sweep;

pub use kernels::Order;
pub use network::{NetworkTimes, NodeTime, OperatorTime};
pub use peers::{Compared, Peer, PeerBench};
pub use products::{CallTime, ProductBench, ProductTime};
pub use silicon::Silicon;
pub use sweep::{Foretold, OurTurn, Sweep, SweepPoint, Swept, WORDS};

use crate::{Engine, Error, LoadOptions, Model, Opened, Placement};
use graph::{Bounds, StateKind};
use runtime::Wanted;
use std::path::Path;
use std::time::Instant;

/// What to measure. Every prompt and every answer is measured at every depth.
#[derive(Clone, Debug)]
pub struct Bench {
    /// Tokens of prompts; 0 stands for none.
    pub prompts: Vec<u32>,
    /// Tokens of answers; 0 stands for none.
    pub answers: Vec<u32>,
    /// Tokens that the cache holds before the clock starts.
    pub depths: Vec<u32>,
    /// Timed runs of each test, after one that is not counted.
    pub repetitions: u32,
    /// How models are loaded; the context is set to what the tests of a depth need.
    pub load: LoadOptions,
}

impl Default for Bench {
    fn default() -> Bench {
        let load = LoadOptions::default();
        Bench { prompts: vec![512], answers: vec![128], depths: vec![0], repetitions: 5, load }
    }
}

/// One test: a prompt or an answer at a depth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Test {
    /// Tokens fed together; 0 for an answer.
    pub prompt: u32,
    /// Tokens fed one by one; 0 for a prompt.
    pub answer: u32,
    /// Tokens before them.
    pub depth: u32,
}

impl Test {
    /// The name that llama-bench gives it, such as `pp512` or `tg128 @ d4096`.
    pub fn name(&self) -> String {
        let name = match self.prompt {
            0 => format!("tg{}", self.answer),
            prompt => format!("pp{prompt}"),
        };
        if self.depth > 0 { format!("{name} @ d{}", self.depth) } else { name }
    }

    /// Tokens that are timed.
    pub fn tokens(&self) -> u32 {
        self.prompt + self.answer
    }

    /// Rows and wanted logits of each of its steps, with the positions before it.
    fn steps(&self, chunk: u32) -> impl Iterator<Item = (Bounds, u32)> {
        let (rows, end) = (if self.prompt > 0 { chunk.max(1) } else { 1 }, self.depth + self.tokens());
        let wants = move |last: bool| u32::from(last || rows == 1);
        (self.depth..end).step_by(rows as usize).map(move |from| {
            let rows = rows.min(end - from);
            (Bounds { rows, logit_rows: wants(from + rows == end) }, from)
        })
    }
}

/// One timed run.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sample {
    /// Seconds in all.
    pub seconds: f64,
    /// Seconds by phase, in the order of [`crate::Phase::ALL`].
    pub phase_seconds: [f64; 3],
    /// Seconds of the first phase that waited for flash.
    pub wait_seconds: f64,
    /// Bytes read from flash.
    pub flash_bytes: u64,
}

/// What a test gave.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The test.
    pub test: Test,
    /// Threads that computed.
    pub threads: usize,
    /// Name of the kernels.
    pub isa: &'static str,
    /// The timed runs.
    pub samples: Vec<Sample>,
    /// Where everything lay; its peak is the predicted one.
    pub placement: Placement,
    /// The most that the kernel has charged to this process's group so far, bytes, whatever else lives in it included;
    /// `None` without a group.
    pub charge_peak: Option<u64>,
    /// Bytes of weights that products touched in one run.
    pub weight_bytes: u64,
    /// Bytes of keys and values that one run reads.
    pub state_bytes: u64,
    /// Multiply-adds with weights of one run.
    pub macs: u64,
    /// Seconds of one run if only its arithmetic took time, at the most that the registers give.
    pub arithmetic_seconds: f64,
    /// What this machine can do, measured after the last run.
    pub silicon: Silicon,
}

impl Outcome {
    /// Mean and sample standard deviation of tokens a second.
    pub fn rate(&self) -> (f64, f64) {
        mean_and_deviation(&self.samples.iter().map(|s| self.rate_of(s)).collect::<Vec<_>>())
    }

    /// Tokens a second of one run.
    pub fn rate_of(&self, sample: &Sample) -> f64 {
        f64::from(self.test.tokens()) / sample.seconds.max(1e-9)
    }

    /// Mean and sample standard deviation of seconds.
    pub fn seconds(&self) -> (f64, f64) {
        mean_and_deviation(&self.samples.iter().map(|s| s.seconds).collect::<Vec<_>>())
    }

    /// Seconds of a run by phase, in the order of [`crate::Phase::ALL`], on average; waits for flash are in the first.
    pub fn phase_seconds(&self) -> [f64; 3] {
        std::array::from_fn(|n| self.mean(|sample| sample.phase_seconds[n]))
    }

    /// Seconds of a run that products waited for flash, on average.
    pub fn wait_seconds(&self) -> f64 {
        self.mean(|sample| sample.wait_seconds)
    }

    fn mean(&self, of: impl Fn(&Sample) -> f64) -> f64 {
        self.samples.iter().map(of).sum::<f64>() / self.samples.len().max(1) as f64
    }

    /// Bytes of weights, keys and values that a token takes from memory, on average.
    pub fn touched_per_token(&self) -> f64 {
        (self.weight_bytes + self.state_bytes) as f64 / f64::from(self.test.tokens().max(1))
    }

    /// Bytes that a token takes from flash, on average over all runs.
    pub fn flash_per_token(&self) -> f64 {
        self.mean(|sample| sample.flash_bytes as f64) / f64::from(self.test.tokens().max(1))
    }

    /// The share of the rate that reading memory at full speed would allow.
    pub fn bandwidth_share(&self) -> f64 {
        let bytes = (self.weight_bytes + self.state_bytes) as f64;
        bytes / self.silicon.memory_bytes / self.seconds().0.max(1e-9)
    }

    /// The share of the rate that arithmetic in registers would allow.
    pub fn arithmetic_share(&self) -> f64 {
        self.arithmetic_seconds / self.seconds().0.max(1e-9)
    }
}

/// A model and what its tests gave.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Architecture and type of most weights, such as `llama Q4_0`.
    pub kind: String,
    /// Bytes of all tensors.
    pub bytes: u64,
    /// Elements of all tensors.
    pub parameters: u64,
    /// The share of the file that was in the page cache before anything was read of it; `None` if that is not told.
    pub cached: Option<f64>,
    /// In the order of the engines, the depths, and prompts before answers.
    pub outcomes: Vec<Outcome>,
}

impl Bench {
    /// Measures the model at `path` in each of `engines`, one after another. `on_run` is told of each run before it begins:
    /// the test, threads, and the number of the run, 0 for the one that is not counted.
    ///
    /// # Errors
    /// [`Error::Option`] for nothing to measure; what loading and feeding give.
    pub fn run(
        &self,
        engines: &[Engine],
        path: &Path,
        on_run: &mut dyn FnMut(&Test, usize, u32),
    ) -> Result<Measured, Error> {
        let option =
            |option, value: &str, expected| Err(Error::Option { option, value: value.into(), expected });
        let Some(first) = engines.first() else { return option("--threads", "nothing", "a number") };
        if self.repetitions == 0 {
            return option("-r", "0", "at least 1");
        }
        if self.tests(0).is_empty() || self.depths.is_empty() {
            return option("-p and -n", "0", "at least one of them more than 0");
        }
        let opened = first.open(path)?;
        let parts = opened.file.files.iter().map(|part| (part.bytes as f64, host::cached_share(&part.path)));
        let cached = parts.map(|(bytes, share)| Some((bytes, share?))).collect::<Option<Vec<_>>>();
        let cached = cached.map(|parts| {
            parts.iter().map(|(b, s)| b * s).sum::<f64>() / parts.iter().map(|p| p.0).sum::<f64>().max(1.0)
        });
        let kind = opened.main_type().map_or("", |dtype| dtype.name());
        let mut measured = Measured {
            kind: format!("{} {kind}", opened.file.architecture),
            bytes: opened.weight_bytes(),
            parameters: opened.parameters(),
            cached,
            outcomes: Vec::new(),
        };
        drop(opened);
        for engine in engines {
            for &depth in &self.depths {
                self.at_depth(engine, path, depth, on_run, &mut measured.outcomes)?;
            }
        }
        let opened = first.open(path)?;
        let each = self.tests(0).len() * self.depths.len();
        for (engine, outcomes) in engines.iter().zip(measured.outcomes.chunks_mut(each)) {
            let silicon = Silicon::measure(engine.kernels, engine.threads())?;
            outcomes.iter_mut().for_each(|outcome| bound(outcome, &opened, &silicon));
        }
        Ok(measured)
    }

    /// The tests of a depth.
    fn tests(&self, depth: u32) -> Vec<Test> {
        let prompts = self.prompts.iter().map(|&prompt| Test { prompt, answer: 0, depth });
        let answers = self.answers.iter().map(|&answer| Test { prompt: 0, answer, depth });
        prompts.chain(answers).filter(|test| test.tokens() > 0).collect()
    }

    fn at_depth(
        &self,
        engine: &Engine,
        path: &Path,
        depth: u32,
        on_run: &mut dyn FnMut(&Test, usize, u32),
        outcomes: &mut Vec<Outcome>,
    ) -> Result<(), Error> {
        let tests = self.tests(depth);
        let longest = tests.iter().map(|test| test.tokens()).max().unwrap_or(1);
        let opened = engine.open(path)?;
        let most = opened.decoder.spec.context;
        if depth.saturating_add(longest) > most {
            let value = format!("{depth}, with {longest} tokens after it, for a model of {most}");
            return Err(Error::Option {
                option: "-d",
                value,
                expected: "no more than the model was made for",
            });
        }
        let load = LoadOptions { context: Some(depth + longest), ..self.load };
        let mut model = engine.load_opened(opened, &load)?;
        let ids = synthetic_ids(depth, model.tokenizer().len(), 0);
        for test in tests {
            let mut samples = Vec::with_capacity(self.repetitions as usize);
            let mut before = model.executor.stats();
            for run in 0..=self.repetitions {
                on_run(&test, engine.threads(), run);
                model.go_back(&ids)?;
                // Other tokens want other experts.
                let fresh = synthetic_ids(test.tokens(), model.tokenizer().len(), run + 1);
                before = model.executor.stats();
                let sample = model.timed(&test, &fresh)?;
                samples.extend((run > 0).then_some(sample));
            }
            let after = model.executor.stats();
            outcomes.push(Outcome {
                test,
                threads: engine.threads(),
                isa: engine.isa(),
                samples,
                placement: model.placement().clone(),
                charge_peak: host::cgroup::charge().map(|charge| charge.peak),
                weight_bytes: after.bytes_touched - before.bytes_touched,
                macs: after.macs - before.macs,
                state_bytes: 0,
                arithmetic_seconds: 0.0,
                silicon: Silicon::default(),
            });
        }
        Ok(())
    }
}

/// Fills in what follows from the graph and the machine.
fn bound(outcome: &mut Outcome, opened: &Opened, silicon: &Silicon) {
    let graph = &opened.decoder.graph;
    let chunk = outcome.placement.chunk();
    for (bounds, before) in outcome.test.steps(chunk) {
        outcome.arithmetic_seconds += silicon.arithmetic(graph, &bounds, before);
        for state in &graph.states {
            let end = u64::from(before + bounds.rows);
            let seen = match state.kind {
                StateKind::Append => end,
                StateKind::Ring { window } => end.min(u64::from(window) + u64::from(bounds.rows) - 1),
            };
            let head: u64 = state.kept().map(|dim| outcome.placement.kv.bytes(u64::from(dim))).iter().sum();
            outcome.state_bytes += seen * u64::from(state.kv_heads) * head;
        }
    }
    outcome.silicon = *silicon;
}

impl Model {
    /// Makes the sequence hold just `ids`, which it may hold already.
    fn go_back(&mut self, ids: &[u32]) -> Result<(), Error> {
        self.own_sequence()?;
        let depth = ids.len() as u32;
        if self.sequences[0].len < depth || !self.executor.can_rewind(&self.sequences[0], depth) {
            self.clear();
            self.feed_ids(ids, true)?;
        }
        self.sequences[0].len = depth;
        Ok(())
    }

    /// Times the tokens of `test`, which are `ids`, from where the sequence ends.
    fn timed(&mut self, test: &Test, ids: &[u32]) -> Result<Sample, Error> {
        let (stats, store) = (self.executor.stats(), self.executor.flash_stats());
        let start = Instant::now();
        match test.prompt {
            0 => {
                for (i, id) in ids.iter().enumerate() {
                    self.feed_ids(std::slice::from_ref(id), i + 1 < ids.len())?;
                }
            }
            _ => self.feed_ids(ids, false)?,
        }
        let seconds = start.elapsed().as_secs_f64();
        let (after, read) = (self.executor.stats(), self.executor.flash_stats());
        Ok(Sample {
            seconds,
            phase_seconds: std::array::from_fn(|n| after.seconds[n] - stats.seconds[n]),
            wait_seconds: read.wait_seconds - store.wait_seconds,
            flash_bytes: read.bytes_read - store.bytes_read,
        })
    }

    /// Feeds `ids` in chunks, logits wanted of the last one. The conversation does not remember them.
    pub(crate) fn feed_ids(&mut self, ids: &[u32], more: bool) -> Result<(), Error> {
        self.own_sequence()?;
        self.make_way(ids.len())?;
        let mut chunks = ids.chunks(self.executor.bounds().rows.max(1) as usize).peekable();
        while let Some(ids) = chunks.next() {
            let last = chunks.peek().is_none();
            self.batch.clear();
            self.batch.push(0, &self.sequences[0], ids, if last { Wanted::Last } else { Wanted::None })?;
            self.executor.step(&self.batch, &mut self.sequences, !last || more)?;
        }
        Ok(())
    }
}

/// Token ids that mean nothing, the same wherever this run is repeated.
fn synthetic_ids(count: u32, vocabulary: usize, run: u32) -> Vec<u32> {
    let mut state = 0x5eed_u64 + u64::from(run);
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) % vocabulary.max(1) as u64) as u32
    };
    (0..count).map(|_| next()).collect()
}

/// Mean and sample standard deviation, 0 where there is none.
pub fn mean_and_deviation(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n.max(1.0);
    let squares: f64 = values.iter().map(|x| (x - mean) * (x - mean)).sum();
    (mean, if n > 1.0 { (squares / (n - 1.0)).sqrt() } else { 0.0 })
}

/// The middle of all values, or of the two in the middle; 0 if there are none.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let middle = [sorted.len().saturating_sub(1) / 2, sorted.len() / 2];
    middle.iter().filter_map(|at| sorted.get(*at)).sum::<f64>() / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Memory;

    #[test]
    fn a_test_is_named_as_llama_bench_names_it_and_knows_its_steps() {
        let prompt = Test { prompt: 100, answer: 0, depth: 7 };
        let answer = Test { prompt: 0, answer: 3, depth: 0 };
        assert_eq!((prompt.name().as_str(), answer.name().as_str()), ("pp100 @ d7", "tg3"));
        let steps = |test: &Test| -> Vec<_> {
            test.steps(64).map(|(b, before)| (b.rows, b.logit_rows, before)).collect()
        };
        assert_eq!(steps(&prompt), [(64, 0, 7), (36, 1, 71)]);
        assert_eq!(steps(&answer), [(1, 1, 0), (1, 1, 1), (1, 1, 2)]);
    }

    #[test]
    fn deviation_is_the_samples_own() {
        assert_eq!(mean_and_deviation(&[2.0, 4.0]), (3.0, 2.0f64.sqrt()));
        assert_eq!(mean_and_deviation(&[5.0]), (5.0, 0.0));
        assert_eq!(mean_and_deviation(&[]), (0.0, 0.0));
        assert_eq!((median(&[9.0, 1.0, 2.0]), median(&[4.0, 2.0]), median(&[])), (2.0, 3.0, 0.0));
    }

    #[test]
    fn a_tiny_model_is_measured_at_two_depths() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/tiny/llama-q4.gguf");
        let engine = Engine::builder().memory(Memory::Bytes(1 << 30)).threads(Some(1)).build().unwrap();
        let bench = Bench {
            prompts: vec![40],
            answers: vec![0, 2],
            depths: vec![0, 30],
            repetitions: 2,
            ..Bench::default()
        };
        let mut runs = 0;
        let measured = bench.run(std::slice::from_ref(&engine), &path, &mut |_, _, _| runs += 1).unwrap();
        let names: Vec<_> = measured.outcomes.iter().map(|outcome| outcome.test.name()).collect();
        assert_eq!(names, ["pp40", "tg2", "pp40 @ d30", "tg2 @ d30"]);
        assert_eq!((runs, measured.parameters > 0), (12, true));
        for outcome in &measured.outcomes {
            assert!(outcome.samples.len() == 2 && outcome.rate().0 > 0.0);
            assert!(outcome.weight_bytes > 0 && outcome.state_bytes > 0 && outcome.macs > 0);
            assert!(outcome.bandwidth_share() > 0.0 && outcome.arithmetic_share() > 0.0);
        }
        // Two tokens at depth 30 read 31 and 32 positions where at depth 0 they read 1 and 2.
        assert_eq!(measured.outcomes[3].state_bytes, measured.outcomes[1].state_bytes / 3 * 63);
        assert_eq!(measured.outcomes[1].weight_bytes, measured.outcomes[3].weight_bytes);
        for (bench, said) in [
            (Bench { repetitions: 0, ..Bench::default() }, "-r is 0"),
            (Bench { prompts: vec![0], answers: vec![], ..Bench::default() }, "-p and -n is 0"),
            (Bench { depths: vec![1 << 20], ..Bench::default() }, "-d is 1048576"),
        ] {
            let error = bench.run(std::slice::from_ref(&engine), &path, &mut |_, _, _| ()).unwrap_err();
            assert!(error.to_string().contains(said), "{error}");
        }
    }
}
