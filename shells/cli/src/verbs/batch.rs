//! `pintpot batch`: requests in a file, answers in another.
//!
//! What it is: find, load, go through the lines, say how far it is. What it is not: the lines or their bodies, which are
//! libraries'. The one design choice: the answers are the only state, so the same words again go on where it was broken off.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use hub::Reference;
use pintpot::{Batch, BatchProgress, Crowd, Flow, LoadOptions, Service};
use pintpot_server::{Facts, Limits, Offline, Served};

use super::Verb;
use crate::budget::Reread;
use crate::exit::{Code, Failure};
use crate::flags::{self, Args, wrong};
use crate::interrupt::Interrupt;
use crate::{find, load, report, setup};

pub(super) const VERB: Verb = Verb {
    name: "batch",
    operands: &["IN", "OUT"],
    summary: "answer the requests of a file in OpenAI's batch format; again, to go on where it was broken off",
    flags: &[
        setup::LOAD,
        setup::ENGINE,
        &[&flags::PARALLEL, &flags::CONTEXTS, &flags::TOKENS, &flags::JSON],
        setup::ECONOMY,
    ],
    run,
};

/// Answers in one step at most.
const PARALLEL: std::ops::RangeInclusive<u32> = 1..=64;
/// How often a line that is drawn over is drawn, and how often another is printed where there is no terminal.
const DRAWN: Duration = Duration::from_millis(200);
const PRINTED: Duration = Duration::from_secs(30);

fn run(args: &Args) -> Result<(), Failure> {
    let interrupt = Interrupt::new()?;
    let [input, output] = args.operands.as_slice() else {
        return Err(Failure::usage("batch needs two files: pintpot batch in.jsonl out.jsonl"));
    };
    let mut batch = Batch::open(Path::new(input), Path::new(output))?;
    let Some(named) = args.get(&flags::MODEL).or(batch.model()).map(str::to_string) else {
        return Err(Failure::usage(format!("no line of {input} names a model, nor does -m")));
    };
    let reference = Reference::parse(&named)?;
    let options = setup::load(args)?;
    let limits = Limits { connections: 0, ..Limits::new(options.context) };
    let crowd = crowd(args, limits.bytes() + batch.bytes())?;
    let options = LoadOptions { crowd: Some(crowd), ..options };
    let reread = Reread::new(args.get(&flags::MEMORY).unwrap_or("auto"))?;
    let engine = setup::engine(args)?;
    let local = find::local(&reference, args)?;
    let opened = engine.open(&local.path)?;
    let mut model = load::opened(&local.name, &engine, opened, &options, args)?;
    model.follow(reread);
    eprintln!("{}", report::start_line(model.placement()));
    let name = if batch.model() == Some(&named) { named } else { find::served_name(&reference, &local.name) };
    let facts = Facts { name, context: model.context(), ..Facts::default() };
    let served = Served {
        host: String::new(),
        port: 0,
        api_keys: Vec::new(),
        queue: crowd.queue,
        max_tokens: args.read(&flags::TOKENS, "a number of tokens")?,
        limits,
    };
    let service = Service::start(model, crowd.queue as usize)?;
    let offline = Offline::new(served, facts, engine.ledger().clone(), service)?;
    let mut shown = Shown::new();
    let most = 2 * crowd.answers as usize;
    let ended = interrupt.only_stops(|| {
        batch.run(offline.service(), &offline, most, &mut |progress| {
            shown.draw(progress);
            if interrupt.is_pressed() { Flow::Stop } else { Flow::Continue }
        })
    });
    shown.clear();
    end(args, output, &ended?)
}

/// Says what came of it.
fn end(args: &Args, output: &str, progress: &BatchProgress) -> Result<(), Failure> {
    let BatchProgress { lines, earlier, added, failed, tokens, .. } = *progress;
    if args.is_on(&flags::JSON) {
        let value = serde_json::json!({
            "file": output, "lines": lines, "earlier": earlier, "added": added, "failed": failed,
            "answer_tokens": tokens, "complete": progress.is_whole(),
        });
        crate::print(&format!("{value}\n"))?;
    } else {
        eprintln!("{output}: {} of {lines} lines done, {added} now; {failed} failed", earlier + added);
    }
    match (progress.is_whole(), failed) {
        (false, _) => Err(Failure::new(Code::Interrupted, "")),
        (true, 0) => Ok(()),
        (true, _) => Err(Failure::new(
            Code::Failure,
            format!("{failed} of {lines} lines failed\n  {output} says why, line by line"),
        )),
    }
}

fn crowd(args: &Args, bytes: u64) -> Result<Crowd, Failure> {
    let default = Crowd::default();
    let answers = args.read(&flags::PARALLEL, "a number of answers")?.unwrap_or(default.answers);
    if !PARALLEL.contains(&answers) {
        return Err(wrong(&flags::PARALLEL, &answers.to_string(), "from 1 to 64"));
    }
    let contexts = args.read(&flags::CONTEXTS, "a number of contexts")?.unwrap_or(default.contexts);
    Ok(Crowd { answers, queue: default.queue.max(2 * answers), contexts, connections: bytes })
}

/// How far it is, on the screen.
struct Shown {
    terminal: bool,
    began: Instant,
    last: Instant,
    is_drawn: bool,
}

impl Shown {
    fn new() -> Shown {
        let now = Instant::now();
        Shown { terminal: std::io::stderr().is_terminal(), began: now, last: now, is_drawn: false }
    }

    fn draw(&mut self, progress: &BatchProgress) {
        if self.last.elapsed() < if self.terminal { DRAWN } else { PRINTED } {
            return;
        }
        let BatchProgress { lines, earlier, added, failed, running, tokens } = *progress;
        let seconds = self.began.elapsed().as_secs_f64().max(0.1);
        let left = lines.saturating_sub(earlier + added);
        let rest = if added == 0 {
            String::new()
        } else {
            format!(", {}", time(left as f64 * seconds / added as f64))
        };
        let line = format!(
            "{} of {lines} lines, {failed} failed, {running} in the air, {:.1} tokens/s{rest}",
            earlier + added,
            tokens as f64 / seconds
        );
        match self.terminal {
            true => eprint!("\r\x1b[K{line}"),
            false => eprintln!("{line}"),
        }
        let _ = std::io::stderr().flush();
        (self.last, self.is_drawn) = (Instant::now(), true);
    }

    /// Ends the line that is drawn over.
    fn clear(&mut self) {
        if self.terminal && self.is_drawn {
            eprint!("\r\x1b[K");
        }
    }
}

/// So long it will last.
fn time(seconds: f64) -> String {
    let seconds = seconds as u64;
    match (seconds / 3600, seconds / 60 % 60) {
        (0, 0) => format!("{seconds} s to go"),
        (0, minutes) => format!("{minutes} min to go"),
        (hours, minutes) => format!("{hours} h {minutes} min to go"),
    }
}
