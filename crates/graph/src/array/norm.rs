//! Norms over the innermost axes: each row less its mean, by the root of its variance (arXiv 1607.06450), or by the root of
//! its mean square alone (arXiv 1910.07467).
//!
//! Not norms over other axes: importers move those inside. Whatever the kind of element, it is computed in f64.

use super::binary::take;
use super::walk::{Walk, repeated};
use super::{ArrayOperator, ArrayType, LANES, View, ViewMut, extents, fault};
use crate::{Elem, Error};

/// `(x - mean) / sqrt(variance + epsilon) * scale + bias`, of `x`, `scale` and `bias`; the latter two may be left out from the
/// right, and are repeated to the extents of `x`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Norm {
    /// The outermost axis of a row.
    pub axis: usize,
    /// Keeps the root away from zero.
    pub epsilon: f32,
    /// Whether the mean is taken away; otherwise it counts as zero.
    pub centers: bool,
    /// The kind of element of the mean and of what rows are multiplied by, if those are outputs as well.
    pub moments: Option<Elem>,
}

impl ArrayOperator for Norm {
    fn infer(&self, inputs: &[ArrayType]) -> Result<Vec<ArrayType>, Error> {
        let [x, more @ ..] = inputs else { return fault("Norm", "one input is needed", inputs) };
        let rank = x.extents.len();
        let fits = |input: &ArrayType| {
            let shift = rank.checked_sub(input.extents.len());
            let mut own = input.extents.iter().enumerate();
            shift.is_some_and(|shift| own.all(|(axis, &own)| own == 1 || own == x.extents[shift + axis]))
        };
        if self.axis > rank || more.len() > 2 || !inputs.iter().all(|input| input.elem.is_float() && fits(input)) {
            return fault("Norm", "floats, and factors that fit them, are needed", inputs);
        }
        let mut outer = x.extents.to_vec();
        outer[self.axis..].fill(1);
        let outer = extents("Norm", &outer)?;
        let moments = self.moments.map(|elem| [ArrayType { elem, extents: outer }; 2]);
        Ok([*x].into_iter().chain(moments.into_iter().flatten()).collect())
    }

    fn evaluate(&self, inputs: &[View<'_>], outputs: &mut [ViewMut<'_>], _: &mut [u8]) -> Result<(), Error> {
        let ([x, more @ ..], [out, moments @ ..]) = (inputs, outputs) else {
            return fault("Norm", "one input is needed", &[]);
        };
        let own = x.kind.extents;
        let len: usize = own[self.axis..].iter().product();
        let rows = own.elements().checked_div(len).unwrap_or(0);
        for row in 0..rows {
            let (mean, factor) = self.row(x, out, row * len, len);
            for (output, moment) in moments.iter_mut().zip([mean, factor]) {
                output.store(row, &[moment]);
            }
        }
        let strides = |place: usize| more.get(place).map_or([0; _], |view| repeated(&view.kind.extents, &own));
        if !more.is_empty() {
            scale(more, Walk::new(&own, [strides(0), strides(1)]), out);
        }
        Ok(())
    }

    fn in_place(&self) -> Option<usize> {
        Some(0)
    }
}

impl Norm {
    /// One row without factors; gives its mean and what it was multiplied by.
    fn row(&self, x: &View<'_>, out: &mut ViewMut<'_>, start: usize, len: usize) -> (f64, f64) {
        let mut buffer = [0f64; LANES];
        let mut each = |out: &mut ViewMut<'_>, visit: &mut dyn FnMut(&mut ViewMut<'_>, usize, &mut [f64])| {
            for first in (start..start + len).step_by(LANES) {
                let x_part = &mut buffer[..LANES.min(start + len - first)];
                super::lanes::load(x.kind.elem, x.bytes_or(out), first, x_part);
                visit(out, first, x_part);
            }
        };
        let (mut sum, mut squares) = (0.0, 0.0);
        if self.centers {
            each(out, &mut |_, _, x| sum += x.iter().sum::<f64>());
        }
        let mean = sum / len as f64;
        each(out, &mut |_, _, x| squares += x.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>());
        let factor = 1.0 / (squares / len as f64 + f64::from(self.epsilon)).sqrt();
        each(out, &mut |out, first, x| {
            x.iter_mut().for_each(|x| *x = (*x - mean) * factor);
            out.store(first, x);
        });
        (mean, factor)
    }
}

/// Multiplies by the first, adds the second if there is one.
fn scale(factors: &[View<'_>], walk: Walk<2>, out: &mut ViewMut<'_>) {
    let (mut x, mut y) = ([0f64; LANES], [0f64; LANES]);
    walk.each(LANES, |stretch| {
        let (x, y) = (&mut x[..stretch.len], &mut y[..stretch.len]);
        super::lanes::load(out.kind.elem, out.bytes, stretch.start, x);
        for (place, factor) in factors.iter().enumerate() {
            take(factor, out, (stretch.at[place], stretch.step[place]), y);
            let pairs = x.iter_mut().zip(&*y);
            match place {
                0 => pairs.for_each(|(x, y)| *x *= y),
                _ => pairs.for_each(|(x, y)| *x += y),
            }
        }
        out.store(stretch.start, x);
    });
}
