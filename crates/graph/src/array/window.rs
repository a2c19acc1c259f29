//! Windows that slide over the last axes of an array: what convolutions and pools have in common.
//!
//! Not an operator. Arrays are (batch, channels, then up to six axes of places).

use super::{ArrayType, fault};
use crate::{Error, Extents, MAX_RANK};

/// The most axes of places.
pub(super) const AXES_MAX: usize = MAX_RANK - 2;

/// How windows lie on an array, one number for each axis of places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Windows {
    /// Places that a window looks at.
    pub kernel: Vec<usize>,
    /// From a window to the next.
    pub strides: Vec<usize>,
    /// From a place to the next within a window.
    pub dilations: Vec<usize>,
    /// Places that are added before the first.
    pub before: Vec<usize>,
    /// Places that are added behind the last.
    pub behind: Vec<usize>,
}

impl Windows {
    /// Whether there is a number for each of the axes, and all make sense.
    fn fits(&self, axes: usize) -> bool {
        let lists = [&self.kernel, &self.strides, &self.dilations, &self.before, &self.behind];
        let at_least_one = [&self.kernel, &self.strides, &self.dilations];
        (1..=AXES_MAX).contains(&axes)
            && lists.iter().all(|list| list.len() == axes && list.iter().all(|x| *x < 1 << 31))
            && at_least_one.iter().all(|list| list.iter().all(|x| *x > 0))
    }

    /// From the first place of a window to its last, and one more.
    pub fn reach(&self, axis: usize) -> usize {
        self.kernel[axis].saturating_sub(1).saturating_mul(self.dilations[axis]).saturating_add(1)
    }

    /// How many windows there are along each axis of places. If `ceil`, one that lies over the end counts too.
    pub fn count(&self, op: &'static str, input: &ArrayType, ceil: bool) -> Result<Vec<usize>, Error> {
        let places = input.extents.get(2..).unwrap_or_default();
        if !self.fits(places.len()) {
            return fault(
                op,
                "there must be a size, a stride and margins for each axis of places",
                &[*input],
            );
        }
        let count = places.iter().enumerate().map(|(axis, &extent)| {
            let padded = extent + self.before[axis] + self.behind[axis];
            let Some(room) = padded.checked_sub(self.reach(axis)) else {
                return fault(op, "the window is larger than the array with its margins", &[*input]);
            };
            let count = if ceil { room.div_ceil(self.strides[axis]) } else { room / self.strides[axis] } + 1;
            // A window that begins behind everything looks at nothing.
            let begins = (count - 1) * self.strides[axis];
            Ok(if ceil && begins >= extent + self.before[axis] { count - 1 } else { count })
        });
        count.collect()
    }
}

/// Calls `visit` with every index below `extents`, in order, up to the end or its first `None`.
pub(super) fn each_index(extents: &[usize], mut visit: impl FnMut(&[usize; MAX_RANK])) {
    let mut index = [0; MAX_RANK];
    if extents.contains(&0) {
        return;
    }
    loop {
        visit(&index);
        let mut axis = extents.len();
        loop {
            let Some(before) = axis.checked_sub(1) else { return };
            axis = before;
            index[axis] += 1;
            if index[axis] < extents[axis] {
                break;
            }
            index[axis] = 0;
        }
    }
}

/// Places of an array as extents of their own.
pub(super) fn places(extents: &Extents) -> Extents {
    Extents::new(&extents[2..]).unwrap_or_default()
}
