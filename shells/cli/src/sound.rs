//! A sound that the command line names.
//!
//! Not the reading of samples. The one design choice: a file is read past the page cache, so that it costs what the account
//! says.

use std::io::{self, Read};
use std::path::Path;

use host::{FlashFile, ReadAt};

use crate::exit::Failure;

/// Standard input for `-`, otherwise the file.
pub(crate) fn open(name: &str) -> Result<Box<dyn Read>, Failure> {
    if name == "-" {
        return Ok(Box::new(io::stdin().lock()));
    }
    let file = FlashFile::open(Path::new(name)).map_err(pintpot::Error::from)?;
    Ok(Box::new(File { file, at: 0 }))
}

/// A file from its beginning to its end, past the page cache.
struct File {
    file: FlashFile,
    at: u64,
}

impl Read for File {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let left = self.file.len().saturating_sub(self.at);
        let count = usize::try_from(left).map_or(to.len(), |left| left.min(to.len()));
        self.file.read_exact_at(self.at, &mut to[..count])?;
        self.at += count as u64;
        Ok(count)
    }
}
