//! A model on this disk.
//!
//! What it is: the files of one model and the name that finds them again. What it is not: a look inside them. The one
//! design choice: `path` is what a reader opens, the first file of a split GGUF or the folder of a safetensors model.

use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// A model that is on this machine, whole.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Local {
    /// The reference that names it.
    pub name: String,
    /// What to open: a file, or the folder of a safetensors model.
    pub path: PathBuf,
    /// All its files, the first shard first.
    pub files: Vec<PathBuf>,
    /// Length of all files, in bytes.
    pub bytes: u64,
}

impl Local {
    /// A model made of these files, all of which exist.
    pub(crate) fn of(name: String, files: Vec<PathBuf>) -> Result<Local> {
        let mut bytes = 0;
        for file in &files {
            bytes += std::fs::metadata(file).map_err(|error| Error::io("read", file, error))?.len();
        }
        let first = files.first().cloned().unwrap_or_default();
        let is_folder = first.extension().is_some_and(|extension| extension == "safetensors");
        let path = if is_folder { first.parent().unwrap_or(Path::new("")).to_path_buf() } else { first };
        Ok(Local { name, path, files, bytes })
    }
}
