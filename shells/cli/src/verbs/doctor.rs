//! `pintpot doctor`: what this machine can do, measured once.
//!
//! What it is: the library's measurement, printed and stored for `run` and `plan`. What it is not: a benchmark of a
//! model. The one design choice: with a model it also measures the disk that the model lies on.

use host::format_bytes;
use pintpot::{FlashWay, Profile};
use serde_json::json;

use super::Verb;
use crate::exit::{Code, Failure};
use crate::flags::{self, Args};
use crate::{find, profile, setup};

pub(super) const VERB: Verb = Verb {
    name: "doctor",
    operands: &["[MODEL]"],
    summary: "measure this machine: memory, arithmetic, and the disk of a model",
    flags: &[&[&flags::MODEL], setup::ENGINE, &[&flags::JSON]],
    run,
};

fn run(args: &Args) -> Result<(), Failure> {
    let file = match find::named(args) {
        Ok((reference, _)) => {
            let missing = || {
                Failure::new(
                    Code::Missing,
                    format!("{reference} is not on this machine\n  pintpot pull {reference}"),
                )
            };
            find::hub()?.resolve(&reference)?.ok_or_else(missing)?.files.into_iter().next()
        }
        Err(_) if args.operands.is_empty() && args.get(&flags::MODEL).is_none() => None,
        Err(failure) => return Err(failure),
    };
    let engine = setup::engine(args)?;
    let (measured, disk) = pintpot::measure(&engine, file.as_deref())?;
    let mut known = json!(measured);
    known["disk"] = json!(disk);
    let stored = profile::store(&known)?;
    if args.is_on(&flags::JSON) {
        let value = json!({"profile": known, "stored": stored, "disk_measured": file.is_some()});
        return crate::print(&format!("{value}\n"));
    }
    let mut text = format!("kernels               {} on {} threads\n", engine.isa(), measured.threads);
    text += &format!("memory                {}\n", rate(measured.memory_bytes));
    text += &format!("disk                  {}", rate(measured.flash_bytes));
    text +=
        if file.is_some() { "\n" } else { " (a guess: name a model to measure the disk that holds it)\n" };
    // A byte of a Q8_0 weight is one multiply-add for one token.
    let is_slow = measured.products.get("Q8_0").is_some_and(|rate| rate.one < measured.memory_bytes);
    let limit = if is_slow { "arithmetic" } else { "memory" };
    text += &format!("an answer from memory is bound by {limit}; one from disk by the disk\n");
    text += &products_table(&measured);
    text += &disk_table(&disk, &measured.ways);
    if let Some(path) = stored {
        text += &format!("stored in {}\n", path.display());
    }
    crate::print(&text)
}

fn rate(bytes: f64) -> String {
    format!("{}/s", format_bytes(bytes as u64))
}

/// A type a line.
fn products_table(profile: &Profile) -> String {
    let mut text = "\nG multiply-adds/s      one token   many tokens\n".to_string();
    for (dtype, rate) in &profile.products {
        text += &format!("{dtype:<20}{:>12.1}{:>14.1}\n", rate.one / 1e9, rate.many / 1e9);
    }
    text
}

/// A way to read a line, with a star at those that are taken; empty if no disk was measured.
fn disk_table(disk: &[FlashWay], taken: &[FlashWay]) -> String {
    let mut text = String::new();
    for (number, way) in disk.iter().enumerate() {
        if number == 0 {
            text += "\ndisk, by reader     at once      a read   in runs of          rate\n";
        }
        let [request, run] = [way.request_bytes as u64, way.run_bytes].map(format_bytes);
        let (name, depth, rate) = (way.reader.name(), way.depth, rate(way.bytes_per_second));
        let star = if taken.contains(way) { " *" } else { "" };
        text += &format!("{name:<16}{depth:>11}{request:>12}{run:>13}{rate:>14}{star}\n");
    }
    text
}
