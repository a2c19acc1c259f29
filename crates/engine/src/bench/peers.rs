//! Another engine beside ours: the same file, the same threads, turn by turn.
//!
//! What it is: finding llama.cpp's programs, running them and `pintpot bench` in rounds, and reading what both print. What
//! it is not: a judge. The one design choice: each turn is a process of its own and who goes first alternates, so that
//! neither finds the machine as the other never does.

use super::median;
use crate::Error;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Programs that are looked for, the best first: one made to measure, and two that print how fast they were.
const PROGRAMS: [&str; 3] = ["llama-bench", "llama-completion", "llama-cli"];

/// A program of llama.cpp's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    program: PathBuf,
}

/// What to compare.
#[derive(Clone, Debug)]
pub struct PeerBench {
    /// The program that is ours, which knows `bench`.
    pub ours: PathBuf,
    /// Flags for it alone, such as a budget.
    pub our_flags: Vec<String>,
    /// Tokens of the prompt; 0 for none.
    pub prompt: u32,
    /// Tokens of the answer; 0 for none.
    pub answer: u32,
    /// Threads of both.
    pub threads: usize,
    /// Turns of each.
    pub rounds: u32,
}

/// What one turn is to do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turn {
    /// Tokens of the prompt; 0 for none.
    pub prompt: u32,
    /// Tokens of the answer; 0 for none.
    pub answer: u32,
    /// Threads.
    pub threads: usize,
}

/// Tokens a second of one test, a turn an element.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Compared {
    /// The name of the test, such as `pp512`.
    pub test: String,
    /// Ours.
    pub ours: Vec<f64>,
    /// Theirs.
    pub theirs: Vec<f64>,
}

impl Compared {
    /// How many times as fast as theirs ours is: the median of ours over the median of theirs.
    pub fn ratio(&self) -> f64 {
        median(&self.ours) / median(&self.theirs).max(1e-9)
    }
}

impl Peer {
    /// The program at `named`, or in that folder; without a name, on the `PATH`.
    ///
    /// # Errors
    /// [`Error::NoPeer`] if there is none.
    pub fn find(named: Option<&Path>) -> Result<Peer, Error> {
        let folders: Vec<PathBuf> = match named {
            Some(path) if path.is_file() => return Ok(Peer { program: path.to_path_buf() }),
            Some(path) => vec![path.to_path_buf()],
            None => {
                std::env::var_os("PATH").map_or(Vec::new(), |path| std::env::split_paths(&path).collect())
            }
        };
        let programs = PROGRAMS.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
        let found = programs.into_iter().find(|program| program.is_file());
        let looked = || named.map_or("PATH".to_string(), |path| path.display().to_string());
        found.map(|program| Peer { program }).ok_or_else(|| Error::NoPeer { looked: looked() })
    }

    /// The program.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Whether it prints the JSON of llama-bench.
    fn is_bench(&self) -> bool {
        self.program.file_stem().is_some_and(|name| name.to_string_lossy().contains("bench"))
    }

    /// What has to be run for one turn; `repacks` says whether it may make a second copy of the weights for its kernels, as
    /// it does if nobody forbids it.
    pub(super) fn command(&self, model: &Path, turn: &Turn, repacks: bool) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("-m").arg(model).args(["-t", &turn.threads.to_string()]);
        if self.is_bench() {
            let (prompt, answer) = (turn.prompt.to_string(), turn.answer.to_string());
            command.args(["-p", &prompt, "-n", &answer, "-r", "1", "-o", "json"]);
            command.args(if repacks { &[][..] } else { &["--repack", "0"] });
            return command;
        }
        // About a token a word; what it prints says how many there were.
        let words = "word ".repeat(turn.prompt.max(2) as usize - 1);
        let answer = (turn.answer + 1).to_string();
        command.args(["-p", &words, "-n", &answer, "--ignore-eos", "--temp", "0", "-no-cnv"]);
        command.args(if repacks { &[][..] } else { &["--no-repack"] });
        command
    }

    /// Tokens a second of prompt and answer in what a turn printed.
    pub(super) fn rates(&self, printed: &Output, turn: &Turn) -> Result<[Option<f64>; 2], Error> {
        if self.is_bench() {
            return rates(&printed.stdout, turn).ok_or_else(|| self.silent("llama-bench's JSON"));
        }
        let text = [&printed.stderr[..], &printed.stdout].concat();
        let [prompt, answer] = printed_rates(&String::from_utf8_lossy(&text));
        match prompt.is_some() && answer.is_some() {
            true => Ok([prompt.filter(|_| turn.prompt > 0), answer.filter(|_| turn.answer > 0)]),
            false => Err(self.silent("'eval time' lines")),
        }
    }

    fn silent(&self, wanted: &str) -> Error {
        let what = format!("its output has no {wanted} for these tests");
        Error::Peer { program: self.program.clone(), what }
    }
}

