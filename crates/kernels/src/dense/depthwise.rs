//! Depthwise convolutions with windows of 3 x 3 and 5 x 5, straight from the image.
//!
//! Not for other windows, nor where parts of vectors are slow: those are in [`super::planes`], with the same chains. The one
//! design choice: sixteen columns of a few rows of windows are made at a time, so that a line of the image is read once for all
//! of them; what lies in the margin is a lane that is not read.

use super::finish::RowFinish;
use super::planes::PlaneSlice;
use super::{Finish, Image};
use crate::isa::{Isa, LANES, first_lanes};

/// Rows of windows that are worked on at a time.
const ROWS: usize = 4;
/// The same of small windows, where there are so many: what is known of networks is a multiple of seven high.
const MORE: usize = 7;

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
        for (number, channel) in self.channels.clone().enumerate() {
            let x = &image.x[number * plane..][..plane];
            let out = &mut self.out[number * high * wide..][..high * wide];
            let (weights, _) = weights[channel * K * K..][..K * K].as_chunks::<K>();
            let finish = finish.row(isa, channel);
            for strip in (0..wide).step_by(LANES) {
                let to = Target { start: out[strip..].as_mut_ptr(), wide, lanes: first_lanes(wide - strip) };
                let seen = Strip::<K>::new::<S>(x, &image, strip);
                let mut first = 0;
                while first < high {
                    let rest = high - first;
                    // SAFETY: rows of the strip up to the last one of `out`.
                    first += unsafe {
                        match K == 3 && rest >= MORE {
                            true if seen.is_inside(first * S, (MORE - 1) * S + K) => {
                                seen.rows::<I, S, MORE, true>(isa, weights, (first, MORE), &finish, &to)
                            }
                            true => seen.rows::<I, S, MORE, false>(isa, weights, (first, MORE), &finish, &to),
                            false => {
                                let rows = rest.min(ROWS);
                                seen.rows::<I, S, ROWS, false>(isa, weights, (first, rows), &finish, &to)
                            }
                        }
                    };
                }
            }
        }
    }
}

/// Where sixteen columns of windows are written.
struct Target {
    /// The first of the first row.
    start: *mut f32,
    /// From a row to the next.
    wide: usize,
    lanes: u16,
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

    /// Whether so many lines from `first` on, of the image with its margin, lie in the image.
    #[inline(always)]
    fn is_inside(&self, first: usize, lines: usize) -> bool {
        first >= self.before && first + lines <= self.before + self.size[0]
    }

    /// Makes `count` rows of windows from `first` on, of `R` that are worked on: chains over the places of each window,
    /// ascending; places in the margin are zeros.
    ///
    /// # Safety
    /// There is room for these rows at `to`; all lines that they see lie in the image if it says so.
    #[inline(always)]
    unsafe fn rows<I: Isa, const S: usize, const R: usize, const INSIDE: bool>(
        &self,
        isa: I,
        weights: &[[f32; K]],
        (first, count): (usize, usize),
        finish: &RowFinish<I>,
        to: &Target,
    ) -> usize {
        assert!(weights.len() >= K, "a weight for each place");
        let mut sums = [isa.splat(0.0); R];
        let far = (first * S) as isize - self.before as isize;
        let start = self.x.as_ptr().wrapping_offset(far * self.size[1] as isize + self.place);
        for line in 0..(R - 1) * S + K {
            let mut seen = [isa.splat(0.0); K];
            if INSIDE || (first * S + line).wrapping_sub(self.before) < self.size[0] {
                let start = start.wrapping_add(line * self.size[1]);
                for j in 0..K {
                    let lanes = self.lanes[j];
                    // SAFETY: the lanes lie in the line, which lies in the image.
                    unsafe {
                        if S == 1 {
                            seen[j] = isa.load_some(start.wrapping_add(j), lanes[0]);
                        } else if j % 2 == 0 {
                            let a = isa.load_some(start.wrapping_add(j), lanes[0]);
                            let b = isa.load_some(start.wrapping_add(j + LANES), lanes[1]);
                            seen[j] = isa.evens(a, b);
                            if j + 1 < K {
                                seen[j + 1] = isa.odds(a, b);
                            }
                        }
                    }
                }
            }
            for r in 0..R {
                if line >= r * S && line - r * S < K {
                    for j in 0..K {
                        sums[r] = isa.fma(isa.splat(weights[line - r * S][j]), seen[j], sums[r]);
                    }
                }
            }
        }
        for r in 0..R {
            if R == MORE || r < count {
                let row = to.start.wrapping_add((first + r) * to.wide);
                // SAFETY: the caller's.
                unsafe { isa.store_some(finish.of(isa, sums[r]), row, to.lanes) };
            }
        }
        count
    }
}
