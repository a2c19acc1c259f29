//! `pintpot bench report`: what was measured, as one page to look at.
//!
//! What it is: models through the library's `Bench`, and the page into a file. What it is not: the drawing. The one design
//! choice: the file is whole by itself and holds no script, so that it can be mailed, archived and trusted.

use std::io::IsTerminal;
use std::path::PathBuf;

use hub::Reference;
use pintpot::Exchange;
use pintpot::bench::{Measured, Swept};

use super::{TESTS, described, page, progress, sweep};
use crate::exit::{Code, Failure};
use crate::flags::{self, Args};
use crate::interrupt::Interrupt;
use crate::verbs::Verb;
use crate::{find, setup};

pub(crate) const VERB: Verb = Verb {
    name: "bench report",
    operands: &["[MODEL...]"],
    summary: "write a page with roofline, speed against memory, and time per phase",
    flags: &[&[&flags::MODEL, &flags::KV, &flags::CONTEXT, &flags::OUT], TESTS, sweep::FLAGS, setup::ENGINE],
    run,
};

/// Timed runs if the user does not say, and tokens of an answer.
const RUNS: u32 = 3;
const ANSWER: u32 = 64;
/// Turns of a sweep, and tokens of its prompts and answers, at most; an answer has two at least.
const TURNS: u32 = 2;
const PROMPT: u32 = 32;
const SWEPT: u32 = 16;

/// A model as the page shows it.
pub(super) struct Chapter {
    pub name: String,
    pub measured: Measured,
    pub swept: Swept,
}

fn run(args: &Args) -> Result<(), Failure> {
    let mut bench = described(args)?;
    bench.repetitions = super::repetitions(args)?.unwrap_or(RUNS);
    if args.get(&flags::N_GEN).is_none() {
        bench.answers = vec![ANSWER];
    }
    let interrupt = Interrupt::new()?;
    let (engine, peer) = (setup::engine(args)?, sweep::peer(args)?);
    let longest = |tokens: &[u32], most: u32| tokens.iter().copied().max().unwrap_or(most).min(most);
    let exchange = Exchange {
        prompt: longest(&bench.prompts, PROMPT).max(1),
        answer: longest(&bench.answers, SWEPT).max(2),
    };
    let sweep = sweep::described(args, &engine, exchange, bench.repetitions.min(TURNS))?;
    let mut chapters = Vec::new();
    for reference in named(args)? {
        let local = find::local(&reference, args)?;
        say(&format!("{}: at {}", local.name, host::format_bytes(engine.budget().bytes)));
        let mut on_run = progress(bench.repetitions);
        let measured = bench.run(std::slice::from_ref(&engine), &local.path, &mut on_run)?;
        say(&format!("{}: in many budgets", local.name));
        let swept = sweep::measured(&sweep, &engine, &local.path, peer.as_ref(), &interrupt)?;
        if let Some(error) = swept.cut {
            return Err(Failure::from(*error));
        }
        let name = short_name(&local.name);
        chapters.push(Chapter { name, measured, swept });
    }
    let path = PathBuf::from(args.get(&flags::OUT).unwrap_or("report.html"));
    let failed = |error| Failure::io(&format!("write {}", path.display()), error);
    std::fs::write(&path, page::html(&chapters)).map_err(failed)?;
    crate::print(&format!("{}\n", path.display()))
}

/// The models on the command line, or all that are on this machine.
fn named(args: &Args) -> Result<Vec<Reference>, Failure> {
    let flag = args.typed(&flags::MODEL);
    let words = flag.into_iter().chain(args.operands.iter().map(String::as_str));
    let mut named = words.map(Reference::parse).collect::<Result<Vec<_>, _>>()?;
    if named.is_empty() {
        named.extend(args.get(&flags::MODEL).map(Reference::parse).transpose()?);
    }
    if named.is_empty() {
        named.extend(find::hub()?.list()?.into_iter().map(|local| Reference::Path(local.path)));
    }
    match named.is_empty() {
        true => Err(Failure::new(
            Code::Missing,
            "no model is named, and none is here\n  pintpot pull smollm2 fetches a small one",
        )),
        false => Ok(named),
    }
}

/// A path's last part without its extension; other names as they are.
fn short_name(name: &str) -> String {
    let file = name.rsplit('/').next().unwrap_or(name);
    file.strip_suffix(".gguf").unwrap_or(file).to_string()
}

fn say(text: &str) {
    if std::io::stderr().is_terminal() {
        eprintln!("{text}\x1b[K");
    }
}
