//! An array with other elements at some places along one axis (ONNX's ScatterElements).

use super::pick_elements::{each_named, fit};
use super::put::begin;
use super::{ArrayOperator, ArrayType, PutKind, View, ViewMut, fault};
use crate::{Cost, Error};

/// The first input, where each number of the second says at which place of an axis the element of the third is put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PutElements {
    /// The axis.
    pub axis: usize,
    /// What becomes of what was there.
    pub kind: PutKind,
}

impl ArrayOperator for PutElements {
    fn infer(&self, inputs: &[ArrayType]) -> Result<Vec<ArrayType>, Error> {
        match inputs {
            [input, numbers, new]
                if fit(input, numbers, self.axis)
                    && new.extents == numbers.extents
                    && new.elem == input.elem =>
            {
                Ok(vec![*input])
            }
            _ => fault("PutElements", "an array, places within it and as many elements are needed", inputs),
        }
    }

    fn evaluate(&self, inputs: &[View<'_>], outputs: &mut [ViewMut<'_>], _: &mut [u8]) -> Result<(), Error> {
        let ([input, numbers, new], [out]) = (inputs, outputs) else {
            return fault("PutElements", "three inputs are needed", &[]);
        };
        begin(input, out);
        each_named(("PutElements", self.axis), (&input.kind, numbers), |number, at| {
            self.kind.put(out, at, new, number, 1);
        })
    }

    fn cost(&self, _: &[ArrayType]) -> Cost {
        Cost::default()
    }

    fn in_place(&self) -> Option<usize> {
        Some(0)
    }
}
