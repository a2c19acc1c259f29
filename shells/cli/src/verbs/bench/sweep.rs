//! `pintpot bench sweep`: tokens a second against memory, measured beside what is foretold and what is possible.
//!
//! What it is: flags into the library's [`Sweep`], and its points into a table. What it is not: the measuring. The one
//! design choice: a budget that was refused, and a peer that failed, are rows that say so.

use std::path::Path;

use host::{Memory, format_bytes};
use pintpot::bench::{Peer, Sweep, SweepPoint, Swept};
use pintpot::{Engine, Exchange};
use serde_json::{Value, json};

use super::table::{self, Column, Format, bytes, number, percent, word};
use crate::exit::{Code, Failure};
use crate::flags::{self, Args, Flag, wrong};
use crate::interrupt::Interrupt;
use crate::verbs::{Verb, curve};
use crate::{find, setup};

pub(crate) const VERB: Verb = Verb {
    name: "bench sweep",
    operands: &["MODEL"],
    summary: "time answers in many budgets, cold, beside forecast, bound and llama.cpp",
    flags: &[
        setup::LOAD,
        &[&flags::N_PROMPT, &flags::N_GEN, &flags::REPETITIONS],
        FLAGS,
        &[&flags::THREADS, &flags::ISA, &flags::OUTPUT],
    ],
    run,
};

/// What a sweep is told, wherever it is made.
pub(super) const FLAGS: &[&Flag] = &[&flags::BUDGETS, &flags::LLAMA, &flags::THROTTLE];

/// Prompt and answer if the user does not say, and turns in each budget.
const EXCHANGE: Exchange = Exchange { prompt: 32, answer: 16 };
const ROUNDS: u32 = 3;

const COLUMNS: &[Column] = &[
    ("budget", true, |row| bytes(&row["budget_bytes"])),
    ("of file", true, |row| percent(&row["file_share"])),
    ("kept", true, |row| bytes(&row["resident_bytes"])),
    ("streamed", true, |row| bytes(&row["streamed_bytes"])),
    ("read/token", true, |row| bytes(&row["read_bytes_per_token"])),
    ("t/s", true, |row| spread(row, "ours_ts")),
    ("foretold", true, |row| rate(&row["foretold_ts"])),
    ("bound", true, |row| rate(&row["bound_ts"])),
    ("of bound", true, |row| percent(&row["bound_share"])),
    ("prompt t/s", true, |row| rate(&row["ours_median_prompt_ts"])),
    ("foretold", true, |row| rate(&row["foretold_prompt_ts"])),
    ("peak", true, |row| bytes(&row["peak_bytes"])),
    ("llama.cpp t/s", true, |row| spread(row, "theirs_ts")),
    ("digest", false, |row| word(&row["logits_digest"])),
    ("remark", false, |row| word(&row["remark"])),
];

fn run(args: &Args) -> Result<(), Failure> {
    let interrupt = Interrupt::new()?;
    let (reference, _) = find::named(args)?;
    let format = Format::of(args)?;
    let exchange = curve::exchange(args, EXCHANGE)?;
    let rounds = super::repetitions(args)?.unwrap_or(ROUNDS);
    let engine = setup::engine(args)?;
    let sweep = described(args, &engine, exchange, rounds)?;
    let peer = peer(args)?;
    let local = find::local(&reference, args)?;
    let swept = measured(&sweep, &engine, &local.path, peer.as_ref(), &interrupt)?;
    if let Some(why) = &swept.open {
        eprintln!("without a limit by the kernel: {why}");
    }
    let rows: Vec<Value> =
        swept.points.iter().map(|point| row(&local.path, peer.as_ref(), &sweep, &swept, point)).collect();
    crate::print(&table::print(format, COLUMNS, &rows))?;
    match swept.cut {
        Some(_) if interrupt.is_pressed() => Err(Failure::new(Code::Interrupted, "")),
        Some(error) => Err(Failure::from(*error)),
        None => Ok(()),
    }
}

/// The sweep that the flags describe.
pub(super) fn described(
    args: &Args,
    engine: &Engine,
    exchange: Exchange,
    rounds: u32,
) -> Result<Sweep, Failure> {
    Ok(Sweep {
        ours: std::env::current_exe().map_err(|error| Failure::io("find this program", error))?,
        isa: engine.isa().to_string(),
        kv: setup::load(args)?.kv,
        context: args.read(&flags::CONTEXT, "a number of tokens")?,
        amounts: args.get(&flags::BUDGETS).map_or(Ok(Default::default()), str::parse)?,
        exchange,
        rounds,
        throttle: args.get(&flags::THROTTLE).map(throttle).transpose()?,
    })
}

/// Bytes a second, as `100MB/s`.
fn throttle(text: &str) -> Result<u64, Failure> {
    match text.strip_suffix("/s").unwrap_or(text).parse() {
        Ok(Memory::Bytes(bytes)) => Ok(bytes),
        _ => Err(wrong(&flags::THROTTLE, text, "bytes a second, such as 100MB/s")),
    }
}

/// llama.cpp's program: the one that is named, or one that is found.
pub(super) fn peer(args: &Args) -> Result<Option<Peer>, Failure> {
    match args.get(&flags::LLAMA) {
        Some(named) => Ok(Some(Peer::find(Some(Path::new(named)))?)),
        None => Ok(Peer::find(None).ok()),
    }
}

