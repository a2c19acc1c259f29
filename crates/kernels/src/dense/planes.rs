//! Windows that look at one channel only: depthwise convolutions and pools.
//!
//! The one design choice: a band of the channel is laid out with its margins as one long line, its elements apart by their place
//! modulo the strides, so that each tap of all windows of the band is one stretch of neighbours, whatever the strides and
//! however narrow the image. What comes out between the rows is not kept. Each result is one chain over the places of its
//! window.

use super::{Finish, Image, SCRATCH, Scratch, depthwise};
use crate::isa::{Isa, Kernel, LANES};
use std::ops::Range;

/// Vectors that are worked on at a time.
const AT_ONCE: usize = 4;
/// Places of a window, at most.
const TAPS: usize = 1 << 10;

/// What becomes of what a window sees.
#[derive(Clone, Copy)]
pub enum PlaneKind<'a> {
    /// The mean; with the margins as zeros if they count, else of what is inside.
    Average {
        /// Whether margins count.
        margins: bool,
    },
    /// The largest.
    Max,
    /// Each times a weight, added up.
    Weighted {
        /// (channels, kernel)
        weights: &'a [f32],
        /// What becomes of the sum.
        finish: Finish<'a>,
    },
}

/// What one thread does: some of the channels.
pub(crate) struct PlaneSlice<'a> {
    /// The channels of this slice.
    pub image: Image<'a>,
    pub kind: PlaneKind<'a>,
    pub channels: Range<usize>,
    /// What is made of the channels of this slice.
    pub out: &'a mut [f32],
    /// Memory of this thread alone.
    pub scratch: *mut Scratch,
}

/// How a band of windows lies in the scratch.
#[derive(Clone, Copy)]
struct Band {
    /// Rows of windows.
    rows: usize,
    /// Elements of a row, which those of a window apart by the stride have in common with the results.
    wide: usize,
    /// Elements of each of the parts that are apart by place.
    part: usize,
}

impl Band {
    /// The band of so many rows of windows.
    fn of(image: &Image<'_>, rows: usize) -> Band {
        let far = |axis: usize| (image.kernel[axis] - 1) * image.dilations[axis] / image.strides[axis];
        let wide = image.made[1] + far(1);
        // Vectors begin within a band, and may end behind it.
        Band { rows, wide, part: (rows + far(0)) * wide + far(1) + AT_ONCE * LANES }
    }

    /// Floats of the image's part, and of the results.
    fn floats(&self, image: &Image<'_>) -> Option<[usize; 2]> {
        let parts = image.strides[0].checked_mul(image.strides[1])?;
        Some([parts.checked_mul(self.part)?, self.rows.checked_mul(self.wide)? + AT_ONCE * LANES])
    }

    /// The largest band that there is room for.
    fn largest(image: &Image<'_>) -> Option<Band> {
        let fits =
            |band: &Band| band.floats(image).is_some_and(|[seen, made]| seen.saturating_add(made) <= SCRATCH);
        let mut rows = image.made[0].max(1);
        loop {
            let band = Band::of(image, rows);
            if fits(&band) {
                return Some(band);
            }
            if rows == 1 {
                return None;
            }
            rows = rows.div_ceil(2);
        }
    }
}

/// Whether a row of windows has room in the scratch.
pub(crate) fn fits(image: &Image<'_>) -> bool {
    let small = image.kernel.iter().chain(&image.strides).chain(&image.dilations).all(|x| *x <= SCRATCH)
        && image.made[1] <= SCRATCH;
    small && image.kernel[0] * image.kernel[1] <= TAPS && Band::largest(image).is_some()
}

impl<I: Isa> Kernel<I> for PlaneSlice<'_> {
    #[inline(always)]
    fn run(self, isa: I) {
        match self.kind {
            PlaneKind::Average { margins } => {
                let add = |isa: I, x, sum, _| isa.add(x, sum);
                self.channels(
                    isa,
                    0.0,
                    0.0,
                    add,
                    |_, x, _| x,
                    |image, down, out| {
                        by_counts(image, margins, down, out);
                    },
                );
            }
            PlaneKind::Max => {
                let least = f32::NEG_INFINITY;
                self.channels(
                    isa,
                    least,
                    least,
                    |isa, x, most, _| isa.max(x, most),
                    |_, x, _| x,
                    |_, _, _| {},
                );
            }
            PlaneKind::Weighted { weights, finish } if depthwise::takes::<I>(&self.image) => {
                self.depthwise(isa, weights, finish);
            }
            PlaneKind::Weighted { weights, finish } => {
                let fma = |isa: I, x, sum, tap: usize| isa.fma(isa.splat(weights[tap]), x, sum);
                self.channels(
                    isa,
                    0.0,
                    0.0,
                    fma,
                    |isa, x, channel| finish.row(isa, channel).of(isa, x),
                    |_, _, _| {},
                );
            }
        }
    }
}

