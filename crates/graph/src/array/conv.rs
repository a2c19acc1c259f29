//! Convolutions over any number of axes, in groups.
//!
//! Each element of the result is one chain of fused multiply-adds over channels and places of its window, ascending; then it
//! is multiplied by a scale of its map, a bias is added, it is held between bounds, and a function is applied, as far as there are such. Input (n,
//! c, places), weights (m, c / groups, kernel), scale (m), bias (m). Or it is made by tiles, see [`super::tiles`].

use super::tiles::{PLACES, tiles, tiles_scratch};
use super::window::{Windows, each_index, places};
use super::{
    ArrayOperator, ArrayType, LANES, Unary, UnaryKind, View, ViewMut, Wide, each_wide, extents, fault,
};
use crate::{Cost, Elem, Error};

/// A convolution.
#[derive(Clone, Debug, PartialEq)]
pub struct Conv {
    /// How windows lie.
    pub windows: Windows,
    /// Groups of channels that do not see each other.
    pub groups: usize,
    /// Whether a scale is the third input; a bias comes behind.
    pub scales: bool,
    /// The least and the most that comes out.
    pub bounds: Option<[f32; 2]>,
    /// A function of what comes out then.
    pub then: Option<UnaryKind>,
    /// If results are made by tiles of 2 x 2: the row of its tile, 0 or 1, that the first row of results lies in.
    pub tiles: Option<usize>,
}

impl ArrayOperator for Conv {
    fn infer(&self, inputs: &[ArrayType]) -> Result<Vec<ArrayType>, Error> {
        let ([x, w] | [x, w, _] | [x, w, _, _]) = inputs else {
            return fault("Conv", "an input, weights, and at most a scale and a bias are needed", inputs);
        };
        let count = self.windows.count("Conv", x, false)?;
        let (channels, maps) = (x.extents[1], w.extents.first().copied().unwrap_or(0));
        let kernel = w.extents.get(2..).unwrap_or_default();
        let fits = self.groups > 0
            && channels.is_multiple_of(self.groups)
            && maps.is_multiple_of(self.groups)
            && w.extents.get(1) == Some(&(channels / self.groups))
            && *kernel == self.windows.kernel[..];
        let same = inputs.iter().all(|input| input.elem == x.elem);
        let bias = inputs[2..].iter().all(|factor| factor.extents.elements() == maps);
        if !fits || !same || !bias {
            return fault("Conv", "weights must fit the channels, the groups and the window", inputs);
        }
        if self.tiles.is_some_and(|phase| phase > 1 || !self.may_be_tiles() || x.elem != Elem::F32) {
            return fault("Conv", "tiles are of windows of 3 x 3 side by side on 32-bit floats", inputs);
        }
        let made = [&[x.extents[0], maps], &count[..]].concat();
        Ok(vec![ArrayType { elem: x.elem, extents: extents("Conv", &made)? }])
    }

    fn evaluate(&self, inputs: &[View<'_>], outputs: &mut [ViewMut<'_>], _: &mut [u8]) -> Result<(), Error> {
        let ([x, w, ..], [out]) = (inputs, &mut *outputs) else { return fault("Conv", "two inputs are needed", &[]) };
        match self.tiles {
            Some(phase) => self.run_tiles(phase, [x, w], self.factors(inputs), out),
            None => each_wide!(out.kind.elem, W => self.run::<W>(x, w, self.factors(inputs), out)),
        }
        let made = View { kind: out.kind, bytes: None };
        match self.then {
            Some(kind) => Unary { kind }.evaluate(&[made], outputs, &mut []),
            None => Ok(()),
        }
    }

    fn cost(&self, inputs: &[ArrayType]) -> Cost {
        let (Some(w), Ok(made)) = (inputs.get(1), self.infer(inputs)) else { return Cost::default() };
        let window: usize = w.extents[1..].iter().product();
        if let Some(phase) = self.tiles {
            let places = made[0].extents[0] * tiles(&made[0].extents[2..], phase) * PLACES;
            return Cost { macs: (places * w.extents[1] * w.extents[0]) as u64, ..Cost::default() };
        }
        Cost { macs: made[0].extents.elements() as u64 * window as u64, ..Cost::default() }
    }

