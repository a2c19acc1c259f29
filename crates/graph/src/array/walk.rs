//! Ways through arrays: several at once with repetition, and one with strides into another without gaps.
//!
//! Not arithmetic. The one design choice: axes that can be walked as one are joined first, so that the innermost loop
//! is as long as it can be and everything around it hardly matters.

#![allow(clippy::needless_range_loop)] // several lists at one place

use crate::{Extents, MAX_RANK};

/// A walk over an array without gaps, and beside it over `N` others with strides of their own.
pub struct Walk<const N: usize> {
    extents: [usize; MAX_RANK],
    strides: [[isize; MAX_RANK]; N],
    rank: usize,
}

/// A stretch of a walk: elements of the array without gaps, one after another.
pub struct Stretch<const N: usize> {
    /// The first element.
    pub start: usize,
    /// How many.
    pub len: usize,
    /// Where the first one is in each of the others.
    pub at: [isize; N],
    /// From one to the next in each of the others.
    pub step: [isize; N],
}

impl<const N: usize> Walk<N> {
    /// A walk over `over`; the others lie at `strides`, in elements.
    pub fn new(over: &Extents, strides: [[isize; MAX_RANK]; N]) -> Walk<N> {
        let mut walk = Walk { extents: [1; MAX_RANK], strides: [[0; MAX_RANK]; N], rank: 0 };
        for (axis, &extent) in over.iter().enumerate() {
            if extent == 1 {
                continue;
            }
            let joins = walk.rank > 0
                && (0..N).all(|k| walk.strides[k][walk.rank - 1] == strides[k][axis] * extent as isize);
            if joins {
                walk.extents[walk.rank - 1] *= extent;
            } else {
                walk.extents[walk.rank] = extent;
                walk.rank += 1;
            }
            for k in 0..N {
                walk.strides[k][walk.rank - 1] = strides[k][axis];
            }
        }
        walk.rank = walk.rank.max(1);
        walk
    }

    /// From an element to the next in each of the others, along the innermost axis.
    pub fn steps(&self) -> [isize; N] {
        std::array::from_fn(|k| self.strides[k][self.rank - 1])
    }

    /// Walks, in stretches of at most `most` elements.
    pub fn each(&self, most: usize, mut visit: impl FnMut(Stretch<N>)) {
        let inner = self.extents[self.rank - 1];
        if self.extents.contains(&0) {
            return;
        }
        let step = std::array::from_fn(|k| self.strides[k][self.rank - 1]);
        let (mut index, mut at, mut row) = ([0; MAX_RANK], [0isize; N], 0);
        loop {
            for first in (0..inner).step_by(most) {
                let at = std::array::from_fn(|k| at[k] + step[k] * first as isize);
                visit(Stretch { start: row * inner + first, len: most.min(inner - first), at, step });
            }
            row += 1;
            let mut axis = self.rank - 1;
            loop {
                if axis == 0 {
                    return;
                }
                axis -= 1;
                index[axis] += 1;
                for k in 0..N {
                    at[k] += self.strides[k][axis];
                }
                if index[axis] < self.extents[axis] {
                    break;
                }
                for k in 0..N {
                    at[k] -= self.strides[k][axis] * index[axis] as isize;
                }
                index[axis] = 0;
            }
        }
    }
}

/// Strides of `input` when it is repeated to the extents `to`.
pub fn repeated(input: &Extents, to: &Extents) -> [isize; MAX_RANK] {
    let (own, shift) = (input.strides(), to.len().saturating_sub(input.len()));
    let mut strides = [0; MAX_RANK];
    for axis in 0..input.len() {
        if input[axis] != 1 {
            strides[shift + axis] = own[axis] as isize;
        }
    }
    strides
}

/// Fills `to`, of extents `extents`, with elements of `width` bytes from `from`: the first at `first`, neighbours along
/// an axis at its stride, both in elements. What would lie outside is left as it was.
pub(crate) fn gather(
    width: usize,
    (extents, to): (&Extents, &mut [u8]),
    from: &[u8],
    (first, strides): (isize, [isize; MAX_RANK]),
) {
    let place = |at: isize| usize::try_from(at + first).unwrap_or(usize::MAX).saturating_mul(width);
    Walk::new(extents, [strides]).each(usize::MAX, |stretch| {
        let Some(to) = to.get_mut(stretch.start * width..(stretch.start + stretch.len) * width) else {
            return;
        };
        let start = place(stretch.at[0]);
        match (stretch.step[0], width) {
            (1, _) => {
                if let Some(from) = from.get(start..start.saturating_add(to.len())) {
                    to.copy_from_slice(from);
                }
            }
            (step, 1) => spread::<1>(to, from, (start, step)),
            (step, 2) => spread::<2>(to, from, (start, step)),
            (step, 4) => spread::<4>(to, from, (start, step)),
            (step, 8) => spread::<8>(to, from, (start, step)),
            _ => {}
        }
    });
}

/// Elements of `W` bytes at a stride, one after another.
fn spread<const W: usize>(to: &mut [u8], from: &[u8], (start, step): (usize, isize)) {
    let mut at = start;
    for element in to.chunks_exact_mut(W) {
        if let Some(from) = from.get(at..at.saturating_add(W)) {
            element.copy_from_slice(from);
        }
        at = at.wrapping_add_signed(step * W as isize);
    }
}
