//! The same numbers as elements of another kind.
//!
//! From a fraction to a whole number it is cut off towards zero; what does not fit wraps around as in C.

use super::{ArrayOperator, ArrayType, LANES, View, ViewMut, Wide, each_wide, fault};
use crate::{Elem, Error};

/// Elements of another kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cast {
    /// The kind.
    pub to: Elem,
}

impl ArrayOperator for Cast {
    fn infer(&self, inputs: &[ArrayType]) -> Result<Vec<ArrayType>, Error> {
        let [input] = inputs else { return fault("Cast", "one input is needed", inputs) };
        Ok(vec![ArrayType { elem: self.to, ..*input }])
    }

    fn evaluate(&self, inputs: &[View<'_>], outputs: &mut [ViewMut<'_>], _: &mut [u8]) -> Result<(), Error> {
        let ([input], [out]) = (inputs, outputs) else { return fault("Cast", "one input is needed", &[]) };
        each_wide!(input.kind.elem, W => run::<W>(input, out));
        Ok(())
    }

    fn in_place(&self) -> Option<usize> {
        Some(0)
    }
}

fn run<W: Wide>(input: &View<'_>, out: &mut ViewMut<'_>) {
    let elements = out.kind.extents.elements();
    let mut x = [W::default(); LANES];
    for start in (0..elements).step_by(LANES) {
        let x = &mut x[..LANES.min(elements - start)];
        super::lanes::load(input.kind.elem, input.bytes_or(out), start, x);
        out.store(start, x);
    }
}
