//! The system calls of Linux that std has no names for.
//!
//! Not a place for decisions: each function is one call or two, and reports what the kernel said.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::ptr;

use rustix::fs::{AtFlags, Mode, OFlags, StatxFlags};
use rustix::mm::{Advice, MapFlags, ProtFlags};

/// Bytes in a page of memory.
pub(crate) fn page_size() -> usize {
    rustix::param::page_size()
}

/// What pages may be used for.
const WRITABLE: ProtFlags = ProtFlags::READ.union(ProtFlags::WRITE);
/// Bytes that one table of pages maps, on most machines.
const TABLE: usize = 2 << 20;

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
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
        // SAFETY: a new anonymous mapping at an address of the kernel's choice touches no memory in use.
        let start = unsafe { rustix::mm::mmap_anonymous(ptr::null_mut(), len, WRITABLE, flags) }?;
        let pages = Pages { start: start.cast(), len };
        pages.advise(0, len, Advice::LinuxNoHugepage);
        Ok(pages)
    }

    pub(crate) fn start(&self) -> *mut u8 {
        self.start
    }

    /// Lets the kernel use huge pages in `range` (page-aligned, within the mapping), or stops it.
    pub(crate) fn allow_huge(&mut self, range: std::ops::Range<usize>, allow: bool) {
        let advice = if allow { Advice::LinuxHugepage } else { Advice::LinuxNoHugepage };
        self.advise(range.start, range.len(), advice);
    }

    /// Frees the pages of `range` (page-aligned, within the mapping); they read as zero afterwards and are not
    /// huge again before that is allowed. A large range is mapped anew, so that its page tables go too.
    pub(crate) fn give_back(&mut self, range: std::ops::Range<usize>) {
        // A huge page that is only partly in the range would be charged as a whole; this splits it.
        self.advise(range.start, range.len(), Advice::LinuxFree);
        if range.len() >= TABLE {
            let flags = MapFlags::PRIVATE | MapFlags::NORESERVE | MapFlags::FIXED;
            // SAFETY: the range lies within this mapping, which is borrowed mutably; what was there is given up.
            let anew = unsafe {
                let place = self.start.add(range.start).cast();
                rustix::mm::mmap_anonymous(place, range.len(), WRITABLE, flags)
            };
            if anew.is_ok() {
                return self.advise(range.start, range.len(), Advice::LinuxNoHugepage);
            }
        }
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
    let direct = match rustix::fs::statx(&file, "", AtFlags::EMPTY_PATH, StatxFlags::DIOALIGN) {
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

/// Opens a file anew, through the page cache, with read-ahead off; it may have lost its name meanwhile.
pub(crate) fn reopen_buffered(file: &File) -> io::Result<File> {
    open_buffered(Path::new(&format!("/proc/self/fd/{}", file.as_raw_fd())))
}

/// Starts to read a range into the page cache.
pub(crate) fn will_need(file: &File, offset: u64, len: u64) {
    let len = std::num::NonZeroU64::new(len);
    let _ = rustix::fs::fadvise(file, offset, len, rustix::fs::Advice::WillNeed);
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

/// Pages of a file that are in the page cache, and how many it has; `None` if the system does not tell.
pub(crate) fn cached_pages(file: &File) -> Option<(u64, u64)> {
    const WINDOW: u64 = 256 << 20; // bytes mapped at a time
    let (len, page) = (file.metadata().ok()?.len(), page_size() as u64);
    let (mut cached, mut flags) = (0, vec![0u8; (WINDOW / page) as usize]);
    for offset in (0..len).step_by(WINDOW as usize) {
        let part = (len - offset).min(WINDOW) as usize;
        let flags = &mut flags[..part.div_ceil(page as usize)];
        // SAFETY: a new mapping at an address of the kernel's choice, whose memory nobody reads; the kernel writes a byte
        // for each of its pages into `flags`, which has as many; then it is unmapped.
        let told = unsafe {
            let start =
                rustix::mm::mmap(ptr::null_mut(), part, ProtFlags::READ, MapFlags::SHARED, file, offset)
                    .ok()?;
            let told = libc::mincore(start, part, flags.as_mut_ptr());
            let _ = rustix::mm::munmap(start, part);
            told
        };
        if told != 0 {
            return None;
        }
        cached += flags.iter().filter(|flag| **flag & 1 == 1).count() as u64;
    }
    Some((cached, len.div_ceil(page)))
}

/// How long the calling thread has run, and how often the system took its core away for somebody else; `None` if it does not tell.
pub(crate) fn thread_use() -> Option<(std::time::Duration, std::ffi::c_long)> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a structure of numbers, for which zeros are values.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // The times in the second are those of the last tick.
    // SAFETY: each writes the one value that it is given.
    let are_told = unsafe {
        libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) == 0
            && libc::getrusage(libc::RUSAGE_THREAD, &mut usage) == 0
    };
    let ran = std::time::Duration::new(time.tv_sec as u64, time.tv_nsec as u32);
    are_told.then_some((ran, usage.ru_nivcsw))
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

/// Keeps glibc's allocator small: see `alloc::tune_malloc`.
pub(crate) fn tune_malloc(own_pages: usize) {
    #[cfg(target_env = "gnu")]
    for (parameter, value) in [
        (libc::M_ARENA_MAX, 1),
        (libc::M_MMAP_THRESHOLD, own_pages),
        (libc::M_TOP_PAD, 16 << 10),
        (libc::M_TRIM_THRESHOLD, 32 << 10),
    ] {
        // SAFETY: mallopt takes two integers and only changes the allocator's settings.
        unsafe { libc::mallopt(parameter, value as libc::c_int) };
    }
    #[cfg(not(target_env = "gnu"))]
    let _ = own_pages;
}

/// Gives freed heap back to the kernel.
pub(crate) fn trim_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim takes no memory of ours and touches only what is free.
    unsafe {
        libc::malloc_trim(0)
    };
}

/// Keeps huge pages away from this process's memory, but for regions that ask for them. Where the system gives huge
/// pages unasked and the kernel cannot tell the two apart, nobody gets any.
pub(crate) fn refuse_huge_pages() {
    let enabled = std::fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled");
    if enabled.is_ok_and(|modes| !modes.contains("[always]")) {
        return; // only who asks gets any
    }
    /// `PR_THP_DISABLE_EXCEPT_ADVISED`, since Linux 6.18.
    const EXCEPT_ADVISED: libc::c_ulong = 1 << 1;
    let set = |flags: libc::c_ulong| {
        let (on, none): (libc::c_ulong, libc::c_ulong) = (1, 0);
        // SAFETY: this option takes integers only and changes how later page faults are served.
        unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, on, flags, none, none) == 0 }
    };
    let _ = set(EXCEPT_ADVISED) || set(0);
}

