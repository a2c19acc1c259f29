//! `pintpot bench`: how fast a model is, in llama-bench's terms, beside what bounds it.
//!
//! What it is: flags into the library's [`Bench`], and its outcomes into a table. What it is not: the measuring. The one
//! design choice: flags and columns are llama-bench's, so that its scripts and its readers find what they know.

mod kernels;
mod network;
mod page;
mod peers;
mod plot;
mod report;
mod sweep;
mod table;

use std::io::IsTerminal;

use pintpot::bench::{Bench, Test};

use super::Verb;
use crate::exit::Failure;
use crate::flags::{self, Args, Flag, wrong};
use crate::{arrays, find, setup};
use table::Format;

pub(super) use kernels::VERB as KERNELS;
pub(super) use peers::VERB as PEERS;
pub(super) use report::VERB as REPORT;
pub(super) use sweep::VERB as SWEEP;

pub(super) const VERB: Verb = Verb {
    name: "bench",
    operands: &["MODEL"],
    summary: "time prompts and answers of a model beside what bounds them, or runs of a network",
    flags: &[
        &[&flags::MODEL, &flags::KV, &flags::FORESEE],
        TESTS,
        arrays::FLAGS,
        setup::ENGINE,
        &[&flags::OUTPUT],
    ],
    run,
};

/// What is timed.
const TESTS: &[&Flag] = &[&flags::N_PROMPT, &flags::N_GEN, &flags::N_DEPTH, &flags::REPETITIONS];

fn run(args: &Args) -> Result<(), Failure> {
    let (reference, _) = find::named(args)?;
    let format = Format::of(args)?;
    if let Some(found) = arrays::found(&reference, args)? {
        return network::run(&found, args, format);
    }
    let bench = described(args)?;
    let engines = setup::engines(args, setup::memory(args)?)?;
    let local = find::local(&reference, args)?;
    let measured = bench.run(&engines, &local.path, &mut progress(bench.repetitions))?;
    crate::print(&table::text(format, &local.path, &measured))
}

/// What the flags describe.
fn described(args: &Args) -> Result<Bench, Failure> {
    let mut bench = Bench { load: setup::load(args)?, ..Bench::default() };
    for (flag, list) in [
        (&flags::N_PROMPT, &mut bench.prompts),
        (&flags::N_GEN, &mut bench.answers),
        (&flags::N_DEPTH, &mut bench.depths),
    ] {
        let said = args.list(flag, "numbers of tokens, such as 128,512")?;
        if !said.is_empty() {
            *list = said;
        }
    }
    bench.repetitions = repetitions(args)?.unwrap_or(bench.repetitions);
    Ok(bench)
}

fn repetitions(args: &Args) -> Result<Option<u32>, Failure> {
    let number = args.read(&flags::REPETITIONS, "a number of runs")?;
    match number {
        Some(0) => Err(wrong(&flags::REPETITIONS, "0", "at least 1")),
        number => Ok(number),
    }
}

/// Says whose turn it is, which may take minutes: on a terminal in one line, elsewhere in lines.
fn say_turn(text: &str) {
    match std::io::stderr().is_terminal() {
        true => eprint!("\r{text}\x1b[K\r"),
        false => eprintln!("{text}"),
    }
}

/// Says on a terminal what is being timed.
fn progress(of: u32) -> impl FnMut(&Test, usize, u32) {
    let shown = std::io::stderr().is_terminal();
    move |test, threads, run| {
        if shown {
            let run = if run == 0 { "warming up".to_string() } else { format!("run {run} of {of}") };
            eprint!("\r{}, {threads} threads: {run}\x1b[K\r", test.name());
        }
    }
}
