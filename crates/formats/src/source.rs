//! Bytes in memory as a source to read from: a whole file, or only its beginning.
//!
//! Not a cache. The one design choice: a beginning knows the length of the whole, so that everything that can
//! be checked against the length is checked before the rest is fetched.

use std::io;

use host::ReadAt;

/// A file that lies in memory already, or the beginning of one.
#[derive(Clone, Copy, Debug)]
pub struct Bytes<'a> {
    held: &'a [u8],
    len: u64,
}

impl<'a> Bytes<'a> {
    /// A whole file.
    pub const fn new(held: &'a [u8]) -> Bytes<'a> {
        Bytes { held, len: held.len() as u64 }
    }

    /// The first bytes of a file of `len` bytes, the rest of which has not been fetched.
    pub const fn beginning(held: &'a [u8], len: u64) -> Bytes<'a> {
        Bytes { held, len }
    }
}

/// What to give where no source will be asked.
pub(crate) const NOTHING: &Bytes<'static> = &Bytes::new(&[]);

impl ReadAt for Bytes<'_> {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.held.read_exact_at(offset, buf)
    }
}
