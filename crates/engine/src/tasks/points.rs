//! Points of a thing that fills a picture: landmarks, as a network marks them.
//!
//! What it is: places, in the network's order. What it is not: the following from picture to picture, which takes two networks, see
//! [`Follow`](super::Follow). The one design choice: what else a network tells of a point, such as how deep it lies, is passed over.

use super::Point;
use super::values::only;
use crate::{Error, Network};
use processors::image::Map;
use serde::Deserialize;

/// How points are read.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Points {
    /// The output's name; the network's only one, if not said.
    pub points: Option<String>,
    /// Numbers of a point; from the left and from the top are the first two.
    #[serde(default = "two")]
    pub numbers: usize,
    /// Whether places are shares of the picture instead of its pixels.
    #[serde(default)]
    pub relative: bool,
}

fn two() -> usize {
    2
}

/// Points that are told at most.
const MOST: usize = 4096;

impl Points {
    /// The points on the network's picture of `width` x `height`; `map` says where that lies.
    ///
    /// # Errors
    /// An output that is missing, no array of numbers, or not of whole points.
    pub fn read(&self, network: &Network, size: [usize; 2], map: &Map) -> Result<Vec<Point>, Error> {
        let (extents, numbers) = only(network, self.points.as_deref())?;
        self.found(numbers, size, map).ok_or_else(|| {
            let reason = format!("its points are {extents:?}, not up to {MOST} of {} numbers", self.numbers);
            Error::Pipeline { name: self.points.clone().unwrap_or_default(), reason }
        })
    }

    fn found(&self, numbers: &[f32], size: [usize; 2], map: &Map) -> Option<Vec<Point>> {
        let count = numbers.len().checked_div(self.numbers)?;
        if self.numbers < 2 || count * self.numbers != numbers.len() || count > MOST {
            return None;
        }
        let scale = if self.relative { size.map(|side| side as f64) } else { [1.0; 2] };
        let place = |point: &[f32]| map.place(f64::from(point[0]) * scale[0], f64::from(point[1]) * scale[1]);
        Some(numbers.chunks_exact(self.numbers).map(|point| place(point).map(|at| at as f32)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_lie_on_the_picture() {
        let map = Map([2.0, 0.0, 10.0, 0.0, 4.0, 0.0, 0.0, 0.0, 1.0]);
        let points = |text: &str| toml::from_str::<Points>(text).unwrap();
        let three = points("numbers = 3");
        assert_eq!(
            three.found(&[1.0, 2.0, 9.0, 3.0, 4.0, 9.0], [8, 8], &map).unwrap(),
            [[12.0, 8.0], [16.0, 16.0]]
        );
        assert_eq!(points("relative = true").found(&[0.5, 0.25], [8, 8], &map).unwrap(), [[18.0, 8.0]]);
        assert!(three.found(&[1.0; 4], [8, 8], &map).is_none());
        assert!(points("numbers = 0").found(&[1.0; 4], [8, 8], &map).is_none());
    }
}
