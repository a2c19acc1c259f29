//! JPEG, decoded into the picture.
//!
//! What it is: baseline and progressive photographs as red, green and blue. What it is not: the decoding, which is borrowed. The
//! one design choice: the markers before the pixels are walked here, so that what decoding takes is known and can be refused:
//! rows of blocks, or all coefficients where a file has them in several passes. ITU-T T.81.

use std::io::{Read, Seek, SeekFrom};

use super::file::{Header, Reader};
use super::orientation::Orientation;
use super::{MOST, Picture};
use crate::Error;
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

/// Bytes that a decoder takes for its tables.
const TABLES: u64 = 256 << 10;
/// Rows of samples that a decoder holds at most, of 2 bytes each.
const ROWS: u64 = 160;
/// Bytes of settings, profiles and previews before the pixels at most.
const MOST_BEFORE: u64 = 8 << 20;
/// Segments before the pixels at most.
const MOST_SEGMENTS: usize = 4096;

fn damaged(reason: &str) -> Error {
    Error::Picture { reason: reason.to_string() }
}

/// Walks the segments up to the first scan.
pub(super) fn header(mut reader: Reader<'_>) -> Result<Header, Error> {
    let mut frame = None;
    let (mut before, mut orientation) = (0, Orientation::UPRIGHT);
    reader.seek(SeekFrom::Start(2)).map_err(Error::PictureRead)?;
    for _ in 0..MOST_SEGMENTS {
        let marker = marker(&mut reader)?;
        if matches!(marker, 0x01 | 0xd0..=0xd8) {
            continue;
        }
        let mut len = [0; 2];
        reader.read_exact(&mut len).map_err(Error::PictureRead)?;
        let len = u16::from_be_bytes(len).checked_sub(2).ok_or_else(|| damaged("a segment has no length"))?;
        before += u64::from(len);
        if before > MOST_BEFORE {
            return Err(damaged("it has more than 8 MiB of profiles and previews before its pixels"));
        }
        let wanted = matches!(marker, 0xc0..=0xcf | 0xda | 0xe1);
        let mut segment = vec![0; if wanted { usize::from(len) } else { 0 }];
        reader.read_exact(&mut segment).map_err(Error::PictureRead)?;
        reader.seek_relative(i64::from(len) - segment.len() as i64).map_err(Error::PictureRead)?;
        match marker {
            0xc4 | 0xc8 | 0xcc => {}
            0xc0..=0xcf => frame = Some(Frame::of(marker, &segment)?),
            0xe1 if segment.starts_with(b"Exif\0\0") => orientation = Orientation::of(&segment),
            0xda => {
                let frame = frame.ok_or_else(|| damaged("its pixels come before their size"))?;
                let scan = segment.first().copied().unwrap_or(0);
                return Ok(frame.header(scan, before, orientation));
            }
            _ => {}
        }
    }
    Err(damaged("it has too many segments"))
}

/// The next marker.
fn marker(reader: &mut Reader<'_>) -> Result<u8, Error> {
    let mut byte = [0];
    reader.read_exact(&mut byte).map_err(Error::PictureRead)?;
    while byte == [0xff] {
        reader.read_exact(&mut byte).map_err(Error::PictureRead)?;
        if !matches!(byte, [0xff | 0]) {
            return Ok(byte[0]);
        }
    }
    Err(damaged("a segment begins without a marker"))
}

/// What a frame's header says.
#[derive(Clone, Copy)]
struct Frame {
    is_progressive: bool,
    width: usize,
    height: usize,
    components: u8,
}

impl Frame {
    fn of(marker: u8, segment: &[u8]) -> Result<Frame, Error> {
        let [8, h1, h0, w1, w0, components, ..] = *segment else {
            return Err(damaged("its samples do not have 8 bits"));
        };
        if !matches!(marker, 0xc0..=0xc2) || !(1..=4).contains(&components) {
            return Err(Error::PictureKind { marker });
        }
        let side = |high, low| usize::from(u16::from_be_bytes([high, low]));
        Ok(Frame { is_progressive: marker == 0xc2, width: side(w1, w0), height: side(h1, h0), components })
    }

    /// `scan` components are in the first scan; `before` bytes come before it.
    fn header(&self, scan: u8, before: u64, orientation: Orientation) -> Header {
        let padded = |side: usize| (side as u64).next_multiple_of(32);
        let (width, height) = (padded(self.width), padded(self.height));
        let whole = self.is_progressive || scan != self.components;
        let coefficients = if whole { 2 * u64::from(self.components) * width * height } else { 0 };
        let scratch = TABLES + before + ROWS * 2 * width + coefficients;
        Header { width: self.width, height: self.height, orientation, scratch }
    }
}

pub(super) fn decode(reader: Reader<'_>, picture: &mut Picture) -> Result<(), Error> {
    let options = DecoderOptions::default()
        .jpeg_set_out_colorspace(ColorSpace::RGB)
        .set_max_width(MOST)
        .set_max_height(MOST);
    let mut decoder = JpegDecoder::new_with_options(reader, options);
    decoder.decode_into(picture.pixels_mut()).map_err(|error| damaged(&format!("{error:?}")))
}