    /// What few windows see, and what is made of it, for kernels that have weights as rows; or what tiles are made of.
    fn scratch(&self, inputs: &[ArrayType]) -> usize {
        let (Some(w), Ok(made)) = (inputs.get(1), self.infer(inputs)) else { return 0 };
        if let Some(phase) = self.tiles {
            return tiles_scratch(w, &made[0], phase);
        }
        let seen: usize = made[0].extents[2..].iter().product();
        let column: usize = w.extents[1..].iter().product();
        if seen <= Conv::NARROW { seen * (column + w.extents[0]) * w.elem.bytes() } else { 0 }
    }
}

impl Conv {
    /// Windows up to which kernels may see weights as rows beside a few columns: the chains of a sum are other ones then.
    pub const NARROW: usize = 4;

    /// Scale and bias.
    pub fn factors<'v, 'a>(&self, inputs: &'v [View<'a>]) -> [Option<&'v View<'a>>; 2] {
        let more = inputs.get(2..).unwrap_or_default();
        if self.scales { [more.first(), more.get(1)] } else { [None, more.first()] }
    }

    fn run<W: Wide>(&self, x: &View<'_>, w: &View<'_>, factors: [Option<&View<'_>>; 2], out: &mut ViewMut<'_>) {
        let (own, made) = (places(&x.kind.extents), places(&out.kind.extents));
        let (channels, maps) = (w.kind.extents[1], w.kind.extents[0]);
        let (volume, window) = (own.elements(), self.windows.kernel.iter().product::<usize>());
        let last = made.len() - 1;
        let rows = &made[..last];
        let mut start = 0;
        for batch in 0..x.kind.extents[0] {
            for map in 0..maps {
                let group = map / (maps / self.groups);
                let factors = factors.map(|factor| factor.map(|factor| {
                    let mut number = [W::default()];
                    factor.load(map, &mut number);
                    number[0]
                }));
                let source = (batch * channels * self.groups + group * channels) * volume;
                each_index(rows, |row| {
                    for first in (0..made[last]).step_by(LANES) {
                        let mut sums = [W::default(); LANES];
                        let sums = &mut sums[..LANES.min(made[last] - first)];
                        for channel in 0..channels {
                            let at = (source + channel * volume, (map * channels + channel) * window);
                            self.channel(x, w, at, (row, first), sums);
                        }
                        sums.iter_mut().for_each(|sum| *sum = self.finish(*sum, factors));
                        out.store(start + first, sums);
                    }
                    start += made[last];
                });
            }
        }
    }

    pub(super) fn finish<W: Wide>(&self, sum: W, [scale, bias]: [Option<W>; 2]) -> W {
        let sum = scale.map_or(sum, |scale| sum.mul(scale));
        let sum = bias.map_or(sum, |bias| sum.add(bias));
        let Some([least, most]) = self.bounds.map(|bounds| bounds.map(W::of_f32)) else { return sum };
        let sum = if sum < least { least } else { sum };
        if sum > most { most } else { sum }
    }

    /// Adds what windows of one row see of one channel, the first of them at `first`.
    fn channel<W: Wide>(
        &self,
        x: &View<'_>,
        w: &View<'_>,
        (source, weights): (usize, usize),
        (row, first): (&[usize], usize),
        sums: &mut [W],
    ) {
        let own = places(&x.kind.extents);
        let (strides, last) = (own.strides(), own.len() - 1);
        let Windows { kernel, strides: steps, dilations, before, .. } = &self.windows;
        let mut place = 0;
        each_index(kernel, |inside| {
            let at = weights + place;
            place += 1;
            let mut base = source;
            for axis in 0..last {
                let seen = (row[axis] * steps[axis] + inside[axis] * dilations[axis]).wrapping_sub(before[axis]);
                if seen >= own[axis] {
                    return;
                }
                base += seen * strides[axis];
            }
            let mut weight = [W::default()];
            w.load(at, &mut weight);
            let shift = inside[last] * dilations[last];
            // Windows whose place on the last axis lies in the array.
            let step = steps[last];
            let from = before[last].saturating_sub(shift).div_ceil(step).max(first);
            let to = (own[last] + before[last]).saturating_sub(shift).div_ceil(step).min(first + sums.len());
            if from >= to {
                return;
            }
            let start = base + from * step + shift - before[last];
            let mut seen = [W::default(); LANES];
            let seen = &mut seen[..to - from];
            if step == 1 {
                x.load(start, seen);
            } else {
                seen.chunks_exact_mut(1).enumerate().for_each(|(i, seen)| x.load(start + i * step, seen));
            }
            let sums = &mut sums[from - first..to - first];
            sums.iter_mut().zip(&*seen).for_each(|(sum, x)| *sum = weight[0].mul_add(*x, *sum));
        });
    }
}
