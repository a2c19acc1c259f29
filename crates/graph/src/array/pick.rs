//! Slices of an array along an axis, by numbers in another array (ONNX's Gather).

use super::{ArrayOperator, ArrayType, View, ViewMut, extents, fault};
use crate::{Cost, Error};

/// For each number in the second input, the slice of the first at that place of an axis; negative ones count from the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pick {
    /// The axis.
    pub axis: usize,
}

impl ArrayOperator for Pick {
    fn infer(&self, inputs: &[ArrayType]) -> Result<Vec<ArrayType>, Error> {
        match inputs {
            [input, numbers] if self.axis < input.extents.len() && !numbers.elem.is_float() => {
                let (before, behind) = input.extents.split_at(self.axis);
                let made = [before, &numbers.extents, &behind[1..]].concat();
                Ok(vec![ArrayType { extents: extents("Pick", &made)?, ..*input }])
            }
            _ => fault("Pick", "an array with this axis and whole numbers are needed", inputs),
        }
    }

    fn evaluate(&self, inputs: &[View<'_>], outputs: &mut [ViewMut<'_>], _: &mut [u8]) -> Result<(), Error> {
        let ([input, numbers], [out]) = (inputs, outputs) else { return fault("Pick", "two inputs are needed", &[]) };
        let own = input.kind.extents;
        let slice = own[self.axis + 1..].iter().product::<usize>() * input.kind.elem.bytes();
        let (block, extent) = (slice * own[self.axis], own[self.axis] as i64);
        let from = input.bytes.unwrap_or_default();
        let count = numbers.kind.extents.elements();
        if slice == 0 || count == 0 {
            return Ok(());
        }
        let blocks = own[..self.axis].iter().product::<usize>();
        for (number, to) in out.bytes.chunks_exact_mut(slice).enumerate() {
            let mut at = [0i64];
            numbers.load(number % count, &mut at);
            let place = if at[0] < 0 { at[0] + extent } else { at[0] };
            if !(0..extent).contains(&place) {
                return Err(Error::Content { op: "Pick", what: "a place that is not in the array", found: at[0] });
            }
            let start = (number / count).min(blocks) * block + place as usize * slice;
            to.copy_from_slice(&from[start..start + slice]);
        }
        Ok(())
    }

    fn cost(&self, _: &[ArrayType]) -> Cost {
        Cost::default()
    }
}
