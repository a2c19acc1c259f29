//! `pintpot serve`: answers over HTTP until it is told to end.
//!
//! What it is: find, load, listen. What it is not: the server, which is a library. The one design choice: the connections are
//! in the budget before the model is placed, so what fits the rest fits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pintpot::{Crowd, LoadOptions};
use pintpot_server::{Facts, Limits, Served, Server};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use super::Verb;
use crate::budget::Reread;
use crate::exit::{Code, Failure};
use crate::flags::{self, Args};
use crate::{find, load, report, setup};

pub(super) const VERB: Verb = Verb {
    name: "serve",
    operands: &["MODEL"],
    summary: "answer requests over HTTP, in the words of OpenAI, Anthropic and Ollama",
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
            &flags::TOKENS,
        ],
        setup::ECONOMY,
    ],
    run,
};

/// Answers in one step at most, since prompts and answers share the rows of a step.
const PARALLEL: std::ops::RangeInclusive<u32> = 1..=64;
const PORT: u16 = 8080;

fn run(args: &Args) -> Result<(), Failure> {
    let (reference, _) = find::named(args)?;
    let options = setup::load(args)?;
    let limits = limits(args, &options)?;
    let crowd = crowd(args, &limits)?;
    let options = LoadOptions { crowd: Some(crowd), ..options };
    let reread = Reread::new(args.get(&flags::MEMORY).unwrap_or("auto"))?;
    let signals = Signals::new()?;
    let engine = setup::engine(args)?;
    let local = find::local(&reference, args)?;
    let opened = engine.open(&local.path)?;
    let mut facts = Facts {
        architecture: opened.file.architecture.to_string(),
        parameters: opened.parameters(),
        quantization: opened.main_type().map(|dtype| dtype.to_string()).unwrap_or_default(),
        file_bytes: opened.file_bytes(),
        context: 0,
        tools: false,
    };
    let mut model = load::opened(&local.name, &engine, opened, &options, args)?;
    (facts.context, facts.tools) = (model.context(), model.takes_tools());
    model.follow(reread);
    eprintln!("{}", report::start_line(model.placement()));
    let served = Served {
        name: find::served_name(&reference, &local.name),
        host: args.get(&flags::HOST).unwrap_or("127.0.0.1").to_string(),
        port: args.read(&flags::PORT, "a port, from 0 to 65535")?.unwrap_or(PORT),
        api_keys: args.all(&flags::API_KEY).map(str::to_string).collect(),
        queue: crowd.queue,
        max_tokens: args.read(&flags::TOKENS, "a number of tokens")?,
        limits,
    };
    let (name, open) = (served.name.clone(), served.api_keys.is_empty());
    let server = Server::new(served, facts, engine.ledger().clone(), model)?;
    if let Some(address) = server.address() {
        eprintln!("{name} answers at http://{address}");
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

fn crowd(args: &Args, limits: &Limits) -> Result<Crowd, Failure> {
    let default = Crowd::default();
    let crowd = Crowd {
        answers: args.read(&flags::PARALLEL, "a number of answers")?.unwrap_or(default.answers),
        queue: args.read(&flags::QUEUE, "a number of requests")?.unwrap_or(default.queue),
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
