//! What std alone can do, for systems that pintpot has no better words for yet.
//!
//! Not a promise: memory is what the allocator gives, pages do not go back early, and files pass through the
//! page cache.

use std::alloc::Layout;
use std::fs::File;
use std::io;
use std::path::Path;
use std::process::Command;

/// The largest page size in use on desktops and phones, so that it is a multiple of the true one.
pub(crate) fn page_size() -> usize {
    16 << 10
}

/// Whole zeroed pages, freed when dropped.
#[derive(Debug)]
pub(crate) struct Pages {
    start: *mut u8,
    layout: Layout,
}

// SAFETY: Pages owns its memory and gives out only a raw pointer; whoever makes references of it answers for
// their uniqueness.
unsafe impl Send for Pages {}
// SAFETY: as above; no method changes what a shared reference can see except `give_back`, which is `&mut`.
unsafe impl Sync for Pages {}

impl Pages {
    /// Allocates `len` zeroed bytes, a multiple of the page size and not zero.
    pub(crate) fn new(len: usize) -> io::Result<Pages> {
        let layout = Layout::from_size_align(len, page_size()).map_err(io::Error::other)?;
        // SAFETY: the layout's size is not zero.
        let start = unsafe { std::alloc::alloc_zeroed(layout) };
        if start.is_null() { Err(io::ErrorKind::OutOfMemory.into()) } else { Ok(Pages { start, layout }) }
    }

    pub(crate) fn start(&self) -> *mut u8 {
        self.start
    }

    /// Nothing to allow.
    pub(crate) fn allow_huge(&mut self, _: std::ops::Range<usize>, _: bool) {}

    /// Keeps the pages but makes them read as zero, which is all that callers may count on.
    pub(crate) fn give_back(&mut self, range: std::ops::Range<usize>) {
        // SAFETY: the range lies within this allocation, which is borrowed mutably.
        unsafe { self.start.add(range.start).write_bytes(0, range.len()) };
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with this layout, and freed once.
        unsafe { std::alloc::dealloc(self.start, self.layout) };
    }
}

/// How a file asks to be read past the page cache.
#[allow(dead_code)]
pub(crate) enum Direct {
    /// Offsets, lengths and addresses must be multiples of this many bytes.
    Align(usize),
    /// The kernel does not say; try.
    Unknown,
    /// Not at all, and why.
    No(&'static str),
}

/// Opens `path` for reading; never past the page cache.
pub(crate) fn open_direct(path: &Path) -> io::Result<(File, Direct)> {
    Ok((File::open(path)?, Direct::No("pintpot cannot pass the page cache of this system yet")))
}

/// Opens `path` through the page cache.
pub(crate) fn open_buffered(path: &Path) -> io::Result<File> {
    File::open(path)
}

/// The same file once more; it is always read through the page cache.
pub(crate) fn reopen_buffered(file: &File) -> io::Result<File> {
    file.try_clone()
}

/// Nobody to tell.
pub(crate) fn will_need(_file: &File, _offset: u64, _len: u64) {}

/// Reads up to `buf.len()` bytes at `offset`; 0 at the end of the file.
pub(crate) fn read_at(file: &File, buf: &mut [u8], offset: u64) -> io::Result<usize> {
    #[cfg(unix)]
    return std::os::unix::fs::FileExt::read_at(file, buf, offset);
    #[cfg(windows)]
    return std::os::windows::fs::FileExt::seek_read(file, buf, offset);
    #[cfg(not(any(unix, windows)))]
    {
        use std::io::{Read, Seek};
        let mut file = file;
        file.seek(io::SeekFrom::Start(offset))?;
        file.read(buf)
    }
}

/// Nothing to drop.
pub(crate) fn drop_cache(_file: &File, _offset: u64, _len: u64) {}

/// Unknown here.
pub(crate) fn cached_pages(_file: &File) -> Option<(u64, u64)> {
    None
}

/// Unknown here.
pub(crate) fn thread_use() -> Option<(std::time::Duration, std::ffi::c_long)> {
    None
}

/// Unknown here.
pub(crate) fn physical_cores() -> Option<usize> {
    None
}

/// The system's allocator has no settings that pintpot knows.
pub(crate) fn tune_malloc(_own_pages: usize) {}

/// The system's allocator takes no such wish.
pub(crate) fn trim_heap() {}

/// Nothing to refuse.
pub(crate) fn refuse_huge_pages() {}

/// Never called: there are no groups to join.
pub(crate) fn join_groups(_command: &mut Command, _groups: Vec<File>) {}

/// Nobody knows how here: the child goes on.
pub(crate) fn end_with_parent(_command: &mut Command) {}

/// Nobody knows how here.
pub(crate) fn give_up(_: &mut Command, _: Option<u32>, _: Option<u64>, _: bool) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Nothing is known about mappings.
pub(crate) fn drop_mapping(_start: usize, _end: usize, _as_in_file: bool) {}

/// Not known to help here.
pub(crate) fn divide_mapping(_start: usize, _end: usize, _piece: usize) {}

/// Unknown here.
pub(crate) fn device_of(_path: &Path) -> io::Result<(u32, u32)> {
    Err(io::ErrorKind::Unsupported.into())
}
