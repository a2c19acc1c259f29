//! What a network saw on a picture.
//!
//! What it is: the answers of all tasks, to be told and drawn. What it is not: how they came about. The one design choice: places
//! are in pixels of the picture as it is upright, whatever the network saw of it.

use super::Class;
use processors::image::Picture;

/// The answer of a task.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Seen {
    /// What is on it, likeliest first.
    Classes(Vec<Class>),
}

impl Seen {
    /// Draws it on the picture that it was seen on; what has no place is not drawn.
    pub fn draw(&self, _picture: &mut Picture) {
        match self {
            Seen::Classes(_) => {}
        }
    }
}
