//! `pintpot stop MODEL`: a running server unloads a model, once those whom it answers have heard the end.
//!
//! What it is: one request to a server. What it is not: the end of the server, which a signal is. The one design choice: it is
//! Ollama's own way to say it, so this verb stops models there, too.

use serde_json::json;

use super::Verb;
use crate::client;
use crate::exit::Failure;
use crate::flags::{self, Args};

pub(super) const VERB: Verb = Verb {
    name: "stop",
    operands: &["MODEL"],
    summary: "have a running server unload a model",
    flags: &[&[&flags::HOST, &flags::PORT, &flags::API_KEY]],
    run,
};

fn run(args: &Args) -> Result<(), Failure> {
    let Some(model) = args.operands.first() else {
        return Err(Failure::usage("no model is named\n  pintpot ps lists those of a server"));
    };
    let body = json!({ "model": model, "keep_alive": 0, "stream": false });
    client::ask(args, "POST", "/api/generate", Some(&body))?;
    eprintln!("{model} is not loaded any more");
    Ok(())
}
