//! A file on its way: written beside its place, hashed as it grows, moved into place when it is whole.
//!
//! What it is: resume, digest, lock, fsync and rename in one place, so that a file under its final name is always
//! whole. What it is not: a cache. The one design choice: an interrupted file is hashed again from disk on resume,
//! which needs no side file that could disagree with it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::progress::{Doing, Event, Progress};
use crate::{Error, Result};

/// Bytes of every copy buffer.
pub(crate) const BUFFER: usize = 64 << 10;

/// How often a copy reports, in bytes.
const REPORT: u64 = 1 << 20;

/// What a whole file must be; what is not known is not checked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Expected {
    pub bytes: Option<u64>,
    /// Lower-case hexadecimal.
    pub sha256: Option<String>,
}

/// An unfinished file. Dropped before [`Partial::finish`], it stays on disk for the next attempt.
pub(crate) struct Partial {
    file: File,
    path: PathBuf,
    hash: Sha256,
    len: u64,
}

impl Partial {
    /// Opens the unfinished file at `path`, keeping the first `keep(length)` bytes of what an earlier attempt left.
    pub fn open(path: &Path, keep: impl FnOnce(u64) -> u64, progress: &mut dyn Progress) -> Result<Partial> {
        let fail = |error| Error::io("create", path, error);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(|error| Error::io("create", folder, error))?;
        }
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(fail)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Error::Busy { path: path.to_path_buf() }),
            // A file system without locks, such as some network ones.
            Err(TryLockError::Error(_)) => {}
        }
        let found = file.metadata().map_err(fail)?.len();
        let mut partial = Partial { file, path: path.to_path_buf(), hash: Sha256::new(), len: 0 };
        partial.rehash(keep(found).min(found), progress)?;
        Ok(partial)
    }

    /// Bytes written so far.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Throws away what has been written.
    pub fn restart(&mut self) -> Result<()> {
        self.rehash(0, &mut ())
    }

    /// Appends everything that `from` yields, counting from the present length in `progress`.
    ///
    /// # Errors
    /// The outer error is this machine's (the file cannot be written), the inner one is `from`'s.
    pub fn append(
        &mut self,
        from: &mut dyn Read,
        progress: &mut dyn Progress,
    ) -> Result<std::io::Result<()>> {
        let mut buffer = vec![0; BUFFER];
        let mut reported = self.len;
        loop {
            let count = match from.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Ok(Err(error)),
            };
            let bytes = &buffer[..count];
            self.file.write_all(bytes).map_err(|error| Error::io("write", &self.path, error))?;
            self.hash.update(bytes);
            self.len += count as u64;
            if self.len - reported >= REPORT {
                reported = self.len;
                progress.on(Event::At { bytes: self.len });
            }
        }
        progress.on(Event::At { bytes: self.len });
        Ok(Ok(()))
    }

    /// Checks the file and moves it to `target`, atomically. A file that is not as expected is thrown away.
    pub fn finish(self, target: &Path, expected: &Expected) -> Result<()> {
        if let Err(error) = self.check(target, expected) {
            fs::remove_file(&self.path).map_err(|error| Error::io("remove", &self.path, error))?;
            return Err(error);
        }
        self.file.sync_all().map_err(|error| Error::io("write", &self.path, error))?;
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder).map_err(|error| Error::io("create", folder, error))?;
        }
        fs::rename(&self.path, target).map_err(|error| Error::io("rename", target, error))
    }

    fn check(&self, target: &Path, expected: &Expected) -> Result<()> {
        let name = || target.file_name().unwrap_or(target.as_os_str()).to_string_lossy().into_owned();
        if let Some(bytes) = expected.bytes.filter(|bytes| *bytes != self.len) {
            return Err(Error::WrongSize { name: name(), expected: bytes, got: self.len });
        }
        let got = hex(&self.hash.clone().finalize());
        match &expected.sha256 {
            Some(sha256) if *sha256 != got => {
                Err(Error::WrongHash { name: name(), expected: sha256.clone(), got })
            }
            _ => Ok(()),
        }
    }

    /// Cuts the file at `len` and makes the digest that of what is left.
    fn rehash(&mut self, len: u64, progress: &mut dyn Progress) -> Result<()> {
        let fail = |error| Error::io("resume", &self.path, error);
        self.file.set_len(len).map_err(fail)?;
        self.file.seek(SeekFrom::Start(0)).map_err(fail)?;
        self.hash = Sha256::new();
        self.len = 0;
        if len > 0 {
            let name = self.path.file_stem().unwrap_or_default().to_string_lossy();
            progress.on(Event::Stage { doing: Doing::Checking, what: &name, total: Some(len) });
        }
        let mut buffer = vec![0; if len == 0 { 0 } else { BUFFER }];
        while self.len < len {
            let count = self.file.read(&mut buffer).map_err(fail)?;
            if count == 0 {
                return Err(fail(std::io::ErrorKind::UnexpectedEof.into()));
            }
            self.hash.update(&buffer[..count]);
            self.len += count as u64;
            progress.on(Event::At { bytes: self.len });
        }
        Ok(())
    }
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `printf abcdef | sha256sum`
    const ABCDEF: &str = "bef57ec7f53a6d40beb640a780a639c83bc29ac8a9816f1fc6c5c6dcd93c4721";

    fn expected(bytes: u64, sha256: &str) -> Expected {
        Expected { bytes: Some(bytes), sha256: Some(sha256.into()) }
    }

    #[test]
    fn resumes_checks_and_moves() {
        let dir = tempfile::tempdir().unwrap();
        let (part, target) = (dir.path().join("d/x.part"), dir.path().join("e/x"));
        let mut partial = Partial::open(&part, |len| len, &mut ()).unwrap();
        partial.append(&mut &b"abcXX"[..], &mut ()).unwrap().unwrap();
        assert!(matches!(Partial::open(&part, |len| len, &mut ()), Err(Error::Busy { .. })));
        drop(partial);

        let mut partial = Partial::open(&part, |_| 3, &mut ()).unwrap();
        assert_eq!(partial.len(), 3);
        partial.append(&mut &b"def"[..], &mut ()).unwrap().unwrap();
        partial.finish(&target, &expected(6, ABCDEF)).unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"abcdef");
        assert!(!part.exists());
    }

    #[test]
    fn a_wrong_file_is_thrown_away() {
        let dir = tempfile::tempdir().unwrap();
        let (part, target) = (dir.path().join("x.part"), dir.path().join("x"));
        for expected in [expected(6, &ABCDEF.replace('b', "c")), expected(7, ABCDEF)] {
            let mut partial = Partial::open(&part, |len| len, &mut ()).unwrap();
            partial.append(&mut &b"abcdef"[..], &mut ()).unwrap().unwrap();
            let error = partial.finish(&target, &expected).unwrap_err();
            assert_eq!(error.class(), crate::Class::Damaged);
            assert!(!part.exists() && !target.exists());
        }
    }

    #[test]
    fn an_unwritable_folder_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(matches!(
            Partial::open(&file.join("x.part"), |len| len, &mut ()),
            Err(Error::Io { doing: "create", .. })
        ));
    }
}
