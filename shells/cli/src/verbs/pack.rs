//! `pintpot pack`: writes a model anew for streaming.
//!
//! What it is: the library's copy, and what came of it in a few lines. What it is not: a quantiser.

use std::path::Path;

use pintpot::{DType, PackOptions, Packed, Price, format_bytes};
use serde_json::{Value, json};

use super::Verb;
use crate::exit::Failure;
use crate::flags::{self, Args};
use crate::{find, setup};

pub(super) const VERB: Verb = Verb {
    name: "pack",
    operands: &["MODEL", "FILE"],
    summary: "write a model anew as a GGUF in the order of use; --by-neuron adds what sparse reads need",
    flags: &[
        &[&flags::BY_NEURON, &flags::SPARSITY, &flags::STAND_INS, &flags::TEXT],
        setup::ENGINE,
        &[&flags::JSON],
    ],
    run,
};

fn run(args: &Args) -> Result<(), Failure> {
    let (reference, rest) = find::named(args)?;
    let [target] = rest else {
        return Err(Failure::usage(
            "pack needs a model and the file to write: pintpot pack MODEL packed.gguf",
        ));
    };
    let by_neuron = args.is_on(&flags::BY_NEURON);
    let sparsity = args.read::<f32>(&flags::SPARSITY, "a share between 0 and 1")?;
    if sparsity.is_some_and(|share| !(share > 0.0 && share < 1.0)) {
        let value = args.get(&flags::SPARSITY).unwrap_or_default();
        return Err(flags::wrong(&flags::SPARSITY, value, "a share between 0 and 1, such as 0.5"));
    }
    let stand_ins = args.get(&flags::STAND_INS).map(|name| {
        let found =
            DType::all().find(|dtype| dtype.is_quantized() && dtype.name().eq_ignore_ascii_case(name));
        found.ok_or_else(|| flags::wrong(&flags::STAND_INS, name, "a quantised type, such as q4_0 or q2_k"))
    });
    let stand_ins = stand_ins.transpose()?;
    let text = match args.get(&flags::TEXT) {
        Some(_) if !by_neuron => {
            return Err(Failure::usage("--text tells how many neurons wake, so it goes with --by-neuron"));
        }
        _ if sparsity.is_some() && !by_neuron => {
            return Err(Failure::usage("--sparsity puts neurons to sleep, so it goes with --by-neuron"));
        }
        None if sparsity.is_some() => {
            let what =
                "--sparsity finds what may sleep with --text FILE, such as what you will ask the model about";
            return Err(Failure::usage(what));
        }
        Some(path) => Some(std::fs::read(path).map_err(|error| Failure::io(&format!("read {path}"), error))?),
        None => None,
    };
    let options = PackOptions { by_neuron, sparsity, stand_ins, text: text.as_deref() };
    let engine = setup::engine(args)?;
    let local = find::local(&reference, args)?;
    let opened = engine.open(&local.path)?;
    let packed = engine.pack(&opened, Path::new(target), &options)?;
    match args.is_on(&flags::JSON) {
        true => crate::print(&format!("{}\n", json(target, &packed))),
        false => crate::print(&plain(target, &packed)),
    }
}

fn json(target: &str, packed: &Packed) -> Value {
    json!({
        "file": target,
        "tensors": packed.tensors,
        "tensor_bytes": packed.bytes,
        "added_tensors": packed.added,
        "awake_share": packed.awake,
        "ffn_bytes_per_token": packed.awake.map(|_| packed.ffn_bytes),
        "plain_perplexity": packed.price.map(|price| price.plain.perplexity),
        "perplexity": packed.price.map(|price| price.economical.perplexity),
        "mean_kld": packed.price.and_then(|price| price.economical.mean_kld),
        "same_top": packed.price.and_then(|price| price.economical.same_top),
    })
}

fn plain(target: &str, packed: &Packed) -> String {
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
        let [before, now] = packed.ffn_bytes.map(format_bytes);
        lines += &format!(
            "a token wakes {:.1}% of what is read together: {now} of its feed-forwards instead of {before}; plan knows it\n",
            awake * 100.0
        );
    }
    if let Some(Price { plain, economical, .. }) = packed.price {
        lines += &format!(
            "answers change: on the second half of the text perplexity goes from {:.2} to {:.2}{}\n",
            plain.perplexity,
            economical.perplexity,
            economical.mean_kld.map_or(String::new(), |kld| format!(", KL {kld:.4}")),
        );
    }
    lines
}