/// Moves the child that `command` will start into the groups whose `cgroup.procs` these are, before it runs.
pub(crate) fn join_groups(command: &mut Command, groups: Vec<File>) {
    let join = move || groups.iter().try_for_each(|group| (&*group).write_all(b"0"));
    // SAFETY: between fork and exec the closure only calls write(2), which is async-signal-safe.
    unsafe { command.pre_exec(join) };
}

/// Makes the child that `command` will start give up rights before it runs: those of other users than `user`, to lock
/// more than `locked` bytes of memory, and io_uring.
pub(crate) fn give_up(
    command: &mut Command,
    user: Option<u32>,
    locked: Option<u64>,
    without_uring: bool,
) -> io::Result<()> {
    if let Some(user) = user {
        command.uid(user).gid(user);
    }
    let limit = move || match locked {
        Some(bytes) => {
            let limit = libc::rlimit { rlim_cur: bytes, rlim_max: bytes };
            // SAFETY: setrlimit reads the limit and keeps no pointer.
            succeeded(unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const limit) })
        }
        None => Ok(()),
    };
    let refuse = move || if without_uring { refuse_uring() } else { Ok(()) };
    // SAFETY: between fork and exec the closure only calls setrlimit(2) and prctl(2), which take no lock.
    unsafe { command.pre_exec(move || limit().and_then(|()| refuse())) };
    Ok(())
}

