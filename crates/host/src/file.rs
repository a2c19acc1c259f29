//! A file that is read without filling the page cache.
//!
//! Not a stream: [`crate::Stream`] reads ahead in large pieces; this is for headers, vocabularies and
//! single rows. The one design choice: one small bounce buffer makes every offset and length legal, and keeps
//! what it read, so that a parser may ask for eight bytes at a time. `open(2)`, O_DIRECT; `statx(2)`,
//! STATX_DIOALIGN.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use crate::error::Error;
use crate::fault::{Fault, Fuse};
use crate::sys::{self, Direct, Pages};

/// Bytes at offsets: a file, a remote file, a slice in a test.
pub trait ReadAt: Send + Sync {
    /// Length in bytes.
    fn len(&self) -> u64;

    /// Whether there are no bytes.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fills `buf` from `offset`; `UnexpectedEof` if the bytes end before.
    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()>;
}

impl ReadAt for [u8] {
    fn len(&self) -> u64 {
        <[u8]>::len(self) as u64
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let start = usize::try_from(offset).map_err(|_| io::ErrorKind::UnexpectedEof)?;
        let end = start.checked_add(buf.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        buf.copy_from_slice(self.get(start..end).ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

impl ReadAt for Vec<u8> {
    fn len(&self) -> u64 {
        ReadAt::len(self.as_slice())
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.as_slice().read_exact_at(offset, buf)
    }
}

/// How a file's bytes travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Past the page cache.
    Direct {
        /// Offsets, lengths and addresses are multiples of this many bytes.
        align: usize,
    },
    /// Through the page cache, each page dropped as soon as it was copied.
    Buffered {
        /// Why not direct.
        why: &'static str,
    },
}

/// A file open for reading, by any thread.
#[derive(Debug)]
pub struct FlashFile {
    file: File,
    path: PathBuf,
    len: u64,
    /// When it was last written to, if the system tells.
    modified: Option<SystemTime>,
    mode: Mode,
    /// Whether reads may leave pages in the page cache: they do if buffered, and might if the system only
    /// claims to read past it.
    leaves_cache: bool,
    bounce: Mutex<Bounce>,
    bytes_read: AtomicU64,
    fuse: Fuse,
}

impl FlashFile {
    /// Bytes of the bounce buffer, the only memory that an open file holds.
    pub const BOUNCE: usize = 64 << 10;

    /// Opens `path`, past the page cache where the file system grants it.
    pub fn open(path: impl AsRef<Path>) -> Result<FlashFile, Error> {
        let path = path.as_ref();
        let failed = |source| Error::Open { path: path.to_owned(), source };
        let (file, direct) = sys::open_direct(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if metadata.is_dir() {
            return Err(failed(io::ErrorKind::IsADirectory.into()));
        }
        let mut bounce = Bounce::new().map_err(failed)?;
        let promised = matches!(direct, Direct::Align(_));
        let align = match direct {
            Direct::Align(align) if usable(align) => Ok(align),
            Direct::Align(_) => Err("its O_DIRECT wants a larger alignment than a page"),
            Direct::Unknown => bounce.probe(&file).ok_or("its O_DIRECT takes no alignment up to a page"),
            Direct::No(why) => Err(why),
        };
        let (file, mode) = match align {
            Ok(align) => (file, Mode::Direct { align }),
            Err(why) => (sys::open_buffered(path).map_err(failed)?, Mode::Buffered { why }),
        };
        Ok(FlashFile {
            file,
            path: path.to_owned(),
            len: metadata.len(),
            modified: metadata.modified().ok(),
            mode,
            leaves_cache: !promised || matches!(mode, Mode::Buffered { .. }),
            bounce: Mutex::new(bounce),
            bytes_read: AtomicU64::new(0),
            fuse: Fuse::new(),
        })
    }

    /// Whether it is what it was when it was opened. A file that took its name meanwhile does not matter.
    ///
    /// # Errors
    /// [`Error::Changed`] if somebody wrote to it or cut it off.
    pub fn check(&self) -> Result<(), Error> {
        let same = self
            .file
            .metadata()
            .is_ok_and(|metadata| metadata.len() == self.len && metadata.modified().ok() == self.modified);
        if same { Ok(()) } else { Err(Error::Changed { path: self.path.clone() }) }
    }

    /// The path it was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How its bytes travel.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// What offsets, lengths and addresses of a read must be multiples of; 1 if anything goes.
    pub fn align(&self) -> usize {
        match self.mode {
            Mode::Direct { align } => align,
            Mode::Buffered { .. } => 1,
        }
    }

    /// Bytes that came from this file so far, by every way.
    pub fn bytes_read(&self) -> u64 {
        self.bytes_read.load(Relaxed)
    }

    /// Fault injection: as [`crate::fail_read_after`], of this file's reads alone.
    pub fn fail_read_after(&self, n: u64, fault: Fault) -> u64 {
        self.fuse.arm(n, fault)
    }

    /// One read into aligned memory, as long as the system pleases; 0 at the end. `offset`, the address and
    /// the length of `buf` are multiples of [`FlashFile::align`].
    pub(crate) fn read_some(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let wanted = self.before_read(buf.len())?;
        let read = self.read_raw(offset, &mut buf[..wanted])?;
        self.after_read(offset, read);
        Ok(read)
    }

    /// The system call alone, for a reader that books for itself.
    pub(crate) fn read_raw(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        sys::read_at(&self.file, buf, offset)
    }

    /// The same file for a reader that means to use the page cache, and cleans up after itself.
    pub(crate) fn through_cache(&self) -> io::Result<File> {
        sys::reopen_buffered(&self.file)
    }

    /// What to do before a read of `len` bytes, whoever does it: the length to ask for, or the planned fault.
    pub(crate) fn before_read(&self, len: usize) -> io::Result<usize> {
        match self.fuse.burn() {
            None => Ok(len),
            Some(Fault::Error) => Err(io::Error::from_raw_os_error(Fault::EIO)),
            // Half, but not nothing: that would be the end of the file.
            Some(Fault::Short) => Ok((len / 2).max(1).next_multiple_of(self.align()).min(len)),
            Some(Fault::Slow) => {
                std::thread::sleep(Fault::DELAY);
                Ok(len)
            }
        }
    }

    /// What to do after `read` bytes came from `offset`.
    pub(crate) fn after_read(&self, offset: u64, read: usize) {
        self.bytes_read.fetch_add(read as u64, Relaxed);
        if self.leaves_cache && read > 0 {
            // Only pages that lie in the range as a whole are dropped.
            let page = sys::page_size() as u64;
            let end = (offset + read as u64).next_multiple_of(page);
            let start = offset - offset % page;
            sys::drop_cache(&self.file, start, end - start);
        }
    }

    #[cfg(target_os = "linux")]
    pub(crate) fn descriptor(&self) -> std::os::fd::RawFd {
        std::os::fd::AsRawFd::as_raw_fd(&self.file)
    }

    fn lock(&self) -> MutexGuard<'_, Bounce> {
        self.bounce.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ReadAt for FlashFile {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let mut bounce = self.lock();
        let sequential = bounce.next == offset;
        let (mut at, mut rest) = (offset, buf);
        while !rest.is_empty() {
            let ready = bounce.at(at);
            if ready.is_empty() {
                let wanted = if sequential { FlashFile::BOUNCE } else { rest.len() };
                bounce.fill(self, at, wanted)?;
                continue;
            }
            let copied = ready.len().min(rest.len());
            rest[..copied].copy_from_slice(&ready[..copied]);
            rest = &mut rest[copied..];
            at += copied as u64;
        }
        bounce.next = at;
        Ok(())
    }
}

/// Whether reads aligned so can pass through a page-aligned buffer of [`FlashFile::BOUNCE`].
fn usable(align: usize) -> bool {
    align.is_power_of_two() && align <= sys::page_size()
}

/// The latest bytes of a file, in aligned memory.
#[derive(Debug)]
struct Bounce {
    pages: Pages,
    /// File offset of the first byte.
    offset: u64,
    /// How many bytes of the file are here.
    len: usize,
    /// Where the last request ended: the next one is sequential if it begins there.
    next: u64,
}

impl Bounce {
    fn new() -> io::Result<Bounce> {
        Ok(Bounce { pages: Pages::new(FlashFile::BOUNCE)?, offset: 0, len: 0, next: 0 })
    }

    fn memory(&mut self) -> &mut [u8] {
        // SAFETY: the pages are mapped, zeroed, FlashFile::BOUNCE long, and borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.pages.start(), FlashFile::BOUNCE) }
    }

    /// The bytes that are here from file offset `at` on.
    fn at(&self, at: u64) -> &[u8] {
        // SAFETY: as in `memory`, shared.
        let bytes = unsafe { std::slice::from_raw_parts(self.pages.start(), self.len) };
        let skip = at.checked_sub(self.offset).and_then(|skip| usize::try_from(skip).ok());
        skip.and_then(|skip| bytes.get(skip..)).unwrap_or(&[])
    }

    /// Reads so that at least one byte from `at` on is here, up to `wanted` if they fit.
    fn fill(&mut self, file: &FlashFile, at: u64, wanted: usize) -> io::Result<()> {
        let align = file.align();
        let skip = (at % align as u64) as usize;
        let len = skip.saturating_add(wanted).min(FlashFile::BOUNCE).next_multiple_of(align);
        self.len = 0;
        self.offset = at - skip as u64;
        let offset = self.offset;
        loop {
            match file.read_some(offset, &mut self.memory()[..len]) {
                Ok(read) if read > skip => {
                    self.len = read;
                    return Ok(());
                }
                Ok(_) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The smallest alignment that `file` accepts.
    fn probe(&mut self, file: &File) -> Option<usize> {
        [512, 4096].into_iter().find(|&align| sys::read_at(file, &mut self.memory()[..align], 0).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    /// A file of `len` bytes that follow a rule, in `folder`.
    fn sample(folder: &Path, len: usize) -> (tempfile::NamedTempFile, Vec<u8>) {
        let bytes: Vec<u8> = (0..len).map(|i| (i * 7 + i / 251) as u8).collect();
        let mut file = tempfile::NamedTempFile::new_in(folder).unwrap();
        file.write_all(&bytes).unwrap();
        file.as_file().sync_all().unwrap();
        (file, bytes)
    }

    /// Where tests keep files: the disk under the build folder, and memory where there is such a place.
    fn folders() -> Vec<PathBuf> {
        let mut folders = vec![std::env::temp_dir(), std::env::current_dir().unwrap()];
        folders.extend(Some(PathBuf::from("/dev/shm")).filter(|path| path.is_dir()));
        folders
    }

    #[test]
    fn any_range_reads_the_same_everywhere() {
        for folder in folders() {
            let (file, bytes) = sample(&folder, 3 * FlashFile::BOUNCE + 77);
            let flash = FlashFile::open(file.path()).unwrap();
            assert_eq!(flash.len(), bytes.len() as u64);
            let end = bytes.len();
            let ranges = [
                0..0,
                0..1,
                1..9,
                511..513,
                9..20,
                0..end,
                65_535..65_537,
                end - 1..end,
                end..end,
                4096..8192,
            ];
            for range in ranges {
                let mut got = vec![0; range.len()];
                flash.read_exact_at(range.start as u64, &mut got).unwrap();
                assert_eq!(got, bytes[range.clone()], "{range:?} of {:?}", flash.mode());
            }
            for (offset, len) in [(end as u64, 1), (end as u64 - 1, 2), (u64::MAX - 3, 2), (1 << 60, 1)] {
                let error = flash.read_exact_at(offset, &mut vec![0; len]).unwrap_err();
                assert!(
                    matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidInput),
                    "{error}"
                );
            }
        }
    }

    #[test]
    fn small_steps_do_not_read_twice() {
        let (file, bytes) = sample(&std::env::current_dir().unwrap(), 200_000);
        let flash = FlashFile::open(file.path()).unwrap();
        let mut word = [0; 8];
        for at in (0..bytes.len() - 8).step_by(8) {
            flash.read_exact_at(at as u64, &mut word).unwrap();
            assert_eq!(word, bytes[at..at + 8]);
        }
        assert!(flash.bytes_read() <= 200_000 + 4096, "{}", flash.bytes_read());
    }

    #[test]
    fn a_fault_is_an_error_or_the_right_bytes() {
        let (file, bytes) = sample(&std::env::current_dir().unwrap(), 200_000);
        for fault in [Fault::Error, Fault::Short, Fault::Slow] {
            for n in 1..6 {
                let flash = FlashFile::open(file.path()).unwrap();
                flash.fail_read_after(n, fault);
                let mut got = vec![0; bytes.len()];
                let result = flash.read_exact_at(0, &mut got);
                assert_eq!(result.is_ok(), fault != Fault::Error || n > 4, "{fault:?} {n}");
                assert!(result.is_err() || got == bytes, "{fault:?} {n}");
            }
        }
    }

    /// Bytes of `path` in the page cache, by the kernel's own count where it has one.
    #[cfg(target_os = "linux")]
    fn cached(path: &Path) -> Option<u64> {
        let output = std::process::Command::new("fincore").args(["-nbo", "RES"]).arg(path).output().ok()?;
        String::from_utf8_lossy(&output.stdout).trim().parse().ok()
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn buffered_reads_leave_nothing_in_the_page_cache() {
        let (file, bytes) = sample(&std::env::current_dir().unwrap(), 300_001);
        let mut flash = FlashFile::open(file.path()).unwrap();
        flash.file = sys::open_buffered(file.path()).unwrap();
        flash.mode = Mode::Buffered { why: "a test" };
        flash.leaves_cache = true;
        crate::cgroup::evict(file.path()).unwrap();
        let mut got = vec![0; 9_999];
        for at in (3..280_000).step_by(9_999) {
            flash.read_exact_at(at, &mut got).unwrap();
            assert_eq!(got, bytes[at as usize..][..9_999]);
        }
        match cached(file.path()) {
            Some(left) => assert!(left < 16 << 10, "{left} bytes are still cached"),
            None => eprintln!("skipped: no fincore to count with"),
        }
    }

    #[test]
    fn what_is_no_file_is_refused() {
        for path in ["/nowhere/at/all", "."] {
            let error = FlashFile::open(path).unwrap_err();
            assert!(error.to_string().starts_with(&format!("cannot open {path}: ")), "{error}");
        }
    }
}
