//! Parts of a picture that lie askew, made upright.
//!
//! What it is: every pixel of the part looks up its place in the picture, by a map of straight lines to straight lines. What it
//! is not: a change of size over many pixels, see [`resize`](super::resize()). The one design choice: a map is nine numbers from
//! the part to the picture; turned rectangles and four corners are both such maps. OpenCV's warpPerspective.

use super::{CHANNELS, View};

/// From places in the part to places in the picture: `[x y w] = M [u v 1]`, `(x / w, y / w)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Map(pub [f64; 9]);

impl Map {
    /// The map that takes the corners of a part of `width` x `height` to four points: left top, right top, right bottom, left
    /// bottom. `None` if three of them lie in a line.
    pub fn corners(points: [[f64; 2]; 4], width: f64, height: f64) -> Option<Map> {
        // P. Heckbert, Fundamentals of Texture Mapping and Image Warping, 1989: the unit square to four points.
        let [[x0, y0], [x1, y1], [x2, y2], [x3, y3]] = points;
        let (dx1, dx2, sx) = (x1 - x2, x3 - x2, x0 - x1 + x2 - x3);
        let (dy1, dy2, sy) = (y1 - y2, y3 - y2, y0 - y1 + y2 - y3);
        let area = dx1 * dy2 - dx2 * dy1;
        if area.abs() < 1e-9 || width <= 0.0 || height <= 0.0 {
            return None;
        }
        let (g, h) = ((sx * dy2 - dx2 * sy) / area, (dx1 * sy - sx * dy1) / area);
        let (a, b, c) = (x1 - x0 + g * x1, x3 - x0 + h * x3, x0);
        let (d, e, f) = (y1 - y0 + g * y1, y3 - y0 + h * y3, y0);
        Some(Map([a / width, b / height, c, d / width, e / height, f, g / width, h / height, 1.0]))
    }

    /// The map that takes a part of `width` x `height` to a rectangle with this centre, turned by `angle` radians.
    pub fn turned(centre: [f64; 2], size: [f64; 2], angle: f64, width: f64, height: f64) -> Map {
        let (sin, cos) = angle.sin_cos();
        let (sx, sy) = (size[0] / width, size[1] / height);
        let (a, b, d, e) = (cos * sx, -sin * sy, sin * sx, cos * sy);
        let c = centre[0] - a * width / 2.0 - b * height / 2.0;
        let f = centre[1] - d * width / 2.0 - e * height / 2.0;
        Map([a, b, c, d, e, f, 0.0, 0.0, 1.0])
    }

    /// Where a place of the part lies in the picture.
    pub fn place(&self, u: f64, v: f64) -> [f64; 2] {
        let [a, b, c, d, e, f, g, h, i] = self.0;
        let w = g * u + h * v + i;
        let w = if w == 0.0 { 1.0 } else { 1.0 / w };
        [(a * u + b * v + c) * w, (d * u + e * v + f) * w]
    }
}

/// Fills a part of `width` pixels a row by a map from its pixels to those of the picture: bilinear; beyond the edge lies `border`,
/// or the edge itself. With `centred` the pixel (0, 0) covers the places up to (1, 1), else it is the place (0, 0).
pub fn warp(
    from: &View<'_>,
    map: &Map,
    border: Option<[u8; CHANNELS]>,
    centred: bool,
    width: usize,
    to: &mut [u8],
) {
    let half = if centred { 0.5 } else { 0.0 };
    for (at, to) in to.chunks_exact_mut(CHANNELS).enumerate() {
        let (u, v) = ((at % width.max(1)) as f64 + half, (at / width.max(1)) as f64 + half);
        let [x, y] = map.place(u, v).map(|place| place - half);
        if !x.is_finite() || !y.is_finite() {
            continue;
        }
        let (left, top) = (x.floor(), y.floor());
        let (wx, wy) = ((x - left) as f32, (y - top) as f32);
        let pixel = |dx: isize, dy: isize| {
            // A place far outside stays there.
            let (x, y) = (left as i32 as isize + dx, top as i32 as isize + dy);
            let is_inside = (0..from.width as isize).contains(&x) && (0..from.height as isize).contains(&y);
            match border {
                Some(border) if !is_inside => border,
                _ => from.at(x, y),
            }
        };
        let corners = [pixel(0, 0), pixel(1, 0), pixel(0, 1), pixel(1, 1)];
        for (channel, to) in to.iter_mut().enumerate() {
            let [a, b, c, d] = corners.map(|corner| f32::from(corner[channel]));
            let (upper, lower) = (a + (b - a) * wx, c + (d - c) * wx);
            *to = (upper + (lower - upper) * wy).round().clamp(0.0, 255.0) as u8;
        }
    }
}
