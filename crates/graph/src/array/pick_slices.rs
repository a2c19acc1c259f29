//! Slices of an array by places along several axes at once (ONNX's GatherND).

use super::order::place;
use super::{ArrayOperator, ArrayType, View, ViewMut, extents, fault};
use crate::{Cost, Error};

/// For each row of numbers in the second input, the slice of the first at those places of its outermost axes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PickSlices {
    /// Outermost axes that both have in common and that no number names.
    pub batch: usize,
}

/// Where slices are: the place of the first element by a row of numbers.
pub(super) fn row_at(
    op: &'static str,
    (input, batch): (&ArrayType, usize),
    (numbers, row, len): (&View<'_>, usize, usize),
) -> Result<usize, Error> {
    let (strides, mut at) = (input.extents.strides(), 0);
    for k in 0..len {
        let mut number = [0i64];
        numbers.load(row * len + k, &mut number);
        at += place(op, number[0], input.extents[batch + k])? * strides[batch + k];
    }
    Ok(at)
}

impl ArrayOperator for PickSlices {
    fn infer(&self, inputs: &[ArrayType]) -> Result<Vec<ArrayType>, Error> {
        let wrong = || fault("PickSlices", "an array and rows of places within it are needed", inputs);
        let [input, numbers] = inputs else { return wrong() };
        let Some((len, rows)) = numbers.extents.split_last() else { return wrong() };
        let fits = self.batch + len <= input.extents.len()
            && rows.get(..self.batch) == input.extents.get(..self.batch)
            && !numbers.elem.is_float();
        if !fits {
            return wrong();
        }
        let made = [rows, &input.extents[self.batch + len..]].concat();
        Ok(vec![ArrayType { extents: extents("PickSlices", &made)?, ..*input }])
    }

    fn evaluate(&self, inputs: &[View<'_>], outputs: &mut [ViewMut<'_>], _: &mut [u8]) -> Result<(), Error> {
        let ([input, numbers], [out]) = (inputs, outputs) else {
            return fault("PickSlices", "two inputs are needed", &[]);
        };
        let (own, width) = (input.kind.extents, input.kind.elem.bytes());
        let len = numbers.kind.extents.last().copied().unwrap_or(0);
        let slice = own[self.batch + len..].iter().product::<usize>();
        let block = own[self.batch..].iter().product::<usize>();
        let rows_in_block = numbers.kind.extents[self.batch..numbers.kind.extents.len() - 1].iter().product::<usize>();
        let from = input.bytes.unwrap_or_default();
        if slice == 0 {
            return Ok(());
        }
        for (row, to) in out.bytes.chunks_exact_mut(slice * width).enumerate() {
            let at = row_at("PickSlices", (&input.kind, self.batch), (numbers, row, len))?;
            let start = (row / rows_in_block * block + at) * width;
            to.copy_from_slice(&from[start..start + slice * width]);
        }
        Ok(())
    }

    fn cost(&self, _: &[ArrayType]) -> Cost {
        Cost::default()
    }
}
