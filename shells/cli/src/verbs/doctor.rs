//! `pintpot doctor`: what this machine can do, measured once.
//!
//! What it is: the library's measurement, printed and stored for `run` and `plan`. What it is not: a benchmark of a
//! model. The one design choice: with a model it also measures the disk that the model lies on.

use host::format_bytes;
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
    let measured = pintpot::measure(&engine, file.as_deref())?;
    let stored = profile::store(&measured)?;
    if args.is_on(&flags::JSON) {
        let value = json!({"profile": measured, "isa": engine.isa(), "stored": stored, "disk_measured": file.is_some()});
        return crate::print(&format!("{value}\n"));
    }
    let rate = |bytes: f64| format!("{}/s", format_bytes(bytes as u64));
    let giga = |macs: f64| format!("{:.1} G multiply-adds/s", macs / 1e9);
    // A byte of a Q8_0 weight is one multiply-add for one token.
    let limit = if measured.vector_macs < measured.memory_bytes { "arithmetic" } else { "memory" };
    let mut text = format!("kernels               {} on {} threads\n", engine.isa(), measured.threads);
    text += &format!("memory                {}\n", rate(measured.memory_bytes));
    text += &format!("int8, one token       {}\n", giga(measured.vector_macs));
    text += &format!("int8, many tokens     {}\n", giga(measured.int8_macs));
    text += &format!("disk                  {}", rate(measured.flash_bytes));
    text +=
        if file.is_some() { "\n" } else { " (a guess: name a model to measure the disk that holds it)\n" };
    text += &format!("an answer from memory is bound by {limit}; one from disk by the disk\n");
    if let Some(path) = stored {
        text += &format!("stored in {}\n", path.display());
    }
    crate::print(&text)
}