impl PeerBench {
    /// Runs both on the model at `path`. `on_turn` is told of the program before each turn, and of its round from 1.
    ///
    /// # Errors
    /// [`Error::Option`] for nothing to compare, [`Error::Peer`] for a program that fails or says nothing.
    pub fn run(
        &self,
        peer: &Peer,
        path: &Path,
        on_turn: &mut dyn FnMut(&Path, u32),
    ) -> Result<Vec<Compared>, Error> {
        if self.prompt == 0 && self.answer == 0 {
            let expected = "at least one of them more than 0";
            return Err(Error::Option { option: "-p and -n", value: "0".into(), expected });
        }
        let name =
            |kind: &str, tokens: u32| Compared { test: format!("{kind}{tokens}"), ..Compared::default() };
        let mut tests = [name("pp", self.prompt), name("tg", self.answer)];
        for round in 1..=self.rounds {
            for is_ours in [round % 2 == 1, round % 2 == 0] {
                on_turn(if is_ours { &self.ours } else { &peer.program }, round);
                let turn = if is_ours { self.our_turn(path)? } else { self.their_turn(peer, path)? };
                for (test, rate) in tests.iter_mut().zip(turn) {
                    if is_ours { &mut test.ours } else { &mut test.theirs }.extend(rate);
                }
            }
        }
        Ok(tests.into_iter().filter(|test| !test.ours.is_empty() && !test.theirs.is_empty()).collect())
    }

    fn turn(&self) -> Turn {
        Turn { prompt: self.prompt, answer: self.answer, threads: self.threads }
    }

    fn their_turn(&self, peer: &Peer, model: &Path) -> Result<[Option<f64>; 2], Error> {
        let turn = self.turn();
        peer.rates(&output(peer.command(model, &turn, true), &peer.program)?, &turn)
    }

    fn our_turn(&self, model: &Path) -> Result<[Option<f64>; 2], Error> {
        let mut command = Command::new(&self.ours);
        let (prompt, answer) = (self.prompt.to_string(), self.answer.to_string());
        command.args(["bench", "-p", &prompt, "-n", &answer, "-d", "0", "-r", "1", "-o", "json"]);
        command.args(["-t", &self.threads.to_string()]).args(&self.our_flags).arg("-m").arg(model);
        let output = output(command, &self.ours)?;
        let what = || "its output has none of the tests".to_string();
        rates(&output.stdout, &self.turn())
            .ok_or_else(|| Error::Peer { program: self.ours.clone(), what: what() })
    }
}

