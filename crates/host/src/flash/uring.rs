//! Reads through io_uring: one system call starts many, and none blocks.
//!
//! Not registered buffers, which an ordinary user's memlock limit may refuse; plain reads into pages that are
//! there already. `io_uring_setup(2)`, IORING_OP_READ.

use std::io;
use std::os::fd::RawFd;
use std::sync::Arc;

use io_uring::{IoUring, Probe, opcode, types};

use super::{Backend, Done, Read};
use crate::file::FlashFile;

/// The pair of rings, and the descriptors to read from.
pub(super) struct Uring {
    ring: IoUring,
    descriptors: Vec<RawFd>,
    /// Keeps the descriptors open.
    _files: Vec<Arc<FlashFile>>,
}

impl Uring {
    /// Bytes that the rings take, and the kernel's records of reads under way.
    pub(super) fn memory(depth: usize) -> usize {
        (16 << 10) + depth * 512
    }

    /// Rings for at most `depth` reads at a time; an error if this kernel or this user's rights refuse.
    pub(super) fn new(files: Vec<Arc<FlashFile>>, depth: usize) -> io::Result<Uring> {
        let entries = u32::try_from(depth).map_err(io::Error::other)?;
        let cooperative = IoUring::builder().setup_coop_taskrun().build(entries);
        let ring = cooperative.or_else(|_| IoUring::new(entries))?;
        let mut probe = Probe::new();
        ring.submitter().register_probe(&mut probe)?;
        if !probe.is_supported(opcode::Read::CODE) {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let descriptors = files.iter().map(|file| file.descriptor()).collect();
        Ok(Uring { ring, descriptors, _files: files })
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
        let descriptor = types::Fd(self.descriptors[read.file as usize]);
        let entry = opcode::Read::new(descriptor, read.memory, read.len as u32)
            .offset(read.offset)
            .build()
            .user_data(u64::from(read.slot));
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

/// Whether the same call may succeed next time.
fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock | io::ErrorKind::ResourceBusy
    )
}
