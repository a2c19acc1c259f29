//! Reads through io_uring: one system call starts many, and none blocks.
//!
//! Not a must: an ordinary user's memlock limit may refuse to register the window, and then the kernel looks up its pages
//! for each read. The one design choice: two submitters are two workers of one ring, not two rings, since what counts is the
//! processor on which a read begins. `io_uring_setup(2)`, IORING_OP_READ_FIXED, IOSQE_ASYNC.

use std::io;
use std::os::fd::RawFd;
use std::sync::Arc;

use io_uring::{IoUring, Probe, opcode, squeue, types};

use super::options::SUBMITTERS;
use super::{Backend, Done, Read};
use crate::file::FlashFile;
use crate::region::Region;

/// The pair of rings, and the descriptors to read from.
pub(super) struct Uring {
    ring: IoUring,
    descriptors: Vec<RawFd>,
    /// Whether the window is registered.
    registered: bool,
    /// How reads begin.
    flags: squeue::Flags,
    /// Keeps the descriptors open.
    _files: Vec<Arc<FlashFile>>,
    /// Keeps the registered memory mapped.
    _window: Arc<Region>,
}

impl Uring {
    /// Rings for at most `depth` reads into `window` at a time, begun by the calling thread or by two of the kernel's; an
    /// error if this kernel or this user's rights refuse.
    pub(super) fn new(
        files: Vec<Arc<FlashFile>>,
        depth: usize,
        window: Arc<Region>,
        two: bool,
    ) -> io::Result<Uring> {
        let entries = u32::try_from(depth).map_err(io::Error::other)?;
        let cooperative = IoUring::builder().setup_coop_taskrun().build(entries);
        let ring = cooperative.or_else(|_| IoUring::new(entries))?;
        let mut probe = Probe::new();
        ring.submitter().register_probe(&mut probe)?;
        if !probe.is_supported(opcode::Read::CODE) {
            return Err(io::ErrorKind::Unsupported.into());
        }
        if two {
            ring.submitter().register_iowq_max_workers(&mut [SUBMITTERS, 1])?;
        }
        let flags = if two { squeue::Flags::ASYNC } else { squeue::Flags::empty() };
        let memory = libc::iovec { iov_base: window.start().cast(), iov_len: window.len() };
        // SAFETY: the memory stays mapped while `self` holds the window.
        let registered = unsafe { ring.submitter().register_buffers(&[memory]) }.is_ok();
        let descriptors = files.iter().map(|file| file.descriptor()).collect();
        Ok(Uring { ring, descriptors, registered, flags, _files: files, _window: window })
    }

    fn pop(&mut self) -> Option<Done> {
        let entry = self.ring.completion().next()?;
        let result =
            usize::try_from(entry.result()).map_err(|_| io::Error::from_raw_os_error(-entry.result()));
        Some(Done { slot: entry.user_data() as u32, result })
    }
}

impl Backend for Uring {
    unsafe fn submit(&mut self, read: Read) {
        let Read { slot, file, offset, memory, len } = read;
        let descriptor = types::Fd(self.descriptors[file as usize]);
        let entry = match self.registered {
            true => opcode::ReadFixed::new(descriptor, memory, len as u32, 0).offset(offset).build(),
            false => opcode::Read::new(descriptor, memory, len as u32).offset(offset).build(),
        };
        let entry = entry.flags(self.flags).user_data(u64::from(slot));
        // SAFETY: the caller keeps the memory until the read is done, and `self` keeps the file open.
        let pushed = unsafe { self.ring.submission().push(&entry) };
        debug_assert!(pushed.is_ok(), "there are as many entries as slots");
    }

    fn flush(&mut self) -> io::Result<()> {
        match self.ring.submit() {
            Err(error) if is_passing(&error) => Ok(()), // the next call submits them
            result => result.map(drop),
        }
    }

    fn next(&mut self, block: bool) -> io::Result<Option<Done>> {
        loop {
            match self.pop() {
                None if block => {}
                done => return Ok(done),
            }
            match self.ring.submit_and_wait(1) {
                Err(error) if is_passing(&error) => std::thread::yield_now(),
                result => result.map(drop)?,
            }
        }
    }
}

impl Drop for Uring {
    fn drop(&mut self) {
        if self.registered {
            // The kernel ends a ring when it finds the time; the pages are wanted back now.
            let _ = self.ring.submitter().unregister_buffers();
        }
    }
}

/// Whether the same call may succeed next time.
fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock | io::ErrorKind::ResourceBusy
    )
}