impl PlaneSlice<'_> {
    /// All windows of all channels of this slice: `step` takes what a place of the window sees in, from `start` on; margins
    /// hold `margin`; `finish` is given the channel, `behind` each row of windows.
    #[inline(always)]
    fn channels<I: Isa>(
        self,
        isa: I,
        start: f32,
        margin: f32,
        step: impl Fn(I, I::F, I::F, usize) -> I::F,
        finish: impl Fn(I, I::F, usize) -> I::F,
        behind: impl Fn(&Image<'_>, usize, &mut [f32]),
    ) {
        let image = self.image;
        let (window, plane) = (image.kernel[0] * image.kernel[1], image.size[0] * image.size[1]);
        let [high, wide] = image.made;
        let band = Band::largest(&image).expect("there is room for such an image: `fits` has been asked");
        // SAFETY: the scratch belongs to this thread.
        let scratch = unsafe { std::slice::from_raw_parts_mut(self.scratch.cast::<f32>(), SCRATCH) };
        let [seen, made] = band.floats(&image).unwrap_or_default();
        let (seen, made) = scratch[..seen + made].split_at_mut(seen);
        let (places, count) = places(&image, &band);
        for (number, channel) in self.channels.clone().enumerate() {
            let x = &image.x[number * plane..][..plane];
            let out = &mut self.out[number * high * wide..][..high * wide];
            for first in (0..high).step_by(band.rows) {
                let rows = band.rows.min(high - first);
                spread(&image, x, (first, rows), &band, margin, seen);
                let len = (rows - 1) * band.wide + wide;
                for at in (0..len).step_by(AT_ONCE * LANES) {
                    let mut sums = [isa.splat(start); AT_ONCE];
                    for (tap, place) in places[..count].iter().enumerate() {
                        let (seen, _) = seen[*place as usize + at..][..AT_ONCE * LANES].as_chunks::<LANES>();
                        for v in 0..AT_ONCE {
                            sums[v] = step(isa, isa.load(&seen[v]), sums[v], channel * window + tap);
                        }
                    }
                    let (to, _) = made[at..][..AT_ONCE * LANES].as_chunks_mut::<LANES>();
                    for v in 0..AT_ONCE {
                        isa.store(finish(isa, sums[v], channel), &mut to[v]);
                    }
                }
                for (row, made) in (first..first + rows).zip(made.chunks(band.wide)) {
                    let to = &mut out[row * wide..(row + 1) * wide];
                    to.copy_from_slice(&made[..wide]);
                    behind(&image, row, to);
                }
            }
        }
    }
}

/// Where each place of the first window of a band lies, and how many there are.
fn places(image: &Image<'_>, band: &Band) -> ([u32; TAPS], usize) {
    let Image { kernel, strides, dilations, .. } = *image;
    let mut places = [0; TAPS];
    for i in 0..kernel[0] {
        for j in 0..kernel[1] {
            let far = [i * dilations[0], j * dilations[1]];
            let part = far[0] % strides[0] * strides[1] + far[1] % strides[1];
            let place = part * band.part + far[0] / strides[0] * band.wide + far[1] / strides[1];
            places[i * kernel[1] + j] = place as u32;
        }
    }
    (places, kernel[0] * kernel[1])
}

/// Sums of a row of windows by how many places each has.
fn by_counts(image: &Image<'_>, margins: bool, down: usize, out: &mut [f32]) {
    let inside = |axis: usize, window: usize| {
        let places =
            (0..image.kernel[axis]).map(|k| window * image.strides[axis] + k * image.dilations[axis]);
        places
            .filter(|place| (image.before[axis]..image.before[axis] + image.size[axis]).contains(place))
            .count()
    };
    if margins {
        let count = (image.kernel[0] * image.kernel[1]) as f32;
        return out.iter_mut().for_each(|x| *x /= count);
    }
    let rows = inside(0, down);
    for (across, x) in out.iter_mut().enumerate() {
        *x /= (rows * inside(1, across)).max(1) as f32;
    }
}

/// What a band of windows sees, apart by place modulo the strides, margins filled.
#[inline(always)]
fn spread(
    image: &Image<'_>,
    x: &[f32],
    (first, rows): (usize, usize),
    band: &Band,
    margin: f32,
    to: &mut [f32],
) {
    let ([down, across], wide) = (image.strides, image.size[1]);
    let lines = rows + (image.kernel[0] - 1) * image.dilations[0] / down;
    for (part, to) in to.chunks_exact_mut(band.part).enumerate() {
        let (row, place) = (part / across, part % across);
        // Element j of a line is number j * across + place of the image's line with its margin.
        let before = image.before[1].saturating_sub(place).div_ceil(across).min(band.wide);
        let start = (before * across + place).saturating_sub(image.before[1]);
        let count = wide.saturating_sub(start).div_ceil(across).min(band.wide - before);
        for (line, to) in to.chunks_exact_mut(band.wide).take(lines).enumerate() {
            let seen = ((first + line) * down + row).wrapping_sub(image.before[0]);
            if seen >= image.size[0] {
                to.fill(margin);
                continue;
            }
            let from = &x[seen * wide..][..wide];
            to[..before].fill(margin);
            let inside = &mut to[before..before + count];
            if across == 1 {
                inside.copy_from_slice(&from[start..start + count]);
            } else {
                let some = from.get(start..).unwrap_or_default().iter().step_by(across);
                inside.iter_mut().zip(some).for_each(|(to, x)| *to = *x);
            }
            to[before + count..].fill(margin);
        }
    }
}
