//! Determinants of matrices, in f64.

use super::{ArrayOperator, ArrayType, View, ViewMut, extents, fault};
use crate::Error;

/// Determinants of the matrices that the last two axes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Determinant;

/// Bytes of an f64.
const WIDTH: usize = 8;

impl ArrayOperator for Determinant {
    fn infer(&self, inputs: &[ArrayType]) -> Result<Vec<ArrayType>, Error> {
        match inputs {
            [input] if input.elem.is_float() => match &input.extents[..] {
                [outer @ .., rows, columns] if rows == columns => {
                    Ok(vec![ArrayType { extents: extents("Determinant", outer)?, ..*input }])
                }
                _ => fault("Determinant", "square matrices are needed", inputs),
            },
            _ => fault("Determinant", "floats are needed", inputs),
        }
    }

    fn evaluate(
        &self,
        inputs: &[View<'_>],
        outputs: &mut [ViewMut<'_>],
        scratch: &mut [u8],
    ) -> Result<(), Error> {
        let ([input], [out]) = (inputs, outputs) else { return fault("Determinant", "one input is needed", &[]) };
        let side = input.kind.extents.last().copied().unwrap_or(0);
        let Some(matrix) = scratch.as_chunks_mut::<WIDTH>().0.get_mut(..side * side) else {
            return fault("Determinant", "scratch is needed", &[]);
        };
        for number in 0..out.kind.extents.elements() {
            for (at, element) in matrix.iter_mut().enumerate() {
                let mut x = [0f64];
                input.load(number * side * side + at, &mut x);
                *element = x[0].to_le_bytes();
            }
            out.store(number, &[determinant(matrix, side)]);
        }
        Ok(())
    }

    fn scratch(&self, inputs: &[ArrayType]) -> usize {
        let side = inputs.first().and_then(|input| input.extents.last()).copied().unwrap_or(0);
        side * side * WIDTH
    }
}

/// By elimination; the largest number of a column goes first.
fn determinant(matrix: &mut [[u8; WIDTH]], side: usize) -> f64 {
    let get = |matrix: &[[u8; WIDTH]], row: usize, column: usize| f64::from_le_bytes(matrix[row * side + column]);
    let mut product = 1.0;
    for step in 0..side {
        let larger = |a: &usize, b: &usize| get(matrix, *a, step).abs().total_cmp(&get(matrix, *b, step).abs());
        let first = (step..side).max_by(larger).unwrap_or(step);
        if first != step {
            (0..side).for_each(|column| matrix.swap(first * side + column, step * side + column));
            product = -product;
        }
        let pivot = get(matrix, step, step);
        product *= pivot;
        if pivot == 0.0 {
            return product;
        }
        for row in step + 1..side {
            let factor = get(matrix, row, step) / pivot;
            for column in step..side {
                let left = get(matrix, row, column) - factor * get(matrix, step, column);
                matrix[row * side + column] = left.to_le_bytes();
            }
        }
    }
    product
}
