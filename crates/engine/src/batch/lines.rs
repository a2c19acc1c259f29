//! A file line by line: none is held but the present one, and none that is too long.
//!
//! What it is: pieces of a file. What it is not: their meaning. The one design choice: a line that is too long is passed over
//! and said to be, so that no file can make us hold more than was agreed.

use crate::Error;
use host::{FlashFile, ReadAt};

/// Bytes that are read at once.
const CHUNK: usize = 32 << 10;

/// A line.
pub(super) struct Line<'a> {
    /// From 1.
    pub number: u64,
    /// Where it begins in its file.
    pub start: u64,
    /// Without its end; the beginning of one that is too long.
    pub text: &'a [u8],
    /// More than may be held.
    pub is_too_long: bool,
    /// It has an end; the last of a file may have none.
    pub is_ended: bool,
}

impl Line<'_> {
    /// Whether there is nothing in it.
    pub fn is_blank(&self) -> bool {
        self.text.iter().all(u8::is_ascii_whitespace)
    }
}

/// The lines of a file as long as it was when it was opened.
pub(super) struct Lines<'a> {
    file: &'a FlashFile,
    /// Bytes read.
    read: u64,
    chunk: Vec<u8>,
    /// Bytes of the chunk that were given.
    given: usize,
    line: Vec<u8>,
    most: usize,
    number: u64,
}

impl<'a> Lines<'a> {
    /// Lines of `most` bytes at most.
    pub fn new(file: &'a FlashFile, most: usize) -> Lines<'a> {
        Lines { file, read: 0, chunk: Vec::new(), given: 0, line: Vec::new(), most, number: 0 }
    }

    /// The next line; `None` at the end.
    pub fn next(&mut self) -> Result<Option<Line<'_>>, Error> {
        self.line.clear();
        self.number += 1;
        let (mut bytes, mut is_ended) = (0, false);
        let start = self.read - (self.chunk.len() - self.given) as u64;
        while !is_ended {
            if self.given == self.chunk.len() && !self.fill()? {
                break;
            }
            let rest = &self.chunk[self.given..];
            let end = rest.iter().position(|byte| *byte == b'\n');
            let piece = &rest[..end.unwrap_or(rest.len())];
            let room = self.most.saturating_sub(self.line.len());
            self.line.extend_from_slice(&piece[..piece.len().min(room)]);
            bytes += piece.len();
            is_ended = end.is_some();
            self.given += piece.len() + usize::from(is_ended);
        }
        let is_too_long = bytes > self.most;
        let line = Line { number: self.number, start, text: &self.line, is_too_long, is_ended };
        Ok((is_ended || bytes > 0).then_some(line))
    }

    /// Reads on; false at the end.
    fn fill(&mut self) -> Result<bool, Error> {
        let len = (self.file.len() - self.read).min(CHUNK as u64) as usize;
        self.chunk.resize(len, 0);
        self.given = 0;
        let (offset, path) = (self.read, self.file.path());
        self.file.read_exact_at(offset, &mut self.chunk).map_err(|source| host::Error::Read {
            path: path.to_path_buf(),
            offset,
            len: len as u64,
            source,
        })?;
        self.read += len as u64;
        Ok(len > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_given_whole_short_or_as_too_long() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("in");
        let long = "x".repeat(3 * CHUNK);
        std::fs::write(&path, format!("a\n\n{long}\nbc")).unwrap();
        let file = FlashFile::open(&path).unwrap();
        for (most, is_too_long) in [(1 << 20, false), (CHUNK + 5, true), (2, true)] {
            let (mut lines, mut seen) = (Lines::new(&file, most), Vec::new());
            while let Some(line) = lines.next().unwrap() {
                seen.push((line.number, line.start, line.text.len(), line.is_too_long, line.is_ended));
            }
            let length = long.len().min(most);
            let last = 4 + long.len() as u64;
            assert_eq!(
                seen,
                [
                    (1, 0, 1, false, true),
                    (2, 2, 0, false, true),
                    (3, 3, length, is_too_long, true),
                    (4, last, 2, false, false)
                ]
            );
        }
    }
}
