//! Elements of an array by their places along one axis (ONNX's GatherElements).

use super::order::place;
use super::walk::Walk;
use super::{ArrayOperator, ArrayType, LANES, View, ViewMut, fault};
use crate::{Cost, Error};

/// For each number in the second input, the element of the first at that place of an axis and at the number's own place
/// along all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PickElements {
    /// The axis.
    pub axis: usize,
}

/// Whether numbers lie within an array along all axes but one.
pub(super) fn fit(input: &ArrayType, numbers: &ArrayType, axis: usize) -> bool {
    let within = |(at, (numbers, own)): (usize, (&usize, &usize))| at == axis || numbers <= own;
    axis < input.extents.len()
        && numbers.extents.len() == input.extents.len()
        && !numbers.elem.is_float()
        && numbers.extents.iter().zip(input.extents.iter()).enumerate().all(within)
}

/// Visits numbers with their places: which number it is, and which element of `input` it names.
pub(super) fn each_named(
    (op, axis): (&'static str, usize),
    (input, numbers): (&ArrayType, &View<'_>),
    mut visit: impl FnMut(usize, usize),
) -> Result<(), Error> {
    let mut strides = input.extents.strides().map(|stride| stride as isize);
    let stride = std::mem::take(&mut strides[axis]) as usize;
    let (extent, mut result) = (input.extents[axis], Ok(()));
    let mut run = [0i64; LANES];
    Walk::new(&numbers.kind.extents, [strides]).each(LANES, |stretch| {
        let run = &mut run[..stretch.len];
        numbers.load(stretch.start, run);
        for (i, number) in run.iter().enumerate() {
            match place(op, *number, extent) {
                Ok(place) => {
                    let rest = stretch.at[0] + i as isize * stretch.step[0];
                    visit(stretch.start + i, rest as usize + place * stride);
                }
                Err(error) => result = Err(error),
            }
        }
    });
    result
}

impl ArrayOperator for PickElements {
    fn infer(&self, inputs: &[ArrayType]) -> Result<Vec<ArrayType>, Error> {
        match inputs {
            [input, numbers] if fit(input, numbers, self.axis) => {
                Ok(vec![ArrayType { elem: input.elem, ..*numbers }])
            }
            _ => fault("PickElements", "an array and places within it are needed", inputs),
        }
    }

    fn evaluate(&self, inputs: &[View<'_>], outputs: &mut [ViewMut<'_>], _: &mut [u8]) -> Result<(), Error> {
        let ([input, numbers], [out]) = (inputs, outputs) else {
            return fault("PickElements", "two inputs are needed", &[]);
        };
        match input.kind.elem.bytes() {
            1 => self.run::<1>(input, numbers, out),
            2 => self.run::<2>(input, numbers, out),
            4 => self.run::<4>(input, numbers, out),
            _ => self.run::<8>(input, numbers, out),
        }
    }

    fn cost(&self, _: &[ArrayType]) -> Cost {
        Cost::default()
    }
}

impl PickElements {
    fn run<const B: usize>(
        &self,
        input: &View<'_>,
        numbers: &View<'_>,
        out: &mut ViewMut<'_>,
    ) -> Result<(), Error> {
        let (from, to) = (input.bytes.unwrap_or_default().as_chunks::<B>().0, out.bytes.as_chunks_mut::<B>().0);
        each_named(("PickElements", self.axis), (&input.kind, numbers), |number, at| to[number] = from[at])
    }
}
