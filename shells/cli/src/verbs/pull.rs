//! `pintpot pull`: a model from its source to this disk.
//!
//! What it is: progress on standard error, the path on standard output. What it is not: a run. The one design choice:
//! a model that is here already is no failure.

use super::Verb;
use crate::bar::Bar;
use crate::exit::Failure;
use crate::find;
use crate::flags::{self, Args};
use crate::interrupt::Interrupt;

pub(super) const VERB: Verb = Verb {
    name: "pull",
    operands: &["MODEL"],
    summary: "fetch a model",
    flags: &[&[&flags::MODEL, &flags::JSON]],
    run,
};

fn run(args: &Args) -> Result<(), Failure> {
    let _ends_with_130 = Interrupt::new()?;
    let (reference, _) = find::named(args)?;
    let mut bar = Bar::new();
    let pulled = find::hub()?.pull(&reference, &mut bar);
    bar.clear();
    let local = pulled?;
    if args.is_on(&flags::JSON) {
        let value = serde_json::json!({"model": local.name, "path": local.path, "bytes": local.bytes});
        return crate::print(&format!("{value}\n"));
    }
    eprintln!("{}: {}, complete", local.name, host::format_bytes(local.bytes));
    crate::print(&format!("{}\n", local.path.display()))
}
