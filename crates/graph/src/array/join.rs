//! Arrays one behind another along an axis.

use super::{ArrayOperator, ArrayType, View, ViewMut, extents, fault};
use crate::{Cost, Error};

/// Arrays that are equal but for one extent, one behind another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Join {
    /// Along which axis.
    pub axis: usize,
}

impl ArrayOperator for Join {
    fn infer(&self, inputs: &[ArrayType]) -> Result<Vec<ArrayType>, Error> {
        let Some((first, rest)) = inputs.split_first() else { return fault("Join", "an input is needed", inputs) };
        let mut made = *first;
        for input in rest {
            let fits = |(axis, (a, b)): (usize, (&usize, &usize))| axis == self.axis || a == b;
            let same = input.extents.len() == made.extents.len() && input.elem == made.elem;
            if !same || !made.extents.iter().zip(input.extents.iter()).enumerate().all(fits) {
                return fault("Join", "arrays must be equal but for the extent of the axis", inputs);
            }
            match (made.extents.get_mut(self.axis), input.extents.get(self.axis)) {
                (Some(sum), Some(extent)) => *sum += extent,
                _ => return fault("Join", "the axis must exist", inputs),
            }
        }
        made.extents = extents("Join", &made.extents)?;
        Ok(vec![made])
    }

    fn evaluate(&self, inputs: &[View<'_>], outputs: &mut [ViewMut<'_>], _: &mut [u8]) -> Result<(), Error> {
        let [out] = outputs else { return fault("Join", "one output is made", &[]) };
        let inner = |extents: &[usize]| extents[self.axis..].iter().product::<usize>();
        let row = inner(&out.kind.extents) * out.kind.elem.bytes();
        let mut start = 0;
        for input in inputs {
            let width = inner(&input.kind.extents) * input.kind.elem.bytes();
            let from = input.bytes.unwrap_or_default();
            if width > 0 {
                for (to, from) in out.bytes.chunks_exact_mut(row).zip(from.chunks_exact(width)) {
                    to[start..start + width].copy_from_slice(from);
                }
            }
            start += width;
        }
        Ok(())
    }

    fn cost(&self, _: &[ArrayType]) -> Cost {
        Cost::default()
    }
}
