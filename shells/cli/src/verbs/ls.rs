//! `pintpot ls`: the models on this disk.
//!
//! What it is: names that other verbs take, and sizes. What it is not: the catalog, which `pull --help` names. The one
//! design choice: the Hugging Face cache is listed too, since its models run as they lie there.

use host::format_bytes;

use super::Verb;
use crate::exit::Failure;
use crate::find;
use crate::flags::{self, Args};

pub(super) const VERB: Verb = Verb {
    name: "ls",
    operands: &[],
    summary: "list the models on this machine",
    flags: &[&[&flags::JSON]],
    run,
};

fn run(args: &Args) -> Result<(), Failure> {
    let models = find::hub()?.list()?;
    if args.is_on(&flags::JSON) {
        let all: Vec<_> = models
            .iter()
            .map(|model| serde_json::json!({"model": model.name, "path": model.path, "bytes": model.bytes}))
            .collect();
        return crate::print(&format!("{}\n", serde_json::Value::Array(all)));
    }
    if models.is_empty() {
        eprintln!("no models yet; pintpot pull smollm2 fetches a small one");
    }
    let lines: String =
        models.iter().map(|model| format!("{:>10}  {}\n", format_bytes(model.bytes), model.name)).collect();
    crate::print(&lines)
}
