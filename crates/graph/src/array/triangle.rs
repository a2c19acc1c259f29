//! Matrices with zeros on one side of a diagonal (ONNX's Trilu).

use super::{ArrayOperator, ArrayType, View, ViewMut, fault, put};
use crate::{Cost, Error};

/// Matrices with zeros below or above a diagonal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Triangle {
    /// Which diagonal: so many columns right of the main one.
    pub diagonal: i64,
    /// Whether what is above it stays; otherwise what is below.
    pub upper: bool,
}

impl ArrayOperator for Triangle {
    fn infer(&self, inputs: &[ArrayType]) -> Result<Vec<ArrayType>, Error> {
        match inputs {
            [input] if input.extents.len() >= 2 => Ok(vec![*input]),
            _ => fault("Triangle", "matrices are needed", inputs),
        }
    }

    fn evaluate(&self, inputs: &[View<'_>], outputs: &mut [ViewMut<'_>], _: &mut [u8]) -> Result<(), Error> {
        let ([input], [out]) = (inputs, outputs) else { return fault("Triangle", "one input is needed", &[]) };
        put::begin(input, out);
        let own = input.kind.extents;
        let [.., rows, columns] = own[..] else { return Ok(()) };
        let width = input.kind.elem.bytes();
        if rows * columns == 0 {
            return Ok(());
        }
        for (row, bytes) in out.bytes.chunks_exact_mut(columns * width).enumerate() {
            let on = ((row % rows) as i64).saturating_add(self.diagonal);
            let (first, behind) = (on.clamp(0, columns as i64), on.saturating_add(1).clamp(0, columns as i64));
            let zeros = if self.upper { 0..first as usize * width } else { behind as usize * width..bytes.len() };
            bytes[zeros].fill(0);
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
