//! An array with other slices at some places along several axes at once (ONNX's ScatterND).

use super::pick_slices::row_at;
use super::put::begin;
use super::{ArrayOperator, ArrayType, PutKind, View, ViewMut, fault};
use crate::{Cost, Error};

/// The first input, where each row of numbers of the second says at which places of the outermost axes a slice of the third
/// is put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PutSlices {
    /// What becomes of what was there.
    pub kind: PutKind,
}

impl ArrayOperator for PutSlices {
    fn infer(&self, inputs: &[ArrayType]) -> Result<Vec<ArrayType>, Error> {
        let wrong = || fault("PutSlices", "an array, rows of places and a slice for each are needed", inputs);
        let [input, numbers, new] = inputs else { return wrong() };
        let Some((len, rows)) = numbers.extents.split_last() else { return wrong() };
        let Some(slice) = input.extents.get(*len..) else { return wrong() };
        let fits = new.extents.starts_with(rows) && new.extents[rows.len()..] == *slice;
        if !fits || new.elem != input.elem || numbers.elem.is_float() {
            return wrong();
        }
        Ok(vec![*input])
    }

    fn evaluate(&self, inputs: &[View<'_>], outputs: &mut [ViewMut<'_>], _: &mut [u8]) -> Result<(), Error> {
        let ([input, numbers, new], [out]) = (inputs, outputs) else {
            return fault("PutSlices", "three inputs are needed", &[]);
        };
        begin(input, out);
        let len = numbers.kind.extents.last().copied().unwrap_or(0);
        let slice = input.kind.extents[len..].iter().product::<usize>();
        if slice == 0 {
            return Ok(());
        }
        for row in 0..new.kind.extents.elements() / slice {
            let at = row_at("PutSlices", (&input.kind, 0), (numbers, row, len))?;
            self.kind.put(out, at, new, row * slice, slice);
        }
        Ok(())
    }

    fn cost(&self, _: &[ArrayType]) -> Cost {
        Cost::default()
    }

    fn in_place(&self) -> Option<usize> {
        Some(0)
    }
}
