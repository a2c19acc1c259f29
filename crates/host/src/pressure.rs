//! How short of memory the system is: the share of time in which somebody waited for it.
//!
//! Not a measure of free memory, of which a busy system has none and is well. Linux counts the time itself (pressure stall
//! information, Documentation/accounting/psi.rst); the innermost group of version 2 around this process counts, else the
//! whole system.

use crate::cgroup::{Group, Version};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::time::Instant;

/// The system's account of stalls.
#[derive(Debug)]
pub struct Pressure {
    file: File,
    /// Microseconds of stalls when it was last asked, and when that was.
    last: (u64, Instant),
}

impl Pressure {
    /// The account of the group around this process or of the system; `None` if there is none.
    pub fn open() -> Option<Pressure> {
        let group = Group::of_self("memory", "memory").filter(|group| group.version == Version::V2);
        let of_group = group.and_then(|group| File::open(group.dir.join("memory.pressure")).ok());
        let file = of_group.or_else(|| File::open("/proc/pressure/memory").ok())?;
        let mut pressure = Pressure { file, last: (0, Instant::now()) };
        pressure.last.0 = pressure.stalled()?;
        Some(pressure)
    }

    /// The share of the time since it was last asked in which some task waited for memory, from 0 to 1; takes no memory.
    pub fn share(&mut self) -> f64 {
        let (before, since) = self.last;
        let now = self.stalled().unwrap_or(before);
        self.last = (now, Instant::now());
        let passed = since.elapsed().as_micros().max(1) as f64;
        (now.saturating_sub(before) as f64 / passed).min(1.0)
    }

    fn stalled(&mut self) -> Option<u64> {
        let mut text = [0; 256];
        self.file.seek(SeekFrom::Start(0)).ok()?;
        let read = self.file.read(&mut text).ok()?;
        total(std::str::from_utf8(&text[..read]).ok()?)
    }
}

/// Microseconds in which some task waited.
fn total(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("some "))?;
    line.split(' ').find_map(|field| field.strip_prefix("total="))?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_of_some_is_what_counts() {
        let text = "some avg10=0.00 avg60=0.00 avg300=0.21 total=168704413\nfull avg10=0.00 total=91566648\n";
        assert_eq!(total(text), Some(168704413));
        assert_eq!(total("full avg10=0.00 total=5\n"), None);
        let Some(mut pressure) = Pressure::open() else { return };
        assert!((0.0..=1.0).contains(&pressure.share()));
    }
}
