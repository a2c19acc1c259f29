//! Marks on a picture: lines, points and a veil.
//!
//! What it is not: letters; what a mark says stands in the text of the answer. The one design choice: what lies beyond the edge
//! is left out, however far.

use super::{CHANNELS, Picture};

/// Red, green, blue.
pub type Colour = [u8; CHANNELS];

impl Picture {
    fn dot(&mut self, x: isize, y: isize, colour: Colour) {
        let is_inside = (0..self.width as isize).contains(&x) && (0..self.height as isize).contains(&y);
        if is_inside {
            let at = (y as usize * self.width + x as usize) * CHANNELS;
            self.pixels.as_mut_bytes()[at..at + CHANNELS].copy_from_slice(&colour);
        }
    }

    /// A disc of this radius.
    pub fn draw_point(&mut self, [x, y]: [f32; 2], radius: usize, colour: Colour) {
        let (x, y) = (x.round() as i32 as isize, y.round() as i32 as isize);
        let radius = radius.min(1 << 10) as isize;
        for dy in -radius..=radius {
            for dx in -radius..=radius {
                if dx * dx + dy * dy <= radius * radius {
                    self.dot(x + dx, y + dy, colour);
                }
            }
        }
    }

    /// A line.
    pub fn draw_line(&mut self, from: [f32; 2], to: [f32; 2], colour: Colour) {
        // Twice the larger side is beyond every edge.
        let most = 2.0 * super::MOST as f32;
        let [from, to] = [from, to].map(|[x, y]| [x.clamp(-most, most), y.clamp(-most, most)]);
        let [dx, dy] = [to[0] - from[0], to[1] - from[1]];
        let steps = dx.abs().max(dy.abs()).ceil().max(1.0);
        if !steps.is_finite() {
            return;
        }
        for step in 0..=steps as usize {
            let share = step as f32 / steps;
            let (x, y) = (from[0] + dx * share, from[1] + dy * share);
            self.dot(x.round() as isize, y.round() as isize, colour);
        }
    }

    /// Lines from point to point, and back to the first.
    pub fn draw_outline(&mut self, points: &[[f32; 2]], colour: Colour) {
        let next = points.iter().cycle().skip(1);
        points.iter().zip(next).for_each(|(from, to)| self.draw_line(*from, *to, colour));
    }

    /// Mixes every pixel with a colour by a share from 0 to 1 of its own.
    pub fn draw_veil(&mut self, share: impl Fn(usize, usize) -> f32, colour: Colour) {
        let width = self.width;
        for (at, pixel) in self.pixels.as_mut_bytes().chunks_exact_mut(CHANNELS).enumerate() {
            let share = share(at % width, at / width).clamp(0.0, 1.0);
            for (value, mark) in pixel.iter_mut().zip(colour) {
                *value = (f32::from(*value) + (f32::from(mark) - f32::from(*value)) * share).round() as u8;
            }
        }
    }
}
