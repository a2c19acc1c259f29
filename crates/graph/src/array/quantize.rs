//! Numbers as small whole numbers with a scale and a zero, and back.
//!
//! The one design choice: scale and zero are arrays repeated like those of any other operator, so that one scale for all,
//! one for each channel and one for each block are the same thing. Arithmetic is that of f32, in the order of ONNX.

use super::binary::take;
use super::walk::{Walk, repeated};
use super::{ArrayOperator, ArrayType, LANES, View, ViewMut, fault};
use crate::{Elem, Error};

/// Of `x`, a scale and maybe a zero: `x / scale`, halves to even, plus `zero`, held to what `to` can hold; or the way back,
/// `(x - zero) * scale`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quantize {
    /// The kind of element of the result.
    pub to: Elem,
    /// Whether it is the way back.
    pub back: bool,
    /// Whether halves go away from zero, as TFLite's do, instead of to even, as ONNX's.
    pub away: bool,
}

/// The least and the largest number that elements of a narrow kind hold.
fn bounds(elem: Elem) -> Option<(f64, f64)> {
    let bits = 8 * elem.bytes() as i32;
    match elem {
        Elem::I8 | Elem::I16 | Elem::I32 => Some((-f64::exp2(f64::from(bits - 1)), f64::exp2(f64::from(bits - 1)) - 1.0)),
        Elem::U8 | Elem::U16 | Elem::U32 => Some((0.0, f64::exp2(f64::from(bits)) - 1.0)),
        _ => None,
    }
}

impl ArrayOperator for Quantize {
    fn infer(&self, inputs: &[ArrayType]) -> Result<Vec<ArrayType>, Error> {
        let [x, scale, zero @ ..] = inputs else { return fault("Quantize", "two inputs are needed", inputs) };
        let fits = inputs.len() <= 3 && super::broadcast("Quantize", inputs)? == x.extents;
        let narrow = if self.back { x.elem } else { self.to };
        let kinds = scale.elem.is_float()
            && bounds(narrow).is_some()
            && (!self.back || self.to.is_float())
            && zero.iter().all(|zero| zero.elem == narrow);
        if !fits || !kinds {
            return fault("Quantize", "narrow integers, a scale and a zero that fit are needed", inputs);
        }
        Ok(vec![ArrayType { elem: self.to, ..*x }])
    }

    fn evaluate(&self, inputs: &[View<'_>], outputs: &mut [ViewMut<'_>], _: &mut [u8]) -> Result<(), Error> {
        let ([x, scale, zero @ ..], [out]) = (inputs, outputs) else {
            return fault("Quantize", "two inputs are needed", &[]);
        };
        let to = x.kind.extents;
        let strides = |view: &View<'_>| repeated(&view.kind.extents, &to);
        let walk = Walk::new(&to, [strides(x), strides(scale), zero.first().map_or([0; _], strides)]);
        // Integers of 32 bits are exact in f64 only.
        let (mut xs, mut scales, mut zeros) = ([0f64; LANES], [0f64; LANES], [0f64; LANES]);
        let (least, most) = bounds(self.to).unwrap_or_default();
        walk.each(LANES, |stretch| {
            let (xs, scales, zeros) = (&mut xs[..stretch.len], &mut scales[..stretch.len], &mut zeros[..stretch.len]);
            take(x, out, (stretch.at[0], stretch.step[0]), xs);
            take(scale, out, (stretch.at[1], stretch.step[1]), scales);
            if let Some(zero) = zero.first() {
                take(zero, out, (stretch.at[2], stretch.step[2]), zeros);
            }
            for ((x, scale), zero) in xs.iter_mut().zip(&*scales).zip(&*zeros) {
                *x = if self.back {
                    f64::from((*x - zero) as f32 * *scale as f32)
                } else {
                    let whole = f64::from(*x as f32 / *scale as f32);
                    let whole = if self.away { libm::round(whole) } else { whole.round_ties_even() };
                    (whole + zero).clamp(least, most)
                };
            }
            out.store(stretch.start, xs);
        });
        Ok(())
    }

    fn in_place(&self) -> Option<usize> {
        Some(0)
    }
}
