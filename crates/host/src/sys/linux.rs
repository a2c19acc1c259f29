//! The system calls of Linux that std has no names for.
//!
//! Not a place for decisions: each function is one call or two, and reports what the kernel said.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::ptr;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, StatxFlags};
use rustix::mm::{Advice, MapFlags, ProtFlags};

/// Bytes in a page of memory.
pub(crate) fn page_size() -> usize {
    rustix::param::page_size()
}

/// Whole zeroed pages, unmapped when dropped.
#[derive(Debug)]
pub(crate) struct Pages {
    start: *mut u8,
    len: usize,
}

// SAFETY: Pages owns its mapping and gives out only a raw pointer; whoever makes references of it answers for
// their uniqueness.
unsafe impl Send for Pages {}
// SAFETY: as above; no method changes what a shared reference can see except `give_back`, which is `&mut`.
unsafe impl Sync for Pages {}

impl Pages {
    /// Maps `len` bytes, a multiple of the page size and not zero. No page is charged until it is written.
    pub(crate) fn new(len: usize) -> io::Result<Pages> {
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new anonymous mapping at an address of the kernel's choice touches no memory in use.
        let start = unsafe {
            rustix::mm::mmap_anonymous(
                ptr::null_mut(),
                len,
                protection,
                MapFlags::PRIVATE | MapFlags::NORESERVE,
            )
        }?;
        let pages = Pages { start: start.cast(), len };
        pages.advise(0, len, Advice::LinuxNoHugepage);
        Ok(pages)
    }

    pub(crate) fn start(&self) -> *mut u8 {
        self.start
    }

    /// Lets the kernel use huge pages.
    pub(crate) fn allow_huge(&self) {
        self.advise(0, self.len, Advice::LinuxHugepage);
    }

    /// Frees the pages of `range` (page-aligned, within the mapping); they read as zero afterwards.
    pub(crate) fn give_back(&mut self, range: std::ops::Range<usize>) {
        self.advise(range.start, range.len(), Advice::LinuxDontNeed);
    }

    /// A refused advice changes speed or footprint, never what memory holds, except for `LinuxDontNeed`,
    /// which cannot be refused on an anonymous mapping that is not locked.
    fn advise(&self, offset: usize, len: usize, advice: Advice) {
        // SAFETY: the range lies within this mapping, which `self` owns; the advices used here free pages only
        // through `give_back`, which holds `&mut self`.
        let _ = unsafe { rustix::mm::madvise(self.start.add(offset).cast(), len, advice) };
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's own and nothing borrowed from it outlives it.
        let _ = unsafe { rustix::mm::munmap(self.start.cast(), self.len) };
    }
}

/// How a file asks to be read past the page cache.
pub(crate) enum Direct {
    /// Offsets, lengths and addresses must be multiples of this many bytes.
    Align(usize),
    /// The kernel does not say; try.
    Unknown,
    /// Not at all, and why.
    No(&'static str),
}

/// Opens `path` for reading past the page cache, or says why that cannot be.
pub(crate) fn open_direct(path: &Path) -> io::Result<(File, Direct)> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let file = match rustix::fs::open(path, flags | OFlags::DIRECT, Mode::empty()) {
        Ok(fd) => File::from(fd),
        Err(rustix::io::Errno::INVAL) => {
            let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
            return Ok((file, Direct::No("this file system has no O_DIRECT")));
        }
        Err(error) => return Err(error.into()),
    };
    let direct = match rustix::fs::statx(CWD, path, AtFlags::empty(), StatxFlags::DIOALIGN) {
        Ok(stat) if stat.stx_mask & StatxFlags::DIOALIGN.bits() != 0 => {
            match stat.stx_dio_offset_align.max(stat.stx_dio_mem_align) {
                0 => Direct::No("this file cannot be read with O_DIRECT"),
                align => Direct::Align(align as usize),
            }
        }
        _ => Direct::Unknown,
    };
    Ok((file, direct))
}

/// Opens `path` through the page cache, with read-ahead off.
pub(crate) fn open_buffered(path: &Path) -> io::Result<File> {
    let file = File::open(path)?;
    let _ = rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::Random);
    Ok(file)
}

/// Reads up to `buf.len()` bytes at `offset`; 0 at the end of the file.
pub(crate) fn read_at(file: &File, buf: &mut [u8], offset: u64) -> io::Result<usize> {
    file.read_at(buf, offset)
}

/// Drops the clean cached pages of a range.
pub(crate) fn drop_cache(file: &File, offset: u64, len: u64) {
    let len = std::num::NonZeroU64::new(len);
    let _ = rustix::fs::fadvise(file, offset, len, rustix::fs::Advice::DontNeed);
}

/// Physical cores that this thread may run on; `None` if the system does not tell.
pub(crate) fn physical_cores() -> Option<usize> {
    let allowed = rustix::thread::sched_getaffinity(None).ok()?;
    let first_sibling = |cpu: usize| -> Option<usize> {
        let path = format!("/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list");
        let list = fs::read_to_string(path).ok()?;
        list.split([',', '-', '\n']).next()?.parse().ok()
    };
    let allowed = (0..rustix::thread::CpuSet::MAX_CPU).filter(|&cpu| allowed.is_set(cpu));
    let mut cores: Vec<usize> = allowed.map(|cpu| first_sibling(cpu).unwrap_or(cpu)).collect();
    cores.sort_unstable();
    cores.dedup();
    Some(cores.len()).filter(|&n| n > 0)
}
