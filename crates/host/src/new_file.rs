//! A file being made: beside its place until it is whole, and never held by the page cache.
//!
//! Not a cache and not a format. The one design choice: what was written is forced to the disk and dropped from the page
//! cache every few MiB, since pages that wait to be written count against a budget; dropped before the end, the file is
//! removed.

use crate::error::Error;
use crate::sys;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Bytes that may wait to be written.
const WAITING: u64 = 4 << 20;

/// A file that takes its name when it is finished.
#[derive(Debug)]
pub struct NewFile {
    file: File,
    target: PathBuf,
    partial: PathBuf,
    /// Bytes written.
    len: u64,
    /// Bytes of those that are on the disk.
    safe: u64,
    is_whole: bool,
}

impl NewFile {
    /// Begins a file that will be `target`, which must not exist.
    ///
    /// # Errors
    /// [`Error::Write`] if it exists, or cannot be made there.
    pub fn create(target: &Path) -> Result<NewFile, Error> {
        if target.symlink_metadata().is_ok() {
            return Err(Error::Write {
                path: target.to_owned(),
                source: io::ErrorKind::AlreadyExists.into(),
            });
        }
        NewFile::replace(target)
    }

    /// Begins a file that will be `target`; what is there stays until then.
    ///
    /// # Errors
    /// [`Error::Write`] if it cannot be made there.
    pub fn replace(target: &Path) -> Result<NewFile, Error> {
        let failed = |source| Error::Write { path: target.to_owned(), source };
        let mut name =
            target.file_name().ok_or_else(|| failed(io::ErrorKind::InvalidInput.into()))?.to_owned();
        name.push(".partial");
        let partial = target.with_file_name(name);
        let open = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&partial);
        let (file, target) = (open.map_err(failed)?, target.to_owned());
        Ok(NewFile { file, target, partial, len: 0, safe: 0, is_whole: false })
    }

    /// Where it is until it is finished.
    pub fn path(&self) -> &Path {
        &self.partial
    }

    /// An error of writing, with the name that the file is to have.
    pub fn error(&self, source: io::Error) -> Error {
        Error::Write { path: self.target.clone(), source }
    }

    /// Writes over what was written before.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn patch(&mut self, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        let patched = (|| {
            self.file.seek(SeekFrom::Start(offset))?;
            self.file.write_all(bytes)?;
            self.file.seek(SeekFrom::End(0))
        })();
        patched.map(drop).map_err(|source| self.error(source))
    }

    /// Forces all to the disk.
    ///
    /// # Errors
    /// [`Error::Write`], of a full disk too.
    pub fn settle(&mut self) -> Result<(), Error> {
        self.force().map_err(|source| self.error(source))
    }

    /// Gives it its name, atomically.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn finish(mut self) -> Result<(), Error> {
        self.settle()?;
        fs::rename(&self.partial, &self.target).map_err(|source| self.error(source))?;
        self.is_whole = true;
        Ok(())
    }

    fn force(&mut self) -> io::Result<()> {
        self.file.sync_data()?;
        let page = sys::page_size() as u64;
        let start = self.safe - self.safe % page;
        sys::drop_cache(&self.file, start, self.len - start);
        self.safe = self.len;
        Ok(())
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.len += written as u64;
        if self.len - self.safe >= WAITING {
            self.force()?;
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.is_whole {
            let _ = fs::remove_file(&self.partial); // nothing half-written is left
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_takes_its_name_when_it_is_whole_and_leaves_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("a.gguf");
        let names = || fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect::<Vec<_>>();
        let mut file = NewFile::create(&target).unwrap();
        file.write_all(&[1; 9_000_000]).unwrap();
        assert_eq!(names(), ["a.gguf.partial"]);
        drop(file);
        assert!(names().is_empty());
        let mut file = NewFile::create(&target).unwrap();
        file.write_all(&[1; 5000]).unwrap();
        file.patch(4998, &[2]).unwrap();
        file.write_all(&[3]).unwrap();
        file.finish().unwrap();
        assert_eq!(names(), ["a.gguf"]);
        assert_eq!(fs::read(&target).unwrap()[4997..], [1, 2, 1, 3]);
        assert!(matches!(NewFile::create(&target), Err(Error::Write { .. })), "it is not written over");
    }
}
