//! `pintpot show`: what a model is.
//!
//! What it is: facts from the header. What it is not: a load; nothing is decided but the smallest budget. The one
//! design choice: a model that is not here is looked at where it is.

use std::collections::BTreeMap;

use host::format_bytes;
use pintpot::Examined;
use serde_json::{Value, json};

use super::Verb;
use crate::exit::{Code, Failure};
use crate::flags::{self, Args};
use crate::{find, network, setup, size};

pub(super) const VERB: Verb = Verb {
    name: "show",
    operands: &["MODEL"],
    summary: "say what a model is: architecture, types, sizes, smallest budget",
    flags: &[setup::LOAD, setup::ENGINE, &[&flags::JSON]],
    run,
};

fn run(args: &Args) -> Result<(), Failure> {
    let (reference, _) = find::named(args)?;
    let options = setup::load(args)?;
    let engine = setup::engine(args)?;
    let opened = match find::examined(&reference, &engine)? {
        Examined::Model(opened) => opened,
        Examined::Network(file) => return network::show(&reference, &file, args.is_on(&flags::JSON)),
        _ => return Err(Failure::new(Code::Missing, "this program does not know what it found")),
    };
    let (file, spec) = (&opened.file, &opened.decoder.spec);
    let text = |key: &str| file.metadata.find::<&str>(key).ok().flatten().map(str::to_string);
    let mut types: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    let mut parameters = 0;
    for tensor in &file.tensors {
        let entry = types.entry(tensor.dtype.to_string()).or_default();
        *entry = (entry.0 + 1, entry.1 + (tensor.range.end - tensor.range.start));
        parameters += tensor.shape.elements();
    }
    let smallest = match engine.plan_in(&opened, &options, 0)? {
        Ok(placement) => (placement.peak(), placement.context),
        Err(refused) => (refused.needed, refused.context),
    };
    let value = json!({
        "model": reference.to_string(),
        "name": text("general.name"),
        "licence": text("general.license"),
        "architecture": &*file.architecture,
        "parameters": parameters,
        "layers": spec.layers,
        "width": spec.width,
        "heads": spec.heads,
        "kv_heads": spec.kv_heads,
        "longest_context": spec.context,
        "vocabulary": opened.decoder.vocabulary,
        "tokenizer": text("tokenizer.ggml.model"),
        "chat_template": opened.has_template(),
        "file_bytes": file.files.iter().map(|part| part.bytes).sum::<u64>(),
        "weight_bytes": opened.weight_bytes(),
        "tokenizer_bytes": opened.tokenizer_bytes(),
        "types": types.iter().map(|(name, (count, bytes))| json!({"type": name, "tensors": count, "bytes": bytes})).collect::<Vec<_>>(),
        "smallest_budget_bytes": smallest.0,
        "smallest_budget_context": smallest.1,
    });
    if args.is_on(&flags::JSON) {
        return crate::print(&format!("{value}\n"));
    }
    let mut lines = String::new();
    for (key, value) in value.as_object().into_iter().flatten() {
        let shown = match value {
            Value::Null | Value::Array(_) => continue,
            Value::Number(number) if key.ends_with("_bytes") => format_bytes(number.as_u64().unwrap_or(0)),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        lines += &format!("{:<24}{shown}\n", key.replace('_', " "));
    }
    for (name, (count, bytes)) in &types {
        lines += &format!("{:<24}{count} tensors, {}\n", format!("type {name}"), format_bytes(*bytes));
    }
    lines += &format!("runs in                 --memory {} -c {}\n", size::budget(smallest.0), smallest.1);
    crate::print(&lines)
}
