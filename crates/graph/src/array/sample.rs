//! An array at places between its elements, which a second array lists (ONNX's GridSample).

use super::{ArrayOperator, ArrayType, LANES, View, ViewMut, Wide, extents, fault};
use crate::{Elem, Error, MAX_RANK};

/// How a number between elements is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SampleKind {
    /// From the four nearest along each axis.
    Cubic,
    /// From the two nearest along each axis.
    Linear,
    /// The nearest.
    Nearest,
}

/// What is beyond the outermost elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beyond {
    /// The outermost elements.
    Edge,
    /// The array mirrored.
    Mirror,
    /// Nothing.
    Zero,
}

/// Channels of the first input (batch, channel, ...) at the places in the second (batch, ..., axis), which go from -1 to 1
/// along each axis, innermost axis first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// How a number between elements is found.
    pub kind: SampleKind,
    /// What is beyond the outermost elements.
    pub beyond: Beyond,
    /// Whether -1 and 1 are the centres of the outermost elements; otherwise their outer edges.
    pub to_centers: bool,
}

/// The most elements along an axis that make a number.
const TAPS: usize = 4;

/// Elements along an axis that make a number: where each is, if there is one, and how much of it.
type Taps = [(Option<usize>, f64); TAPS];

impl ArrayOperator for Sample {
    fn infer(&self, inputs: &[ArrayType]) -> Result<Vec<ArrayType>, Error> {
        let wrong = || fault("Sample", "channels and a list of places for each batch are needed", inputs);
        let [input, grid] = inputs else { return wrong() };
        let (own, places) = (input.extents, grid.extents);
        let fits = own.len() >= 3
            && own.len() == places.len()
            && own[0] == places[0]
            && places[own.len() - 1] == own.len() - 2
            && own[2..].iter().all(|extent| *extent > 0);
        if !fits || !grid.elem.is_float() || !input.elem.is_float() {
            return wrong();
        }
        let made = [&own[..2], &places[1..places.len() - 1]].concat();
        Ok(vec![ArrayType { extents: extents("Sample", &made)?, ..*input }])
    }

    fn evaluate(&self, inputs: &[View<'_>], outputs: &mut [ViewMut<'_>], _: &mut [u8]) -> Result<(), Error> {
        let ([input, grid], [out]) = (inputs, outputs) else {
            return fault("Sample", "two inputs are needed", &[]);
        };
        if input.kind.elem == Elem::F64 {
            self.run::<f64>(input, grid, out);
        } else {
            self.run::<f32>(input, grid, out);
        }
        Ok(())
    }
}

impl Sample {
    fn run<W: Wide>(&self, input: &View<'_>, grid: &View<'_>, out: &mut ViewMut<'_>) {
        let own = input.kind.extents;
        let (channels, axes, strides) = (own[1], own.len() - 2, own.strides());
        let plane: usize = own[2..].iter().product();
        let places: usize = out.kind.extents[2..].iter().product();
        let used = match self.kind {
            SampleKind::Cubic => 4,
            SampleKind::Linear => 2,
            SampleKind::Nearest => 1,
        };
        let mut taps: [Taps; MAX_RANK] = [[(None, 0.0); TAPS]; MAX_RANK];
        for place in 0..own[0] * places {
            let (batch, place) = (place / places, place % places);
            let mut at = [0f32; MAX_RANK];
            grid.load((batch * places + place) * axes, &mut at[..axes]);
            for axis in 0..axes {
                taps[axis] = self.taps(at[axes - 1 - axis], own[2 + axis]);
            }
            for first in (0..channels).step_by(LANES) {
                let mut sums = [W::default(); LANES];
                let sums = &mut sums[..LANES.min(channels - first)];
                for corner in 0..used_to(used, axes) {
                    let (mut weight, mut offset, mut left) = (1.0, Some(0), corner);
                    for axis in (0..axes).rev() {
                        let (tap, part) = taps[axis][left % used];
                        offset = offset.zip(tap).map(|(offset, tap)| offset + tap * strides[2 + axis]);
                        (weight, left) = (weight * part, left / used);
                    }
                    let Some(offset) = offset.filter(|_| weight != 0.0) else { continue };
                    let weight = W::of_f64(weight);
                    for (channel, sum) in sums.iter_mut().enumerate() {
                        let mut x = [W::default()];
                        input.load((batch * channels + first + channel) * plane + offset, &mut x);
                        *sum = x[0].mul(weight).add(*sum);
                    }
                }
                for (channel, sum) in sums.iter().enumerate() {
                    out.store((batch * channels + first + channel) * places + place, &[*sum]);
                }
            }
        }
    }

    /// What makes the number at `at`, from -1 to 1, of an axis.
    fn taps(&self, at: f32, extent: usize) -> Taps {
        let len = extent as f32;
        let (from, to) = if self.to_centers { (0.0, len - 1.0) } else { (-0.5, len - 0.5) };
        let mut x = if self.to_centers { (at + 1.0) / 2.0 * (len - 1.0) } else { ((at + 1.0) * len - 1.0) / 2.0 };
        if self.kind == SampleKind::Nearest {
            x = libm::rintf(x);
        }
        if x < from || x > to {
            x = match self.beyond {
                Beyond::Edge => x.clamp(0.0, len - 1.0),
                Beyond::Mirror => mirrored(x, from, to),
                Beyond::Zero => x,
            };
        }
        let tap = |place: f32| {
            let inside = match self.beyond {
                Beyond::Edge => place.clamp(0.0, len - 1.0),
                Beyond::Mirror => mirrored(place, from, to).clamp(0.0, len - 1.0),
                Beyond::Zero if (0.0..len).contains(&place) => place,
                Beyond::Zero => return None,
            };
            Some((inside as usize).min(extent - 1))
        };
        let floor = libm::floorf(x);
        let part = f64::from(x - floor);
        let mut taps = [(None, 0.0); TAPS];
        match self.kind {
            SampleKind::Nearest => taps[0] = (tap(x), 1.0),
            SampleKind::Linear => {
                taps[0] = (tap(floor), 1.0 - part);
                taps[1] = (tap(floor + 1.0), part);
            }
            SampleKind::Cubic => {
                for (k, (place, weight)) in taps.iter_mut().enumerate() {
                    *place = tap(floor - 1.0 + k as f32);
                    *weight = cubic((part + 1.0 - k as f64).abs());
                }
            }
        }
        taps
    }
}

/// How many corners a cell has of which each axis has `taps`.
fn used_to(taps: usize, axes: usize) -> usize {
    taps.pow(axes as u32)
}

/// How much of an element counts that is so far away.
fn cubic(far: f64) -> f64 {
    const A: f64 = -0.75;
    match far {
        far if far <= 1.0 => ((A + 2.0) * far - (A + 3.0)) * far * far + 1.0,
        far if far < 2.0 => ((A * far - 5.0 * A) * far + 8.0 * A) * far - 4.0 * A,
        _ => 0.0,
    }
}

/// A place mirrored at both ends until it is between them.
fn mirrored(x: f32, from: f32, to: f32) -> f32 {
    let len = to - from;
    if len <= 0.0 || (from..=to).contains(&x) {
        return x.clamp(from, to);
    }
    let beyond = if x < from { from - x } else { x - to };
    let times = libm::truncf(beyond / len);
    let rest = beyond - times * len;
    let from_start = (times % 2.0 == 0.0) == (x < from);
    if from_start { from + rest } else { to - rest }
}
