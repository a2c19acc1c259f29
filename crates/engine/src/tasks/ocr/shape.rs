//! Shapes of regions: hulls, the smallest rectangle around points, and the mean of a map inside one.
//!
//! What it is not: the search for regions. The one design choice: a rectangle is its four corners, as a region may lie askew.
//! Graham's hull by A. Andrew, 1979; rectangles by H. Freeman and R. Shapira, 1975: one side lies on a side of the hull.

use crate::tasks::Point;

/// The corners of the hull of points, counted around; the points are put in order.
pub(super) fn hull(points: &mut Vec<Point>) -> Vec<Point> {
    points.sort_by(|a, b| a[0].total_cmp(&b[0]).then(a[1].total_cmp(&b[1])));
    points.dedup();
    if points.len() < 3 {
        return points.clone();
    }
    let turn = |a: Point, b: Point, c: Point| (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]);
    let half = |points: &mut dyn Iterator<Item = &Point>| {
        let mut side: Vec<Point> = Vec::new();
        for &point in points {
            while let [.., a, b] = side[..]
                && turn(a, b, point) <= 0.0
            {
                side.pop();
            }
            side.push(point);
        }
        side.pop();
        side
    };
    let mut around = half(&mut points.iter());
    around.append(&mut half(&mut points.iter().rev()));
    around
}

/// A rectangle that may lie askew.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Askew {
    pub centre: Point,
    /// Along the direction, and across it.
    pub size: [f32; 2],
    /// A unit vector.
    pub direction: Point,
}

/// The smallest rectangle around a hull.
pub(super) fn smallest(hull: &[Point]) -> Option<Askew> {
    let next = hull.iter().cycle().skip(1);
    let sides = hull.iter().zip(next).filter_map(|(a, b)| {
        let [dx, dy] = [b[0] - a[0], b[1] - a[1]];
        let length = (dx * dx + dy * dy).sqrt();
        (length > 0.0).then(|| around(hull, [dx / length, dy / length]))
    });
    let area = |askew: &Askew| askew.size[0] * askew.size[1];
    sides.min_by(|a, b| area(a).total_cmp(&area(b)))
}

/// The rectangle around points with a side of this direction.
fn around(points: &[Point], [dx, dy]: Point) -> Askew {
    let bounds = |of: &dyn Fn(&Point) -> f32| {
        let (low, high) = (f32::INFINITY, f32::NEG_INFINITY);
        points.iter().map(of).fold((low, high), |(low, high), value| (low.min(value), high.max(value)))
    };
    let (u0, u1) = bounds(&|p| p[0] * dx + p[1] * dy);
    let (v0, v1) = bounds(&|p| p[1] * dx - p[0] * dy);
    let (u, v) = ((u0 + u1) / 2.0, (v0 + v1) / 2.0);
    Askew { centre: [u * dx - v * dy, u * dy + v * dx], size: [u1 - u0, v1 - v0], direction: [dx, dy] }
}

impl Askew {
    /// The rectangle with all sides farther out by `distance`.
    pub fn grown(self, distance: f32) -> Askew {
        Askew { size: self.size.map(|side| side + 2.0 * distance), ..self }
    }

    /// Its corners: left top, right top, right bottom, left bottom.
    pub fn corners(&self) -> [Point; 4] {
        let ([dx, dy], [w, h]) = (self.direction, self.size);
        let corner = |u: f32, v: f32| {
            let (u, v) = (u * w / 2.0, v * h / 2.0);
            [self.centre[0] + u * dx - v * dy, self.centre[1] + u * dy + v * dx]
        };
        let mut corners = [corner(-1.0, -1.0), corner(1.0, -1.0), corner(1.0, 1.0), corner(-1.0, 1.0)];
        corners.sort_by(|a, b| a[0].total_cmp(&b[0]));
        let [a, b, c, d] = corners;
        let (left_top, left_bottom) = if b[1] > a[1] { (a, b) } else { (b, a) };
        let (right_top, right_bottom) = if d[1] > c[1] { (c, d) } else { (d, c) };
        [left_top, right_top, right_bottom, left_bottom]
    }
}

