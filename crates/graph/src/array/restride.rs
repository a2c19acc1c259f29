//! Elements of an array in another order, some left out, some several times: what transposes, slices, flips and
//! repetitions are.
//!
//! The one design choice: one operator with a start and a step along each axis of the result, instead of four.

use super::walk::gather;
use super::{ArrayOperator, ArrayType, View, ViewMut, extents, fault};
use crate::{Cost, Error, MAX_RANK};

/// Elements in another order: along an axis of the result from a place to the next by a step along one of the input's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restride {
    /// For each axis of the result, what it walks.
    pub axes: Vec<Along>,
    /// For each axis of the input, where it begins if nothing walks it; 0 mostly.
    pub at: Vec<usize>,
}

/// What an axis of a result walks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Along {
    /// An axis of the input from `start` on by `step`, `len` elements of it; all that is left if `None`.
    Axis {
        /// The axis.
        axis: usize,
        /// How many elements.
        len: Option<usize>,
        /// The first.
        start: usize,
        /// To the next.
        step: isize,
    },
    /// The same place so many times.
    Repeat(usize),
}

impl Restride {
    /// Axes in another order.
    pub fn transpose(order: &[usize]) -> Restride {
        let axes = order.iter().map(|&axis| Along::Axis { axis, len: None, start: 0, step: 1 });
        Restride { axes: axes.collect(), at: vec![0; order.len()] }
    }

    fn extent(&self, input: &ArrayType, along: Along) -> Option<usize> {
        match along {
            Along::Repeat(times) => Some(times),
            Along::Axis { axis, len, start, step } => {
                let extent = *input.extents.get(axis)?;
                let most = match (start.checked_sub(0), step) {
                    (_, 0) => return None,
                    (Some(start), step) if step > 0 => extent.saturating_sub(start).div_ceil(step as usize),
                    (Some(start), step) if start < extent => (start + 1).div_ceil(step.unsigned_abs()),
                    _ => 0,
                };
                Some(len.unwrap_or(most)).filter(|len| *len <= most)
            }
        }
    }
}

impl ArrayOperator for Restride {
    fn infer(&self, inputs: &[ArrayType]) -> Result<Vec<ArrayType>, Error> {
        let [input] = inputs else { return fault("Restride", "one input is needed", inputs) };
        if self.at.len() != input.extents.len() {
            return fault("Restride", "an array of another rank is needed", inputs);
        }
        let made: Option<Vec<usize>> = self.axes.iter().map(|&along| self.extent(input, along)).collect();
        match made {
            Some(made) => Ok(vec![ArrayType { extents: extents("Restride", &made)?, ..*input }]),
            None => fault("Restride", "the part that is asked for must lie in the array", inputs),
        }
    }

    fn evaluate(&self, inputs: &[View<'_>], outputs: &mut [ViewMut<'_>], _: &mut [u8]) -> Result<(), Error> {
        let ([input], [out]) = (inputs, outputs) else { return fault("Restride", "one input is needed", &[]) };
        let own = input.kind.extents.strides();
        let mut first: isize = self.at.iter().zip(own).map(|(at, stride)| (at * stride) as isize).sum();
        let mut strides = [0; MAX_RANK];
        for (stride, along) in strides.iter_mut().zip(&self.axes) {
            if let Along::Axis { axis, start, step, .. } = *along {
                first += (start * own[axis]) as isize;
                *stride = step * own[axis] as isize;
            }
        }
        let from = input.bytes.unwrap_or_default();
        gather(out.kind.elem.bytes(), (&out.kind.extents, &mut *out.bytes), from, (first, strides));
        Ok(())
    }

    fn cost(&self, _: &[ArrayType]) -> Cost {
        Cost::default()
    }
}
