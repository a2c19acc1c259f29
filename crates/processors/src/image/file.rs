//! A file of a picture: what its header says, and its pixels.
//!
//! What it is not: the formats, which have a file each. The one design choice: the bytes are read through a small window past
//! the page cache, never as a whole, so that decoding takes what the header foretold.

use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use super::orientation::Orientation;
use super::{Picture, jpeg, png};
use crate::Error;
use host::{FlashFile, Ledger, ReadAt};

/// Bytes of the window.
pub(super) const WINDOW: usize = 16 << 10;

/// A picture that was not decoded yet.
#[derive(Debug)]
pub struct Source {
    file: FlashFile,
    format: Format,
    /// As stored.
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) orientation: Orientation,
    /// Bytes that decoding takes for itself.
    pub(super) scratch: u64,
}

#[derive(Clone, Copy, Debug)]
enum Format {
    Jpeg,
    Png,
}

/// What a format's header says.
pub(super) struct Header {
    pub width: usize,
    pub height: usize,
    pub orientation: Orientation,
    pub scratch: u64,
}

impl Source {
    /// Reads the header.
    ///
    /// # Errors
    /// A file that cannot be read, is no picture, or is damaged.
    pub fn open(path: &Path) -> Result<Source, Error> {
        let file = FlashFile::open(path).map_err(Error::PictureFile)?;
        let mut magic = [0; 8];
        let known = file.len().min(8) as usize;
        file.read_exact_at(0, &mut magic[..known]).map_err(Error::PictureRead)?;
        let (format, header) = match magic {
            [0x89, b'P', b'N', b'G', ..] => (Format::Png, png::header(reader(&file))?),
            [0xff, 0xd8, ..] => (Format::Jpeg, jpeg::header(reader(&file))?),
            _ => return Err(Error::NotAPicture),
        };
        let Header { width, height, orientation, scratch } = header;
        super::bytes(width, height)?;
        Ok(Source { file, format, width, height, orientation, scratch })
    }

    /// Pixels in a row of the upright picture.
    pub fn width(&self) -> usize {
        if self.orientation.is_transposed() { self.height } else { self.width }
    }

    /// Rows of the upright picture.
    pub fn height(&self) -> usize {
        if self.orientation.is_transposed() { self.width } else { self.height }
    }

    /// Bytes that the picture takes when it is decoded.
    pub fn bytes(&self) -> u64 {
        // Sides are at most 65,535 each.
        (self.width * self.height * super::CHANNELS).next_multiple_of(host::page_size()) as u64
    }

    /// Bytes that decoding takes at most, those of the picture among them.
    pub fn decoding_bytes(&self) -> u64 {
        let turned = if self.orientation.is_upright() { 0 } else { self.bytes() };
        self.bytes() + self.scratch.max(turned)
    }

    /// Decodes it, upright.
    ///
    /// # Errors
    /// No room on the account; a damaged file.
    pub fn decode(&self, ledger: &Ledger) -> Result<Picture, Error> {
        let mut picture = Picture::new(ledger, self.width, self.height)?;
        {
            let scratch = ledger.reserve(host::Part::Data, self.scratch);
            let _scratch = scratch.map_err(|refused| Error::PictureRoom(refused.into()))?;
            match self.format {
                Format::Jpeg => jpeg::decode(reader(&self.file), &mut picture)?,
                Format::Png => png::decode(reader(&self.file), self.scratch, &mut picture)?,
            }
        }
        if self.orientation.is_upright() { Ok(picture) } else { self.orientation.turn(&picture, ledger) }
    }
}

/// The bytes of a file in order.
pub(super) type Reader<'a> = BufReader<Window<'a>>;

fn reader(file: &FlashFile) -> Reader<'_> {
    BufReader::with_capacity(WINDOW, Window { file, at: 0 })
}

/// A place in a file.
pub(super) struct Window<'a> {
    file: &'a FlashFile,
    at: u64,
}

impl Read for Window<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let left = self.file.len().saturating_sub(self.at);
        let count = buf.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        self.file.read_exact_at(self.at, &mut buf[..count])?;
        self.at += count as u64;
        Ok(count)
    }
}

impl Seek for Window<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.file.len().checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}