/// Makes the child that `command` will start end when the thread that starts it does.
pub(crate) fn end_with_parent(command: &mut Command) {
    let parent = std::process::id();
    let tie = move || {
        let (on, none): (libc::c_ulong, libc::c_ulong) = (libc::SIGTERM as libc::c_ulong, 0);
        // SAFETY: this option takes integers only.
        succeeded(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, on, none, none, none) })?;
        match std::os::unix::process::parent_id() == parent {
            true => Ok(()),
            false => Err(io::ErrorKind::Interrupted.into()), // too late to be told
        }
    };
    // SAFETY: between fork and exec the closure only calls prctl(2) and getppid(2), which take no lock.
    unsafe { command.pre_exec(tie) };
}

/// Makes io_uring_setup(2) fail for this thread and whatever it becomes.
fn refuse_uring() -> io::Result<()> {
    let step = |code: u32, jf: u8, k: u32| libc::sock_filter { code: code as u16, jt: 0, jf, k };
    // The number of the call is the first word of what a filter sees.
    let mut steps = [
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0),
        step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 1, libc::SYS_io_uring_setup as u32),
        step(libc::BPF_RET | libc::BPF_K, 0, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32),
        step(libc::BPF_RET | libc::BPF_K, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let filter = libc::sock_fprog { len: steps.len() as u16, filter: steps.as_mut_ptr() };
    let (on, none): (libc::c_ulong, libc::c_ulong) = (1, 0);
    // SAFETY: this option takes integers only.
    succeeded(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, on, none, none, none) })?;
    let mode = libc::c_ulong::from(libc::SECCOMP_MODE_FILTER);
    // SAFETY: the kernel copies the filter, which lives until the call returns.
    succeeded(unsafe { libc::prctl(libc::PR_SET_SECCOMP, mode, &raw const filter) })
}

fn succeeded(result: libc::c_int) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Unmaps the pages of mapped files that nobody needs now and stops reading around a fault, so that a page
/// comes back when it is touched, alone.
///
/// `start..end` is a whole, unwritable mapping of this process as `/proc/self/smaps` tells it, `as_in_file` whether no
/// page of it is a copy of this process's own.
pub(crate) fn drop_mapping(start: usize, end: usize, as_in_file: bool) {
    let (at, len) = (ptr::with_exposed_provenance_mut(start), end.saturating_sub(start));
    // SAFETY: no advice here changes what memory holds. PageOut frees the pages at once, this function's too, and
    // spares what is not in the file, but works only for whoever may write the file. For others DontNeed unmaps them,
    // where every page is the file's and nobody may write; freeing is then up to `drop_cache`, which spares what was
    // touched meanwhile.
    unsafe {
        let _ = rustix::mm::madvise(at, len, Advice::Random);
        let _ = rustix::mm::madvise(at, len, Advice::LinuxPageOut);
        if as_in_file {
            let _ = rustix::mm::madvise(at, len, Advice::LinuxDontNeed);
        }
    }
}

/// Divides a mapping into ones of `piece` bytes, so that reading ahead of a fault ends where its piece does: since Linux
/// 6.16 code is read ahead whatever [`drop_mapping`] says, but only within its mapping. Neighbours that differ in a flag
/// are mappings of their own; that a core dump leaves every other piece out is such a flag, and dumps leave out all that is
/// the file's anyway. `start..end` is as for [`drop_mapping`].
pub(crate) fn divide_mapping(start: usize, end: usize, piece: usize) {
    for at in (start..end).step_by(piece.saturating_mul(2).max(1)) {
        let len = piece.min(end - at);
        // SAFETY: the advice changes nothing of what memory holds, nor who may read it.
        let _ =
            unsafe { rustix::mm::madvise(ptr::with_exposed_provenance_mut(at), len, Advice::LinuxDontDump) };
    }
}

/// Major and minor number of the device that holds `path`.
pub(crate) fn device_of(path: &Path) -> io::Result<(u32, u32)> {
    let device = fs::metadata(path)?.dev();
    Ok((rustix::fs::major(device), rustix::fs::minor(device)))
}
