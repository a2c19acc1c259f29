//! `pintpot run`: an answer, or a conversation.
//!
//! What it is: find, load, ask, print. What it is not: anything that the library does. The one design choice: only the
//! answer goes to standard output, so that it can be piped.

use std::io::{IsTerminal, Read};

use pintpot::{Message, Yielding};

use super::{Verb, data};
use crate::budget::Reread;
use crate::chat::{Chat, Overflow, speak};
use crate::exit::Failure;
use crate::flags::{self, Args};
use crate::interrupt::Interrupt;
use crate::{arrays, find, load, paint, pictures, report, setup, sounds};

pub(super) const VERB: Verb = Verb {
    name: "run",
    operands: &["MODEL", "[PROMPT]"],
    summary: "answer a prompt, chat when there is none, or run a network on arrays, a picture, a sound or a text",
    flags: &[
        setup::LOAD,
        setup::ENGINE,
        &[
            &flags::FORESEE,
            &flags::GRAMMAR,
            &flags::GRAMMAR_FILE,
            &flags::JSON_SCHEMA,
            &flags::JSON_SCHEMA_FILE,
            &flags::PROMPT,
            &flags::TOKENS,
            &flags::SYSTEM,
            &flags::RAW,
            &flags::STOP,
            &flags::IGNORE_EOS,
            &flags::OVERFLOW,
            &flags::YIELD,
        ],
        setup::SAMPLING,
        setup::ECONOMY,
        arrays::FLAGS,
        pictures::FLAGS,
        data::FLAGS,
        &[&flags::OUT, &flags::THRESHOLD, &flags::TOP, &flags::OUT_DIR, &flags::JSON, &flags::STATS],
    ],
    run,
};

/// The longest prompt that is read from standard input, in bytes.
const LONGEST: u64 = 16 << 20;

fn run(args: &Args) -> Result<(), Failure> {
    if let Some((work, args)) = data::verb(args)? {
        return work(&args);
    }
    let interrupt = Interrupt::new()?;
    let (reference, rest) = find::named(args)?;
    if let Some(network) = arrays::found(&reference, args)? {
        if let Some(prompt) = args.get(&flags::PROMPT).or(rest.first().map(String::as_str)) {
            return Err(Failure::usage(format!(
                "{prompt:?}: a network takes no prompt\n  give arrays with --input NAME=FILE.npy"
            )));
        }
        return match (args.get(&flags::IMAGE), args.get(&flags::AUDIO)) {
            (Some(image), _) => pictures::run(&network, image, args),
            (None, Some(sound)) => sounds::run(&network, sound, args),
            (None, None) => match paint::asked(&network, args)? {
                Some(pipeline) => paint::run(&network, &pipeline, args),
                None => arrays::run(&network, args),
            },
        };
    }
    let typed = args.get(&flags::PROMPT).or(rest.first().map(String::as_str));
    let raw = args.is_on(&flags::RAW);
    let prompt = prompt(typed, raw)?;
    let (options, generate, overflow) = (setup::load(args)?, setup::generate(args)?, Overflow::of(args)?);
    if prompt.is_none() && args.is_on(&flags::JSON) {
        return Err(Failure::usage("--json needs a prompt\n  add one after the model, or pipe it in"));
    }
    let reread = Reread::new(args.get(&flags::MEMORY).unwrap_or("auto"))?;
    let engine = setup::engine(args)?;
    let local = find::local(&reference, args)?;
    let opened = engine.open(&local.path)?;
    let mut model = load::opened(&local.name, &engine, opened, &options, args)?;
    if args.is_on(&flags::YIELD) {
        let none = || Failure::usage("--yield: this system does not tell whether it is short of memory");
        model.follow(Yielding::new(reread, engine.budget().bytes).ok_or_else(none)?);
    } else {
        model.follow(reread);
    }
    let stats = args.is_on(&flags::STATS);
    if stats || std::io::stderr().is_terminal() {
        eprintln!("{}", report::start_line(model.placement()));
    }
    let mut messages = opening(&model, args.get(&flags::SYSTEM));
    let Some(prompt) = prompt else {
        let (engine, model, interrupt) = (&engine, &mut model, &interrupt);
        let name = &local.name;
        let mut chat = Chat { name, engine, model, options: generate, overflow, interrupt, messages, stats };
        return chat.run(&mut std::io::stdin().lock());
    };
    messages.push(Message::new("user", &prompt));
    let ids = if raw { model.encode(&prompt)? } else { model.encode_chat(&messages)? };
    drop((prompt, messages));
    let json = args.is_on(&flags::JSON);
    let answer = model.generate(&ids, &generate, &mut |text| match json {
        true => pintpot::Flow::Continue,
        false => speak(text, &interrupt),
    })?;
    let report = || report::answer(&local.name, &engine, &model, &answer);
    if json {
        return crate::print(&format!("{}\n", report()));
    }
    crate::print("\n")?;
    if stats {
        eprint!("{}", report::lines(&report()));
    }
    Ok(())
}

/// The prompt: what was typed, or standard input, whose last line end counts only in a `raw` prompt; `None` when there
/// is a person to talk to.
fn prompt(typed: Option<&str>, raw: bool) -> Result<Option<String>, Failure> {
    let empty = || Failure::usage("the prompt is empty\n  say something after the model, or pipe it in");
    let prompt = match typed {
        Some(text) if text != "-" => text.to_string(),
        None if std::io::stdin().is_terminal() => return Ok(None),
        _ => {
            let mut text = String::new();
            let read = std::io::stdin().lock().take(LONGEST).read_to_string(&mut text);
            read.map_err(|error| Failure::io("read standard input", error))?;
            if !raw {
                text.truncate(text.trim_end_matches(['\n', '\r']).len());
            }
            text
        }
    };
    if prompt.trim().is_empty() { Err(empty()) } else { Ok(Some(prompt)) }
}

/// What a conversation opens with: the user's system message; nothing of ours if that is empty, so that the model's
/// template speaks for itself; else a plain one, if the template takes it.
fn opening(model: &pintpot::Model, said: Option<&str>) -> Vec<Message> {
    let text = said.unwrap_or(flags::DEFAULT_SYSTEM);
    let system = Message::new("system", text);
    let taken = || model.encode_chat(&[system.clone(), Message::new("user", "?")]).is_ok();
    let wanted = !text.is_empty() && model.has_template() && (said.is_some() || taken());
    if wanted { vec![system] } else { Vec::new() }
}
