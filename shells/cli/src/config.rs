//! The file of settings: what flags are when neither the command line nor the environment says.
//!
//! What it is: `$XDG_CONFIG_HOME/pintpot/config.toml`, lines of `flag-name = value`. What it is not: all of TOML; there
//! are no tables. The one design choice: a line that names no flag is an error with its number, never ignored.

use std::path::{Path, PathBuf};

use crate::exit::Failure;
use crate::flags::FLAGS;

/// Flag names and their values, in the order of the file; empty if there is none.
pub(crate) fn load() -> Result<Vec<(String, String)>, Failure> {
    let Some(path) = path() else { return Ok(Vec::new()) };
    match std::fs::read_to_string(&path) {
        Ok(text) => parse(&text, &path),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(Failure::io(&format!("read {}", path.display()), error)),
    }
}

fn path() -> Option<PathBuf> {
    let config = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let config = config.or_else(|| Some(std::env::home_dir()?.join(".config")))?;
    Some(config.join("pintpot").join("config.toml"))
}

fn parse(text: &str, path: &Path) -> Result<Vec<(String, String)>, Failure> {
    let mut settings = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let bad = |why: &str| {
            Failure::usage(format!("{} line {number}: {why}\n  a line is flag-name = value", path.display()))
        };
        let (name, value) = line.split_once('=').ok_or_else(|| bad("there is no ="))?;
        let name = name.trim();
        if FLAGS.iter().all(|flag| flag.name != name) {
            return Err(bad(&format!("there is no flag {name:?}")));
        }
        let value = value.trim();
        let value = match value.strip_prefix('"') {
            Some(rest) => rest.strip_suffix('"').ok_or_else(|| bad("the text has no end"))?,
            None => value.split('#').next().unwrap_or(value).trim(),
        };
        settings.push((name.to_string(), value.to_string()));
    }
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_flags() {
        let path = Path::new("config.toml");
        let good = "# mine\nmemory = \"64MiB\"\n\ntop-k=5 # few\nstats = true\n";
        let read = parse(good, path).unwrap();
        let expected = [("memory", "64MiB"), ("top-k", "5"), ("stats", "true")];
        assert_eq!(read, expected.map(|(name, value)| (name.to_string(), value.to_string())));
        for (bad, said) in [("memory", "line 1"), ("a = 1", "no flag \"a\""), ("\nmemory = \"x", "line 2")] {
            let failure = parse(bad, path).unwrap_err();
            assert!(failure.message.contains(said), "{}", failure.message);
        }
    }
}
