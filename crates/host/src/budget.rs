//! How much memory this process may have, when the user has not said it in bytes.
//!
//! Not a decision about what to do with it. The one design choice: page cache counts as available and swap
//! does not, since the kernel gives back the one at once and makes the other unbearable.

use std::fmt;
use std::fs;
use std::path::PathBuf;

use crate::cgroup;
use crate::error::Error;
use crate::memory::{Memory, format_bytes};
use crate::process::resident;

/// The bytes that everything together may take, and who said so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    /// How many.
    pub bytes: u64,
    /// Where the number comes from.
    pub source: Source,
}

/// Where a budget comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// The system's free memory and page cache, less a margin.
    Available,
    /// The tightest control group around this process, less what others hold in it and a margin.
    Group {
        /// That group's directory.
        dir: PathBuf,
    },
    /// The user.
    User,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Available => f.write_str("memory available now"),
            Source::Group { dir } => write!(f, "limit of {}", dir.display()),
            Source::User => f.write_str("given"),
        }
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", format_bytes(self.bytes), self.source)
    }
}

impl Memory {
    /// The number of bytes that this means here and now.
    ///
    /// # Errors
    ///
    /// [`Error::NoProbe`] if the number depends on this machine and the system does not tell.
    pub fn resolve(&self) -> Result<Budget, Error> {
        match *self {
            Memory::Auto => spare(),
            Memory::Bytes(bytes) => Ok(Budget { bytes, source: Source::User }),
            Memory::Percent(share) => {
                let Budget { bytes, source } = spare()?;
                Ok(Budget { bytes: (bytes as f64 * share / 100.0) as u64, source })
            }
        }
    }
}

/// What this machine and the groups around this process can spare.
fn spare() -> Result<Budget, Error> {
    let held = resident();
    let own = held.anon + held.page_tables;
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let available = available(&meminfo).map(|bytes| (bytes.saturating_add(own), Source::Available));
    let group = cgroup::tightest(own).map(|room| (room.bytes, Source::Group { dir: room.dir }));
    let tightest = available.into_iter().chain(group).min_by_key(|(bytes, _)| *bytes);
    let (bytes, source) = tightest.ok_or(Error::NoProbe)?;
    Ok(Budget { bytes: bytes - margin(bytes), source })
}

/// What is left to others: a twentieth, at least 16 MiB, but never more than an eighth.
fn margin(bytes: u64) -> u64 {
    (bytes / 20).max((16 << 20).min(bytes / 8))
}

/// `MemAvailable` of `/proc/meminfo`, in bytes.
fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn margins_are_small_but_there() {
        for (bytes, want) in [(0, 0), (32 << 20, 4 << 20), (160 << 20, 16 << 20), (1 << 30, (1 << 30) / 20)] {
            assert_eq!(margin(bytes), want, "{bytes}");
        }
    }

    #[test]
    fn the_user_wins_and_a_share_is_a_share() {
        let given = Memory::Bytes(28 << 20).resolve().unwrap();
        assert_eq!(given.to_string(), "28.0 MiB (given)");
        assert_eq!(available("MemTotal: 1 kB\nMemAvailable:    2 kB\n"), Some(2048));
        assert_eq!(available("MemTotal: 1 kB\n"), None);
        let Ok(all) = Memory::Auto.resolve() else { return };
        let half = Memory::Percent(50.0).resolve().unwrap();
        assert!(half.bytes > all.bytes / 3 && half.bytes < all.bytes * 2 / 3, "{half} of {all}");
    }
}
