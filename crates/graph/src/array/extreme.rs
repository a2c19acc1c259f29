//! Where along an axis the largest or the smallest number is.
//!
//! What is not a number is taken for the most extreme.

use super::order::{around, is_nan};
use super::{ArrayOperator, ArrayType, LANES, View, ViewMut, Wide, each_wide, fault};
use crate::{Elem, Error};

/// Where along an axis the largest or the smallest number is, as i64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extreme {
    /// The axis.
    pub axis: usize,
    /// Whether the axis stays, with an extent of one.
    pub keeps: bool,
    /// Whether the largest is wanted.
    pub largest: bool,
    /// Whether the last of equal ones is wanted.
    pub last: bool,
}

impl ArrayOperator for Extreme {
    fn infer(&self, inputs: &[ArrayType]) -> Result<Vec<ArrayType>, Error> {
        match inputs {
            [input] if input.extents.get(self.axis).is_some_and(|extent| *extent > 0) => {
                let mut left = input.extents.to_vec();
                left[self.axis] = 1;
                if !self.keeps {
                    left.remove(self.axis);
                }
                Ok(vec![ArrayType { elem: Elem::I64, extents: super::extents("Extreme", &left)? }])
            }
            _ => fault("Extreme", "an array with elements along this axis is needed", inputs),
        }
    }

    fn evaluate(&self, inputs: &[View<'_>], outputs: &mut [ViewMut<'_>], _: &mut [u8]) -> Result<(), Error> {
        let ([input], [out]) = (inputs, outputs) else { return fault("Extreme", "one input is needed", &[]) };
        each_wide!(input.kind.elem, W => self.run::<W>(input, out));
        Ok(())
    }
}

impl Extreme {
    fn beats<W: Wide>(&self, x: W, best: W) -> bool {
        if is_nan(x) || is_nan(best) {
            return is_nan(x) && (!is_nan(best) || self.last);
        }
        (if self.largest { x > best } else { x < best }) || (self.last && x == best)
    }

    fn run<W: Wide>(&self, input: &View<'_>, out: &mut ViewMut<'_>) {
        let (blocks, inner) = around(&input.kind.extents, self.axis);
        let len = input.kind.extents[self.axis];
        let mut x = [W::default(); LANES];
        for block in 0..blocks {
            if inner == 1 {
                let (mut best, mut place) = ([W::default()], 0);
                input.load(block * len, &mut best);
                for first in (0..len).step_by(LANES) {
                    let x = &mut x[..LANES.min(len - first)];
                    input.load(block * len + first, x);
                    for (i, x) in x.iter().enumerate().skip(usize::from(first == 0)) {
                        if self.beats(*x, best[0]) {
                            (best[0], place) = (*x, first + i);
                        }
                    }
                }
                out.store(block, &[place as i64]);
                continue;
            }
            for first in (0..inner).step_by(LANES) {
                let width = LANES.min(inner - first);
                let (mut best, mut places) = ([W::default(); LANES], [0i64; LANES]);
                input.load(block * len * inner + first, &mut best[..width]);
                for at in 1..len {
                    input.load((block * len + at) * inner + first, &mut x[..width]);
                    for ((x, best), place) in x[..width].iter().zip(&mut best).zip(&mut places) {
                        if self.beats(*x, *best) {
                            (*best, *place) = (*x, at as i64);
                        }
                    }
                }
                out.store(block * inner + first, &places[..width]);
            }
        }
    }
}
