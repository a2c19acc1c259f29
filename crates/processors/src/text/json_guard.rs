//! A fence around the parser of tokenizer.json and its like: what it would gather in memory is bounded before it does.
//!
//! What it is: a reader that counts. What it is not: a parser; it knows strings and brackets, nothing else. The one
//! design choice: the vocabulary may be as long as it likes, since it streams by; a single string, the nesting, and the
//! parts that are held as values have a limit.

use std::cell::Cell;
use std::io::{self, BufRead, BufReader, Read};

/// Bytes read at a time.
const WINDOW: usize = 32 << 10;
/// How deep objects and lists may nest.
const DEPTH: usize = 64;

/// What the reader may still hand out for a part that is held; [`Allowance::free`] while nothing is held.
pub(crate) struct Allowance(Cell<usize>);

impl Allowance {
    /// No part is being read.
    pub fn free() -> Allowance {
        Allowance(Cell::new(usize::MAX))
    }

    /// Does `read` with `bytes` of the file at most.
    pub fn within<T>(&self, bytes: usize, read: impl FnOnce() -> T) -> T {
        self.0.set(bytes);
        let result = read();
        self.0.set(usize::MAX);
        result
    }
}

/// The reader.
pub(crate) struct Guard<'a, R> {
    file: BufReader<R>,
    allowance: &'a Allowance,
    /// The longest string or number, bytes.
    longest: usize,
    /// Bytes since the latest quote or separator.
    run: usize,
    depth: usize,
    inside: bool,
    escaped: bool,
}

impl<'a, R: Read> Guard<'a, R> {
    /// No string or number may have more than `longest` bytes.
    pub fn new(file: R, longest: usize, allowance: &'a Allowance) -> Guard<'a, R> {
        let file = BufReader::with_capacity(WINDOW, file);
        Guard { file, allowance, longest, run: 0, depth: 0, inside: false, escaped: false }
    }

    fn watch(&mut self, byte: u8) -> Result<(), &'static str> {
        let quote = byte == b'"' && !self.escaped;
        let separator = !self.inside && b" \t\r\n,:[]{}".contains(&byte);
        self.escaped = self.inside && byte == b'\\' && !self.escaped;
        self.run = if quote || separator { 0 } else { self.run + 1 };
        match byte {
            _ if quote => self.inside = !self.inside,
            b'[' | b'{' if !self.inside => self.depth += 1,
            b']' | b'}' if !self.inside => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        let left = self.allowance.0.get();
        self.allowance.0.set(if left == usize::MAX { left } else { left.saturating_sub(1) });
        match () {
            () if self.run > self.longest => Err("a string or number that is too long"),
            () if self.depth > DEPTH => Err("lists or objects nested deeper than 64 levels"),
            () if left == 0 => Err("a part other than vocabulary and merges that is too long"),
            () => Ok(()),
        }
    }
}

impl<R: Read> Read for Guard<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.fill_buf()?.read(buffer)?;
        self.file.consume(count);
        for &byte in &buffer[..count] {
            self.watch(byte).map_err(|what| io::Error::new(io::ErrorKind::InvalidData, what))?;
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: usize = 1 << 16;

    fn read(text: &str, allowed: Option<usize>) -> io::Result<usize> {
        let allowance = Allowance::free();
        let mut guard = Guard::new(text.as_bytes(), RUN, &allowance);
        let mut all = || io::copy(&mut guard, &mut io::sink());
        let read = match allowed {
            Some(bytes) => allowance.within(bytes, &mut all),
            None => all(),
        };
        read.map(|bytes| bytes as usize)
    }

    #[test]
    fn only_what_is_gathered_is_bounded() {
        let long = format!("\"{}\"", "\\\"".repeat(RUN / 2));
        let cases = [
            ("[1, \"a\\\\\", {}]".repeat(50_000), None, None),
            ("\"[[[[{{{{\"".repeat(50_000), None, None),
            (long.clone(), None, None),
            (long.replace("\"\"", "x"), None, None),
            (format!("\"{}\"", "x".repeat(RUN + 1)), None, Some("or number that")),
            ("9".repeat(RUN + 1), None, Some("or number that")),
            ("[".repeat(DEPTH + 1), None, Some("64 levels")),
            ("[1, 2, 3]".into(), Some(9), None),
            ("[1, 2, 3]".into(), Some(8), Some("too long")),
        ];
        for (text, allowed, want) in cases {
            match (read(&text, allowed), want) {
                (Ok(count), None) => assert_eq!(count, text.len()),
                (Err(error), Some(want)) => assert!(error.to_string().contains(want), "{error}"),
                (other, want) => panic!("{:.40}: {other:?} {want:?}", text),
            }
        }
    }
}
