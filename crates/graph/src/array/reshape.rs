//! The same elements in the same order under other extents.
//!
//! Nothing moves: the output lies where the input does.

use super::{ArrayOperator, ArrayType, View, ViewMut, extents, fault};
use crate::{Cost, Error};

/// Other extents for the same elements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reshape {
    /// The extents; one of them may be `None`, whatever is left for it.
    pub extents: Vec<Option<usize>>,
}

impl ArrayOperator for Reshape {
    fn infer(&self, inputs: &[ArrayType]) -> Result<Vec<ArrayType>, Error> {
        let [input] = inputs else { return fault("Reshape", "one input is needed", inputs) };
        let known: Vec<usize> = self.extents.iter().map(|extent| extent.unwrap_or(1)).collect();
        let mut made = extents("Reshape", &known)?;
        let elements = input.extents.elements();
        if let Some(axis) = self.extents.iter().position(Option::is_none) {
            let others = made.elements();
            made[axis] = elements.checked_div(others).unwrap_or(0);
        }
        if made.elements() != elements || self.extents.iter().filter(|extent| extent.is_none()).count() > 1 {
            return fault("Reshape", "the number of elements must stay the same", inputs);
        }
        Ok(vec![ArrayType { extents: made, ..*input }])
    }

    fn evaluate(&self, inputs: &[View<'_>], outputs: &mut [ViewMut<'_>], _: &mut [u8]) -> Result<(), Error> {
        if let ([View { bytes: Some(bytes), .. }], [out]) = (inputs, outputs) {
            let len = bytes.len().min(out.bytes.len());
            out.bytes[..len].copy_from_slice(&bytes[..len]);
        }
        Ok(())
    }

    fn cost(&self, _: &[ArrayType]) -> Cost {
        Cost::default()
    }

    fn in_place(&self) -> Option<usize> {
        Some(0)
    }

    fn is_alias(&self) -> bool {
        true
    }
}
