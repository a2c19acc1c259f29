//! Reads out of the page cache, which was told ahead what will be needed and is told behind what is not any more.
//!
//! Not a cache of weights: it holds what is on its way and nothing else. The one design choice: no thread; the kernel reads
//! ahead by itself, and whoever waits copies. `posix_fadvise(2)`, POSIX_FADV_WILLNEED and POSIX_FADV_DONTNEED.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::sync::Arc;

use super::{Backend, Done, Read};
use crate::error::Error;
use crate::file::FlashFile;
use crate::sys;

/// The files through the page cache, and what was announced.
pub(super) struct Cached {
    files: Vec<File>,
    todo: VecDeque<Read>,
    /// A page of which the last read wanted only the first part: file and offset. The next one mostly wants the rest.
    kept: Option<(usize, u64)>,
}

/// Bytes that the page cache holds at most for `depth` reads of `request_bytes` each into a window of `window_bytes`, the
/// kernel's index of them included.
pub(super) fn memory(depth: usize, request_bytes: usize, window_bytes: u64) -> u64 {
    let ahead = (depth as u64 * request_bytes as u64).min(window_bytes);
    // Reads begin and end within pages.
    let pages = ahead + (2 * depth as u64 + 1) * crate::page_size() as u64;
    pages + pages / 256 + (depth * size_of::<Read>()) as u64
}

impl Cached {
    /// For at most `depth` reads at a time.
    pub(super) fn new(files: &[Arc<FlashFile>], depth: usize) -> Result<Cached, Error> {
        let open = |file: &Arc<FlashFile>| {
            file.through_cache().map_err(|source| Error::Open { path: file.path().to_owned(), source })
        };
        let files = files.iter().map(open).collect::<Result<_, _>>()?;
        Ok(Cached { files, todo: VecDeque::with_capacity(depth), kept: None })
    }

    /// Drops the pages of a read, but for a last one of which it wanted only a part.
    fn leave(&mut self, read: &Read) {
        let page = crate::page_size() as u64;
        let (file, start, end) =
            (read.file as usize, read.offset - read.offset % page, read.offset + read.len as u64);
        let whole = end - end % page;
        if self.kept != Some((file, start)) {
            self.leave_kept();
        }
        if whole > start {
            sys::drop_cache(&self.files[file], start, whole - start);
        }
        self.kept = (end > whole).then_some((file, whole));
    }

    fn leave_kept(&mut self) {
        if let Some((file, offset)) = self.kept.take() {
            sys::drop_cache(&self.files[file], offset, crate::page_size() as u64);
        }
    }
}

impl Backend for Cached {
    unsafe fn submit(&mut self, read: Read) {
        sys::will_need(&self.files[read.file as usize], read.offset, read.len as u64);
        self.todo.push_back(read);
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn next(&mut self, block: bool) -> io::Result<Option<Done>> {
        let next = if block { self.todo.pop_front() } else { None };
        let Some(read) = next else { return Ok(None) };
        // SAFETY: whoever submitted the read keeps its memory mapped and untouched until it is done.
        let memory = unsafe { std::slice::from_raw_parts_mut(read.memory, read.len) };
        let result = sys::read_at(&self.files[read.file as usize], memory, read.offset);
        self.leave(&read);
        Ok(Some(Done { slot: read.slot, result }))
    }
}

impl Drop for Cached {
    fn drop(&mut self) {
        self.leave_kept();
    }
}
