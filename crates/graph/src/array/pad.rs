//! An array with a margin, or without a part of its own.

use super::{ArrayOperator, ArrayType, View, ViewMut, extents, fault};
use crate::{Cost, Error, MAX_RANK};

/// What a margin is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PadKind {
    /// The second input, zero if there is none.
    Constant,
    /// The outermost elements.
    Edge,
    /// The array mirrored, its outermost elements once.
    Reflect,
    /// The array from its other end on.
    Wrap,
}

/// A margin before and behind each axis; a negative one takes away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pad {
    /// What it is made of.
    pub kind: PadKind,
    /// Elements before, by axis.
    pub before: Vec<isize>,
    /// Elements behind, by axis.
    pub behind: Vec<isize>,
}

impl ArrayOperator for Pad {
    fn infer(&self, inputs: &[ArrayType]) -> Result<Vec<ArrayType>, Error> {
        let Some(input) = inputs.first() else { return fault("Pad", "an input is needed", inputs) };
        let rank = input.extents.len();
        if self.before.len() != rank || self.behind.len() != rank {
            return fault("Pad", "there must be a margin for each axis", inputs);
        }
        let wide = self.before.iter().zip(&self.behind).zip(input.extents.iter());
        let made = wide.map(|((before, behind), &extent)| {
            let made = (extent as isize).checked_add(*before)?.checked_add(*behind)?;
            let made = usize::try_from(made).ok()?;
            // There must be something to mirror.
            (made == 0 || extent > 0 || self.kind == PadKind::Constant).then_some(made)
        });
        match made.collect::<Option<Vec<usize>>>() {
            Some(made) => Ok(vec![ArrayType { extents: extents("Pad", &made)?, ..*input }]),
            None => fault("Pad", "a margin takes away more than there is", inputs),
        }
    }

    fn evaluate(&self, inputs: &[View<'_>], outputs: &mut [ViewMut<'_>], _: &mut [u8]) -> Result<(), Error> {
        let ([input, fill @ ..], [out]) = (inputs, outputs) else { return fault("Pad", "an input is needed", &[]) };
        let width = out.kind.elem.bytes();
        let mut value = [0; 8];
        if let Some(bytes) = fill.first().and_then(|fill| fill.bytes?.get(..width)) {
            value[..width].copy_from_slice(bytes);
        }
        let (made, own) = (out.kind.extents, input.kind.extents);
        let (strides, from) = (own.strides(), input.bytes.unwrap_or_default());
        let Some(rank) = own.len().checked_sub(1) else {
            out.bytes.copy_from_slice(from);
            return Ok(());
        };
        if made.elements() == 0 {
            return Ok(());
        }
        let mut index = [0usize; MAX_RANK];
        for row in out.bytes.chunks_exact_mut(made[rank] * width) {
            let outer = (0..rank).try_fold(0, |at, axis| Some(at + self.place(axis, index[axis], own[axis])? * strides[axis]));
            for (at, element) in row.chunks_exact_mut(width).enumerate() {
                let place = outer.and_then(|outer| Some(outer + self.place(rank, at, own[rank])?));
                let bytes = place.and_then(|place| from.get(place * width..(place + 1) * width));
                element.copy_from_slice(bytes.unwrap_or(&value[..width]));
            }
            for axis in (0..rank).rev() {
                index[axis] += 1;
                if index[axis] < made[axis] {
                    break;
                }
                index[axis] = 0;
            }
        }
        Ok(())
    }

    fn cost(&self, _: &[ArrayType]) -> Cost {
        Cost::default()
    }
}

impl Pad {
    /// Where in the input what stands at `at` of the result comes from; `None` from the second input.
    fn place(&self, axis: usize, at: usize, extent: usize) -> Option<usize> {
        let (at, extent) = (at as isize - self.before[axis], extent as isize);
        let place = match self.kind {
            _ if (0..extent).contains(&at) => at,
            PadKind::Constant => return None,
            PadKind::Edge => at.clamp(0, extent - 1),
            PadKind::Reflect if extent == 1 => 0,
            PadKind::Reflect => {
                let period = 2 * (extent - 1);
                let at = at.rem_euclid(period);
                at.min(period - at)
            }
            PadKind::Wrap => at.rem_euclid(extent),
        };
        Some(place as usize)
    }
}
