//! `pintpot serve`: answers over HTTP until it is told to end.
//!
//! What it is: find, plan, listen. What it is not: the server, which is a library, or who is loaded when, which the engine
//! knows. The one design choice: the connections are
//! in the budget before the model is placed, so what fits the rest fits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hub::Reference;
use pintpot::{Crowd, Engine, LoadOptions, Service, Shelved};
use pintpot_server::{Facts, Keep, Limits, Served, Server};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use super::Verb;
use crate::budget::Reread;
use crate::exit::{Code, Failure};
use crate::flags::{self, Args};
use crate::whole::{Kinds, Whole};
use crate::{find, load, profile, report, setup};

pub(super) const VERB: Verb = Verb {
    name: "serve",
    operands: &["MODEL", "[MODEL...]"],
    summary: "answer requests over HTTP, in the words of OpenAI, Anthropic and Ollama; vectors, scores and speech too",
    flags: &[
        setup::LOAD,
        setup::ENGINE,
        &[
            &flags::HOST,
            &flags::PORT,
            &flags::API_KEY,
            &flags::PARALLEL,
            &flags::CONTEXTS,
            &flags::QUEUE,
            &flags::CONNECTIONS,
            &flags::KEEP_ALIVE,
            &flags::TOKENIZER,
            &flags::TOKENS,
        ],
        setup::ECONOMY,
    ],
    run,
};

/// Answers in one step at most, since prompts and answers share the rows of a step.
const PARALLEL: std::ops::RangeInclusive<u32> = 1..=64;
/// Where it listens if nothing is said.
pub(crate) const HOST: &str = "127.0.0.1";
pub(crate) const PORT: u16 = 8080;

fn run(args: &Args) -> Result<(), Failure> {
    let references = references(args)?;
    let signals = Signals::new()?;
    let engine = setup::engine(args)?;
    let queue = args.read(&flags::QUEUE, "a number of requests")?.unwrap_or(Crowd::default().queue);
    let kinds = Kinds::of(references, &engine, args)?;
    let options = setup::load(args)?;
    let limits = kinds.limits(limits(args, &options)?);
    let whole = Whole::plan(&kinds, &engine, &limits, args)?;
    let crowd = crowd(args, queue, &limits)?;
    let options = LoadOptions { crowd: Some(crowd), ..options };
    let language = Language::plan(&kinds.language, &engine, &options, whole.adds, args)?;
    let names = names(&language, &whole)?;
    whole.tell();
    let served = served(args, queue, limits)?;
    let ledger = engine.ledger().clone();
    let loaded = whole.load(&engine, queue)?;
    let spare = match language.least {
        // Half of what nobody needs; beside models of language, which can use all of it, a quarter.
        0 => ledger.budget().saturating_sub(ledger.used()) / 2,
        least => ledger.budget().saturating_sub(engine.held() + least) / 4,
    };
    let (encoders, scribes) = loaded.served(&ledger, spare);
    let (facts, service) = language.service(engine, queue, args)?;
    let server = Server::new(served, facts, ledger, service)?.with_encoders(encoders);
    let server = match scribes {
        Some(scribes) => server.with_speech(scribes),
        None => server,
    };
    until_told(server, &names, args, &signals)
}

/// Models of language, planned.
struct Language {
    models: Vec<Shelved>,
    facts: Vec<Facts>,
    /// The least that the largest of them runs in; 0 if there are none.
    least: u64,
}

impl Language {
    /// Plans all of them, each alone in what is left `beside` what else is loaded.
    fn plan(
        references: &[Reference],
        engine: &Engine,
        options: &LoadOptions,
        beside: u64,
        args: &Args,
    ) -> Result<Language, Failure> {
        let mut language = Language { models: Vec::new(), facts: Vec::new(), least: 0 };
        for reference in references {
            let (model, facts, least) = planned(reference, engine, options, beside, args)?;
            language.models.push(model);
            language.facts.push(facts);
            language.least = language.least.max(least);
        }
        Ok(language)
    }

    /// What clients are told of them, and who answers.
    fn service(self, engine: Engine, queue: u32, args: &Args) -> Result<(Vec<Facts>, Service), Failure> {
        if self.models.is_empty() {
            return Ok((self.facts, Service::empty(engine.budget().bytes)?));
        }
        let keep =
            args.read::<Keep>(&flags::KEEP_ALIVE, "a time such as 5m, or -1 for as long as there is room")?;
        let reread = Reread::new(args.get(&flags::MEMORY).unwrap_or("auto"))?;
        let keep = keep.and_then(|keep| keep.0);
        let service = Service::share(engine, self.models, queue as usize, keep, Some(Box::new(reread)))?;
        Ok((self.facts, service))
    }
}

/// What clients call them.
fn names(language: &Language, whole: &Whole) -> Result<Vec<String>, Failure> {
    let names = language.facts.iter().map(|facts| facts.name.as_str()).chain(whole.names());
    let mut all: Vec<String> = Vec::new();
    for name in names {
        if all.iter().any(|other| other == name) {
            return Err(Failure::usage(format!("two models are called {name}; rename a file or a folder")));
        }
        all.push(name.to_string());
    }
    Ok(all)
}

