//! How a camera was held: the one setting of EXIF that pictures need.
//!
//! What it is not: a reader of EXIF beyond tag 0x0112 of the first directory. The one design choice: whatever is odd is
//! upright, since a picture is still one without its EXIF. CIPA DC-008, TIFF 6.0.

use super::{CHANNELS, Picture};
use crate::Error;
use host::Ledger;

/// One of EXIF's eight, 1 being upright.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Orientation(u8);

impl Orientation {
    pub(super) const UPRIGHT: Orientation = Orientation(1);

    /// What an EXIF block says.
    pub(super) fn of(exif: &[u8]) -> Orientation {
        Orientation::found(exif).unwrap_or(Orientation::UPRIGHT)
    }

    fn found(exif: &[u8]) -> Option<Orientation> {
        let tiff = exif.strip_prefix(b"Exif\0\0").unwrap_or(exif);
        let is_little = match tiff.get(..4)? {
            b"II*\0" => true,
            b"MM\0*" => false,
            _ => return None,
        };
        let short = |at: usize| -> Option<u16> {
            let bytes = tiff.get(at..at.checked_add(2)?)?.try_into().ok()?;
            Some(if is_little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) })
        };
        let bytes = tiff.get(4..8)?.try_into().ok()?;
        let start = if is_little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) } as usize;
        let entries = usize::from(short(start)?);
        let mut entries = (0..entries).filter_map(|entry| start.checked_add(2 + entry * 12));
        let value = short(entries.find(|&at| short(at) == Some(0x0112))?.checked_add(8)?)?;
        u8::try_from(value).ok().filter(|value| (1..=8).contains(value)).map(Orientation)
    }

    pub(super) fn is_upright(self) -> bool {
        self.0 == 1
    }

    /// Whether rows are stored as columns.
    pub(super) fn is_transposed(self) -> bool {
        self.0 >= 5
    }

    /// The upright picture.
    pub(super) fn turn(self, stored: &Picture, ledger: &Ledger) -> Result<Picture, Error> {
        let (w, h) = (stored.width(), stored.height());
        let (width, height) = if self.is_transposed() { (h, w) } else { (w, h) };
        let mut picture = Picture::new(ledger, width, height)?;
        let from = stored.view();
        for (at, pixel) in picture.pixels_mut().chunks_exact_mut(CHANNELS).enumerate() {
            let (x, y) = (at % width, at / width);
            let (x, y) = match self.0 {
                2 => (w - 1 - x, y),
                3 => (w - 1 - x, h - 1 - y),
                4 => (x, h - 1 - y),
                5 => (y, x),
                6 => (y, h - 1 - x),
                7 => (w - 1 - y, h - 1 - x),
                8 => (w - 1 - y, x),
                _ => (x, y),
            };
            pixel.copy_from_slice(&from.at(x as isize, y as isize));
        }
        Ok(picture)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exif_tells_how_the_camera_was_held() {
        let little = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0";
        let big = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x08\0\0";
        assert_eq!(Orientation::of(little), Orientation(6));
        assert_eq!(Orientation::of(big), Orientation(8));
        for cut in 0..little.len() - 3 {
            assert_eq!(Orientation::of(&little[..cut]), Orientation::UPRIGHT, "{cut}");
        }
        assert_eq!(Orientation::of(b"II*\0\xff\xff\xff\xff"), Orientation::UPRIGHT);
    }
}
