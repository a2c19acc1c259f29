//! Activations on their way into a panel product: what each group of a chunk of all columns brings to every row.
//!
//! Not quantisation ([`crate::quantize`]), which leaves sixteen columns side by side, so that a tile finds the same four
//! elements of its columns in one cache line. The columns that are left over are brought into such an order here, again
//! and again, since they are few.

use super::ACTIVATION_GROUP;
use super::panels::{GROUPS, Shape, Side, Work};
use crate::isa::{LANES, Panels};
use std::ops::Range;

impl<P: Panels, S: Shape> Work<'_, P, S> {
    /// The columns, sixteen at a time, and those that are left over.
    #[inline(always)]
    pub(super) fn sides(&self) -> impl Iterator<Item = Side> + use<'_, P, S> {
        let columns = self.columns.clone();
        columns.clone().step_by(LANES).enumerate().map(move |(index, first)| Side {
            index,
            first,
            width: LANES.min(columns.end - first),
        })
    }

    /// Where the activations of the columns of `side` lie, (step, column).
    #[inline(always)]
    pub(super) unsafe fn activations(&self, side: &Side, elements: &Range<usize>) -> *const u32 {
        let x = &self.slice.x;
        match side.width == LANES || self.n == 1 {
            // SAFETY: these columns and elements are there.
            true => unsafe {
                let at = side.first * x.columns + elements.start * side.width;
                x.q.as_ptr().add(at).cast()
            },
            // SAFETY: only the address of a field.
            false => unsafe { (&raw const (*self.slice.scratch).activations).cast() },
        }
    }

    /// Where the activations begin that are read after those of `side`; they need not be there.
    #[inline(always)]
    pub(super) fn after(&self, side: &Side, elements: &Range<usize>) -> *const u8 {
        let (x, next) = (&self.slice.x, side.first + LANES);
        let at = match next < self.columns.end {
            true => next * x.columns + elements.start * LANES,
            false => self.columns.start * x.columns + elements.end * LANES,
        };
        x.q.as_ptr().wrapping_add(at).cast()
    }

    /// Where scale, correction and sum of column `c` of `side` lie, its width from one group to the next.
    #[inline(always)]
    pub(super) unsafe fn groups(
        &self,
        side: &Side,
        elements: &Range<usize>,
        c: usize,
    ) -> (*const f32, *const i32, *const f32) {
        let (x, at) = (&self.slice.x, side.index * GROUPS * LANES + c);
        // SAFETY: a slab has room for that many sides; these columns and elements are there.
        unsafe {
            let columns = &raw const (*self.slice.scratch).columns;
            let scale = match side.width {
                LANES => {
                    let group = side.first * x.columns + elements.start * LANES;
                    x.scale.as_ptr().add(group / ACTIVATION_GROUP + c)
                }
                _ => (&raw const (*columns).scale).cast::<f32>().add(c),
            };
            (
                scale,
                (&raw const (*columns).correction).cast::<i32>().add(at),
                (&raw const (*columns).sum).cast::<f32>().add(at),
            )
        }
    }

    /// Prepares a chunk of all columns for the tiles.
    #[inline(always)]
    pub(super) unsafe fn prepare_all(&self, elements: Range<usize>) {
        for side in self.sides() {
            // SAFETY: the elements lie within the columns; scratch has room for a chunk, and for 64 of one column.
            unsafe {
                match side.width {
                    LANES => self.prepare_16(&side, elements.clone()),
                    _ => self.prepare(&side, elements.clone()),
                }
            }
        }
    }

    /// A chunk of columns that lie one after another.
    #[inline(always)]
    unsafe fn prepare(&self, side: &Side, elements: Range<usize>) {
        let (x, width, groups) = (&self.slice.x, side.width, elements.len() / S::GROUP);
        for c in 0..width {
            let start = (side.first + c) * x.columns + elements.start;
            // SAFETY: the elements lie within the column, and scratch has room for a chunk of every column.
            unsafe {
                if self.n > 1 {
                    let q = x.q.as_ptr().add(start).cast::<u32>();
                    let out = self.activations(side, &elements).cast_mut().add(c);
                    for step in 0..elements.len() / 4 {
                        *out.add(step * width) = q.add(step).read_unaligned();
                    }
                }
                let (scale, correction, sum) = self.groups(side, &elements, c);
                let (scale, correction, sum) = (scale.cast_mut(), correction.cast_mut(), sum.cast_mut());
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

    /// A chunk of sixteen columns that lie side by side.
    #[inline(always)]
    unsafe fn prepare_16(&self, side: &Side, elements: Range<usize>) {
        let (isa, x) = (self.isa, &self.slice.x);
        let offset = isa.lanes(-self.format.offset);
        // SAFETY: as for `prepare`.
        unsafe {
            let (scale, correction, sum) = self.groups(side, &elements, 0);
            let (correction, sum) = (correction.cast_mut(), sum.cast_mut());
            let sums = x.sums.as_ptr().add((side.first * x.columns + elements.start * LANES) / 16);
            for g in 0..elements.len() / S::GROUP {
                // Both sums of the 32 elements around this group.
                let pair = g * S::GROUP / ACTIVATION_GROUP * LANES;
                let sums = sums.add(2 * pair).cast::<P::V>().read_unaligned();
                let (low, high) = (isa.sar::<16>(isa.shl::<16>(sums)), isa.sar::<16>(sums));
                let asum = match (S::GROUP, g % 2) {
                    (32, _) => isa.add32(low, high),
                    (_, 0) => low,
                    _ => high,
                };
                correction.add(g * LANES).cast::<P::V>().write(isa.mul32(asum, offset));
                let da = isa.load(&*scale.add(pair).cast());
                sum.add(g * LANES).cast::<P::F>().write(isa.mul(da, isa.float(asum)));
            }
        }
    }
}
