//! `pintpot profile`: what the routers of a mixture of experts choose on a text.
//!
//! What it is: the library's figures, a line each. What it is not: the profile of the machine, which is `doctor`'s.

use pintpot::bench::WORDS;
use pintpot::{Error, EvalOptions, LoadOptions, Routing, format_bytes};
use serde_json::json;

use super::Verb;
use crate::exit::Failure;
use crate::flags::{self, Args};
use crate::{find, profile, setup};

pub(super) const VERB: Verb = Verb {
    name: "profile",
    operands: &["MODEL"],
    summary: "what the experts of a model do on a text, and what keeping some of them is worth",
    flags: &[
        &[&flags::TEXT, &flags::TOKENS, &flags::SENSITIVITY],
        setup::LOAD,
        setup::ENGINE,
        &[&flags::JSON],
    ],
    run,
};

/// Tokens of the text that are looked at, if the context is not said.
const TOKENS: u32 = 1024;
/// Positions whose logits are computed at once to measure sensitivity.
const ROWS: u32 = 16;
/// Tokens of a window that sensitivity is measured with, and how many.
const WINDOW: usize = 256;
const WINDOWS: usize = 2;
/// Shares of the experts that might be kept.
const SHARES: [f64; 6] = [0.1, 0.15, 0.25, 0.35, 0.5, 0.75];

fn run(args: &Args) -> Result<(), Failure> {
    let (reference, _) = find::named(args)?;
    let load = setup::load(args)?;
    let engine = setup::engine(args)?;
    let local = find::local(&reference, args)?;
    let opened = engine.open(&local.path)?;
    let most = TOKENS.min(opened.decoder.spec.context);
    let logit_rows = args.is_on(&flags::SENSITIVITY).then_some(ROWS);
    let load = LoadOptions { context: load.context.or(Some(most)), logit_rows, ..load };
    let place = profile::path_of(&opened);
    let mut model = engine.load_opened(opened, &load)?;
    let named = args.get(&flags::TEXT);
    let text = match named {
        Some(path) => std::fs::read(path).map_err(|error| Failure::io(&format!("read {path}"), error))?,
        None => WORDS.as_bytes().to_vec(),
    };
    let mut ids = Vec::new();
    model.tokenizer().encode(&text, true, &mut ids).map_err(Error::from)?;
    let answer = args.read(&flags::TOKENS, "a number of tokens")?.unwrap_or(0);
    ids.truncate(model.context().saturating_sub(answer) as usize);
    let mut routing = model.routing(&ids, answer)?;
    if routing.layers.is_empty() {
        return Err(Failure::usage(format!("{} has no experts: every token needs all of it", local.name)));
    }
    if args.is_on(&flags::SENSITIVITY) {
        let options = EvalOptions { window: WINDOW.min(ids.len()), windows: Some(WINDOWS) };
        let found = model.sensitivity(&ids, &options)?;
        routing.layers.iter_mut().zip(found).for_each(|(layer, found)| layer.sensitivity = Some(found));
    }
    let stored = profile::store_reuse(place, &routing.reuse())?;
    if args.is_on(&flags::JSON) {
        return crate::print(&format!("{}\n", json(&local.name, &routing)));
    }
    let stored = stored.map_or(String::new(), |path| format!("plan knows it now: {}\n", path.display()));
    let of_ours =
        "on a few sentences of its own; --text FILE names a text like those that the model will see\n";
    crate::print(&(plain(&routing) + &stored + if named.is_none() { of_ours } else { "" }))
}

fn json(name: &str, routing: &Routing) -> serde_json::Value {
    let layers = routing.layers.iter().map(|layer| {
        json!({
            "experts": layer.experts,
            "used": layer.used,
            "expert_bytes": layer.expert_bytes,
            "again": layer.again,
            "balance": layer.balance,
            "segment": layer.segment,
            "foreseen": layer.foreseen,
            "sensitivity": layer.sensitivity,
            "found": layer.found,
        })
    });
    let kept = SHARES.map(|share| {
        json!({"share": share, "found": routing.found(share), "read_bytes_per_token": routing.read_bytes(share)})
    });
    json!({
        "model": name,
        "tokens": routing.tokens,
        "suits_offloading": routing.suits_offloading(),
        "again": routing.mean(|layer| layer.again),
        "balance": routing.mean(|layer| layer.balance),
        "segment": routing.mean(|layer| layer.segment),
        "foreseen": routing.foreseen(),
        "kept": kept,
        "layers": layers.collect::<Vec<_>>(),
    })
}

fn plain(routing: &Routing) -> String {
    let (layers, first) = (routing.layers.len(), &routing.layers[0]);
    let percent = |share: f64| format!("{:.0}%", share * 100.0);
    let mut text = format!(
        "{} tokens through {layers} layers of {} experts, {} a token, {} each\n",
        routing.tokens,
        first.experts,
        first.used,
        format_bytes(first.expert_bytes),
    );
    let figures = [
        ("chosen by the token before too", routing.mean(|layer| layer.again)),
        ("evenness of use", routing.mean(|layer| layer.balance)),
        ("best fixed 2x choice, by 32 tokens", routing.mean(|layer| layer.segment)),
    ];
    for (what, share) in figures {
        text += &format!("{what:<36}{:>6}\n", percent(share));
    }
    if let Some(foreseen) = routing.foreseen() {
        text += &format!("{:<36}{:>6}\n", "foreseen by the layer before", percent(foreseen));
    }
    text += "\nexperts kept    found   read/token\n";
    for share in SHARES {
        let read = format_bytes(routing.read_bytes(share));
        text += &format!("{:>12}{:>9}{read:>13}\n", percent(share), percent(routing.found(share)));
    }
    if routing.layers.iter().all(|layer| layer.sensitivity.is_some()) {
        text += "\nlayer   minds what is left out\n";
        for (index, layer) in routing.layers.iter().enumerate() {
            text += &format!("{index:>5}{:>25.2e}\n", layer.sensitivity.unwrap_or_default());
        }
    }
    let verdict = match routing.suits_offloading() {
        true => "suits a budget below its size: a quarter of the experts serves most tokens",
        false => "does not suit a budget far below its size: tokens keep asking for other experts",
    };
    text + "\n" + verdict + "\n"
}
