//! Beginnings of sequences the other way round (ONNX's ReverseSequence).

use super::{ArrayOperator, ArrayType, View, ViewMut, fault};
use crate::{Cost, Error};

/// Of each sequence as many elements as the second input says the other way round, the others as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reverse {
    /// Whether sequences are along the outermost axis and batches along the next; otherwise the other way.
    pub time_first: bool,
}

impl ArrayOperator for Reverse {
    fn infer(&self, inputs: &[ArrayType]) -> Result<Vec<ArrayType>, Error> {
        match inputs {
            [input, lengths]
                if input.extents.len() >= 2
                    && lengths.extents[..] == [input.extents[usize::from(self.time_first)]]
                    && !lengths.elem.is_float() =>
            {
                Ok(vec![*input])
            }
            _ => fault("Reverse", "sequences and a length for each are needed", inputs),
        }
    }

    fn evaluate(&self, inputs: &[View<'_>], outputs: &mut [ViewMut<'_>], _: &mut [u8]) -> Result<(), Error> {
        let ([input, lengths], [out]) = (inputs, outputs) else {
            return fault("Reverse", "two inputs are needed", &[]);
        };
        let own = input.kind.extents;
        let slice = own[2..].iter().product::<usize>() * input.kind.elem.bytes();
        let from = input.bytes.unwrap_or_default();
        let (times, batches) = if self.time_first { (own[0], own[1]) } else { (own[1], own[0]) };
        for (batch, length) in lengths.integers().enumerate() {
            let Some(length) = usize::try_from(length).ok().filter(|length| *length <= times) else {
                let what = "a length that no sequence has";
                return Err(Error::Content { op: "Reverse", what, found: length });
            };
            let place = |time: usize| slice * if self.time_first { time * batches + batch } else { batch * times + time };
            for time in 0..times {
                let (to, at) = (place(time), place(if time < length { length - 1 - time } else { time }));
                out.bytes[to..to + slice].copy_from_slice(&from[at..at + slice]);
            }
        }
        Ok(())
    }

    fn cost(&self, _: &[ArrayType]) -> Cost {
        Cost::default()
    }
}
