//! An array with a stretch of another along an axis, from a place on that each batch says (ONNX's TensorScatter).

use super::order::around;
use super::put::begin;
use super::{ArrayOperator, ArrayType, PutKind, View, ViewMut, fault};
use crate::{Cost, Error};

/// The first input with the second put in along an axis; the third says for each slice of the outermost axis from where on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PutStretch {
    /// The axis; not the outermost.
    pub axis: usize,
    /// Whether what is beyond the end comes at the front.
    pub wraps: bool,
}

impl ArrayOperator for PutStretch {
    fn infer(&self, inputs: &[ArrayType]) -> Result<Vec<ArrayType>, Error> {
        let wrong = || fault("PutStretch", "an array, a stretch of it and a place for each batch are needed", inputs);
        let [input, new, starts] = inputs else { return wrong() };
        let within = |(axis, (new, own)): (usize, (&usize, &usize))| new == own || axis == self.axis && new < own;
        let fits = (1..input.extents.len()).contains(&self.axis)
            && new.extents.len() == input.extents.len()
            && new.extents.iter().zip(input.extents.iter()).enumerate().all(within)
            && starts.extents[..] == input.extents[..1];
        if !fits || new.elem != input.elem || starts.elem.is_float() {
            return wrong();
        }
        Ok(vec![*input])
    }

    fn evaluate(&self, inputs: &[View<'_>], outputs: &mut [ViewMut<'_>], _: &mut [u8]) -> Result<(), Error> {
        let ([input, new, starts], [out]) = (inputs, outputs) else {
            return fault("PutStretch", "three inputs are needed", &[]);
        };
        begin(input, out);
        let (extent, len) = (input.kind.extents[self.axis], new.kind.extents[self.axis]);
        let (blocks, inner) = around(&input.kind.extents, self.axis);
        let in_batch = blocks / input.kind.extents[0].max(1);
        for block in 0..blocks {
            let mut start = [0i64];
            starts.load(block / in_batch, &mut start);
            let most = if self.wraps { i64::MAX } else { (extent - len) as i64 };
            if !(0..=most).contains(&start[0]) {
                let what = "a place from which the stretch does not fit";
                return Err(Error::Content { op: "PutStretch", what, found: start[0] });
            }
            for at in 0..len {
                let to = (start[0] as usize % extent + at) % extent;
                let (to, from) = ((block * extent + to) * inner, (block * len + at) * inner);
                PutKind::Set.put(out, to, new, from, inner);
            }
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
