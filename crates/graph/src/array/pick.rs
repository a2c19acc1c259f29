//! Slices of an array along an axis, by numbers in another array (ONNX's Gather).

use super::{ArrayOperator, ArrayType, LANES, View, ViewMut, extents, fault};
use crate::{Cost, Error};

/// For each number in the second input, the slice of the first at that place of an axis; negative ones count from the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pick {
    /// The axis.
    pub axis: usize,
}

impl ArrayOperator for Pick {
    fn infer(&self, inputs: &[ArrayType]) -> Result<Vec<ArrayType>, Error> {
        match inputs {
            [input, numbers] if self.axis < input.extents.len() && !numbers.elem.is_float() => {
                let (before, behind) = input.extents.split_at(self.axis);
                let made = [before, &numbers.extents, &behind[1..]].concat();
                Ok(vec![ArrayType { extents: extents("Pick", &made)?, ..*input }])
            }
            _ => fault("Pick", "an array with this axis and whole numbers are needed", inputs),
        }
    }

    fn evaluate(&self, inputs: &[View<'_>], outputs: &mut [ViewMut<'_>], _: &mut [u8]) -> Result<(), Error> {
        let ([input, numbers], [out]) = (inputs, outputs) else { return fault("Pick", "two inputs are needed", &[]) };
        let own = input.kind.extents;
        let slice = own[self.axis + 1..].iter().product::<usize>() * input.kind.elem.bytes();
        let (block, extent) = (slice * own[self.axis], own[self.axis] as i64);
        let from = input.bytes.unwrap_or_default();
        let count = numbers.kind.extents.elements();
        if slice == 0 || count == 0 {
            return Ok(());
        }
        let blocks = own[..self.axis].iter().product::<usize>();
        // Places are read once for all blocks, some at a time.
        let mut buffer = [0i64; LANES];
        for first in (0..count).step_by(LANES) {
            let places = &mut buffer[..LANES.min(count - first)];
            numbers.load(first, places);
            for place in &mut *places {
                let found = *place;
                *place += if found < 0 { extent } else { 0 };
                if !(0..extent).contains(place) {
                    return Err(Error::Content { op: "Pick", what: "a place that is not in the array", found });
                }
            }
            let of_blocks = out.bytes.chunks_exact_mut(count * slice).zip(from.chunks_exact(block)).take(blocks);
            for (to, from) in of_blocks {
                let to = &mut to[first * slice..][..places.len() * slice];
                match slice {
                    1 => each::<1>(places, from, to),
                    2 => each::<2>(places, from, to),
                    4 => each::<4>(places, from, to),
                    8 => each::<8>(places, from, to),
                    _ => {
                        let pairs = places.iter().zip(to.chunks_exact_mut(slice));
                        pairs.for_each(|(place, to)| to.copy_from_slice(&from[*place as usize * slice..][..slice]));
                    }
                }
            }
        }
        Ok(())
    }

    fn cost(&self, _: &[ArrayType]) -> Cost {
        Cost::default()
    }
}

/// Slices of `W` bytes.
fn each<const W: usize>(places: &[i64], from: &[u8], to: &mut [u8]) {
    let (from, _) = from.as_chunks::<W>();
    let (to, _) = to.as_chunks_mut::<W>();
    places.iter().zip(to).for_each(|(place, to)| *to = from[*place as usize]);
}
