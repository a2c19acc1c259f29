//! Activations on their way into a panel product: a chunk of all columns, brought into the order of the tiles.
//!
//! Not quantisation ([`crate::quantize`]). Sixteen columns lie side by side, so that a tile finds the same four elements
//! of its columns in one cache line.

use super::ACTIVATION_GROUP;
use super::panels::{CODES, GROUPS, Shape, Side, Work};
use crate::isa::{LANES, Panels};
use std::ops::Range;

impl<P: Panels, S: Shape> Work<'_, P, S> {
    /// The columns, `width` at a time.
    #[inline(always)]
    pub(super) fn sides(&self) -> impl Iterator<Item = Side> + use<'_, P, S> {
        let (columns, width) = (self.columns.clone(), self.width);
        let last = self.slice.x.count() - width;
        columns.clone().step_by(width).enumerate().map(move |(index, column)| Side {
            index,
            first: column.min(last),
            skip: column - column.min(last),
            acc: column - columns.start,
        })
    }

    /// Where the activations of the columns of `side` lie, (step, column).
    #[inline(always)]
    pub(super) unsafe fn activations(&self, side: &Side) -> *mut u32 {
        // SAFETY: a slab has room for that many sides.
        unsafe { (&raw mut (*self.slice.scratch).activations).cast::<u32>().add(side.index * CODES * LANES) }
    }

    /// Where scale, correction and sum of column `c` of `side` lie, `width` from one group to the next.
    #[inline(always)]
    pub(super) unsafe fn groups(&self, side: &Side, c: usize) -> (*mut f32, *mut i32, *mut f32) {
        let at = side.index * GROUPS * LANES + c;
        // SAFETY: a slab has room for that many sides.
        unsafe {
            let columns = &raw mut (*self.slice.scratch).columns;
            (
                (&raw mut (*columns).scale).cast::<f32>().add(at),
                (&raw mut (*columns).correction).cast::<i32>().add(at),
                (&raw mut (*columns).sum).cast::<f32>().add(at),
            )
        }
    }

    /// Brings a chunk of all columns into the order of the tiles.
    #[inline(always)]
    pub(super) unsafe fn prepare_all(&self, elements: Range<usize>) {
        for side in self.sides() {
            // SAFETY: the elements lie within the columns; scratch has room for a chunk, and for 64 of one column.
            unsafe {
                match self.width {
                    1 => self.prepare(&side, elements.clone(), 1),
                    LANES => self.prepare_16(&side, elements.clone()),
                    width => self.prepare(&side, elements.clone(), width),
                }
            }
        }
    }

    /// The activations of a chunk, column by column.
    #[inline(always)]
    unsafe fn prepare(&self, side: &Side, elements: Range<usize>, width: usize) {
        let (x, steps, groups) = (&self.slice.x, elements.len() / 4, elements.len() / S::GROUP);
        for c in 0..width {
            let start = (side.first + c) * x.columns + elements.start;
            // SAFETY: the elements lie within the column, and scratch has room for a chunk of every column.
            unsafe {
                let q = x.q.as_ptr().add(start).cast::<u32>();
                let out = self.activations(side).add(c);
                for step in 0..steps {
                    let four = q.add(step).read_unaligned();
                    *out.add(step * width) = four;
                }
                let (scale, correction, sum) = self.groups(side, c);
                for g in 0..groups {
                    let at = start + g * S::GROUP;
                    let sums = x.sums.as_ptr().add(at / 16);
                    let second = if S::GROUP == 32 { i32::from(*sums.add(1)) } else { 0 };
                    let asum = i32::from(*sums) + second;
                    let da = *x.scale.as_ptr().add(at / ACTIVATION_GROUP);
                    *scale.add(g * width) = da;
                    *correction.add(g * width) = asum * -self.format.offset;
                    *sum.add(g * width) = da * asum as f32;
                }
            }
        }
    }

    /// [`Work::prepare`] for sixteen columns at once.
    #[inline(always)]
    unsafe fn prepare_16(&self, side: &Side, elements: Range<usize>) {
        let (isa, x) = (self.isa, &self.slice.x);
        let (stride, start) = (x.columns, side.first * x.columns + elements.start);
        let offset = isa.lanes(-self.format.offset);
        // SAFETY: as for `prepare`.
        unsafe {
            let out = self.activations(side).cast::<P::V>();
            let q = x.q.as_ptr().add(start).cast::<u8>();
            for sixteen in (0..elements.len()).step_by(16) {
                let four = isa.rows16(q.add(sixteen), stride);
                for i in 0..4 {
                    out.add(sixteen / 4 + i).write(four[i]);
                }
            }
            let (scale, correction, sum) = self.groups(side, 0);
            for g in 0..elements.len() / S::GROUP {
                let at = start + g * S::GROUP;
                let da = x.scale.as_ptr().add(at / ACTIVATION_GROUP).cast();
                let da = isa.bits(isa.rows4(da, stride / ACTIVATION_GROUP * 4));
                // Both sums of the 32 elements around this group.
                let sums = x.sums.as_ptr().add(at / 32 * 2).cast();
                let sums = isa.rows4(sums, stride / 16 * 2);
                let (low, high) = (isa.sar::<16>(isa.shl::<16>(sums)), isa.sar::<16>(sums));
                let asum = match (S::GROUP, at / 16 % 2) {
                    (32, _) => isa.add32(low, high),
                    (_, 0) => low,
                    _ => high,
                };
                scale.add(g * LANES).cast::<P::F>().write(da);
                correction.add(g * LANES).cast::<P::V>().write(isa.mul32(asum, offset));
                sum.add(g * LANES).cast::<P::F>().write(isa.mul(da, isa.float(asum)));
            }
        }
    }
}
