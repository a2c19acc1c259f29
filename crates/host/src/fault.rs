//! Reads that fail on purpose, so that a test can fail every one of them in turn.
//!
//! Not a mock: the file, the device and the reader are the real ones, one read among them is not. Off, it
//! costs two relaxed loads a read.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// What happens to the chosen read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It fails, as a dying disk does.
    Error,
    /// It returns fewer bytes than wanted, as the kernel is free to do.
    Short,
    /// It takes [`Fault::DELAY`] longer.
    Slow,
}

impl Fault {
    /// How slow a slow read is.
    pub const DELAY: Duration = Duration::from_millis(10);

    /// What Unix calls a failed transfer.
    pub(crate) const EIO: i32 = 5;

    const ALL: [Fault; 3] = [Fault::Error, Fault::Short, Fault::Slow];
}

/// Makes the `n`th read from now on (from 1), by anyone in this process, end in `fault`; 0 disarms. Gives how many
/// reads an earlier order had still to wait for, 0 if its fault came: so a test learns when it has failed them all.
pub fn fail_read_after(n: u64, fault: Fault) -> u64 {
    EVERYONE.arm(n, fault)
}

static EVERYONE: Fuse = Fuse::new();

/// Counts reads down to the one that fails.
#[derive(Debug)]
pub(crate) struct Fuse {
    left: AtomicU64,
    fault: AtomicU8,
}

impl Fuse {
    pub(crate) const fn new() -> Fuse {
        Fuse { left: AtomicU64::new(0), fault: AtomicU8::new(0) }
    }

    pub(crate) fn arm(&self, n: u64, fault: Fault) -> u64 {
        self.fault.store(fault as u8, Relaxed);
        self.left.swap(n, Relaxed)
    }

    /// Counts one read of a file with this fuse; what is to happen to it.
    pub(crate) fn burn(&self) -> Option<Fault> {
        self.step().or_else(|| EVERYONE.step())
    }

    fn step(&self) -> Option<Fault> {
        if self.left.load(Relaxed) == 0 {
            return None;
        }
        let last = self.left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)) == Ok(1);
        last.then(|| Fault::ALL[usize::from(self.fault.load(Relaxed)) % Fault::ALL.len()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_nth_read_is_hit() {
        for fault in Fault::ALL {
            let fuse = Fuse::new();
            assert_eq!(fuse.step(), None);
            assert_eq!(fuse.arm(3, fault), 0);
            assert_eq!([(); 5].map(|()| fuse.step()), [None, None, Some(fault), None, None]);
            assert_eq!(fuse.arm(9, fault), 0);
            assert_eq!((fuse.step(), fuse.arm(0, fault), fuse.step()), (None, 8, None));
        }
    }
}
