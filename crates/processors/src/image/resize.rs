//! Pictures of another size.
//!
//! What it is: nearest, bilinear and bicubic, as Pillow computes them, to the bit; and bilinear between four neighbours. What it
//! is not: a mapping that turns, see [`warp`](super::warp). The one design choice: rows are made narrow once and kept in a ring
//! while output rows need them, so that it takes a few rows besides what it makes, and only the part that is wanted is made.

use super::{CHANNELS, View};
use serde::Deserialize;

/// How a pixel comes out of those around its place.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Filter {
    /// Weights fall off in a line; over all pixels that become one.
    #[default]
    Bilinear,
    /// A cubic, over all pixels that become one.
    Bicubic,
    /// Weights of the four neighbours, however small the picture becomes.
    Linear,
    /// The pixel that is there.
    Nearest,
}

/// Which part of the resized picture is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The size that the whole picture is brought to.
    pub width: usize,
    /// Its rows.
    pub height: usize,
    /// Where the part begins.
    pub left: usize,
    /// Its first row.
    pub top: usize,
    /// Pixels of a row of the part.
    pub columns: usize,
    /// Rows of the part.
    pub rows: usize,
}

impl Frame {
    /// All of it.
    pub fn whole(width: usize, height: usize) -> Frame {
        Frame { width, height, left: 0, top: 0, columns: width, rows: height }
    }
}

/// Bits after the point of a weight.
const BITS: u32 = 32 - 8 - 2;

/// Weights of the pixels from `first` on that make a pixel.
struct Mix {
    first: usize,
    weights: Vec<i32>,
}

impl Filter {
    fn support(self) -> f64 {
        match self {
            Filter::Bicubic => 2.0,
            _ => 1.0,
        }
    }

    fn weight(self, x: f64) -> f64 {
        const A: f64 = -0.5;
        let x = x.abs();
        match self {
            Filter::Bicubic if x < 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
            Filter::Bicubic if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * A,
            Filter::Bicubic => 0.0,
            _ => (1.0 - x).max(0.0),
        }
    }

    /// How far the pixels that make one are from its middle, where lines of `from` become lines of `to`, and how long a step is.
    fn reach(self, from: usize, to: usize) -> [f64; 2] {
        let scale = from as f64 / to as f64;
        let step = if self == Filter::Linear { 1.0 } else { scale.max(1.0) };
        [self.support() * step, step]
    }

    /// Pixels that make one at most.
    fn most(self, from: usize, to: usize) -> usize {
        match self {
            Filter::Nearest => 1,
            _ => (2.0 * self.reach(from, to)[0] + 2.0) as usize,
        }
    }

    /// How the pixels `start..start + count` come out of a line of `from` that becomes `to`.
    fn mixes(self, from: usize, to: usize, start: usize, count: usize) -> Vec<Mix> {
        let scale = from as f64 / to as f64;
        let [support, step] = self.reach(from, to);
        let mix = |at: usize| {
            let centre = (at as f64 + 0.5) * scale;
            if self == Filter::Nearest {
                return Mix { first: (centre as usize).min(from - 1), weights: vec![1 << BITS] };
            }
            let first = ((centre - support + 0.5).max(0.0) as usize).min(from - 1);
            let end = ((centre + support + 0.5) as usize).clamp(first + 1, from);
            let weight = |at: usize| self.weight((at as f64 - centre + 0.5) / step);
            let weights: Vec<f64> = (first..end).map(weight).collect();
            let sum: f64 = weights.iter().sum();
            let fixed = |weight: &f64| {
                let share = if sum == 0.0 { *weight } else { weight * (1.0 / sum) } * f64::from(1 << BITS);
                (share + if share < 0.0 { -0.5 } else { 0.5 }) as i32
            };
            Mix { first, weights: weights.iter().map(fixed).collect() }
        };
        (start..start + count).map(mix).collect()
    }
}

fn settled(sum: i32) -> u8 {
    (sum >> BITS).clamp(0, 255) as u8
}

