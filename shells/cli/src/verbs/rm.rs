//! `pintpot rm`: a fetched model off this disk.
//!
//! What it is: the removal of what `pull` brought. What it is not: a way to delete the user's own files. The one
//! design choice: the model is always typed; no environment or file of settings may name what is removed.

use super::Verb;
use crate::exit::{Code, Failure};
use crate::find;
use crate::flags::Args;

pub(super) const VERB: Verb =
    Verb { name: "rm", operands: &["MODEL"], summary: "remove a fetched model", flags: &[], run };

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
