//! Sums or products of all numbers up to each along an axis.
//!
//! Floats are added up in f64, one after another.

use super::order::around;
use super::{ArrayOperator, ArrayType, LANES, View, ViewMut, Wide, each_wide, fault, lanes};
use crate::{Elem, Error};

/// Sums or products of all numbers up to each along an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cumulate {
    /// The axis.
    pub axis: usize,
    /// Whether a number itself is left out.
    pub exclusive: bool,
    /// Whether it is products.
    pub product: bool,
    /// Whether it is from the end on.
    pub reverse: bool,
}

impl ArrayOperator for Cumulate {
    fn infer(&self, inputs: &[ArrayType]) -> Result<Vec<ArrayType>, Error> {
        match inputs {
            [input] if self.axis < input.extents.len() => Ok(vec![*input]),
            _ => fault("Cumulate", "an array with this axis is needed", inputs),
        }
    }

    fn evaluate(&self, inputs: &[View<'_>], outputs: &mut [ViewMut<'_>], _: &mut [u8]) -> Result<(), Error> {
        let ([input], [out]) = (inputs, outputs) else { return fault("Cumulate", "one input is needed", &[]) };
        match input.kind.elem {
            Elem::BF16 | Elem::F16 | Elem::F32 | Elem::F64 => self.run::<f64>(input, out),
            elem => each_wide!(elem, W => self.run::<W>(input, out)),
        }
        Ok(())
    }

    fn in_place(&self) -> Option<usize> {
        Some(0)
    }
}

impl Cumulate {
    /// A number becomes the sum up to it.
    fn step<W: Wide>(&self, x: &mut W, sum: &mut W) {
        let before = *sum;
        *sum = if self.product { sum.mul(*x) } else { sum.add(*x) };
        *x = if self.exclusive { before } else { *sum };
    }

    fn run<W: Wide>(&self, input: &View<'_>, out: &mut ViewMut<'_>) {
        let (elem, own) = (input.kind.elem, input.kind.extents);
        let (blocks, inner) = around(&own, self.axis);
        let len = own[self.axis];
        let start = W::of_i64(i64::from(self.product));
        let mut x = [W::default(); LANES];
        if inner == 1 {
            for block in 0..blocks {
                let mut sum = start;
                for done in (0..len).step_by(LANES) {
                    let width = LANES.min(len - done);
                    let place = block * len + if self.reverse { len - done - width } else { done };
                    let x = &mut x[..width];
                    lanes::load(elem, input.bytes_or(out), place, x);
                    match self.reverse {
                        true => x.iter_mut().rev().for_each(|x| self.step(x, &mut sum)),
                        false => x.iter_mut().for_each(|x| self.step(x, &mut sum)),
                    }
                    out.store(place, x);
                }
            }
            return;
        }
        for block in 0..blocks {
            for first in (0..inner).step_by(LANES) {
                let x = &mut x[..LANES.min(inner - first)];
                let mut sums = [start; LANES];
                for at in 0..len {
                    let at = if self.reverse { len - 1 - at } else { at };
                    let place = (block * len + at) * inner + first;
                    lanes::load(elem, input.bytes_or(out), place, x);
                    x.iter_mut().zip(&mut sums).for_each(|(x, sum)| self.step(x, sum));
                    out.store(place, x);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Extents;
    use crate::array::{Array, evaluate};

    #[test]
    fn products_from_either_end() {
        let bytes = [1i8, 2, 3, 4, 5, 6].iter().map(|number| *number as u8).collect();
        let array = Array { kind: ArrayType { elem: Elem::I8, extents: Extents::new(&[2, 3]).unwrap() }, bytes };
        let made = |axis, exclusive, reverse| {
            let op = Cumulate { axis, exclusive, product: true, reverse };
            evaluate(&op.into(), &[&array]).unwrap()[0].integers()
        };
        assert_eq!(made(1, false, false), [1, 2, 6, 4, 20, 120]);
        assert_eq!(made(1, true, true), [6, 3, 1, 30, 6, 1]);
        assert_eq!(made(0, false, true), [4, 10, 18, 4, 5, 6]);
    }
}
