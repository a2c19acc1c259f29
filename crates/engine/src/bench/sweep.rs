//! One model in many budgets, measured: from one that keeps everything to the smallest that works.
//!
//! What it is: pintpot, and llama.cpp if there is one, run cold in each budget under a limit of that size, beside what
//! `plan --sweep` foretells and what the disk allows. What it is not: a proof that a budget holds, which
//! `tests/tests/budget.rs` gives. The one design choice: what is timed is the program as anyone would run it, with one
//! prompt for all budgets, so that their digests must be equal.

use super::cold::{Copy, Stage};
use super::median;
use super::peers::{Peer, Turn, output};
use crate::{Amounts, Engine, Error, Exchange, KvFormat, Phase};
use host::cgroup::Report;
use host::{Memory, format_bytes};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What prompts are cut from, and what routers are looked at with if nobody names a text: words of no meaning to a benchmark, but
/// many, so that routers have to choose.
pub const WORDS: &str = "The river rose in the night and by morning the lower fields were under water. Nobody in the village had \
    seen it so high, not even the old miller, who counted the steps of his stair as they went down into the brown flood: \
    nine, ten, eleven. At noon a boat came with bread, two goats and a letter for the teacher. She read it aloud on the \
    church wall, since everyone asked. Her brother had opened a workshop in the capital, where he mended clocks, radios and \
    once an organ; he wanted to know whether the bridge still stood, what potatoes cost this spring, and if she would lend him \
    forty crowns until Easter. People laughed. Then someone pointed upstream. A barn was floating towards them, turning slowly, \
    with a cockerel on its ridge and smoke from a pipe behind the half door. How does one stop a barn? The smith threw a rope, \
    missed, swore and threw again. On the third try it caught on a hinge, six men pulled, and with a groan of wet timber the \
    whole thing came to rest between two poplars. Out stepped a stranger in a grey coat, dry as flour, who lifted his hat and \
    asked politely for the time. Quarter past twelve, said the teacher. He nodded, wound his watch, thanked them all and sat \
    down again to wait for the water to fall, which took nine days. ";

/// What to measure.
#[derive(Clone, Debug)]
pub struct Sweep {
    /// The program that is ours, which knows `plan` and `run`.
    pub ours: PathBuf,
    /// Instruction set of its kernels, by name.
    pub isa: String,
    /// How keys and values are stored.
    pub kv: KvFormat,
    /// Tokens of context, if more than the exchange needs.
    pub context: Option<u32>,
    /// The budgets.
    pub amounts: Amounts,
    /// Tokens of the prompt at most, and of the answer, at least 2.
    pub exchange: Exchange,
    /// Timed turns in each budget, of each program.
    pub rounds: u32,
    /// Bytes a second that the model's disk may give, to all who are measured.
    pub throttle: Option<u64>,
}

/// What a sweep gave.
#[derive(Debug)]
pub struct Swept {
    /// Bytes of the model's files.
    pub file_bytes: u64,
    /// The smallest budget that works.
    pub smallest: u64,
    /// Tokens of the prompt and of the answer.
    pub exchange: Exchange,
    /// Threads that computed.
    pub threads: usize,
    /// Bytes a second that the disk gave, the median of one measurement a round.
    pub disk_bytes: f64,
    /// Why the kernel set no limit; `None` if it did.
    pub open: Option<String>,
    /// The largest share of the model that was in the page cache when a program began; `None` if that is not told.
    pub cached: Option<f64>,
    /// The roomiest budget first.
    pub points: Vec<SweepPoint>,
    /// Why it ended early, if it did: not every budget has all of its turns.
    pub cut: Option<Box<Error>>,
}

/// What one budget gave.
#[derive(Clone, Debug, Default)]
pub struct SweepPoint {
    /// The budget of the whole process, bytes.
    pub budget: u64,
    /// What was foretold, a forecast a round; empty if the budget is too small.
    pub foretold: Vec<Foretold>,
    /// Why it was not measured: it is too small, or larger than what this machine has.
    pub skipped: Option<String>,
    /// Our turns.
    pub ours: Vec<OurTurn>,
    /// Tokens a second of the peer's prompts and answers, a turn an element.
    pub theirs: Vec<[Option<f64>; 2]>,
    /// Why the peer has no more turns.
    pub failed: Option<String>,
    /// Tokens a second that the disk, or the arithmetic of a run that reads nothing, allows at most.
    pub bound: Option<f64>,
}

