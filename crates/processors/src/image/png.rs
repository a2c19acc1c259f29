//! PNG, read a row at a time, and written.
//!
//! What it is: every kind of PNG as red, green and blue of 8 bits; what is transparent shows its colour. What it is not: the
//! format, which is borrowed. The one design choice: rows go straight into the picture; only an interlaced file is decoded
//! beside it, and its header says so.

use std::io::Write;

use super::file::{Header, Reader};
use super::orientation::Orientation;
use super::{CHANNELS, Picture, View};
use crate::Error;
use host::{Part, Region};
use png::{BitDepth, ColorType, Decoder, Limits, Transformations};

/// Bytes that a decoder takes besides rows: its window, tables, and what waits in them.
const TABLES: u64 = 512 << 10;

fn damaged(error: &png::DecodingError) -> Error {
    match error {
        png::DecodingError::LimitsExceeded => Error::PictureTables,
        error => Error::Picture { reason: error.to_string() },
    }
}

/// A decoder that takes `scratch` bytes at most.
fn decoder(reader: Reader<'_>, scratch: u64) -> Decoder<Reader<'_>> {
    let mut decoder = Decoder::new_with_limits(reader, Limits { bytes: scratch as usize });
    decoder.set_transformations(Transformations::EXPAND | Transformations::STRIP_16);
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    decoder
}

pub(super) fn header(reader: Reader<'_>) -> Result<Header, Error> {
    let mut decoder = decoder(reader, TABLES);
    let info = decoder.read_header_info().map_err(|error| damaged(&error))?;
    let (width, height) = (info.width as usize, info.height as usize);
    super::bytes(width, height)?;
    // Pixels have up to 8 bytes; a decoder holds a few rows.
    let rows = 4 * (8 * width as u64 + 1);
    let whole = if info.interlaced { 4 * (width * height) as u64 } else { 0 };
    let mut header =
        Header { width, height, orientation: Orientation::UPRIGHT, scratch: TABLES + rows + whole };
    let reader = decoder.read_info().map_err(|error| damaged(&error))?;
    if let Some(exif) = &reader.info().exif_metadata {
        header.orientation = Orientation::of(exif);
    }
    Ok(header)
}

/// The bytes of a pixel of the decoded rows.
fn channels(kind: ColorType) -> usize {
    match kind {
        ColorType::Grayscale => 1,
        ColorType::GrayscaleAlpha => 2,
        ColorType::Rgb | ColorType::Indexed => 3,
        ColorType::Rgba => 4,
    }
}

/// Decoded pixels as red, green and blue.
fn convert(from: &[u8], channels: usize, to: &mut [u8]) {
    for (from, to) in from.chunks_exact(channels).zip(to.chunks_exact_mut(CHANNELS)) {
        match from {
            [gray] | [gray, _] => to.fill(*gray),
            [red, green, blue, ..] => to.copy_from_slice(&[*red, *green, *blue]),
            [] => {}
        }
    }
}

pub(super) fn decode(reader: Reader<'_>, scratch: u64, picture: &mut Picture) -> Result<(), Error> {
    let (width, height) = (picture.width(), picture.height());
    let mut reader = decoder(reader, scratch).read_info().map_err(|error| damaged(&error))?;
    let (kind, depth) = reader.output_color_type();
    let is_same = reader.info().width as usize == width && reader.info().height as usize == height;
    if depth != BitDepth::Eight || !is_same {
        return Err(Error::Picture { reason: "its header changed".into() });
    }
    let channels = channels(kind);
    if !reader.info().interlaced {
        for to in picture.pixels_mut().chunks_exact_mut(width * CHANNELS) {
            let row = reader.next_row().map_err(|error| damaged(&error))?;
            let row = row.ok_or_else(|| Error::Picture { reason: "rows are missing".into() })?;
            convert(row.data(), channels, to);
        }
        return Ok(());
    }
    // On the account already, as scratch.
    let free = host::Ledger::new(u64::MAX);
    let bytes = width * height * channels;
    let mut whole = Region::new(&free, Part::Data, bytes).map_err(Error::PictureRoom)?;
    reader.next_frame(whole.as_mut_bytes()).map_err(|error| damaged(&error))?;
    convert(whole.as_bytes(), channels, picture.pixels_mut());
    Ok(())
}

impl View<'_> {
    /// Writes it as PNG.
    ///
    /// # Errors
    /// What `to` says.
    pub fn write_png(&self, to: &mut dyn Write) -> std::io::Result<()> {
        let mut encoder = png::Encoder::new(to, self.width as u32, self.height as u32);
        encoder.set_color(ColorType::Rgb);
        encoder.set_depth(BitDepth::Eight);
        encoder.set_compression(png::Compression::Fast);
        let mut writer = encoder.write_header()?;
        let mut stream = writer.stream_writer_with_size(super::file::WINDOW)?;
        (0..self.height).try_for_each(|y| stream.write_all(self.row(y)))?;
        stream.finish()?;
        writer.finish()?;
        Ok(())
    }
}
