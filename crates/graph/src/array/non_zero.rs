//! Where an array is not zero.

use super::{ArrayOperator, ArrayType, View, ViewMut, extents, fault, lanes};
use crate::{Elem, Error};

/// A row for each axis, in it the place along that axis of each element that is not zero, as i64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NonZero;

impl ArrayOperator for NonZero {
    fn infer(&self, inputs: &[ArrayType]) -> Result<Vec<ArrayType>, Error> {
        let [input] = inputs else { return fault("NonZero", "one input is needed", inputs) };
        let made = [input.extents.len(), input.extents.elements()];
        Ok(vec![ArrayType { elem: Elem::I64, extents: extents("NonZero", &made)? }])
    }

    fn evaluate(&self, inputs: &[View<'_>], outputs: &mut [ViewMut<'_>], _: &mut [u8]) -> Result<(), Error> {
        let ([input], [out]) = (inputs, outputs) else { return fault("NonZero", "one input is needed", &[]) };
        let own = input.kind.extents;
        let is = |at: &usize| {
            let mut x = [0f64];
            lanes::load(input.kind.elem, input.bytes.unwrap_or_default(), *at, &mut x);
            x[0] != 0.0
        };
        let count = (0..own.elements()).filter(is).count();
        out.kind.extents = extents("NonZero", &[own.len(), count])?;
        let strides = own.strides();
        for (number, at) in (0..own.elements()).filter(is).enumerate() {
            for axis in 0..own.len() {
                out.store(axis * count + number, &[(at / strides[axis] % own[axis]) as i64]);
            }
        }
        Ok(())
    }

    fn is_dynamic(&self) -> bool {
        true
    }
}
