//! Which part of a picture is what is looked for: a share for every pixel.
//!
//! What it is not: a choice of a threshold; shares are told as they are. The one design choice: the mask stays as large as the
//! network made it and is looked up where a pixel of the picture lies on it.

use super::values::{Activation, only, sigmoid};
use crate::{Error, Network};
use processors::image::Map;
use serde::Deserialize;

/// How a mask is read.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Segment {
    /// The output's name; the network's only one, if not said.
    pub mask: Option<String>,
    /// What makes its numbers shares: none or sigmoid.
    #[serde(default)]
    pub activation: Activation,
}

/// Shares of the pixels that a network saw.
#[derive(Clone, Debug)]
pub struct Mask {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// From 0 to 255, rows first.
    pub shares: Vec<u8>,
    map: Map,
}

impl Segment {
    /// The mask of a network's picture of `width` x `height`, which lies in the whole as `map` says.
    ///
    /// # Errors
    /// An output that is missing, no array of numbers, or of another size.
    pub fn read(&self, network: &Network, [width, height]: [usize; 2], map: &Map) -> Result<Mask, Error> {
        let (extents, numbers) = only(network, self.mask.as_deref())?;
        if numbers.len() != width * height {
            let reason = format!("its mask is {extents:?}, not of {width} x {height} pixels");
            return Err(Error::Pipeline { name: self.mask.clone().unwrap_or_default(), reason });
        }
        let share = |&number: &f32| match self.activation {
            Activation::Sigmoid => sigmoid(number),
            _ => number,
        };
        let shares = numbers.iter().map(|number| (share(number) * 255.0).round() as u8).collect();
        Ok(Mask { width, height, shares, map: *map })
    }
}

impl Mask {
    /// The share of a pixel of the picture, from 0 to 1.
    pub fn at(&self, x: usize, y: usize) -> f32 {
        // What a mask lies on is upright.
        let [a, _, c, _, e, f, ..] = self.map.0;
        let [u, v] = [(x as f64 - c) / a, (y as f64 - f) / e].map(|at| at as f32);
        let (left, top) = (u.floor(), v.floor());
        let get = |x: f32, y: f32| {
            let x = x.clamp(0.0, self.width as f32 - 1.0) as usize;
            let y = y.clamp(0.0, self.height as f32 - 1.0) as usize;
            f32::from(self.shares.get(y * self.width + x).copied().unwrap_or(0)) / 255.0
        };
        let line = |y: f32| get(left, y) + (get(left + 1.0, y) - get(left, y)) * (u - left);
        line(top) + (line(top + 1.0) - line(top)) * (v - top)
    }

    /// The mean share of what the network saw, from 0 to 1.
    pub fn mean(&self) -> f32 {
        let sum: u64 = self.shares.iter().map(|share| u64::from(*share)).sum();
        sum as f32 / (255.0 * self.shares.len().max(1) as f32)
    }
}
