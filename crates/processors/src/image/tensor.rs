//! Pixels as the numbers that a network takes.
//!
//! What it is: colours in the order and place that a network wants, scaled. What it is not: a change of size. The one design
//! choice: `(value * scale - mean) / std` in one product and one sum, so that every toolkit's way of saying it is this one.

use super::{CHANNELS, View};
use serde::Deserialize;

/// Where a colour's number stands.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// Whole pictures of one colour, one behind another.
    #[default]
    Nchw,
    /// The colours of a pixel, side by side.
    Nhwc,
}

/// How a byte becomes a number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Normal {
    /// Whether blue comes first.
    pub is_bgr: bool,
    /// A factor of every colour, in the order in which they stand.
    pub factor: [f32; CHANNELS],
    /// What is added then.
    pub offset: [f32; CHANNELS],
}

impl Normal {
    /// `(value * scale - mean) / std`.
    pub fn new(scale: f32, mean: [f32; CHANNELS], std: [f32; CHANNELS], is_bgr: bool) -> Normal {
        let factor = std::array::from_fn(|c| scale / std[c]);
        let offset = std::array::from_fn(|c| -mean[c] / std[c]);
        Normal { is_bgr, factor, offset }
    }
}

/// The numbers of a picture that a network takes, to be filled part by part.
pub struct Canvas<'a> {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Where colours stand.
    pub layout: Layout,
    /// How a byte becomes a number.
    pub normal: Normal,
    /// A place for every colour of every pixel.
    pub numbers: &'a mut [f32],
}

impl Canvas<'_> {
    /// Writes a part of the picture; what lies beyond the edge is left out.
    pub fn put(&mut self, part: &View<'_>, left: usize, top: usize) {
        let pixels = self.width * self.height;
        for (row, y) in part.pixels.chunks_exact(part.width * CHANNELS).zip(top..self.height) {
            for (pixel, x) in row.chunks_exact(CHANNELS).zip(left..self.width) {
                for channel in 0..CHANNELS {
                    let value = pixel[if self.normal.is_bgr { CHANNELS - 1 - channel } else { channel }];
                    let at = y * self.width + x;
                    let place = match self.layout {
                        Layout::Nchw => channel * pixels + at,
                        Layout::Nhwc => at * CHANNELS + channel,
                    };
                    if let Some(to) = self.numbers.get_mut(place) {
                        *to = f32::from(value) * self.normal.factor[channel] + self.normal.offset[channel];
                    }
                }
            }
        }
    }
}