/// Runs a program to its end.
pub(super) fn output(mut command: Command, program: &Path) -> Result<Output, Error> {
    let failed = |what: String| Error::Peer { program: program.to_path_buf(), what };
    command.stdin(Stdio::null());
    host::end_with_parent(&mut command);
    let output = command.output().map_err(|error| failed(format!("it cannot be started: {error}")))?;
    if output.status.success() {
        return Ok(output);
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_string();
    let last = said.lines().last().unwrap_or("and said nothing").to_string();
    Err(failed(format!("it ended with {}: {last}", output.status)))
}

/// The mean rates of prompt and answer in llama-bench's JSON; `None` if a test that was asked for is not in it.
fn rates(json: &[u8], turn: &Turn) -> Option<[Option<f64>; 2]> {
    let rows: Vec<Value> = serde_json::from_slice(json).ok()?;
    let rate = |prompt: u32, answer: u32| {
        let row = rows.iter().find(|row| row["n_prompt"] == prompt && row["n_gen"] == answer)?;
        row["avg_ts"].as_f64().filter(|rate| *rate > 0.0)
    };
    let wanted = |tokens: u32, rate: Option<f64>| match tokens {
        0 => Some(None),
        _ => rate.map(Some),
    };
    Some([wanted(turn.prompt, rate(turn.prompt, 0))?, wanted(turn.answer, rate(0, turn.answer))?])
}

/// The rates of prompt and answer in what llama-completion and llama-cli print at their end, in either of their forms:
/// `prompt eval time = 1.0 ms / 2 tokens (0.5 ms per token, 2000.0 tokens per second)`, `[ Prompt: 2.0 t/s | Generation: 1.0 t/s ]`.
fn printed_rates(text: &str) -> [Option<f64>; 2] {
    let number = |text: &str| text.split_whitespace().last().and_then(|word| word.parse::<f64>().ok());
    let mut rates = [None, None];
    for line in text.lines() {
        if let Some((before, _)) = line.split_once(" tokens per second") {
            let which = usize::from(!line.contains("prompt eval time"));
            if line.contains("eval time") {
                rates[which] = number(before);
            }
        }
        for (which, label) in ["Prompt:", "Generation:"].into_iter().enumerate() {
            let rate = line.split_once(label).and_then(|(_, rest)| number(rest.split_once("t/s")?.0));
            rates[which] = rate.or(rates[which]);
        }
    }
    rates.map(|rate| rate.filter(|rate| rate.is_finite() && *rate > 0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_print_is_read() {
        let perf = "\
            llama_perf_context_print:        load time =     300.00 ms\n\
            llama_perf_context_print: prompt eval time =     50.00 ms /    10 tokens (    5.00 ms per token,   200.00 tokens per second)\n\
            llama_perf_context_print:        eval time =     90.00 ms /     9 runs   (   10.00 ms per token,   100.50 tokens per second)\n";
        assert_eq!(printed_rates(perf), [Some(200.0), Some(100.5)]);
        assert_eq!(printed_rates("[ Prompt: 12.5 t/s | Generation: 3.0 t/s ]"), [Some(12.5), Some(3.0)]);
        assert_eq!(printed_rates("nothing (inf tokens per second)"), [None, None]);
        let turn = Turn { prompt: 512, answer: 0, threads: 1 };
        let json = br#"[{"n_prompt": 512, "n_gen": 0, "avg_ts": 7.5}]"#;
        assert_eq!(rates(json, &turn), Some([Some(7.5), None]));
        assert_eq!(rates(json, &Turn { answer: 128, ..turn }), None);
        assert_eq!(rates(b"oops", &turn), None);
    }

    #[test]
    fn a_program_is_found_or_its_absence_explained() {
        let dir = tempfile_dir();
        let error = Peer::find(Some(&dir)).unwrap_err().to_string();
        assert!(error.contains("llama-bench") && error.contains("--llama"), "{error}");
        for name in ["llama-cli", "llama-bench"] {
            std::fs::write(dir.join(name), "").unwrap();
            assert_eq!(Peer::find(Some(&dir)).unwrap().program(), dir.join(name));
        }
        let exact = Peer::find(Some(&dir.join("llama-cli"))).unwrap();
        assert!(!exact.is_bench() && Peer::find(Some(&dir)).unwrap().is_bench());
        std::fs::remove_dir_all(dir).unwrap();
    }

    fn tempfile_dir() -> PathBuf {
        let dir = std::env::temp_dir().join(format!("peers-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        dir
    }
}
