//! Exponentials along an axis by their sum, or the logarithm of that.

use super::reduce::without;
use super::walk::Walk;
use super::{ArrayOperator, ArrayType, View, ViewMut, fault, lanes};
use crate::Error;

/// Exponentials along an axis by their sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Softmax {
    /// The axis.
    pub axis: usize,
    /// Whether the logarithm is wanted.
    pub log: bool,
}

impl ArrayOperator for Softmax {
    fn infer(&self, inputs: &[ArrayType]) -> Result<Vec<ArrayType>, Error> {
        match inputs {
            [input] if input.elem.is_float() && self.axis < input.extents.len() => Ok(vec![*input]),
            _ => fault("Softmax", "floats with this axis are needed", inputs),
        }
    }

    fn evaluate(&self, inputs: &[View<'_>], outputs: &mut [ViewMut<'_>], _: &mut [u8]) -> Result<(), Error> {
        let ([input], [out]) = (inputs, outputs) else { return fault("Softmax", "one input is needed", &[]) };
        let (elem, own) = (input.kind.elem, input.kind.extents);
        let (len, stride) = (own[self.axis], own.strides()[self.axis]);
        let strides = own.strides().map(|stride| stride as isize);
        Walk::new(&without(&own, self.axis), [strides]).each(1, |place| {
            let first = place.at[0] as usize;
            let at = |out: &ViewMut<'_>, i: usize| {
                let mut x = [0f64];
                lanes::load(elem, input.bytes_or(out), first + i * stride, &mut x);
                x[0]
            };
            let most = (0..len).map(|i| at(out, i)).fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = (0..len).map(|i| libm::exp(at(out, i) - most)).sum();
            let log_sum = libm::log(sum);
            for i in 0..len {
                let x = at(out, i) - most;
                out.store(first + i * stride, &[if self.log { x - log_sum } else { libm::exp(x) / sum }]);
            }
        });
        Ok(())
    }

    fn in_place(&self) -> Option<usize> {
        Some(0)
    }
}
