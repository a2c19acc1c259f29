//! `pintpot pack`: writes a model anew for streaming.
//!
//! What it is: the library's copy, and what came of it in a few lines. What it is not: a quantiser.

use std::path::Path;

use pintpot::{PackOptions, format_bytes};
use serde_json::json;

use super::Verb;
use crate::exit::Failure;
use crate::flags::{self, Args};
use crate::{find, setup};

pub(super) const VERB: Verb = Verb {
    name: "pack",
    operands: &["MODEL", "FILE"],
    summary: "write a model anew as a GGUF in the order of use; --by-neuron adds what sparse reads need",
    flags: &[&[&flags::BY_NEURON, &flags::TEXT], setup::ENGINE, &[&flags::JSON]],
    run,
};

fn run(args: &Args) -> Result<(), Failure> {
    let (reference, rest) = find::named(args)?;
    let [target] = rest else {
        return Err(Failure::usage(
            "pack needs a model and the file to write: pintpot pack MODEL packed.gguf",
        ));
    };
    let options = PackOptions { by_neuron: args.is_on(&flags::BY_NEURON) };
    let text = match args.get(&flags::TEXT) {
        Some(_) if !options.by_neuron => {
            return Err(Failure::usage("--text tells how many neurons wake, so it goes with --by-neuron"));
        }
        Some(path) => Some(std::fs::read(path).map_err(|error| Failure::io(&format!("read {path}"), error))?),
        None => None,
    };
    let engine = setup::engine(args)?;
    let local = find::local(&reference, args)?;
    let opened = engine.open(&local.path)?;
    let packed = engine.pack(&opened, Path::new(target), &options, text.as_deref())?;
    if args.is_on(&flags::JSON) {
        let value = json!({
            "file": target,
            "tensors": packed.tensors,
            "tensor_bytes": packed.bytes,
            "added_tensors": packed.added,
            "awake_share": packed.awake,
        });
        return crate::print(&format!("{value}\n"));
    }
    let mut lines = format!(
        "{target}: {} tensors, {}, in the order of use, aligned to pages\n",
        packed.tensors,
        format_bytes(packed.bytes)
    );
    if packed.added > 0 {
        lines += &format!(
            "{} of them are ffn_down_t: what a token leaves asleep is not read; readers that refuse what they do not know \
             want the file without --by-neuron\n",
            packed.added
        );
    }
    if let Some(awake) = packed.awake {
        lines += &format!("a token wakes {:.1}% of what is read together; plan knows it\n", awake * 100.0);
    }
    crate::print(&lines)
}
