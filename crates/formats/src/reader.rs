//! A window that moves forward over a source: integers, bytes and strings of a little-endian header.
//!
//! Not a general buffered reader: it never goes back, and it tells truncation (the file is too short) from
//! absence (the bytes have not been fetched). The one design choice: what `take` lends lies in the window, so
//! nothing is copied unless the caller keeps it.

use std::borrow::Cow;
use std::io;

use host::ReadAt;

use crate::Error;
use crate::source::NOTHING;

/// Bytes read at a time.
pub(crate) const WINDOW: usize = 32 << 10;

/// The longest string that is read at all.
pub(crate) const STRING_MAX: u64 = 1 << 20;

/// A position in a source, and the bytes around it.
pub(crate) struct Reader<'a> {
    source: &'a dyn ReadAt,
    /// Where reading must stop: the end of the file or of an array in it.
    end: u64,
    /// File offset of `window[0]`.
    start: u64,
    window: Cow<'a, [u8]>,
    /// Index into `window` of the next byte.
    at: usize,
}

impl<'a> Reader<'a> {
    /// Reads from `start` on, never at or behind `end`.
    pub(crate) fn new(source: &'a dyn ReadAt, start: u64, end: u64) -> Reader<'a> {
        Reader { source, end, start, window: Cow::Borrowed(&[]), at: 0 }
    }

    /// Reads bytes that are in memory already.
    pub(crate) fn held(bytes: &'a [u8]) -> Reader<'a> {
        Reader { source: NOTHING, end: bytes.len() as u64, start: 0, window: Cow::Borrowed(bytes), at: 0 }
    }

    /// File offset of the next byte.
    pub(crate) fn offset(&self) -> u64 {
        self.start + self.at as u64
    }

    /// Bytes from here to the end.
    pub(crate) fn remaining(&self) -> u64 {
        self.end.saturating_sub(self.offset())
    }

    /// Lends the next `count` bytes and steps over them. `count` must be bounded by the caller.
    pub(crate) fn take(&mut self, count: usize) -> Result<&[u8], Error> {
        if self.window.len() - self.at < count {
            self.refill(count)?;
        }
        let lent = &self.window[self.at..self.at + count];
        self.at += count;
        Ok(lent)
    }

    /// Steps over `count` bytes without reading those beyond the window.
    pub(crate) fn skip(&mut self, count: u64) -> Result<(), Error> {
        self.demand(count)?;
        match usize::try_from(count) {
            Ok(near) if near <= self.window.len() - self.at => self.at += near,
            _ => {
                self.start = self.offset() + count;
                self.window = Cow::Borrowed(&[]);
                self.at = 0;
            }
        }
        Ok(())
    }

    /// A copy of the bytes from `start` up to here, which have been read or stepped over.
    pub(crate) fn since(&self, start: u64) -> Result<Box<[u8]>, Error> {
        let count = usize::try_from(self.offset().saturating_sub(start)).unwrap_or(0);
        if let Some(near) = self.at.checked_sub(count) {
            return Ok(self.window[near..self.at].into());
        }
        let mut copy = vec![0; count];
        self.read(start, &mut copy)?;
        Ok(copy.into())
    }

    /// The next `N` bytes.
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let mut bytes = [0; N];
        bytes.copy_from_slice(self.take(N)?);
        Ok(bytes)
    }

    /// A little-endian u32.
    pub(crate) fn u32(&mut self) -> Result<u32, Error> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// A little-endian u64.
    pub(crate) fn u64(&mut self) -> Result<u64, Error> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// A number of 64 bits in groups of seven, lowest first, as Protocol Buffers write it.
    pub(crate) fn varint(&mut self) -> Result<u64, Error> {
        let offset = self.offset();
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let [byte] = self.array()?;
            let group = u64::from(byte & 0x7f);
            if shift == 63 && group > 1 {
                break;
            }
            value |= group << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Error::Malformed { what: "a number has more than 64 bits", offset })
    }

