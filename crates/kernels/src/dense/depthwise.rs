//! Depthwise convolutions with windows of 3 x 3 and 5 x 5, straight from the image.
//!
//! Not for other windows, nor where parts of vectors are slow: those are in [`super::planes`], with the same chains. The one
//! design choice: sixteen columns of a few rows of windows are made at a time, so that a line of the image is read once for all
//! of them; what lies in the margin is a lane that is not read.

use super::planes::PlaneSlice;
use super::{Finish, Image};
use crate::isa::{Isa, LANES, first_lanes};

/// Rows of windows that are worked on at a time.
const ROWS: usize = 4;

/// Whether this kernel does it.
pub(super) fn takes<I: Isa>(image: &Image<'_>) -> bool {
    let known = matches!((image.kernel, image.strides), ([3, 3] | [5, 5], [1, 1] | [2, 2]));
    let narrow = image.before.iter().zip(image.kernel).all(|(before, kernel)| *before < kernel);
    I::PARTS && known && narrow && image.dilations == [1; 2]
}

impl PlaneSlice<'_> {
    /// All windows of all channels of this slice, if [`takes`] says so.
    #[inline(always)]
    pub(super) fn depthwise<I: Isa>(self, isa: I, weights: &[f32], finish: Finish<'_>) {
        match (self.image.kernel[0], self.image.strides[0]) {
            (3, 1) => self.near::<I, 3, 1>(isa, weights, finish),
            (3, _) => self.near::<I, 3, 2>(isa, weights, finish),
            (_, 1) => self.near::<I, 5, 1>(isa, weights, finish),
            _ => self.near::<I, 5, 2>(isa, weights, finish),
        }
    }

    #[inline(always)]
    fn near<I: Isa, const K: usize, const S: usize>(self, isa: I, weights: &[f32], finish: Finish<'_>) {
        let image = self.image;
        let plane = image.size[0] * image.size[1];
        let [high, wide] = image.made;
        for (channel, out) in self.channels.clone().zip(self.out.chunks_exact_mut(high * wide)) {
            let x = &image.x[channel * plane..][..plane];
            let (weights, _) = weights[channel * K * K..][..K * K].as_chunks::<K>();
            for strip in (0..wide).step_by(LANES) {
                let lanes = first_lanes(wide - strip);
                let seen = Strip::<K>::new::<S>(x, &image, strip);
                for first in (0..high).step_by(ROWS) {
                    let sums = seen.sums::<I, S>(isa, weights, first);
                    for r in 0..ROWS {
                        if first + r < high {
                            let to = &mut out[(first + r) * wide + strip..][..LANES.min(wide - strip)];
                            // SAFETY: as many lanes as the slice has elements.
                            unsafe {
                                isa.store_some(finish.of(isa, channel, sums[r]), to.as_mut_ptr(), lanes)
                            };
                        }
                    }
                }
            }
        }
    }
}

/// Sixteen columns of windows.
struct Strip<'a, const K: usize> {
    /// A channel.
    x: &'a [f32],
    size: [usize; 2],
    /// Lines before the first.
    before: usize,
    /// Where the first window's first place is in a line.
    place: isize,
    /// By place across: which of sixteen neighbours from there on lie in the line, and which of the next sixteen.
    lanes: [[u16; 2]; K],
}

impl<'a, const K: usize> Strip<'a, K> {
    #[inline(always)]
    fn new<const S: usize>(x: &'a [f32], image: &Image<'_>, strip: usize) -> Strip<'a, K> {
        let place = (strip * S) as isize - image.before[1] as isize;
        let mut lanes = [[0; 2]; K];
        for j in 0..K {
            for h in 0..2 {
                let first = place + (j + h * LANES) as isize;
                let end = (image.size[1] as isize - first).max(0);
                lanes[j][h] = first_lanes(end as usize) & !first_lanes((-first).max(0) as usize);
            }
        }
        Strip { x, size: image.size, before: image.before[0], place, lanes }
    }

    /// Chains over the places of each window of the rows from `first` on, ascending; places in the margin are zeros.
    #[inline(always)]
    fn sums<I: Isa, const S: usize>(&self, isa: I, weights: &[[f32; K]], first: usize) -> [I::F; ROWS] {
        assert!(weights.len() >= K, "a weight for each place");
        let mut sums = [isa.splat(0.0); ROWS];
        for line in 0..(ROWS - 1) * S + K {
            let down = (first * S + line).wrapping_sub(self.before);
            // A line in the margin: no lane of some other.
            let (down, all) = if down < self.size[0] { (down, u16::MAX) } else { (0, 0) };
            let start = self.x[down * self.size[1]..].as_ptr().wrapping_offset(self.place);
            let mut seen = [isa.splat(0.0); K];
            for j in 0..K {
                let lanes = self.lanes[j];
                // SAFETY: the lanes lie in the line, which lies in the image.
                unsafe {
                    if S == 1 {
                        seen[j] = isa.load_some(start.wrapping_add(j), lanes[0] & all);
                    } else if j % 2 == 0 {
                        let a = isa.load_some(start.wrapping_add(j), lanes[0] & all);
                        let b = isa.load_some(start.wrapping_add(j + LANES), lanes[1] & all);
                        seen[j] = isa.evens(a, b);
                        if j + 1 < K {
                            seen[j + 1] = isa.odds(a, b);
                        }
                    }
                }
            }
            for r in 0..ROWS {
                if line >= r * S && line - r * S < K {
                    for j in 0..K {
                        sums[r] = isa.fma(isa.splat(weights[line - r * S][j]), seen[j], sums[r]);
                    }
                }
            }
        }
        sums
    }
}
