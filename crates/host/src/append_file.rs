//! A file that grows by whole pieces, by one process at a time, and is never held by the page cache.
//!
//! Not a log and not a format. The one design choice: as [`crate::NewFile`], what was written is forced to the disk and
//! dropped from the page cache now and then; but what is written stays, whatever comes, so that work can go on where it was
//! broken off.

use crate::error::Error;
use crate::sys;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Bytes that may wait to be written.
const WAITING: u64 = 1 << 20;

/// A file that only grows.
#[derive(Debug)]
pub struct AppendFile {
    file: File,
    path: PathBuf,
    len: u64,
    /// Bytes of those that are on the disk.
    safe: u64,
}

impl AppendFile {
    /// Opens `path`, or makes it, for this process alone.
    ///
    /// # Errors
    /// [`Error::Held`] if another process has it open so, [`Error::Append`] if it cannot be written.
    pub fn open(path: &Path) -> Result<AppendFile, Error> {
        let failed = |source| Error::Append { path: path.to_owned(), source };
        let file = OpenOptions::new().append(true).create(true).open(path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Error::Held { path: path.to_owned() }),
            // A file system without locks keeps nobody out.
            Err(TryLockError::Error(_)) => {}
        }
        let len = file.metadata().map_err(failed)?.len();
        Ok(AppendFile { file, path: path.to_owned(), len, safe: len })
    }

    /// Bytes that it has.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Cuts off what comes after `len` bytes.
    ///
    /// # Errors
    /// [`Error::Append`].
    pub fn cut(&mut self, len: u64) -> Result<(), Error> {
        self.file.set_len(len).map_err(|source| self.error(source))?;
        (self.len, self.safe) = (len, len.min(self.safe));
        Ok(())
    }

    /// Adds a piece, in one write if the system takes it so.
    ///
    /// # Errors
    /// [`Error::Append`], of a full disk too.
    pub fn add(&mut self, piece: &[u8]) -> Result<(), Error> {
        self.file.write_all(piece).map_err(|source| self.error(source))?;
        self.len += piece.len() as u64;
        if self.len - self.safe >= WAITING { self.settle() } else { Ok(()) }
    }

    /// Forces all to the disk.
    ///
    /// # Errors
    /// [`Error::Append`].
    pub fn settle(&mut self) -> Result<(), Error> {
        self.file.sync_data().map_err(|source| self.error(source))?;
        let page = sys::page_size() as u64;
        let start = self.safe - self.safe % page;
        sys::drop_cache(&self.file, start, self.len - start);
        self.safe = self.len;
        Ok(())
    }

    fn error(&self, source: io::Error) -> Error {
        Error::Append { path: self.path.clone(), source }
    }
}

impl Drop for AppendFile {
    /// A child that was split off meanwhile has the file open too, and the lock with it until it ends.
    fn drop(&mut self) {
        let _ = self.file.unlock();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_stay_and_one_process_writes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        let mut file = AppendFile::open(&path).unwrap();
        assert!(file.is_empty() && matches!(AppendFile::open(&path), Err(Error::Held { .. })));
        file.add(b"one\n").unwrap();
        file.add(&vec![b'x'; WAITING as usize]).unwrap();
        file.cut(4).unwrap();
        drop(file);
        let mut file = AppendFile::open(&path).unwrap();
        assert_eq!(file.len(), 4);
        file.add(b"two\n").unwrap();
        file.settle().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"one\ntwo\n");
        assert!(matches!(AppendFile::open(folder.path()), Err(Error::Append { .. })));
    }
}