    /// A string: its length as u64, then that many bytes, of any encoding, at most `max`.
    pub(crate) fn string(&mut self, max: u64) -> Result<&[u8], Error> {
        let offset = self.offset();
        let len = self.u64()?;
        self.demand(len)?;
        match usize::try_from(len) {
            Ok(short) if len <= max => self.take(short),
            _ => Err(Error::StringTooLong { offset, len, max }),
        }
    }

    /// A string that must be UTF-8.
    pub(crate) fn text(&mut self, max: u64) -> Result<&str, Error> {
        let offset = self.offset();
        std::str::from_utf8(self.string(max)?).map_err(|_| Error::NotUtf8 { offset })
    }

    /// Checks that `count` more bytes lie before the end.
    pub(crate) fn demand(&self, count: u64) -> Result<(), Error> {
        if count <= self.remaining() {
            return Ok(());
        }
        Err(Error::Truncated { needed: self.offset().saturating_add(count), bytes: self.end })
    }

    /// Moves the window here and fills it with `count` bytes at least.
    fn refill(&mut self, count: usize) -> Result<(), Error> {
        self.demand(count as u64)?;
        self.start = self.offset();
        self.at = 0;
        let left = usize::try_from(self.remaining()).unwrap_or(usize::MAX);
        let wide = count.max(WINDOW).min(left);
        match self.fill(wide) {
            // The rest of the window may not have been fetched yet; what is asked for may.
            Err(Error::NotFetched { .. }) if wide > count => self.fill(count),
            done => done,
        }
    }

    fn fill(&mut self, count: usize) -> Result<(), Error> {
        let mut window = std::mem::take(&mut self.window).into_owned();
        window.clear();
        window.reserve_exact(count);
        window.resize(count, 0);
        self.read(self.start, &mut window)?;
        self.window = Cow::Owned(window);
        Ok(())
    }

    fn read(&self, offset: u64, into: &mut [u8]) -> Result<(), Error> {
        let bytes = into.len() as u64;
        self.source.read_exact_at(offset, into).map_err(|source| match source.kind() {
            io::ErrorKind::UnexpectedEof => Error::NotFetched { needed: offset + bytes },
            _ => Error::Read { offset, bytes, source },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Bytes;

    #[test]
    fn windows_join_without_a_seam() {
        let bytes: Vec<u8> = (0..3 * WINDOW as u32 / 4).flat_map(u32::to_le_bytes).collect();
        let source = Bytes::new(&bytes);
        let mut reader = Reader::new(&source, 2, bytes.len() as u64);
        assert_eq!(reader.take(2).unwrap(), [0, 0]);
        for i in 1..bytes.len() as u32 / 4 {
            assert_eq!(reader.u32().unwrap(), i);
        }
        assert!(matches!(reader.take(1), Err(Error::Truncated { .. })));
    }

    #[test]
    fn a_beginning_is_enough_until_it_is_not() {
        let source = Bytes::beginning(&[1, 0, 0, 0, 9], 1 << 40);
        let mut reader = Reader::new(&source, 0, source.len());
        assert_eq!(reader.u32().unwrap(), 1);
        assert!(matches!(reader.u32(), Err(Error::NotFetched { needed: 8 })));
        reader.skip(1 << 39).unwrap();
        assert_eq!(reader.offset(), 4 + (1 << 39));
    }

    #[test]
    fn strings_are_bounded() {
        let cases: [(u64, &str); 3] = [(u64::MAX, "ends at 12"), (4, "at most 3"), (5, "ends at 12")];
        for (len, want) in cases {
            let mut bytes = len.to_le_bytes().to_vec();
            bytes.extend(b"abcd");
            let source = Bytes::new(&bytes);
            let error = Reader::new(&source, 0, 12).string(3).unwrap_err();
            assert!(error.to_string().contains(want), "{error}");
        }
    }
}
