//! A part of a picture that a network is to look at: a rectangle that may lie askew.
//!
//! What it is: where it comes from (two points on a face, a hand, a body) and the map to it. What it is not: the looking. The one
//! design choice: everything is in pixels of the picture, so no step has to know how large the picture is. MediaPipe's
//! DetectionsToRects, AlignmentPointsToRects and RectTransformation calculators.

use super::Point;
use processors::image::Map;

/// A rectangle, turned.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Roi {
    pub centre: Point,
    pub size: [f32; 2],
    /// Radians, clockwise as seen.
    pub angle: f32,
}

/// How a rectangle is made larger: how far along its height it moves, and how many times its longer side it is then.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grow {
    pub shift: f32,
    pub scale: f32,
}

/// The angle of a rectangle in which the way from one point to another goes to the right, or up if `is_up`.
pub(super) fn angle([x0, y0]: Point, [x1, y1]: Point, is_up: bool) -> f32 {
    let target = if is_up { std::f32::consts::FRAC_PI_2 } else { 0.0 };
    let angle = target - (y0 - y1).atan2(x1 - x0);
    angle - std::f32::consts::TAU * ((angle + std::f32::consts::PI) / std::f32::consts::TAU).floor()
}

impl Roi {
    /// The whole of a picture, made longer on one side to the proportions of `wanted`.
    pub fn whole(size: [f32; 2], wanted: [f32; 2]) -> Roi {
        let centre = size.map(|side| side / 2.0);
        let proportion = wanted[1] / wanted[0];
        let size = match proportion > size[1] / size[0] {
            true => [size[0], size[0] * proportion],
            false => [size[1] / proportion, size[1]],
        };
        Roi { centre, size, angle: 0.0 }
    }

    /// The rectangle around points, in a frame that is turned by `angle`.
    pub fn around(points: impl Iterator<Item = Point>, angle: f32) -> Roi {
        let (sin, cos) = angle.sin_cos();
        let mut bounds = [[f32::INFINITY; 2], [f32::NEG_INFINITY; 2]];
        for [x, y] in points {
            for (axis, at) in [x * cos + y * sin, y * cos - x * sin].into_iter().enumerate() {
                bounds[0][axis] = bounds[0][axis].min(at);
                bounds[1][axis] = bounds[1][axis].max(at);
            }
        }
        let [low, high] = bounds;
        let [u, v] = [(low[0] + high[0]) / 2.0, (low[1] + high[1]) / 2.0];
        let centre = [u * cos - v * sin, u * sin + v * cos];
        Roi { centre, size: [high[0] - low[0], high[1] - low[1]], angle }
    }

    /// A square around a point, as far as another is away.
    pub fn reaching(centre: Point, edge: Point) -> Roi {
        let reach = (edge[0] - centre[0]).hypot(edge[1] - centre[1]);
        Roi { centre, size: [2.0 * reach; 2], angle: angle(centre, edge, true) }
    }

    /// A square: moved along the height, as long as the longer side, times a factor.
    pub fn grown(self, grow: Grow) -> Roi {
        let (sin, cos) = self.angle.sin_cos();
        let by = self.size[1] * grow.shift;
        let centre = [self.centre[0] - by * sin, self.centre[1] + by * cos];
        let side = self.size[0].max(self.size[1]) * grow.scale;
        Roi { centre, size: [side; 2], angle: self.angle }
    }

    /// From pixels of what a network of this size sees to the picture.
    pub fn map(&self, width: usize, height: usize) -> Map {
        let [centre, size] = [self.centre, self.size].map(|pair| pair.map(f64::from));
        Map::turned(centre, size, f64::from(self.angle), width as f64, height as f64)
    }

    /// Whether it can be looked at.
    pub fn is_sound(&self) -> bool {
        let all = [self.centre[0], self.centre[1], self.size[0], self.size[1], self.angle];
        all.into_iter().all(f32::is_finite) && self.size.iter().all(|side| *side >= 1.0 && *side < 1e6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f32::consts::FRAC_PI_2;

    #[test]
    fn a_square_follows_two_points() {
        assert_eq!(angle([0.0, 0.0], [5.0, 0.0], false), 0.0);
        assert_eq!(angle([5.0, 5.0], [5.0, 0.0], true), 0.0);
        // A body that lies: from the hip to the right, its up is to the right.
        assert!((angle([0.0, 0.0], [5.0, 0.0], true) - FRAC_PI_2).abs() < 1e-6);
        let roi = Roi::reaching([10.0, 10.0], [10.0, 4.0]).grown(Grow { shift: 0.0, scale: 1.25 });
        assert_eq!((roi.centre, roi.size, roi.angle), ([10.0, 10.0], [15.0, 15.0], 0.0));
        let moved = roi.grown(Grow { shift: -0.5, scale: 2.0 });
        assert_eq!((moved.centre, moved.size), ([10.0, 2.5], [30.0, 30.0]));
        assert_eq!(roi.map(15, 15).place(0.0, 0.0), [2.5, 2.5]);
    }

    #[test]
    fn a_rectangle_around_points_may_be_turned() {
        let points = [[0.0, 0.0], [4.0, 4.0], [3.0, 5.0], [-1.0, 1.0]];
        let roi = Roi::around(points.into_iter(), FRAC_PI_2 / 2.0);
        assert!(
            (roi.size[0] - 32f32.sqrt()).abs() < 1e-5 && (roi.size[1] - 2f32.sqrt()).abs() < 1e-5,
            "{roi:?}"
        );
        assert!((roi.centre[0] - 1.5).abs() < 1e-5 && (roi.centre[1] - 2.5).abs() < 1e-5);
        assert!(!Roi::around(std::iter::empty(), 0.0).is_sound());
    }

    #[test]
    fn the_whole_is_made_longer_on_one_side() {
        assert_eq!(Roi::whole([200.0, 100.0], [64.0, 64.0]).size, [200.0, 200.0]);
        assert_eq!(Roi::whole([100.0, 200.0], [64.0, 32.0]).size, [400.0, 200.0]);
    }
}
