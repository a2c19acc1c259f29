//! `pintpot bench peers`: llama.cpp and this program in turns, on one file.
//!
//! What it is: flags into the library's [`PeerBench`], and both medians into a table. What it is not: a way to get
//! llama.cpp. The one design choice: what is ours in the comparison is this very program, as anyone would run it.

use std::path::Path;

use pintpot::bench::{Compared, Peer, PeerBench, median};
use serde_json::{Value, json};

use super::table::{self, Column, Format, number, word};
use crate::exit::Failure;
use crate::flags::{self, Args, Flag};
use crate::verbs::Verb;
use crate::{find, setup};

pub(crate) const VERB: Verb = Verb {
    name: "bench peers",
    operands: &["MODEL"],
    summary: "time llama.cpp and pintpot in turns on one file, and compare",
    flags: &[
        &[&flags::MODEL, &flags::KV, &flags::LLAMA, &flags::N_PROMPT, &flags::N_GEN, &flags::REPETITIONS],
        setup::ENGINE,
        &[&flags::OUTPUT],
    ],
    run,
};

const COLUMNS: &[Column] = &[
    ("test", true, |row| word(&row["test"])),
    ("threads", true, |row| row["n_threads"].to_string()),
    ("rounds", true, |row| row["rounds"].to_string()),
    ("pintpot t/s", true, |row| rate(row, "ours")),
    ("llama.cpp t/s", true, |row| rate(row, "theirs")),
    ("ratio", true, |row| format!("{:.2}", number(&row["ratio"]))),
];

fn run(args: &Args) -> Result<(), Failure> {
    const TOKENS: &str = "one number of tokens";
    let (reference, _) = find::named(args)?;
    let format = Format::of(args)?;
    let rounds = super::repetitions(args)?.unwrap_or(5);
    let engine = setup::engine(args)?;
    let peer = Peer::find(args.get(&flags::LLAMA).map(Path::new))?;
    let bench = PeerBench {
        ours: std::env::current_exe().map_err(|error| Failure::io("find this program", error))?,
        our_flags: passed_on(args, &[&flags::MEMORY, &flags::KV, &flags::ISA]),
        prompt: args.read(&flags::N_PROMPT, TOKENS)?.unwrap_or(512),
        answer: args.read(&flags::N_GEN, TOKENS)?.unwrap_or(128),
        threads: engine.threads(),
        rounds,
    };
    let local = find::local(&reference, args)?;
    let compared = bench.run(&peer, &local.path, &mut |program, round| {
        super::say_turn(&format!("round {round} of {rounds}: {}", program.display()));
    })?;
    let rows: Vec<Value> = compared.iter().map(|test| row(&local.path, &peer, &bench, test)).collect();
    crate::print(&table::print(format, COLUMNS, &rows))
}

/// Flags as they have to be typed again.
fn passed_on(args: &Args, passed: &[&'static Flag]) -> Vec<String> {
    let typed = passed.iter().filter_map(|flag| Some(format!("--{}={}", flag.name, args.get(flag)?)));
    typed.collect()
}

fn row(model: &Path, peer: &Peer, bench: &PeerBench, test: &Compared) -> Value {
    json!({
        "model_filename": model.display().to_string(),
        "peer": peer.program().display().to_string(),
        "test": test.test,
        "n_threads": bench.threads,
        "rounds": bench.rounds,
        "ours_ts": test.ours,
        "theirs_ts": test.theirs,
        "ours_median_ts": median(&test.ours),
        "theirs_median_ts": median(&test.theirs),
        "ratio": test.ratio(),
    })
}

/// The median and the range of one side.
fn rate(row: &Value, side: &str) -> String {
    let all = row[format!("{side}_ts")].as_array().into_iter().flatten().map(number);
    let (least, most) = all.fold((f64::INFINITY, 0.0f64), |(least, most), x| (least.min(x), most.max(x)));
    format!("{:.2} ({least:.2} to {most:.2})", number(&row[format!("{side}_median_ts")]))
}
