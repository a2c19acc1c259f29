//! Models of speech that the command line names: where they are, why one is refused, and `pintpot serve` for them.
//!
//! What it is: find, load, and what clients are told of each. What it is not: the server, which is a library. The one design choice:
//! as encoders do, models of speech are loaded whole before the server listens, and have a server of their own.

use std::path::PathBuf;

use host::format_bytes;
use hub::Reference;
use pintpot::tasks::{Speech, SpeechService};
use pintpot::{Engine, Refusal};
use pintpot_server::{Facts, Limits, Scribe, Served, Server};

use crate::exit::{Code, Failure};
use crate::flags::Args;
use crate::{find, report, size};

/// Where the model is: a folder is one as a whole.
pub(crate) fn place(reference: &Reference, args: &Args) -> Result<PathBuf, Failure> {
    match reference {
        Reference::Path(path) if path.is_dir() => Ok(path.clone()),
        _ => Ok(find::local(reference, args)?.path),
    }
}

/// Whether all models that are named are models of speech.
pub(crate) fn is_wanted(references: &[Reference], engine: &Engine, args: &Args) -> Result<bool, Failure> {
    let places = references.iter().map(|reference| place(reference, args));
    let places = places.collect::<Result<Vec<PathBuf>, Failure>>()?;
    match places.iter().filter(|place| engine.is_speech(place)).count() {
        0 => Ok(false),
        count if count == places.len() => Ok(true),
        _ => Err(Failure::usage(
            "models of speech share a server with none of another kind yet\n  start one for each, with --port and --memory",
        )),
    }
}

/// A server of models of speech, which listens.
pub(crate) fn server(
    references: &[Reference],
    engine: &Engine,
    served: impl FnOnce(Limits) -> Result<Served, Failure>,
    args: &Args,
) -> Result<(Server, Vec<String>), Failure> {
    let served = served(Limits::of_speech())?;
    let (mut scribes, mut names) = (Vec::new(), Vec::new());
    for reference in references {
        let place = place(reference, args)?;
        let speech = engine.open_speech(&place)?.with_connections(served.limits.bytes());
        let name = match place.file_name().and_then(|name| name.to_str()).filter(|_| place.is_dir()) {
            Some(folder) => folder.to_string(),
            None => find::served_name(reference, &reference.to_string()),
        };
        let facts = Facts {
            name: name.clone(),
            architecture: "whisper".to_string(),
            parameters: speech.parameters(),
            file_bytes: speech.file_bytes(),
            context: speech.context(),
            ..Facts::default()
        };
        if names.contains(&name) {
            return Err(Failure::usage(format!("two models are called {name}; rename a folder")));
        }
        let lines = engine.plan_speech(&speech).map_err(|refused| refusal(&name, &speech, &refused))?;
        let peak = lines.iter().map(|line| line.bytes).sum();
        eprintln!("{name}: {} of {}", format_bytes(peak), engine.budget());
        let service = SpeechService::start(engine.load_speech(speech)?, served.queue as usize)?;
        scribes.push(Scribe { facts, service });
        names.push(name);
    }
    Ok((Server::of_speech(served, scribes, engine.ledger().clone())?, names))
}

/// Why a model of speech cannot run.
pub(crate) fn refusal(name: &str, speech: &Speech, refused: &Refusal) -> Failure {
    let mut text = format!("{name} cannot run in {}; nothing was loaded\n", format_bytes(refused.budget));
    let (needed, weights) = (format_bytes(refused.needed), format_bytes(speech.weight_bytes()));
    text += &format!("  needs at least {needed} (weights {weights})\n");
    text += &report::ledger_text(&refused.lines);
    text += &format!("  smallest budget: --memory {}", size::budget(refused.needed));
    Failure::new(Code::Budget, text)
}