/// Measures, and says what is under way. Ctrl-C reaches the program that is measured, and ends with it; what was measured by then
/// remains.
pub(super) fn measured(
    sweep: &Sweep,
    engine: &Engine,
    path: &Path,
    peer: Option<&Peer>,
    interrupt: &Interrupt,
) -> Result<Swept, Failure> {
    let mut on_turn = |program: &Path, budget: u64, round: u32| {
        let (budget, of) = (format_bytes(budget), sweep.rounds);
        super::say_turn(&format!("round {round} of {of}: {} in {budget}", program.display()));
    };
    let swept = interrupt.only_stops(|| sweep.run(engine, path, peer, &mut on_turn));
    match swept {
        Err(_) if interrupt.is_pressed() => Err(Failure::new(Code::Interrupted, "")),
        swept => Ok(swept?),
    }
}

/// One budget, for programs.
fn row(model: &Path, peer: Option<&Peer>, sweep: &Sweep, swept: &Swept, point: &SweepPoint) -> Value {
    let foretold = point.foretold.first();
    let ours = |figure: fn(&pintpot::bench::OurTurn) -> f64| point.ours(figure);
    let rate = ours(|turn| turn.rate);
    let remarks: Vec<&str> = point.skipped.iter().chain(&point.failed).map(String::as_str).collect();
    json!({
        "model_filename": model.display().to_string(),
        "model_size": swept.file_bytes,
        "peer": peer.map(|peer| peer.program().display().to_string()),
        "n_threads": swept.threads,
        "n_prompt": swept.exchange.prompt,
        "n_gen": swept.exchange.answer,
        "rounds": sweep.rounds,
        "budget_bytes": point.budget,
        "file_share": point.budget as f64 / swept.file_bytes.max(1) as f64,
        "smallest_budget_bytes": swept.smallest,
        "limited": swept.open.is_none(),
        "page_cache_share": swept.cached,
        "throttle_bytes_per_second": sweep.throttle,
        "disk_bytes_per_second": swept.disk_bytes,
        "resident_bytes": foretold.map(|foretold| foretold.resident_bytes),
        "streamed_bytes": foretold.map(|foretold| foretold.streamed_bytes),
        "foretold_read_bytes_per_token": point.foretold(|foretold| foretold.flash_bytes_per_token),
        "read_bytes_per_token": ours(|turn| turn.flash_bytes_per_token),
        "ours_ts": point.ours.iter().map(|turn| turn.rate).collect::<Vec<_>>(),
        "ours_median_ts": rate,
        "foretold_ts": point.foretold(|foretold| foretold.rate),
        "bound_ts": point.bound,
        "bound_share": rate.zip(point.bound).map(|(rate, bound)| rate / bound.max(1e-9)),
        "ours_prompt_ts": point.ours.iter().map(|turn| turn.prompt_rate).collect::<Vec<_>>(),
        "ours_median_prompt_ts": ours(|turn| turn.prompt_rate),
        "foretold_prompt_ts": point.foretold(|foretold| foretold.prompt_rate),
        "peak_bytes": point.ours.iter().filter_map(|turn| turn.report.peak).max(),
        "limit_hits": point.ours.iter().filter_map(|turn| turn.report.limit_hits).max(),
        "theirs_ts": point.theirs.iter().map(|turn| turn[1]).collect::<Vec<_>>(),
        "theirs_median_ts": point.theirs(true),
        "theirs_prompt_ts": point.theirs.iter().map(|turn| turn[0]).collect::<Vec<_>>(),
        "theirs_median_prompt_ts": point.theirs(false),
        "logits_digest": point.ours.first().map(|turn| turn.digest.clone()),
        "remark": remarks.join("; "),
    })
}

fn rate(value: &Value) -> String {
    value.as_f64().map_or("-".to_string(), |rate| format!("{rate:.2}"))
}

/// The median of a list and its range.
fn spread(row: &Value, list: &str) -> String {
    let all: Vec<f64> = row[list].as_array().into_iter().flatten().map(number).collect();
    let (least, most) = all.iter().fold((f64::INFINITY, 0.0f64), |(l, m), x| (l.min(*x), m.max(*x)));
    match all.len() {
        0 => "-".to_string(),
        1 => format!("{most:.2}"),
        _ => format!("{:.2} ({least:.2} to {most:.2})", pintpot::bench::median(&all)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_of_the_disk_is_read() {
        for (text, expected) in [("100MB/s", Some(100 << 20)), ("1.5GiB", Some(3 << 29)), ("fast", None)] {
            assert_eq!(throttle(text).ok(), expected, "{text}");
        }
        assert!(throttle("50%").unwrap_err().message.contains("--throttle is \"50%\""));
    }

    #[test]
    fn a_median_stands_beside_its_range() {
        let row = json!({"many": [3.0, 1.0, 2.0], "one": [4.0], "none": []});
        let said = ["many", "one", "none", "missing"].map(|list| spread(&row, list));
        assert_eq!(said, ["2.00 (1.00 to 3.00)", "4.00", "-", "-"]);
    }
}
