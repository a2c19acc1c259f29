//! The disk by how it is asked.
//!
//! What it is: a table for people, and for choosing constants. What it is not: the profile, whose figures come from the
//! settings that are really used. The one design choice: each cell is measured by the very code that a run uses.

use crate::Error;
use crate::measure::flash;
use host::{FlashFile, Ledger, Reader, StreamOptions};
use std::path::Path;
use std::time::Duration;

/// Bytes of one read, smallest first.
const REQUESTS: [usize; 4] = [16 << 10, 64 << 10, 256 << 10, 1 << 20];
/// Reads under way at once.
const DEPTHS: [usize; 3] = [1, 4, 16];
/// Who reads, and the name to print.
const READERS: [(Reader, &str); 2] = [(Reader::Pread, "pread"), (Reader::Uring, "io_uring")];
/// How long a cell of the disk's table is measured.
const CELL: Duration = Duration::from_millis(60);

/// How fast the disk is when asked in one way.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct FlashRate {
    /// Who reads: `pread` for threads, `io_uring` for the kernel's rings.
    pub reader: &'static str,
    /// Reads under way at once; as many threads, where threads read.
    pub depth: usize,
    /// Bytes of one read.
    pub request_bytes: usize,
    /// Bytes a second.
    pub bytes_per_second: f64,
}

/// Rates of the disk that holds `file`, a few seconds in all. A reader that the system refuses is left out.
///
/// # Errors
/// A file that cannot be read.
pub fn survey_flash(file: &Path) -> Result<Vec<FlashRate>, Error> {
    let ledger = Ledger::new(u64::MAX / 2);
    let mut rates = Vec::new();
    for (kind, reader) in READERS {
        for depth in DEPTHS {
            for request_bytes in REQUESTS {
                let options =
                    StreamOptions { reader: kind, depth, request_bytes, ..StreamOptions::default() };
                match flash(&ledger, FlashFile::open(file)?, CELL, (options, 6 << 20, 1 << 20)) {
                    Ok(bytes_per_second) => {
                        rates.push(FlashRate { reader, depth, request_bytes, bytes_per_second })
                    }
                    Err(_) if matches!(kind, Reader::Uring) => {}
                    Err(error) => return Err(error),
                }
            }
        }
    }
    Ok(rates)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_read_has_a_rate() {
        let path = std::env::temp_dir().join(format!("survey-{}", std::process::id()));
        std::fs::write(&path, vec![1; 3 << 20]).unwrap();
        let flash = survey_flash(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert!(flash.len() >= DEPTHS.len() * REQUESTS.len());
        assert!(flash.iter().all(|rate| rate.bytes_per_second > 0.0));
    }
}