/// A forecast.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Foretold {
    /// Bytes of weights that stay.
    pub resident_bytes: u64,
    /// Bytes of weights that do not.
    pub streamed_bytes: u64,
    /// Bytes read from flash for a token of the answer.
    pub flash_bytes_per_token: f64,
    /// Tokens a second of the prompt.
    pub prompt_rate: f64,
    /// Tokens a second of the answer.
    pub rate: f64,
}

/// One run of ours.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OurTurn {
    /// Tokens a second of the prompt, up to the first token of the answer.
    pub prompt_rate: f64,
    /// Tokens a second of the answer, the first not counted.
    pub rate: f64,
    /// Bytes read from flash for a token of the answer.
    pub flash_bytes_per_token: f64,
    /// Seconds of prompt and answer by phase, in the order of [`Phase::ALL`].
    pub phase_seconds: [f64; 3],
    /// Seconds of the first phase that waited for flash.
    pub wait_seconds: f64,
    /// What the kernel counted.
    pub report: Report,
    /// Fingerprint of the logits.
    pub digest: String,
}

impl SweepPoint {
    /// The median of a figure of our turns; `None` without any.
    pub fn ours(&self, figure: impl Fn(&OurTurn) -> f64) -> Option<f64> {
        let figures: Vec<f64> = self.ours.iter().map(figure).collect();
        (!figures.is_empty()).then(|| median(&figures))
    }

    /// The median of a figure of the forecasts; `None` without any.
    pub fn foretold(&self, figure: impl Fn(&Foretold) -> f64) -> Option<f64> {
        let figures: Vec<f64> = self.foretold.iter().map(figure).collect();
        (!figures.is_empty()).then(|| median(&figures))
    }

    /// The median of the peer's tokens a second: of prompts, or of answers; `None` without any.
    pub fn theirs(&self, of_answers: bool) -> Option<f64> {
        let rates: Vec<f64> = self.theirs.iter().filter_map(|turn| turn[usize::from(of_answers)]).collect();
        (!rates.is_empty()).then(|| median(&rates))
    }

    /// Bytes of weights that do not stay; `None` for a budget that is too small.
    pub fn streamed_bytes(&self) -> Option<u64> {
        self.foretold.first().map(|foretold| foretold.streamed_bytes)
    }
}

