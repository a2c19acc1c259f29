//! Where the files of a model lie beside each other: on a disk, far away, in a test.
//!
//! Not a file system: it cannot list, only open by name, because that is all that a repository on a network can
//! do cheaply. The one design choice: models of several files are read through this trait, so that a split
//! model can be planned before it is downloaded.

use std::io;
use std::path::{Path, PathBuf};

use host::{FlashFile, ReadAt};

use crate::Error;

/// A place with files.
pub trait Folder {
    /// Opens the file `name`; [`io::ErrorKind::NotFound`] if there is none.
    fn open(&self, name: &str) -> io::Result<Box<dyn ReadAt>>;

    /// Whether the file `name`, links followed, still lies in this place, or where the file `model` leads to.
    fn holds(&self, model: &str, name: &str) -> io::Result<bool> {
        let _ = (model, name);
        Ok(true)
    }
}

/// A folder on this machine.
pub(crate) struct Local {
    pub(crate) path: PathBuf,
}

impl Folder for Local {
    fn open(&self, name: &str) -> io::Result<Box<dyn ReadAt>> {
        match FlashFile::open(self.path.join(name)) {
            Ok(file) => Ok(Box::new(file)),
            Err(host::Error::Open { source, .. }) => Err(source),
            Err(other) => Err(io::Error::other(other)),
        }
    }

    fn holds(&self, model: &str, name: &str) -> io::Result<bool> {
        let folder = if self.path.as_os_str().is_empty() { Path::new(".") } else { &self.path };
        let file = folder.join(name).canonicalize()?;
        // A cache of downloads has its files in one folder, and links to them in another.
        let there = folder.join(model).canonicalize()?;
        Ok(file.starts_with(folder.canonicalize()?) || file.parent() == there.parent())
    }
}

/// Why the file `name` could not be opened.
pub(crate) fn refused(name: &str, source: io::Error) -> Error {
    match source.kind() {
        io::ErrorKind::NotFound => Error::MissingFile { path: name.into() },
        _ => Error::Open { path: name.into(), source },
    }
}

/// Opens `name` if it is there.
pub(crate) fn find(folder: &dyn Folder, name: &str) -> Result<Option<Box<dyn ReadAt>>, Error> {
    match folder.open(name) {
        Ok(source) => Ok(Some(source)),
        Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::Open { path: name.into(), source }),
    }
}

/// Opens `name`, which a model consists of.
pub(crate) fn open(folder: &dyn Folder, name: &str) -> Result<Box<dyn ReadAt>, Error> {
    find(folder, name)?.ok_or_else(|| Error::MissingFile { path: name.into() })
}

/// Says in which file an error was found.
pub(crate) fn naming<T>(name: &str, result: Result<T, Error>) -> Result<T, Error> {
    result.map_err(|source| Error::In { path: name.into(), source: Box::new(source) })
}

/// Says in which folder the file of an error lies.
pub(crate) fn under(folder: &Path, error: Error) -> Error {
    match error {
        Error::In { path, source } => Error::In { path: folder.join(path), source },
        Error::MissingFile { path } => Error::MissingFile { path: folder.join(path) },
        Error::NoWeights { path } => Error::NoWeights { path: folder.join(path) },
        Error::Open { path, source } => Error::Open { path: folder.join(path), source },
        Error::OutsideFolder { path } => Error::OutsideFolder { path: folder.join(path) },
        other => other,
    }
}

/// Files in memory.
#[cfg(test)]
pub(crate) type Files = std::collections::BTreeMap<String, Vec<u8>>;

#[cfg(test)]
impl Folder for Files {
    fn open(&self, name: &str) -> io::Result<Box<dyn ReadAt>> {
        Ok(Box::new(self.get(name).ok_or(io::ErrorKind::NotFound)?.clone()))
    }
}
