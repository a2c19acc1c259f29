//! Products of bytes as the numbers that they stand for.
//!
//! Each element is the exact sum of [`MatMul`], as f32, times a scale, plus a bias if there is one, each rounded.

use super::{ArrayOperator, ArrayType, LANES, MatMul, View, ViewMut, fault};
use crate::{Cost, Elem, Error};

/// Of `a`, `b`, what counts as zero in each, a scale, and maybe a bias: scales for all or for each column, biases for each column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MatMulMeant;

/// The product of whole numbers.
const SUMS: MatMul = MatMul { b_is_transposed: false, widens: true };

impl ArrayOperator for MatMulMeant {
    fn infer(&self, inputs: &[ArrayType]) -> Result<Vec<ArrayType>, Error> {
        let Some((arrays, factors)) = inputs.split_at_checked(4) else {
            return fault("MatMulMeant", "two arrays, two zeros and a scale are needed", inputs);
        };
        let made = SUMS.infer(arrays)?;
        let columns = SUMS.product(arrays).map_or(0, |product| product.columns);
        let fits = match factors {
            [scale] => [1, columns].contains(&scale.extents.elements()),
            [scale, bias] => {
                [1, columns].contains(&scale.extents.elements()) && bias.extents.elements() == columns
            }
            _ => false,
        };
        if !fits || factors.iter().any(|factor| factor.elem != Elem::F32) {
            return fault("MatMulMeant", "a scale and a bias that fit the columns are needed", inputs);
        }
        Ok(made.into_iter().map(|kind| ArrayType { elem: Elem::F32, ..kind }).collect())
    }

    fn evaluate(&self, inputs: &[View<'_>], outputs: &mut [ViewMut<'_>], scratch: &mut [u8]) -> Result<(), Error> {
        let (Some((arrays, [scale, bias @ ..])), [out]) = (inputs.split_at_checked(4), outputs) else {
            return fault("MatMulMeant", "two arrays, two zeros and a scale are needed", &[]);
        };
        let kinds: [ArrayType; 2] = [arrays[0].kind, arrays[1].kind];
        let columns = SUMS.product(&kinds).map_or(1, |product| product.columns.max(1));
        // Sums take as much room as what they stand for.
        let sums = ArrayType { elem: Elem::I32, ..out.kind };
        SUMS.evaluate(arrays, &mut [ViewMut { kind: sums, bytes: out.bytes }], scratch)?;
        let elements = out.kind.extents.elements();
        let (mut wholes, mut numbers) = ([0i64; LANES], [0f32; LANES]);
        for start in (0..elements).step_by(LANES) {
            let count = LANES.min(elements - start);
            let bytes: &[u8] = out.bytes;
            View { kind: sums, bytes: Some(bytes) }.load(start, &mut wholes[..count]);
            for (i, (x, whole)) in numbers.iter_mut().zip(&wholes).enumerate().take(count) {
                let column = (start + i) % columns;
                let (mut by, mut plus) = ([0f32], [0f32]);
                scale.load(if scale.kind.extents.elements() == 1 { 0 } else { column }, &mut by);
                *x = *whole as f32 * by[0];
                if let [bias] = bias {
                    bias.load(column, &mut plus);
                    *x += plus[0];
                }
            }
            out.store(start, &numbers[..count]);
        }
        Ok(())
    }

    fn cost(&self, inputs: &[ArrayType]) -> Cost {
        SUMS.cost(inputs.get(..2).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Extents;
    use crate::array::{Array, evaluate};

    #[test]
    fn sums_are_scaled_and_moved_by_columns() {
        let array = |elem, extents: &[usize], bytes: Vec<u8>| Array {
            kind: ArrayType { elem, extents: Extents::new(extents).unwrap() },
            bytes: bytes.into(),
        };
        let floats = |list: &[f32]| list.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>();
        let a = array(Elem::U8, &[1, 2], vec![130, 255]);
        let b = array(Elem::I8, &[2, 2], vec![1, 0xff, 2, 3]);
        let (a_zero, b_zero) = (array(Elem::U8, &[], vec![128]), array(Elem::I8, &[2], vec![0, 1]));
        let scale = array(Elem::F32, &[2], floats(&[0.5, 2.0]));
        let bias = array(Elem::F32, &[2], floats(&[1.0, -1.0]));
        let made = evaluate(&MatMulMeant.into(), &[&a, &b, &a_zero, &b_zero, &scale, &bias]).unwrap();
        // 2 * 1 + 127 * 2 and 2 * -2 + 127 * 2.
        assert_eq!(made[0].fractions(), [129.0, 499.0]);
    }
}
