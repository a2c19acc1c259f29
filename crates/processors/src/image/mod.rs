//! Pictures: from a file to numbers that a network takes, and from what it says back to a picture.
//!
//! What it is: PNG and JPEG read upright as rows of red, green and blue, sizes changed, parts cut out, marks drawn, PNG written.
//! What it is not: a choice of how a network is fed, which is its pipeline's. The one design choice: a file says how large it
//! is before it is decoded, and a [`Picture`] is a [`host::Region`] of the ledger, so that a small file of a huge
//! picture is refused by its header.

mod draw;
mod file;
mod jpeg;
mod orientation;
mod png;
mod resize;
mod tensor;
mod warp;

pub use draw::Colour;
pub use file::Source;
pub use resize::{Filter, Frame, resize, resize_bytes};
pub use tensor::{Canvas, Layout, Normal};
pub use warp::{Map, warp};

use crate::Error;
use host::{Ledger, Part, Region};

/// Bytes of a pixel: red, green, blue.
pub const CHANNELS: usize = 3;
/// Pixels in a row or column at most, as JPEG has it.
pub const MOST: usize = 65_535;

/// Pixels in memory, on the account.
#[derive(Debug)]
pub struct Picture {
    pixels: Region, // (y, x, rgb)
    width: usize,
    height: usize,
}

/// Pixels that somebody holds.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// All of them.
    pub pixels: &'a [u8], // (y, x, rgb)
}

impl Picture {
    /// A black one.
    ///
    /// # Errors
    /// No room on the account; sides of nothing or beyond [`MOST`].
    pub fn new(ledger: &Ledger, width: usize, height: usize) -> Result<Picture, Error> {
        let bytes = bytes(width, height)?;
        let pixels = Region::new(ledger, Part::Data, bytes).map_err(Error::PictureRoom)?;
        Ok(Picture { pixels, width, height })
    }

    /// Its pixels.
    pub fn view(&self) -> View<'_> {
        View { width: self.width, height: self.height, pixels: self.pixels.as_bytes() }
    }

    /// Its pixels, writable: `(y, x, rgb)`.
    pub fn pixels_mut(&mut self) -> &mut [u8] {
        self.pixels.as_mut_bytes()
    }

    /// Pixels in a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }
}

/// Bytes of the pixels of a picture of this size.
fn bytes(width: usize, height: usize) -> Result<usize, Error> {
    match (1..=MOST).contains(&width) && (1..=MOST).contains(&height) {
        true => Ok(width * height * CHANNELS),
        false => Err(Error::PictureSize { width, height }),
    }
}

impl<'a> View<'a> {
    /// Pixels that lie in `pixels`; `None` if they are not as many.
    pub fn new(width: usize, height: usize, pixels: &'a [u8]) -> Option<View<'a>> {
        let is_whole = bytes(width, height).is_ok_and(|bytes| bytes == pixels.len());
        is_whole.then_some(View { width, height, pixels })
    }

    /// A pixel; beyond the edge, the nearest on it.
    fn at(&self, x: isize, y: isize) -> [u8; CHANNELS] {
        let x = x.clamp(0, self.width as isize - 1) as usize;
        let y = y.clamp(0, self.height as isize - 1) as usize;
        let at = (y * self.width + x) * CHANNELS;
        self.pixels.get(at..at + CHANNELS).and_then(|pixel| pixel.try_into().ok()).unwrap_or_default()
    }

    /// A row.
    fn row(&self, y: usize) -> &'a [u8] {
        let stride = self.width * CHANNELS;
        self.pixels.get(y * stride..(y + 1) * stride).unwrap_or(&[])
    }
}
