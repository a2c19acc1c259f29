//! Fourier transforms, and numbers of two parts.
//!
//! The one design choice: a complex number is an innermost axis of two; only operators that know of it and those that change extents
//! take such arrays.

use super::call::{Call, Made};
use super::{Importer, Row};
use crate::Error;
use formats::tflite::TensorType;
use graph::Elem;
use graph::array::{Fourier, Reduce, ReduceKind, UnaryKind};

pub(super) const ROWS: &[Row] = &[
    ("COMPLEX_ABS", |i, c| {
        let x = i.plain(c.input(0)?)?;
        let axes = vec![i.builder.axis(x, -1)?];
        let square = i.builder.one(Reduce { kind: ReduceKind::SumSquare, axes, keeps: false }, &[x])?;
        Ok(Made::plain(i.builder.of_each(UnaryKind::Sqrt, square)?))
    }),
    ("IMAG", |i, c| half(i, c, 1)),
    ("REAL", |i, c| half(i, c, 0)),
    ("RFFT2D", transform),
];

/// Points of a transform along an axis, at most.
const LONGEST: i64 = 1 << 24;

/// An operator that gives complex numbers other extents, which must be those that the file says; `None` if it is none.
pub(super) fn reshaped(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Option<Vec<Made>>, Error> {
    let Some(made) = call.operator.outputs.first().copied().flatten() else { return Ok(None) };
    let tensor = importer.tensor(made);
    let name = call.operator.code.to_string();
    if tensor.element != TensorType::Complex64 || !["EXPAND_DIMS", "RESHAPE", "SQUEEZE"].contains(&&*name) {
        return Ok(None);
    }
    let extents: Vec<usize> = tensor.shape.iter().map(|extent| *extent as usize).chain([2]).collect();
    let x = importer.plain(call.input(0)?)?;
    Ok(Some(Made::plain(importer.builder.reshaped(x, &extents)?)))
}

fn half(importer: &mut Importer<'_>, call: &Call<'_>, part: usize) -> Result<Vec<Made>, Error> {
    let x = importer.plain(call.input(0)?)?;
    let builder = &mut importer.builder;
    let axis = builder.axis(x, -1)?;
    let own = builder.extents(x)?;
    let x = builder.part_along(x, axis, part, 1)?;
    Ok(Made::plain(builder.reshaped(x, &own[..axis])?))
}

/// Along both innermost axes, of the last one the first half and the middle; what is missing is zero.
fn transform(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Made>, Error> {
    let lens = importer.integers(call.input(1)?)?;
    let [high, wide] = lens[..] else { return call.wrong("fft_length", "two lengths are needed") };
    if [high, wide].iter().any(|len| !(1..=LONGEST).contains(len)) {
        return call.wrong("fft_length", "lengths that are not too large are needed");
    }
    let x = importer.plain(call.input(0)?)?;
    let builder = &mut importer.builder;
    let mut own = builder.extents(x)?.to_vec();
    let Some(rows) = own.len().checked_sub(2).filter(|_| builder.elem(x) == Elem::F32) else {
        return call.wrong("input", "floats of two axes are needed");
    };
    own.push(1);
    let x = builder.reshaped(x, &own)?;
    let x = builder.one(Fourier { axis: rows + 1, inverse: false, len: wide as usize, half: true }, &[x])?;
    Ok(Made::plain(
        builder.one(Fourier { axis: rows, inverse: false, len: high as usize, half: false }, &[x])?,
    ))
}
