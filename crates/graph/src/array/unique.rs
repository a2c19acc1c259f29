//! What is in an array, each once.

use super::order::{around, key};
use super::{ArrayOperator, ArrayType, View, ViewMut, extents, fault, lanes};
use crate::{Elem, Error, Extents};
use std::cmp::Ordering;

/// The slices along an axis, each once; and as i64 where each was first, which one each slice of the input is, and how
/// often each is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unique {
    /// The axis; without one, single elements of the whole array.
    pub axis: Option<usize>,
    /// Whether they are sorted; otherwise in the order in which they first come.
    pub sorted: bool,
}

/// Bytes of a place.
const PLACE: usize = 8;

impl Unique {
    /// Blocks, slices in each and elements of a slice without gaps.
    fn slices(&self, extents: &Extents) -> (usize, usize, usize) {
        match self.axis {
            None => (1, extents.elements(), 1),
            Some(axis) => {
                let (blocks, inner) = around(extents, axis);
                (blocks, extents[axis], inner)
            }
        }
    }
}

impl ArrayOperator for Unique {
    fn infer(&self, inputs: &[ArrayType]) -> Result<Vec<ArrayType>, Error> {
        match inputs {
            [input] if self.axis.is_none_or(|axis| axis < input.extents.len()) => {
                let count = extents("Unique", &[self.slices(&input.extents).1])?;
                let made = if self.axis.is_some() { input.extents } else { count };
                let numbers = ArrayType { elem: Elem::I64, extents: count };
                Ok(vec![ArrayType { extents: made, ..*input }, numbers, numbers, numbers])
            }
            _ => fault("Unique", "an array with this axis is needed", inputs),
        }
    }

    fn evaluate(
        &self,
        inputs: &[View<'_>],
        outputs: &mut [ViewMut<'_>],
        scratch: &mut [u8],
    ) -> Result<(), Error> {
        let ([input], [out, firsts, inverse, counts]) = (inputs, outputs) else {
            return fault("Unique", "one input is needed", &[]);
        };
        let (blocks, slices, inner) = self.slices(&input.kind.extents);
        let places = scratch.as_chunks_mut::<PLACE>().0;
        let Some((order, leaders)) = places.get_mut(..2 * slices).map(|places| places.split_at_mut(slices)) else {
            return fault("Unique", "scratch is needed", &[]);
        };
        let number = |place: &[u8; PLACE]| u64::from_le_bytes(*place) as usize;
        order.iter_mut().enumerate().for_each(|(at, place)| *place = (at as u64).to_le_bytes());
        let compare = |a: usize, b: usize| {
            let elements = (0..blocks).flat_map(|block| (0..inner).map(move |at| (block * slices * inner, at)));
            let mut each = elements.map(|(block, at)| {
                key(input, block + a * inner + at).cmp(&key(input, block + b * inner + at))
            });
            each.find(|ordering| ordering.is_ne()).unwrap_or(Ordering::Equal)
        };
        order.sort_unstable_by(|a, b| compare(number(a), number(b)).then(number(a).cmp(&number(b))));
        let mut leader = None;
        for place in order.iter() {
            let slice = number(place);
            let first = leader.filter(|leader| compare(*leader, slice).is_eq()).unwrap_or(slice);
            leaders[slice] = (first as u64).to_le_bytes();
            leader = Some(first);
        }
        let mut found = 0;
        let count = (0..slices).filter(|slice| number(&leaders[*slice]) == *slice).count();
        for (at, place) in order.iter().enumerate() {
            // A leader comes before those that are equal to it, either way.
            let slice = if self.sorted { number(place) } else { at };
            let leader = number(&leaders[slice]);
            let mut which = [found as i64];
            if leader == slice {
                firsts.store(found, &[slice as i64]);
                counts.store(found, &[0i64]);
                copy(input, out, (blocks, slices, inner), (slice, found, count));
                found += 1;
            } else {
                lanes::load(Elem::I64, inverse.bytes, leader, &mut which);
            }
            inverse.store(slice, &which);
            let mut times = [0i64];
            lanes::load(Elem::I64, counts.bytes, which[0] as usize, &mut times);
            counts.store(which[0] as usize, &[times[0] + 1]);
        }
        let count = extents("Unique", &[count])?;
        match self.axis {
            None => out.kind.extents = count,
            Some(axis) => out.kind.extents[axis] = count[0],
        }
        (firsts.kind.extents, counts.kind.extents) = (count, count);
        Ok(())
    }

    fn is_dynamic(&self) -> bool {
        true
    }

    fn scratch(&self, inputs: &[ArrayType]) -> usize {
        inputs.first().map_or(0, |input| self.slices(&input.extents).1.saturating_mul(2 * PLACE))
    }
}

/// A slice of the input becomes slice `to` of `count`.
fn copy(
    input: &View<'_>,
    out: &mut ViewMut<'_>,
    (blocks, slices, inner): (usize, usize, usize),
    (slice, to, count): (usize, usize, usize),
) {
    let bytes = inner * input.kind.elem.bytes();
    for block in 0..blocks {
        let (from, to) = ((block * slices + slice) * bytes, (block * count + to) * bytes);
        out.bytes[to..to + bytes].copy_from_slice(&input.bytes.unwrap_or_default()[from..from + bytes]);
    }
}
