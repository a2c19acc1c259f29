//! The largest or smallest numbers along an axis, and where they were.

use super::order::{KEYED, around, key, keyed, place_of, sort};
use super::{ArrayOperator, ArrayType, View, ViewMut, extents, fault};
use crate::{Elem, Error};

/// The `count` largest or smallest numbers along an axis, the most extreme first, and their places as i64; the first of
/// equal ones comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Top {
    /// The axis.
    pub axis: usize,
    /// How many.
    pub count: usize,
    /// Whether the largest are wanted.
    pub largest: bool,
}

impl ArrayOperator for Top {
    fn infer(&self, inputs: &[ArrayType]) -> Result<Vec<ArrayType>, Error> {
        match inputs {
            [input] if input.extents.get(self.axis).is_some_and(|extent| *extent >= self.count) => {
                let mut made = input.extents;
                made[self.axis] = self.count;
                let made = extents("Top", &made)?;
                Ok(vec![ArrayType { extents: made, ..*input }, ArrayType { elem: Elem::I64, extents: made }])
            }
            _ => fault("Top", "an array with so many elements along this axis is needed", inputs),
        }
    }

    fn evaluate(
        &self,
        inputs: &[View<'_>],
        outputs: &mut [ViewMut<'_>],
        scratch: &mut [u8],
    ) -> Result<(), Error> {
        let ([input], [values, places]) = (inputs, outputs) else {
            return fault("Top", "one input is needed", &[]);
        };
        let (blocks, inner) = around(&input.kind.extents, self.axis);
        let (len, width) = (input.kind.extents[self.axis], input.kind.elem.bytes());
        let from = input.bytes.unwrap_or_default();
        let Some(keys) = scratch.as_chunks_mut::<KEYED>().0.get_mut(..len) else {
            return fault("Top", "scratch is needed", &[]);
        };
        let flip = if self.largest { u64::MAX } else { 0 };
        for lane in 0..blocks * inner {
            let (block, column) = (lane / inner, lane % inner);
            for (at, place) in keys.iter_mut().enumerate() {
                *place = keyed(key(input, (block * len + at) * inner + column) ^ flip, at);
            }
            sort(keys, self.count);
            for (rank, found) in keys[..self.count].iter().enumerate() {
                let place = place_of(found);
                let to = (block * self.count + rank) * inner + column;
                let at = ((block * len + place) * inner + column) * width;
                values.bytes[to * width..(to + 1) * width].copy_from_slice(&from[at..at + width]);
                places.store(to, &[place as i64]);
            }
        }
        Ok(())
    }

    fn scratch(&self, inputs: &[ArrayType]) -> usize {
        inputs.first().and_then(|input| input.extents.get(self.axis)).map_or(0, |len| len * KEYED)
    }
}
