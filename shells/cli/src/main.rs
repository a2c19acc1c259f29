//! `pintpot`, the program: words in, words out.
//!
//! What it is: flags, printing and exit codes around the library. What it is not: a place for decisions about models
//! or memory; a user of the library can do in a few lines what every verb does. The one design choice: verbs and flags
//! are two lists ([`verbs::VERBS`], [`flags::FLAGS`]), and parsing, environment twins and help all read them.

#![forbid(unsafe_code)]

mod arrays;
mod bar;
mod budget;
mod chat;
mod client;
mod config;
mod encoders;
mod exit;
mod find;
mod flags;
mod help;
mod interrupt;
mod load;
mod network;
#[cfg(test)]
mod pages;
mod paint;
mod pictures;
mod profile;
mod refusal;
mod report;
mod setup;
mod size;
mod sound;
mod sounds;
mod speech;
mod verbs;
mod whole;

use exit::Failure;
use flags::Args;

#[global_allocator]
static ALLOCATOR: host::CountingAlloc = host::CountingAlloc;

fn main() -> std::process::ExitCode {
    host::tune_malloc();
    host::refuse_huge_pages();
    exit::report(run())
}

fn run() -> Result<(), Failure> {
    let mut words = std::env::args_os().skip(1).peekable();
    let word = words.next().unwrap_or_default();
    let word = word.to_string_lossy();
    match word.as_ref() {
        "" | "--help" | "-h" | "help" => print(&help::overview()),
        "--version" | "-V" => print(concat!("pintpot ", env!("CARGO_PKG_VERSION"), "\n")),
        name => {
            let two = words.peek().map(|next| format!("{name} {}", next.to_string_lossy()));
            let named = |name: &str| verbs::VERBS.iter().find(|verb| verb.name == name);
            let longer = two.and_then(|two| named(&two));
            if longer.is_some() {
                words.next();
            }
            let Some(verb) = longer.or_else(|| named(name)) else {
                return Err(Failure::usage(format!(
                    "there is no verb {name:?}\n  pintpot --help lists them"
                )));
            };
            match Args::parse(verb, words)? {
                Some(args) => (verb.run)(&args),
                None => print(&help::of_verb(verb)),
            }
        }
    }
}

/// Writes to standard output; a reader that has seen enough is no failure.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    use std::io::{ErrorKind, Write};
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::io("write to standard output", error))
        }
        _ => Ok(()),
    }
}