/// How models are served.
fn served(args: &Args, queue: u32, limits: Limits) -> Result<Served, Failure> {
    Ok(Served {
        host: args.get(&flags::HOST).unwrap_or(HOST).to_string(),
        port: args.read(&flags::PORT, "a port, from 0 to 65535")?.unwrap_or(PORT),
        api_keys: args.all(&flags::API_KEY).map(str::to_string).collect(),
        queue,
        max_tokens: args.read(&flags::TOKENS, "a number of tokens")?,
        limits,
    })
}

/// Serves until it is told to end.
fn until_told(server: Server, names: &[String], args: &Args, signals: &Signals) -> Result<(), Failure> {
    let open = args.get(&flags::API_KEY).is_none();
    if let Some(address) = server.address() {
        let verb = if names.len() == 1 { "answers" } else { "answer" };
        eprintln!("{} {verb} at http://{address}", names.join(", "));
        if open && !address.ip().is_loopback() {
            eprintln!("whoever reaches this address may ask: --api-key KEY lets in only those who know it");
        }
    }
    server.run(&signals.stop);
    match signals.interrupted.load(Ordering::Relaxed) {
        true => Err(Failure::new(Code::Interrupted, "")),
        false => Ok(()),
    }
}

/// The models that are named, in order.
fn references(args: &Args) -> Result<Vec<Reference>, Failure> {
    let (first, rest) = find::named(args)?;
    let rest = rest.iter().map(|text| Ok(Reference::parse(text)?));
    std::iter::once(Ok(first)).chain(rest).collect()
}

/// A model as the service and as its clients know it, and the least that it runs in, if it can run in what is left.
fn planned(
    reference: &Reference,
    engine: &Engine,
    options: &LoadOptions,
    beside: u64,
    args: &Args,
) -> Result<(Shelved, Facts, u64), Failure> {
    let local = find::local(reference, args)?;
    let opened = engine.open(&local.path)?;
    let placement = load::planned_beside(beside, &local.name, engine, &opened, options, args)?;
    let frugal = setup::frugal(args, profile::reuse(&opened))?;
    frugal.tell();
    eprintln!("{}", report::start_line(&placement));
    let facts = Facts {
        name: find::served_name(reference, &local.name),
        architecture: opened.file.architecture.to_string(),
        parameters: opened.parameters(),
        quantization: opened.main_type().map(|dtype| dtype.to_string()).unwrap_or_default(),
        file_bytes: opened.file_bytes(),
        context: placement.context,
        tools: opened.takes_tools(),
        held_bytes: 0,
    };
    // Whoever else is here, it has the context that was told.
    let options = LoadOptions { context: Some(placement.context), ..*options };
    let least = match engine.plan_in(&opened, &options, 0)? {
        Ok(placement) => placement.peak(),
        Err(refused) => refused.needed,
    };
    let model = Shelved {
        name: facts.name.clone(),
        path: local.path,
        options,
        prepare: Some(Box::new(move |model| frugal.apply(model))),
    };
    Ok((model, facts, least))
}

fn limits(args: &Args, options: &LoadOptions) -> Result<Limits, Failure> {
    let mut limits = Limits::new(options.context);
    if let Some(connections) = args.read(&flags::CONNECTIONS, "a number of connections")? {
        if connections == 0 {
            return Err(flags::wrong(&flags::CONNECTIONS, "0", "at least 1"));
        }
        limits.connections = connections;
    }
    Ok(limits)
}

fn crowd(args: &Args, queue: u32, limits: &Limits) -> Result<Crowd, Failure> {
    let default = Crowd::default();
    let crowd = Crowd {
        answers: args.read(&flags::PARALLEL, "a number of answers")?.unwrap_or(default.answers),
        queue,
        contexts: args.read(&flags::CONTEXTS, "a number of contexts")?.unwrap_or(default.contexts),
        connections: limits.bytes(),
    };
    let checks = [
        (&flags::PARALLEL, crowd.answers, PARALLEL.contains(&crowd.answers), "from 1 to 64"),
        (&flags::QUEUE, crowd.queue, (1..=4096).contains(&crowd.queue), "from 1 to 4096"),
        (&flags::CONTEXTS, crowd.contexts, (1..=4096).contains(&crowd.contexts), "from 1 to 4096"),
    ];
    match checks.into_iter().find(|(_, _, good, _)| !good) {
        Some((flag, value, _, expected)) => Err(flags::wrong(flag, &value.to_string(), expected)),
        None => Ok(crowd),
    }
}

/// SIGTERM and Ctrl-C end the server once those who are being answered have heard the end; a second one at once.
struct Signals {
    stop: Arc<AtomicBool>,
    interrupted: Arc<AtomicBool>,
}

impl Signals {
    fn new() -> Result<Signals, Failure> {
        let signals = Signals { stop: Arc::default(), interrupted: Arc::default() };
        let register = || {
            for signal in [SIGINT, SIGTERM] {
                // The first to be registered is the first to be asked: nothing was set before the first signal.
                flag::register_conditional_shutdown(
                    signal,
                    Code::Interrupted as i32,
                    Arc::clone(&signals.stop),
                )?;
                flag::register(signal, Arc::clone(&signals.stop))?;
            }
            flag::register(SIGINT, Arc::clone(&signals.interrupted))
        };
        register().map_err(|error| Failure::io("listen for signals", error))?;
        Ok(signals)
    }
}
