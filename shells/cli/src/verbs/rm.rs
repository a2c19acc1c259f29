//! `pintpot rm`: a fetched model off this disk.
//!
//! What it is: the removal of what `pull` brought. What it is not: a way to delete the user's own files. The one
//! design choice: a model that is not here is a failure, because a script that removes it meant something.

use super::Verb;
use crate::exit::{Code, Failure};
use crate::find;
use crate::flags::{self, Args};

pub(super) const VERB: Verb = Verb {
    name: "rm",
    operands: &["MODEL"],
    summary: "remove a fetched model",
    flags: &[&[&flags::MODEL]],
    run,
};

fn run(args: &Args) -> Result<(), Failure> {
    let (reference, _) = find::named(args)?;
    match find::hub()?.remove(&reference)? {
        Some(local) => {
            eprintln!("removed {}, {}", local.name, host::format_bytes(local.bytes));
            Ok(())
        }
        None => Err(Failure::new(
            Code::Missing,
            format!("{reference} is not on this machine\n  pintpot ls lists what is"),
        )),
    }
}
