//! A sound that the command line names, and times in it.
//!
//! Not the reading of samples. The one design choice: a file is read past the page cache, so that it costs what the account
//! says.

use std::io::{self, Read};
use std::path::Path;

use host::{FlashFile, ReadAt};

use crate::exit::Failure;

/// Standard input for `-`, otherwise the file.
pub(crate) fn open(name: &str) -> Result<Box<dyn Read>, Failure> {
    if name == "-" {
        return Ok(Box::new(io::stdin().lock()));
    }
    let file = FlashFile::open(Path::new(name)).map_err(pintpot::Error::from)?;
    Ok(Box::new(File { file, at: 0 }))
}

/// A file from its beginning to its end, past the page cache.
struct File {
    file: FlashFile,
    at: u64,
}

impl Read for File {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let left = self.file.len().saturating_sub(self.at);
        let count = usize::try_from(left).map_or(to.len(), |left| left.min(to.len()));
        self.file.read_exact_at(self.at, &mut to[..count])?;
        self.at += count as u64;
        Ok(count)
    }
}

/// A time as `[hours:]minutes:seconds`, and thousandths behind a mark.
pub(crate) fn clock(seconds: f64, with_hours: bool, mark: &str) -> String {
    let thousandths = (seconds * 1000.0).round() as u64;
    let (hours, minutes) = (thousandths / 3_600_000, thousandths / 60_000 % 60);
    let rest = format!("{minutes:02}:{:02}{mark}{:03}", thousandths / 1000 % 60, thousandths % 1000);
    if with_hours || hours > 0 { format!("{hours:02}:{rest}") } else { rest }
}

#[cfg(test)]
mod tests {
    use super::clock;

    #[test]
    fn clocks_are_those_of_subtitles() {
        assert_eq!(clock(0.0, true, ","), "00:00:00,000");
        assert_eq!(clock(61.28, false, "."), "01:01.280");
        assert_eq!(clock(3_725.5, false, "."), "01:02:05.500");
    }
}
