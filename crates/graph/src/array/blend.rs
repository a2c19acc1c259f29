//! Sums of a few weighted slices along an axis: what scaling a picture is, one axis at a time.
//!
//! The one design choice: which slices and how much of each are inputs, so that every way to scale is this operator and
//! differs only in a small table.

use super::order::{around, place};
use super::{ArrayOperator, ArrayType, LANES, View, ViewMut, Wide, fault, lanes};
use crate::{Cost, Elem, Error};

/// For each row of the second input (i32) and of the third (f32), the sum of the slices of the first at those places of an
/// axis, each times its weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blend {
    /// The axis.
    pub axis: usize,
}

impl ArrayOperator for Blend {
    fn infer(&self, inputs: &[ArrayType]) -> Result<Vec<ArrayType>, Error> {
        match inputs {
            [input, places, weights]
                if self.axis < input.extents.len()
                    && input.elem.is_float()
                    && places.extents.len() == 2
                    && places.extents == weights.extents
                    && (places.elem, weights.elem) == (Elem::I32, Elem::F32) =>
            {
                let mut made = input.extents;
                made[self.axis] = places.extents[0];
                Ok(vec![ArrayType { extents: super::extents("Blend", &made)?, ..*input }])
            }
            _ => fault("Blend", "floats with this axis, places and weights are needed", inputs),
        }
    }

    fn evaluate(&self, inputs: &[View<'_>], outputs: &mut [ViewMut<'_>], _: &mut [u8]) -> Result<(), Error> {
        let ([input, places, weights], [out]) = (inputs, outputs) else {
            return fault("Blend", "three inputs are needed", &[]);
        };
        for number in places.integers() {
            if number < 0 {
                return Err(Error::Content { op: "Blend", what: "a place before the array", found: number });
            }
            place("Blend", number, input.kind.extents[self.axis])?;
        }
        let tables = [places, weights].map(|table| table.bytes.unwrap_or_default().as_chunks::<4>().0);
        let taps = places.kind.extents[1];
        if taps == 0 {
            out.bytes.fill(0);
        } else if input.kind.elem == Elem::F64 {
            self.run::<f64>(input, out, taps, tables);
        } else {
            self.run::<f32>(input, out, taps, tables);
        }
        Ok(())
    }

    fn cost(&self, inputs: &[ArrayType]) -> Cost {
        let made = self.infer(inputs).ok().and_then(|made| made.first().copied());
        let taps = inputs.get(1).and_then(|places| places.extents.get(1)).copied().unwrap_or(0);
        Cost { macs: made.map_or(0, |made| made.extents.elements() as u64 * taps as u64), ..Cost::default() }
    }
}

impl Blend {
    fn run<W: Wide>(&self, input: &View<'_>, out: &mut ViewMut<'_>, taps: usize, tables: [&[[u8; 4]]; 2]) {
        let (elem, from) = (input.kind.elem, input.bytes.unwrap_or_default());
        let (blocks, inner) = around(&input.kind.extents, self.axis);
        let (len, made) = (input.kind.extents[self.axis], out.kind.extents[self.axis]);
        let mut x = [W::default(); LANES];
        if inner == 1 {
            let lines = (0..blocks).map(|block| &from[block * len * elem.bytes()..(block + 1) * len * elem.bytes()]);
            return lines.enumerate().for_each(|(block, line)| {
                for first in (0..made).step_by(LANES) {
                    let (mut sums, width) = ([W::default(); LANES], LANES.min(made - first));
                    for tap in 0..taps {
                        let rows = first * taps + tap..(first + width) * taps;
                        let places = tables[0][rows.clone()].iter().step_by(taps);
                        scattered(elem, line, places.map(|place| i32::from_le_bytes(*place) as usize), &mut x);
                        let weights = tables[1][rows].iter().step_by(taps).map(|w| W::of_f32(f32::from_le_bytes(*w)));
                        let terms = x.iter().zip(weights).map(|(x, weight)| x.mul(weight));
                        sums.iter_mut().zip(terms).for_each(|(sum, term)| *sum = term.add(*sum));
                    }
                    out.store(block * made + first, &sums[..width]);
                }
            });
        }
        for block in 0..blocks {
            let rows = tables[0].chunks_exact(taps).zip(tables[1].chunks_exact(taps));
            for (row, (places, weights)) in rows.enumerate() {
                for first in (0..inner).step_by(LANES) {
                    let width = LANES.min(inner - first);
                    let mut sums = [W::default(); LANES];
                    for (place, weight) in places.iter().zip(weights) {
                        let at = (block * len + i32::from_le_bytes(*place) as usize) * inner + first;
                        let weight = W::of_f32(f32::from_le_bytes(*weight));
                        lanes::load(elem, from, at, &mut x[..width]);
                        sums[..width].iter_mut().zip(&x).for_each(|(sum, x)| *sum = x.mul(weight).add(*sum));
                    }
                    out.store((block * made + row) * inner + first, &sums[..width]);
                }
            }
        }
    }
}

/// Elements at places, one after another.
fn scattered<W: Wide>(elem: Elem, from: &[u8], places: impl Iterator<Item = usize>, to: &mut [W]) {
    if elem == Elem::F32 {
        let from = from.as_chunks::<4>().0;
        to.iter_mut().zip(places).for_each(|(to, place)| *to = W::of_f32(f32::from_le_bytes(from[place])));
    } else {
        to.chunks_exact_mut(1).zip(places).for_each(|(to, place)| lanes::load(elem, from, place, to));
    }
}
