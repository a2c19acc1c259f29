//! Convolutions that look at one channel only.
//!
//! The one design choice: lines of the image are copied apart by their place modulo the stride, with their margins, so that
//! whatever the stride each tap of a window reads neighbours. Each result is one chain over the places of its window.

use super::{Finish, Image, SCRATCH, Scratch};
use crate::isa::{Isa, Kernel, LANES};
use std::ops::Range;

/// Vectors of a row that are worked on at a time.
const AT_ONCE: usize = 4;

/// What one thread does: some of the channels.
pub(crate) struct PlaneSlice<'a> {
    /// All channels.
    pub image: Image<'a>,
    /// (channels, kernel)
    pub weights: &'a [f32],
    pub finish: Finish<'a>,
    pub channels: Range<usize>,
    /// (channels of this slice, made)
    pub out: &'a mut [f32],
    /// Memory of this thread alone.
    pub scratch: *mut Scratch,
}

/// Elements of a line apart by place, for windows across an image.
fn line(image: &Image<'_>) -> usize {
    let far = (image.kernel[1] - 1) * image.dilations[1] / image.strides[1];
    (image.made[1] + far).next_multiple_of(LANES) + AT_ONCE * LANES
}

/// Whether lines of a window have room in the scratch.
pub(crate) fn fits(image: &Image<'_>) -> bool {
    let lines =
        image.kernel[0].checked_mul(image.strides[1]).and_then(|lines| lines.checked_mul(line(image)));
    lines.is_some_and(|floats| floats <= SCRATCH)
}

impl<I: Isa> Kernel<I> for PlaneSlice<'_> {
    #[inline(always)]
    fn run(mut self, isa: I) {
        let image = self.image;
        let out = std::mem::take(&mut self.out);
        let (window, plane) = (image.kernel[0] * image.kernel[1], image.size[0] * image.size[1]);
        let (line, [high, wide]) = (line(&image), image.made);
        let needed = image.kernel[0] * image.strides[1] * line;
        // SAFETY: the scratch belongs to this thread, and `fits` has been asked.
        let lines =
            unsafe { std::slice::from_raw_parts_mut(self.scratch.cast::<f32>(), needed.min(SCRATCH)) };
        for (channel, out) in self.channels.clone().zip(out.chunks_exact_mut(high * wide)) {
            let x = &image.x[channel * plane..][..plane];
            let weights = &self.weights[channel * window..][..window];
            for (down, out) in out.chunks_exact_mut(wide).enumerate() {
                spread(&image, x, down, line, lines);
                let mut across = 0;
                while across < wide {
                    let left = wide - across;
                    let to = &mut out[across..];
                    across += match left.div_ceil(LANES) {
                        AT_ONCE.. => {
                            self.row::<I, AT_ONCE>(isa, weights, (lines, line), across, (channel, to))
                        }
                        2.. => self.row::<I, 2>(isa, weights, (lines, line), across, (channel, to)),
                        _ => self.row::<I, 1>(isa, weights, (lines, line), across, (channel, to)),
                    };
                }
            }
        }
    }
}

impl PlaneSlice<'_> {
    /// `V` vectors of windows from `across` on.
    #[inline(always)]
    fn row<I: Isa, const V: usize>(
        &self,
        isa: I,
        weights: &[f32],
        (lines, line): (&[f32], usize),
        across: usize,
        (channel, out): (usize, &mut [f32]),
    ) -> usize {
        let Image { kernel, strides, dilations, .. } = self.image;
        let mut sums = [isa.splat(0.0); V];
        for i in 0..kernel[0] {
            for j in 0..kernel[1] {
                let (far, weight) = (j * dilations[1], isa.splat(weights[i * kernel[1] + j]));
                let start = (i * strides[1] + far % strides[1]) * line + across + far / strides[1];
                let (seen, _) = lines[start..start + V * LANES].as_chunks::<LANES>();
                for v in 0..V {
                    sums[v] = isa.fma(weight, isa.load(&seen[v]), sums[v]);
                }
            }
        }
        for v in 0..V {
            let mut all = [0.0; LANES];
            isa.store(self.finish.of(isa, channel, sums[v]), &mut all);
            let left = out.len().saturating_sub(v * LANES).min(LANES);
            if left > 0 {
                out[v * LANES..][..left].copy_from_slice(&all[..left]);
            }
        }
        V * LANES
    }
}

/// The lines that a row of windows sees, each apart by place modulo the stride, margins as zeros.
#[inline(always)]
fn spread(image: &Image<'_>, x: &[f32], down: usize, line: usize, lines: &mut [f32]) {
    let (stride, wide) = (image.strides[1], image.size[1]);
    for i in 0..image.kernel[0] {
        let apart = &mut lines[i * stride * line..][..stride * line];
        let seen = (down * image.strides[0] + i * image.dilations[0]).wrapping_sub(image.before[0]);
        if seen >= image.size[0] {
            apart.fill(0.0);
            continue;
        }
        let from = &x[seen * wide..][..wide];
        for (place, to) in apart.chunks_exact_mut(line).enumerate() {
            // Element j is number j * stride + place of the line with its margin.
            let margin = image.before[1].saturating_sub(place).div_ceil(stride).min(line);
            let first = margin * stride + place - image.before[1].min(margin * stride + place);
            let count = wide.saturating_sub(first).div_ceil(stride).min(line - margin);
            to[..margin].fill(0.0);
            if stride == 1 {
                to[margin..margin + count].copy_from_slice(&from[first..first + count]);
            } else {
                let some = from.get(first..).unwrap_or_default().iter().step_by(stride);
                to[margin..margin + count].iter_mut().zip(some).for_each(|(to, x)| *to = *x);
            }
            to[margin + count..].fill(0.0);
        }
    }
}