impl Sweep {
    /// Measures the model at `path` with the threads of `engine`, beside `peer` if there is one. `on_turn` is told of
    /// each program before it starts, of its budget, and of the round from 1.
    ///
    /// # Errors
    /// [`Error::Option`] for too little to measure, [`Error::Throttle`] for a disk that cannot be slowed, [`Error::Digests`]
    /// if two budgets give different answers, [`Error::Peer`] if our own program fails before anything was measured; later it
    /// cuts the sweep short. A peer that fails is a remark.
    pub fn run(
        &self,
        engine: &Engine,
        path: &Path,
        peer: Option<&Peer>,
        on_turn: &mut dyn FnMut(&Path, u64, u32),
    ) -> Result<Swept, Error> {
        let option =
            |option, value: u32, expected| Err(Error::Option { option, value: value.to_string(), expected });
        match (self.exchange.answer, self.rounds) {
            (answer @ 0..2, _) => return option("-n", answer, "at least 2, since the first is not counted"),
            (_, 0) => return option("-r", 0, "at least 1"),
            _ => {}
        }
        let opened = engine.open(path)?;
        let files: Vec<PathBuf> = opened.file.files.iter().map(|part| part.path.clone()).collect();
        let file_bytes = opened.file_bytes();
        let tokenizer = opened.vocabulary.build(&opened.file, &opened.files)?;
        let (prompt, tokens) = cut(self.exchange.prompt, |text| {
            let mut ids = Vec::new();
            tokenizer.encode_prompt(text, true, &mut ids)?;
            Ok(ids.len() as u32)
        })?;
        drop((tokenizer, opened.files));
        let exchange = Exchange { prompt: tokens, ..self.exchange };
        let copy = Copy::of(&self.ours);
        let mut run = Run {
            sweep: self,
            program: copy.as_ref().map_or(&self.ours, Copy::path),
            model: path,
            stage: Stage::new(files, self.throttle)?,
            prompt,
            turn: Turn { prompt: exchange.prompt, answer: exchange.answer, threads: engine.threads() },
            peer,
            frugal: 0,
            disk: Vec::new(),
            points: Vec::new(),
            smallest: 0,
        };
        let mut cut = None;
        for round in 1..=self.rounds {
            match run.foretell().and_then(|()| run.round(round, on_turn)) {
                Ok(()) => {}
                Err(error @ Error::Peer { .. }) if run.points.iter().any(|point| !point.ours.is_empty()) => {
                    cut = Some(Box::new(error));
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        let Run { stage, disk, mut points, smallest, turn, .. } = run;
        let disk_bytes = median(&disk);
        bound(&mut points, disk_bytes);
        let (open, cached, threads) = (stage.open, stage.cached, turn.threads);
        Ok(Swept { file_bytes, smallest, exchange, threads, disk_bytes, open, cached, points, cut })
    }
}

/// A sweep under way.
struct Run<'a> {
    sweep: &'a Sweep,
    program: &'a Path,
    model: &'a Path,
    stage: Stage,
    prompt: String,
    turn: Turn,
    peer: Option<&'a Peer>,
    /// The largest budget in which the peer had to do without a second copy of the weights.
    frugal: u64,
    /// Rates of the disk, one a round.
    disk: Vec<f64>,
    points: Vec<SweepPoint>,
    smallest: u64,
}

impl Run<'_> {
    /// Asks for a forecast for every budget; the first makes the points, and has routers looked at that nobody has profiled.
    fn foretell(&mut self) -> Result<(), Error> {
        let mut said = self.forecast()?;
        if said["experts_profiled"] == false && self.points.is_empty() {
            // What routers choose in this very exchange decides what is read. A sweep is worth having without.
            let mut command = self.command("profile");
            command.args(["-n", &self.turn.answer.to_string()]);
            if output(command, self.program).is_ok() {
                said = self.forecast()?;
            }
        }
        let smallest = self.number(&said, "smallest_budget_bytes")? as u64;
        let disk = self.number(&said, "disk_bytes_per_second")?;
        let spare = Memory::Auto.resolve()?.bytes;
        let rows = said["table"].as_array().map_or(&[][..], Vec::as_slice);
        for (at, row) in rows.iter().enumerate() {
            if self.points.len() <= at {
                let budget = self.number(row, "budget_bytes")? as u64;
                let skipped = match (row["fits"].as_bool(), budget > spare) {
                    (Some(true), false) => None,
                    (Some(true), true) => Some(format!("not run: {} are spare here", format_bytes(spare))),
                    _ => Some(format!("refused: the smallest budget is {}", format_bytes(smallest))),
                };
                self.points.push(SweepPoint { budget, skipped, ..SweepPoint::default() });
            }
            if row["fits"] == true {
                let foretold = Foretold {
                    resident_bytes: self.number(row, "resident_bytes")? as u64,
                    streamed_bytes: self.number(row, "streamed_bytes")? as u64,
                    flash_bytes_per_token: self.number(row, "flash_bytes_per_token")?,
                    prompt_rate: self.number(row, "prompt_tokens_per_second")?,
                    rate: self.number(row, "tokens_per_second")?,
                };
                self.points[at].foretold.push(foretold);
            }
        }
        self.smallest = smallest;
        self.disk.push(disk);
        Ok(())
    }

    /// What `plan --sweep` says now.
    fn forecast(&mut self) -> Result<Value, Error> {
        let mut command = self.command("plan");
        let (prompt, answer) = (self.turn.prompt.to_string(), self.turn.answer.to_string());
        command.args(["--sweep", "-p", &prompt, "-n", &answer, "--budgets", &self.sweep.amounts.to_string()]);
        Ok(self.json(command, None)?.0)
    }

    /// A turn of each program in every budget that can be had; who goes first alternates.
    fn round(&mut self, round: u32, on_turn: &mut dyn FnMut(&Path, u64, u32)) -> Result<(), Error> {
        let is_ours_first = round % 2 == 1;
        for at in 0..self.points.len() {
            let SweepPoint { budget, ref skipped, .. } = self.points[at];
            if skipped.is_some() {
                continue;
            }
            for is_ours in [is_ours_first, !is_ours_first] {
                if is_ours {
                    on_turn(&self.sweep.ours, budget, round);
                    let turn = self.our_turn(budget)?;
                    self.compare(budget, &turn.digest)?;
                    self.points[at].ours.push(turn);
                } else if let (Some(peer), None) = (self.peer, &self.points[at].failed) {
                    on_turn(peer.program(), budget, round);
                    match self.their_turn(peer, budget) {
                        Ok(rates) => self.points[at].theirs.push(rates),
                        Err(error) => self.points[at].failed = Some(error.to_string()),
                    }
                }
            }
        }
        Ok(())
    }

    fn our_turn(&mut self, budget: u64) -> Result<OurTurn, Error> {
        let mut command = self.command("run");
        command.args(["--raw", "--ignore-eos", "--temp", "0", "-n", &self.turn.answer.to_string()]);
        command.args(["--memory", &budget.to_string(), "--prompt", &self.prompt]);
        let (said, report) = self.json(command, Some(budget))?;
        let seconds = |name: &str| said["phases"][name].as_f64().unwrap_or(0.0);
        Ok(OurTurn {
            prompt_rate: self.number(&said, "prompt_tokens_per_second")?,
            rate: self.number(&said, "tokens_per_second")?,
            flash_bytes_per_token: self.number(&said, "flash_bytes_per_token")?,
            phase_seconds: Phase::ALL.map(|phase| seconds(phase.name())),
            wait_seconds: seconds("wait"),
            report,
            digest: said["logits_digest"].as_str().unwrap_or_default().to_string(),
        })
    }

    /// A budget must not change the answer.
    fn compare(&self, budget: u64, digest: &str) -> Result<(), Error> {
        let mut turns = self.points.iter().flat_map(|p| p.ours.iter().map(|turn| (p.budget, &turn.digest)));
        match turns.next() {
            Some((other, first)) if first != digest || digest.is_empty() => {
                Err(Error::Digests { budgets: [other, budget], digests: [first.clone(), digest.to_string()] })
            }
            _ => Ok(()),
        }
    }

    /// A peer that fails for want of memory is given another chance without its second copy of the weights.
    fn their_turn(&mut self, peer: &Peer, budget: u64) -> Result<[Option<f64>; 2], Error> {
        let repacks = budget > self.frugal;
        let first = self.their_run(peer, budget, repacks);
        if first.is_ok() || !repacks {
            return first;
        }
        let second = self.their_run(peer, budget, false);
        if second.is_ok() {
            self.frugal = self.frugal.max(budget);
        }
        second.or(first)
    }

    fn their_run(&mut self, peer: &Peer, budget: u64, repacks: bool) -> Result<[Option<f64>; 2], Error> {
        let command = peer.command(self.model, &self.turn, repacks);
        let (printed, _) = self.stage.run(command, peer.program(), Some(budget))?;
        peer.rates(&printed, &self.turn)
    }

    /// Our program with what all of its verbs are told.
    fn command(&self, verb: &str) -> Command {
        let (sweep, turn) = (self.sweep, &self.turn);
        let context = sweep.context.unwrap_or(turn.prompt.saturating_add(turn.answer));
        let mut command = Command::new(self.program);
        command.args([verb, "--json", "--kv", sweep.kv.name(), "-c", &context.to_string()]);
        command.args(["-t", &turn.threads.to_string(), "--isa", &sweep.isa, "-m"]).arg(self.model);
        command
    }

    /// Runs our program and reads what it prints.
    fn json(&mut self, command: Command, memory: Option<u64>) -> Result<(Value, Report), Error> {
        let (printed, report) = self.stage.run(command, self.program, memory)?;
        let said = serde_json::from_slice(&printed.stdout).map_err(|_| self.silent("JSON"))?;
        Ok((said, report))
    }

    fn number(&self, said: &Value, key: &str) -> Result<f64, Error> {
        said[key].as_f64().ok_or_else(|| self.silent(key))
    }

    fn silent(&self, wanted: &str) -> Error {
        Error::Peer { program: self.sweep.ours.clone(), what: format!("its output has no {wanted}") }
    }
}

/// Fills in what the disk allows, and the arithmetic of the run that reads nothing.
fn bound(points: &mut [SweepPoint], disk_bytes: f64) {
    let kept = points.iter().find(|point| point.streamed_bytes() == Some(0));
    let kept = kept.and_then(|point| point.ours(|turn| turn.rate)).map_or(0.0, |rate| 1.0 / rate.max(1e-9));
    for point in points.iter_mut().filter(|point| point.skipped.is_none()) {
        let read = point.ours(|turn| turn.flash_bytes_per_token).unwrap_or(0.0);
        // What is read twice is no excuse.
        let read = read.min(point.streamed_bytes().unwrap_or(0) as f64);
        let seconds = kept.max(read / disk_bytes.max(1.0));
        point.bound = (seconds > 0.0).then(|| 1.0 / seconds);
    }
}

/// A prompt of at most so many tokens, at least one word, and how many it has.
fn cut(most: u32, count: impl Fn(&str) -> Result<u32, Error>) -> Result<(String, u32), Error> {
    let text = |words: u32| -> String {
        WORDS.split_whitespace().cycle().take(words as usize).collect::<Vec<_>>().join(" ")
    };
    // Words that fit, and words that may.
    let (mut fit, mut may) = (1, most.max(1));
    while fit < may {
        let words = fit + (may - fit).div_ceil(2);
        match count(&text(words))? <= most {
            true => fit = words,
            false => may = words - 1,
        }
    }
    let text = text(fit);
    let tokens = count(&text)?;
    Ok((text, tokens))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_is_cut_to_its_tokens() {
        let letters = |text: &str| Ok(text.len() as u32);
        assert_eq!(cut(9, letters).unwrap(), ("The river".to_string(), 9));
        assert_eq!(cut(1, letters).unwrap(), ("The".to_string(), 3));
        let words = |text: &str| Ok(text.split(' ').count() as u32);
        let (text, tokens) = cut(300, words).unwrap();
        assert!(tokens == 300 && text.contains("nine days. The river"), "{text}");
    }

    #[test]
    fn a_bound_is_the_slower_of_disk_and_arithmetic() {
        let point = |streamed_bytes, rate, read| SweepPoint {
            foretold: vec![Foretold { streamed_bytes, ..Foretold::default() }],
            ours: vec![OurTurn { rate, flash_bytes_per_token: read, ..OurTurn::default() }],
            ..SweepPoint::default()
        };
        let skipped = SweepPoint { skipped: Some("refused".into()), ..SweepPoint::default() };
        let mut points = [point(0, 20.0, 0.0), point(10, 18.0, 11.0), point(50, 1.0, 50.0), skipped];
        bound(&mut points, 100.0);
        let bounds = points.map(|point| point.bound);
        assert_eq!(bounds, [Some(20.0), Some(10.0), Some(2.0), None]);
    }

    #[test]
    fn too_little_is_not_measured() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/tiny/llama-q4.gguf");
        let engine = Engine::builder().memory(Memory::Bytes(1 << 30)).threads(Some(1)).build().unwrap();
        let sweep = |answer, rounds| Sweep {
            ours: PathBuf::from("/nowhere"),
            isa: "scalar".into(),
            kv: KvFormat::default(),
            context: None,
            amounts: Amounts::default(),
            exchange: Exchange { prompt: 4, answer },
            rounds,
            throttle: None,
        };
        for (answer, rounds, said) in [(1, 1, "-n is 1"), (2, 0, "-r is 0"), (2, 1, "/nowhere")] {
            let error = sweep(answer, rounds).run(&engine, &path, None, &mut |_, _, _| ()).unwrap_err();
            assert!(error.to_string().contains(said), "{error}");
        }
    }
}
