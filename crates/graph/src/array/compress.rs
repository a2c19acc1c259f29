//! Slices of an array where another is true.

use super::order::around;
use super::{ArrayOperator, ArrayType, View, ViewMut, extents, fault};
use crate::{Elem, Error, Extents};

/// The slices of the first input along an axis where the second is true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compress {
    /// The axis; without one, single elements of the whole array.
    pub axis: Option<usize>,
}

impl Compress {
    fn slices(&self, extents: &Extents) -> (usize, usize, usize) {
        match self.axis {
            None => (1, extents.elements(), 1),
            Some(axis) => {
                let (blocks, inner) = around(extents, axis);
                (blocks, extents[axis], inner)
            }
        }
    }

    fn made(&self, input: &ArrayType, count: usize) -> Result<Extents, Error> {
        let mut made = input.extents;
        match self.axis {
            None => made = extents("Compress", &[count])?,
            Some(axis) => made[axis] = count,
        }
        Ok(made)
    }
}

impl ArrayOperator for Compress {
    fn infer(&self, inputs: &[ArrayType]) -> Result<Vec<ArrayType>, Error> {
        match inputs {
            [input, is]
                if self.axis.is_none_or(|axis| axis < input.extents.len())
                    && is.extents.len() == 1
                    && is.elem == Elem::Bool =>
            {
                let most = self.slices(&input.extents).1.min(is.extents[0]);
                Ok(vec![ArrayType { extents: self.made(input, most)?, ..*input }])
            }
            _ => fault("Compress", "an array with this axis and truth values are needed", inputs),
        }
    }

    fn evaluate(&self, inputs: &[View<'_>], outputs: &mut [ViewMut<'_>], _: &mut [u8]) -> Result<(), Error> {
        let ([input, is], [out]) = (inputs, outputs) else {
            return fault("Compress", "two inputs are needed", &[]);
        };
        let (blocks, slices, inner) = self.slices(&input.kind.extents);
        let bytes = inner * input.kind.elem.bytes();
        let from = input.bytes.unwrap_or_default();
        let chosen = || is.integers().take(slices).enumerate().filter(|(_, is)| *is != 0);
        let count = chosen().count();
        out.kind.extents = self.made(&input.kind, count)?;
        for block in 0..blocks {
            for (number, (slice, _)) in chosen().enumerate() {
                let (at, to) = ((block * slices + slice) * bytes, (block * count + number) * bytes);
                out.bytes[to..to + bytes].copy_from_slice(&from[at..at + bytes]);
            }
        }
        Ok(())
    }

    fn is_dynamic(&self) -> bool {
        true
    }
}