/// The mean of a map of so many columns in a quadrilateral.
pub(super) fn mean(map: &[f32], columns: usize, corners: &[Point; 4]) -> f32 {
    let rows = map.len() / columns.max(1);
    let corners = corners.map(|corner| corner.map(f32::trunc));
    let low = corners.iter().map(|c| c[1]).fold(f32::INFINITY, f32::min).max(0.0) as usize;
    let high = corners.iter().map(|c| c[1]).fold(0.0, f32::max) as usize;
    let (mut sum, mut count) = (0.0f64, 0usize);
    for y in low..(high + 1).min(rows) {
        let at = y as f32;
        let (mut left, mut right) = (f32::INFINITY, f32::NEG_INFINITY);
        for i in 0..4 {
            let (a, b) = (corners[i], corners[(i + 1) % 4]);
            if at < a[1].min(b[1]) || at > a[1].max(b[1]) {
                continue;
            }
            let ends = match b[1] == a[1] {
                true => [a[0], b[0]],
                false => [a[0] + (b[0] - a[0]) * (at - a[1]) / (b[1] - a[1]); 2],
            };
            left = ends.into_iter().fold(left, f32::min);
            right = ends.into_iter().fold(right, f32::max);
        }
        let (left, right) = (left.round().max(0.0) as usize, right.round().max(-1.0) + 1.0);
        let row = map.get(y * columns + left.min(columns)..y * columns + (right as usize).min(columns));
        let row = row.unwrap_or(&[]);
        sum += row.iter().map(|&value| f64::from(value)).sum::<f64>();
        count += row.len();
    }
    if count == 0 { 0.0 } else { (sum / count as f64) as f32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_rectangle_lies_as_the_points_lie() {
        // A square on its corner, with points inside.
        let mut points =
            vec![[5.0, 0.0], [10.0, 5.0], [5.0, 10.0], [0.0, 5.0], [5.0, 5.0], [4.0, 5.0], [5.0, 0.0]];
        let around = hull(&mut points);
        assert_eq!(around.len(), 4);
        let askew = smallest(&around).unwrap();
        let area = askew.size[0] * askew.size[1];
        assert!((area - 50.0).abs() < 1e-3, "{askew:?}");
        assert!((askew.centre[0] - 5.0).abs() < 1e-4 && (askew.centre[1] - 5.0).abs() < 1e-4);
        let grown = askew.grown(1.0);
        assert!((grown.size[0] - askew.size[0] - 2.0).abs() < 1e-4);
        assert_eq!(smallest(&hull(&mut vec![[1.0, 1.0]])), None);
    }

    #[test]
    fn corners_begin_at_the_left_top() {
        let askew = Askew { centre: [10.0, 5.0], size: [8.0, 2.0], direction: [1.0, 0.0] };
        assert_eq!(askew.corners(), [[6.0, 4.0], [14.0, 4.0], [14.0, 6.0], [6.0, 6.0]]);
        let upright = Askew { direction: [0.0, 1.0], size: [2.0, 8.0], ..askew };
        assert_eq!(upright.corners(), [[6.0, 4.0], [14.0, 4.0], [14.0, 6.0], [6.0, 6.0]]);
    }

    #[test]
    fn the_mean_is_of_what_lies_inside() {
        let map: Vec<f32> = (0..48)
            .map(|i| if (2..6).contains(&(i % 8)) && (1..4).contains(&(i / 8)) { 1.0 } else { 0.0 })
            .collect();
        let inside = [[2.0, 1.0], [5.0, 1.0], [5.0, 3.0], [2.0, 3.0]];
        assert_eq!(mean(&map, 8, &inside), 1.0);
        assert_eq!(mean(&map, 8, &[[0.0, 0.0], [7.0, 0.0], [7.0, 5.0], [0.0, 5.0]]), 0.25);
        assert_eq!(mean(&map, 8, &[[90.0, 90.0]; 4]), 0.0);
    }
}
