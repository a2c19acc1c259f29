//! `pintpot bench report`: what was measured, as one page to look at.
//!
//! What it is: models through the library's [`Bench`], and the page into a file. What it is not: the drawing. The one design
//! choice: the file is whole by itself and holds no script, so that it can be mailed, archived and trusted.

use std::io::IsTerminal;
use std::path::PathBuf;

use hub::Reference;
use pintpot::bench::{Bench, Measured, SweepPoint};

use super::{TESTS, described, page, progress};
use crate::exit::{Code, Failure};
use crate::flags::{self, Args};
use crate::verbs::Verb;
use crate::{find, setup};

pub(crate) const VERB: Verb = Verb {
    name: "bench report",
    operands: &["[MODEL...]"],
    summary: "write a page with roofline, speed against memory, and time per phase",
    flags: &[&[&flags::MODEL, &flags::KV, &flags::OUT], TESTS, setup::ENGINE],
    run,
};

/// Budgets of which a model is timed in.
const BUDGETS: u32 = 6;
/// Timed runs if the user does not say, tokens of an answer, and tokens of one in a sweep at most.
const RUNS: u32 = 3;
const ANSWER: u32 = 64;
const SWEPT: u32 = 32;

/// A model as the page shows it.
pub(super) struct Chapter {
    pub name: String,
    pub measured: Measured,
    pub sweep: Vec<SweepPoint>,
}

fn run(args: &Args) -> Result<(), Failure> {
    let mut bench = described(args)?;
    bench.repetitions = super::repetitions(args)?.unwrap_or(RUNS);
    if args.get(&flags::N_GEN).is_none() {
        bench.answers = vec![ANSWER];
    }
    let engine = setup::engine(args)?;
    let mut chapters = Vec::new();
    for reference in named(args)? {
        let local = find::local(&reference, args)?;
        say(&format!("{}: at {}", local.name, host::format_bytes(engine.budget().bytes)));
        let mut on_run = progress(bench.repetitions);
        let measured = bench.run(std::slice::from_ref(&engine), &local.path, &mut on_run)?;
        say(&format!("{}: in {BUDGETS} budgets", local.name));
        let longest = bench.answers.iter().copied().max().unwrap_or(SWEPT).clamp(1, SWEPT);
        let answers =
            Bench { answers: vec![longest], repetitions: bench.repetitions.min(2), ..bench.clone() };
        let sweep = answers.sweep(&engine, &local.path, BUDGETS, &mut on_run)?;
        let name = short_name(&local.name);
        chapters.push(Chapter { name, measured, sweep });
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
