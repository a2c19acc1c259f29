//! `pintpot serve` for encoders of texts: vectors and scores over HTTP.
//!
//! What it is: find, load, and what clients are told of each. What it is not: the server, which is a library, nor models of
//! language, which `verbs/serve.rs` knows. The one design choice: encoders are loaded whole before the server listens; a model
//! of language beside them has a server of its own.

use std::path::Path;

use host::format_bytes;
use hub::Reference;
use pintpot::tasks::{EncoderOptions, TextService, TextTask};
use pintpot::{Engine, Examined, NetworkFile};
use pintpot_server::{Encoder, Facts, Limits, Served, Server};

use crate::encoders;
use crate::exit::Failure;
use crate::find;
use crate::flags::{self, Args};

/// Whether all models that are named are encoders.
pub(crate) fn is_wanted(references: &[Reference], engine: &Engine, args: &Args) -> Result<bool, Failure> {
    let is_network = |reference: &Reference| {
        let local = find::local(reference, args)?;
        Ok(matches!(engine.examine(&local.path)?, Examined::Network(_)))
    };
    let found = references.iter().map(is_network).collect::<Result<Vec<bool>, Failure>>()?;
    if found.iter().any(|other| *other != found[0]) {
        return Err(Failure::usage(
            "encoders of texts and models of language do not share a server yet\n  start one for each, with --port and --memory",
        ));
    }
    Ok(found.first() == Some(&true))
}

/// A server of encoders, which listens.
pub(crate) fn server(
    references: &[Reference],
    engine: &Engine,
    served: impl FnOnce(Limits) -> Result<Served, Failure>,
    args: &Args,
) -> Result<(Server, Vec<String>), Failure> {
    let served = served(Limits::of_encoders())?;
    let options = EncoderOptions {
        longest: args.read(&flags::CONTEXT, "a number of tokens")?,
        connections: served.limits.bytes(),
        ..EncoderOptions::default()
    };
    let (mut ready, mut names) = (Vec::new(), Vec::new());
    for reference in references {
        let (task, facts, scores) = loaded(reference, engine, &options, args)?;
        if names.contains(&facts.name) {
            return Err(Failure::usage(format!("two models are called {}; rename a file", facts.name)));
        }
        names.push(facts.name.clone());
        ready.push((facts, scores, TextService::start(task, served.queue as usize)?));
    }
    // What is left is shared out once all are here.
    let ledger = engine.ledger();
    let ready =
        ready.into_iter().map(|(facts, scores, service)| Encoder::new(facts, scores, service, ledger));
    Ok((Server::of_encoders(served, ready.collect(), ledger.clone())?, names))
}

fn loaded(
    reference: &Reference,
    engine: &Engine,
    options: &EncoderOptions,
    args: &Args,
) -> Result<(TextTask, Facts, bool), Failure> {
    let local = find::local(reference, args)?;
    let file = engine.open_encoder(&local.path, args.get(&flags::TOKENIZER).map(Path::new))?;
    let longest = options.longest.unwrap_or(file.longest());
    let scores = file.scores();
    let (parameters, bytes, architecture) = match file.network() {
        NetworkFile::Encoder(file) => {
            let parameters = file.tensors.iter().map(|tensor| tensor.shape.elements()).sum();
            (parameters, file.files.iter().map(|part| part.bytes).sum(), file.architecture.to_string())
        }
        NetworkFile::Onnx(model) => (0, model.files.iter().map(|part| part.bytes).sum(), "onnx".to_string()),
        NetworkFile::Tflite(model) => (0, model.file.bytes, "tflite".to_string()),
    };
    let facts = Facts {
        name: find::served_name(reference, &local.name),
        architecture,
        parameters,
        file_bytes: bytes,
        context: longest,
        ..Facts::default()
    };
    let budget = engine.budget().bytes;
    let planned = match scores {
        true => engine.plan_rerank(&file, options, budget)?,
        false => engine.plan_embed(&file, options, budget)?,
    };
    let lines = planned.map_err(|refused| encoders::refusal(&local.name, longest, &refused))?;
    eprintln!("{}: {} of {}", facts.name, format_bytes(encoders::peak(&lines)), engine.budget());
    let task = match scores {
        true => TextTask::Rerank(engine.load_rerank(file, options)?),
        false => TextTask::Embed(engine.load_embed(file, options)?),
    };
    Ok((task, facts, scores))
}
