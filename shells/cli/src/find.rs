//! The model that a command line names, as files on this disk.
//!
//! What it is: the first word or `-m`, resolved. What it is not: the fetching, which runs in a process of its own, so
//! that its memory and the page cache that it filled are gone before a model is loaded. The one design choice: a user
//! who names a budget gets no download behind his back.

use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use hub::{Hub, Local, Reference, RemoteFile, Settings};
use pintpot::{Engine, Examined, Folder, Opened};

use crate::exit::{Code, Failure};
use crate::flags::{self, Args};

/// The reference on the command line and the operands after it; what is typed wins over the environment.
pub(crate) fn named(args: &Args) -> Result<(Reference, &[String]), Failure> {
    let (text, rest) = match (args.typed(&flags::MODEL), args.operands.as_slice()) {
        (Some(model), operands) => (model, operands),
        (None, [model, rest @ ..]) => (model.as_str(), rest),
        (None, []) => match args.get(&flags::MODEL) {
            Some(model) => (model, [].as_slice()),
            None => {
                return Err(Failure::usage("no model is named\n  pintpot pull smollm2 fetches a small one"));
            }
        },
    };
    Ok((Reference::parse(text)?, rest))
}

/// The hub as the environment describes it.
pub(crate) fn hub() -> Result<Hub, Failure> {
    Ok(Hub::new(Settings::from_env()?))
}

/// The model on this disk; it is fetched when it is not there and no budget was named.
pub(crate) fn local(reference: &Reference, args: &Args) -> Result<Local, Failure> {
    let hub = hub()?;
    if let Some(local) = hub.resolve(reference)? {
        return Ok(local);
    }
    if let Reference::Path(path) = reference {
        return Err(hub::Error::NoSuchPath { path: path.clone() }.into());
    }
    let budgeted = args.get(&flags::MEMORY).is_some_and(|memory| memory.trim() != "auto");
    if budgeted {
        let message = format!("{reference} is not on this machine, and fetching it is outside of a budget");
        return Err(Failure::new(
            Code::Missing,
            format!("{message}\n  fetch it first: pintpot pull {reference}"),
        ));
    }
    pull_apart(reference)?;
    let local = hub.resolve(reference)?;
    local.ok_or_else(|| Failure::new(Code::Missing, format!("{reference} was fetched but is not there")))
}

/// What requests call the model: not the path of a file, which is nobody's business.
pub(crate) fn served_name(reference: &Reference, found: &str) -> String {
    let stem = match reference {
        Reference::Path(path) => path.file_stem().and_then(|stem| stem.to_str()),
        _ => None,
    };
    stem.unwrap_or(found).to_string()
}

/// Runs `pintpot pull`.
fn pull_apart(reference: &Reference) -> Result<(), Failure> {
    let program = std::env::current_exe().map_err(|error| Failure::io("find this program", error))?;
    let mut pull = Command::new(program);
    pull.args(["pull", "--", &reference.to_string()]).stdin(Stdio::null()).stdout(Stdio::null());
    host::end_with_parent(&mut pull);
    let status = pull.status().map_err(|error| Failure::io("run pintpot pull", error))?;
    let code = match status.code() {
        Some(0) => return Ok(()),
        Some(2) => Code::Usage,
        Some(4) => Code::Missing,
        Some(5) => Code::Damaged,
        Some(6) => Code::Network,
        Some(130) | None => Code::Interrupted,
        Some(_) => Code::Failure,
    };
    // The other process has said why.
    Err(Failure::new(code, ""))
}

/// The model's header, from this disk or from its source; nothing is fetched.
pub(crate) fn opened(reference: &Reference, engine: &Engine) -> Result<Opened, Failure> {
    header(reference, |path| engine.open(path), |there, name| engine.open_in(there, name))
}

/// As [`opened`], and networks.
pub(crate) fn examined(reference: &Reference, engine: &Engine) -> Result<Examined, Failure> {
    header(reference, |path| engine.examine(path), |there, name| engine.examine_in(there, name))
}

fn header<T>(
    reference: &Reference,
    here: impl FnOnce(&Path) -> Result<T, pintpot::Error>,
    far: impl FnOnce(&There, &str) -> Result<T, pintpot::Error>,
) -> Result<T, Failure> {
    let hub = hub()?;
    match (hub.resolve(reference)?, reference) {
        (Some(local), _) => Ok(here(&local.path)?),
        (None, Reference::Path(path)) => Err(hub::Error::NoSuchPath { path: path.clone() }.into()),
        (None, _) => {
            let there = There(hub.remote(reference)?);
            let first = there.0.first().map_or("", |file| base_name(file.name()));
            let name = if first.ends_with(".safetensors") { "" } else { first };
            Ok(far(&there, name)?)
        }
    }
}

/// The files of a model at their source.
struct There(Vec<RemoteFile>);

impl Folder for There {
    fn open(&self, name: &str) -> io::Result<Box<dyn host::ReadAt>> {
        let file = self.0.iter().find(|file| base_name(file.name()) == name);
        file.map(|file| Box::new(file.clone()) as Box<dyn host::ReadAt>).ok_or(io::ErrorKind::NotFound.into())
    }
}

fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}