/// Bytes that [`resize`] of a picture of this size takes besides both pictures, at most: weights, and rows that were made narrow.
pub fn resize_bytes([width, height]: [usize; 2], filter: Filter, frame: &Frame) -> u64 {
    // What an allocator keeps beside what it gives.
    const BESIDE: usize = 16;
    let [across, down] = [filter.most(width, frame.width), filter.most(height, frame.height)];
    let mixes = |count: usize, most: usize| count * (size_of::<Mix>() + BESIDE + most * size_of::<i32>());
    let working = across.max(down) * size_of::<f64>();
    (mixes(frame.columns, across) + mixes(frame.rows, down) + working + down * frame.columns * CHANNELS)
        as u64
}

/// Brings `from` to a size and writes the part that `frame` names into `to`, whose rows are `stride` bytes apart; nothing, if it
/// does not lie in the resized picture or `to` is too small.
pub fn resize(from: &View<'_>, filter: Filter, frame: &Frame, to: &mut [u8], stride: usize) {
    let row_bytes = frame.columns * CHANNELS;
    let is_inside = frame.left.checked_add(frame.columns).is_some_and(|end| end <= frame.width)
        && frame.top.checked_add(frame.rows).is_some_and(|end| end <= frame.height);
    if !is_inside || frame.rows == 0 || stride < row_bytes || to.len() < stride * (frame.rows - 1) + row_bytes
    {
        return;
    }
    let columns = filter.mixes(from.width, frame.width, frame.left, frame.columns);
    let rows = filter.mixes(from.height, frame.height, frame.top, frame.rows);
    let tall = rows.iter().map(|mix| mix.weights.len()).max().unwrap_or(1);
    let mut ring = vec![0; tall * row_bytes]; // (y % tall, x, rgb)
    let mut ready = 0;
    for (mix, to) in rows.iter().zip(to.chunks_mut(stride)) {
        let end = mix.first + mix.weights.len();
        for y in ready.max(mix.first)..end {
            narrow(from.row(y), &columns, &mut ring[y % tall * row_bytes..][..row_bytes]);
        }
        ready = ready.max(end);
        let lines = mix.weights.iter().enumerate().map(|(i, &weight)| {
            let at = (mix.first + i) % tall * row_bytes;
            (weight, &ring[at..at + row_bytes])
        });
        blend(lines, &mut to[..row_bytes]);
    }
}

/// A row, made narrow.
fn narrow(from: &[u8], columns: &[Mix], to: &mut [u8]) {
    for (mix, to) in columns.iter().zip(to.chunks_exact_mut(CHANNELS)) {
        let mut sums = [1 << (BITS - 1); CHANNELS];
        let pixels = from.chunks_exact(CHANNELS).skip(mix.first);
        for (pixel, weight) in pixels.zip(&mix.weights) {
            sums.iter_mut().zip(pixel).for_each(|(sum, &value)| *sum += i32::from(value) * weight);
        }
        to.iter_mut().zip(sums).for_each(|(to, sum)| *to = settled(sum));
    }
}

/// Rows, added by their weights.
fn blend<'a>(lines: impl Iterator<Item = (i32, &'a [u8])> + Clone, to: &mut [u8]) {
    for (at, to) in to.iter_mut().enumerate() {
        let sum =
            lines.clone().fold(1 << (BITS - 1), |sum, (weight, line)| sum + i32::from(line[at]) * weight);
        *to = settled(sum);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_takes_is_known_beforehand() {
        for filter in [Filter::Bilinear, Filter::Bicubic, Filter::Linear, Filter::Nearest] {
            for (from, to) in
                [(1, 1), (1, 9), (9, 1), (640, 64), (641, 64), (64, 640), (4000, 299), (300, 299)]
            {
                let mixes = filter.mixes(from, to, 0, to);
                let most = mixes.iter().map(|mix| mix.weights.len()).max().unwrap();
                assert!(most <= filter.most(from, to), "{filter:?}: {from} to {to} takes {most}");
            }
        }
    }
}
