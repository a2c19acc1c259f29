//! What a network saw on a picture.
//!
//! What it is: the answers of all tasks, to be told and drawn. What it is not: how they came about. The one design choice: places
//! are in pixels of the picture as it is upright, whatever the network saw of it.

use super::{Class, Line, Mask, Object, Point};
use processors::image::{Colour, Picture};

/// The answer of a task.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Seen {
    /// What is on it, likeliest first.
    Classes(Vec<Class>),
    /// What it says.
    Line(Line),
    /// Which part of it is what was looked for.
    Mask(Mask),
    /// Things on it, likeliest first.
    Objects(Vec<Object>),
    /// Points, in the network's order.
    Points(Vec<Point>),
}

/// What boxes and points are drawn in, and what is not of a mask.
const BOX: Colour = [255, 0, 80];
const POINT: Colour = [0, 220, 255];
const VEIL: Colour = [0, 0, 40];
/// How much of the veil covers what is not of a mask.
const THICK: f32 = 0.8;

impl Seen {
    /// Draws it on the picture that it was seen on; what has no place is not drawn.
    pub fn draw(&self, picture: &mut Picture) {
        match self {
            Seen::Classes(_) | Seen::Line(_) => {}
            Seen::Mask(mask) => picture.draw_veil(|x, y| THICK * (1.0 - mask.at(x, y)), VEIL),
            Seen::Objects(objects) => objects.iter().for_each(|object| object.draw(picture)),
            Seen::Points(points) => {
                let radius = radius(picture);
                points.iter().for_each(|point| picture.draw_point(*point, radius, POINT));
            }
        }
    }
}

/// The radius of a point that can be seen on a picture of this size.
pub(super) fn radius(picture: &Picture) -> usize {
    picture.width().max(picture.height()) / 400 + 1
}

impl Object {
    fn draw(&self, picture: &mut Picture) {
        let [[x0, y0], [x1, y1]] = self.corners;
        picture.draw_outline(&[[x0, y0], [x1, y0], [x1, y1], [x0, y1]], BOX);
        let radius = radius(picture);
        self.points.iter().for_each(|point| picture.draw_point(*point, radius, POINT));
    }
}
