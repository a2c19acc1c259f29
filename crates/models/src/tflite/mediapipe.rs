//! MediaPipe's own operators, version 2: a face's parts are cut out by landmarks, and landmarks put back.
//!
//! Meaning: google-ai-edge/mediapipe, `util/tflite/operations`. `Convolution2DTransposeBias` is with the windows. The one design
//! choice: they are broken down into operators that are there; what is rare needs no kernel.

use super::call::{Call, Made};
use super::settings::Settings;
use super::{Importer, Row};
use crate::Error;
use graph::array::{
    Beyond, BinaryKind, MatMul, Pick, Reduce, ReduceKind, Sample, SampleKind, Select, UnaryKind,
};
use graph::{Elem, ValueId};

pub(super) const ROWS: &[Row] = &[
    ("Landmarks2TransformMatrix", matrix),
    ("TransformLandmarks", landmarks),
    ("TransformTensorBilinear", picture),
];

/// The settings of the version that is read.
fn settings(importer: &Importer<'_>, call: &Call<'_>) -> Result<Settings, Error> {
    match call.operator.version {
        2 => Settings::read(importer, call),
        _ => call.wrong("version", "version 2 is needed"),
    }
}

/// Where landmarks lie, turned upright, as the matrix that takes places of a small picture to those of the large one.
fn matrix(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Made>, Error> {
    let settings = settings(importer, call)?;
    let eyes = [settings.one(call, "left_rotation_idx")?, settings.one(call, "right_rotation_idx")?];
    let target = settings.one(call, "target_rotation_radians")?;
    let x = importer.plain(call.input(0)?)?;
    let [1, _, 3] = importer.builder.extents(x)?[..] else {
        return call.wrong("input", "a list of places in three dimensions is needed");
    };
    let ends = points(importer, x, &eyes)?;
    let [cos, sin] = rotation(importer, ends, target)?;
    let [xs, ys] = points(importer, x, settings.list("subset_idxs"))?;
    let axes = [turn(importer, [xs, ys], [cos, sin], -1.0)?, turn(importer, [ys, xs], [cos, sin], 1.0)?];
    let (mut sizes, mut middles) = ([x; 2], [x; 2]);
    let names = [("scale_x", "output_width"), ("scale_y", "output_height")];
    let mut halves = [0.0; 2];
    for axis in 0..2 {
        let (scale, extent) = (settings.one(call, names[axis].0)?, settings.one(call, names[axis].1)?);
        let mut bound =
            |kind| importer.builder.one(Reduce { kind, axes: vec![1], keeps: true }, &[axes[axis]]);
        let (most, least) = (bound(ReduceKind::Max)?, bound(ReduceKind::Min)?);
        let builder = &mut importer.builder;
        let size = builder.of_both(BinaryKind::Sub, most, least)?;
        sizes[axis] = builder.with_number(BinaryKind::Mul, size, scale / extent)?;
        let sum = builder.of_both(BinaryKind::Add, most, least)?;
        middles[axis] = builder.with_number(BinaryKind::Mul, sum, 0.5)?;
        halves[axis] = -extent / 2.0;
    }
    // Back to how the face is turned.
    let middle = [
        turn(importer, middles, [cos, sin], 1.0)?,
        turn(importer, [middles[1], middles[0]], [cos, sin], -1.0)?,
    ];
    let builder = &mut importer.builder;
    let minus = builder.of_each(UnaryKind::Neg, sin)?;
    let mut rows = Vec::new();
    for (axis, turned) in [[cos, sin], [minus, cos]].into_iter().enumerate() {
        let mut shift = middle[axis];
        let mut row = Vec::new();
        for along in 0..2 {
            let part = builder.of_both(BinaryKind::Mul, turned[along], sizes[along])?;
            row.push(part);
            let far = builder.with_number(BinaryKind::Mul, part, halves[along])?;
            shift = builder.of_both(BinaryKind::Add, shift, far)?;
        }
        let zero = builder.table(Elem::F32, &[1, 1, 1], &[0.0])?;
        rows.extend([row[0], row[1], zero, shift]);
    }
    rows.push(builder.table(Elem::F32, &[1, 8, 1], &[0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0])?);
    let all = builder.join(&rows, 1)?;
    Ok(Made::plain(builder.reshaped(all, &[1, 4, 4])?))
}

/// Both coordinates of some landmarks, each (1, landmarks, 1).
fn points(importer: &mut Importer<'_>, x: ValueId, places: &[f64]) -> Result<[ValueId; 2], Error> {
    let count = importer.builder.extents(x)?[1] as f64;
    if places.is_empty() || places.iter().any(|place| !(0.0..count).contains(place)) {
        return Err(Error::Position { position: -1, len: count as usize });
    }
    let places = importer.builder.table(Elem::I64, &[places.len()], places)?;
    let some = importer.builder.one(Pick { axis: 1 }, &[x, places])?;
    Ok([importer.builder.part_along(some, 2, 0, 1)?, importer.builder.part_along(some, 2, 1, 1)?])
}

/// Cosine and sine of the turn that brings the line between two landmarks to an angle; none if they are one.
fn rotation(importer: &mut Importer<'_>, [xs, ys]: [ValueId; 2], target: f64) -> Result<[ValueId; 2], Error> {
    let builder = &mut importer.builder;
    let mut far = |list| {
        let (first, second) = (builder.part_along(list, 1, 0, 1)?, builder.part_along(list, 1, 1, 1)?);
        builder.of_both(BinaryKind::Sub, second, first)
    };
    let far = [far(xs)?, far(ys)?];
    let squares = [
        builder.of_both(BinaryKind::Mul, far[0], far[0])?,
        builder.of_both(BinaryKind::Mul, far[1], far[1])?,
    ];
    let long = builder.of_both(BinaryKind::Add, squares[0], squares[1])?;
    let long = builder.of_each(UnaryKind::Sqrt, long)?;
    let is_one = builder.with_number(BinaryKind::Equal, long, 0.0)?;
    let (cos, sin) = (libm::cos(target), libm::sin(target));
    let (one, zero) = (builder.number(Elem::F32, 1.0), builder.number(Elem::F32, 0.0));
    let x = builder.of_both(BinaryKind::Div, far[0], long)?;
    let x = builder.one(Select, &[is_one, one, x])?;
    let y = builder.of_both(BinaryKind::Div, far[1], long)?;
    let y = builder.one(Select, &[is_one, zero, y])?;
    let mut both = |[a, b]: [ValueId; 2], [p, q]: [f64; 2]| {
        let (a, b) =
            (builder.with_number(BinaryKind::Mul, a, p)?, builder.with_number(BinaryKind::Mul, b, q)?);
        builder.of_both(BinaryKind::Add, a, b)
    };
    Ok([both([x, y], [cos, sin])?, both([x, y], [sin, -cos])?])
}

/// `cos a + sign sin b`.
fn turn(
    importer: &mut Importer<'_>,
    [a, b]: [ValueId; 2],
    [cos, sin]: [ValueId; 2],
    sign: f64,
) -> Result<ValueId, Error> {
    let builder = &mut importer.builder;
    let (a, b) = (builder.of_both(BinaryKind::Mul, a, cos)?, builder.of_both(BinaryKind::Mul, b, sin)?);
    builder.of_both(if sign < 0.0 { BinaryKind::Sub } else { BinaryKind::Add }, a, b)
}

/// The first two rows of a matrix: what places are multiplied with, (1, 2, 2), and what is added, (1, 1, 2).
fn rows(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<[ValueId; 2], Error> {
    let matrix = importer.plain(call.input(1)?)?;
    let matrix = importer.builder.reshaped(matrix, &[1, 4, 4])?;
    let turn = importer.builder.part(matrix, &[(0, 1, 1), (0, 2, 1), (0, 2, 1)])?;
    let shift = importer.builder.part(matrix, &[(0, 1, 1), (0, 2, 1), (3, 1, 1)])?;
    Ok([turn, importer.builder.reshaped(shift, &[1, 1, 2])?])
}

/// Landmarks of a cut as those of the picture; what is third stays.
fn landmarks(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Made>, Error> {
    if call.operator.version != 2 {
        return call.wrong("version", "version 2 is needed");
    }
    let x = importer.plain(call.input(0)?)?;
    let [1, count, width @ 2..=3] = importer.builder.extents(x)?[..] else {
        return call.wrong("input", "a list of places in two or three dimensions is needed");
    };
    let [turn, shift] = rows(importer, call)?;
    let builder = &mut importer.builder;
    let flat = builder.part_along(x, 2, 0, 2)?;
    let turned = builder.one(MatMul { b_is_transposed: true, widens: false }, &[flat, turn])?;
    let moved = builder.of_both(BinaryKind::Add, turned, shift)?;
    let rest = if width == 3 { Some(builder.part(x, &[(0, 1, 1), (0, count, 1), (2, 1, 1)])?) } else { None };
    let all: Vec<ValueId> = [moved].into_iter().chain(rest).collect();
    Ok(Made::plain(builder.join(&all, 2)?))
}

/// A cut of a picture: each place's number is between four of the picture, nothing where that lies beyond it.
fn picture(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Made>, Error> {
    let settings = settings(importer, call)?;
    let x = importer.first(call.input(0)?)?;
    let [1, _, height, width] = importer.builder.extents(x)?[..] else {
        return call.wrong("input", "one picture is needed");
    };
    let made = [settings.one(call, "output_height")?, settings.one(call, "output_width")?];
    if made.iter().any(|extent| !(1.0..4096.0).contains(extent)) {
        return call.wrong("output_height", "extents from 1 to 4095 are needed");
    }
    let [rows_made, columns_made] = made.map(|extent| extent as usize);
    let [turn, shift] = rows(importer, call)?;
    let builder = &mut importer.builder;
    // Centres of places.
    let place = |at: usize| [(at % columns_made) as f64 + 0.5, (at / columns_made) as f64 + 0.5];
    let count = rows_made * columns_made;
    let places: Vec<f64> = (0..count).flat_map(place).collect();
    let places = builder.table(Elem::F32, &[1, count, 2], &places)?;
    let turned = builder.one(MatMul { b_is_transposed: true, widens: false }, &[places, turn])?;
    let moved = builder.of_both(BinaryKind::Add, turned, shift)?;
    let at = builder.with_number(BinaryKind::Sub, moved, 0.5)?;
    let last = [width, height].map(|extent| extent as f64 - 1.0);
    let ends = builder.table(Elem::F32, &[1, 1, 2], &last)?;
    let before = builder.with_number(BinaryKind::GreaterOrEqual, at, 0.0)?;
    let behind = builder.of_both(BinaryKind::LessOrEqual, at, ends)?;
    let inside = builder.of_both(BinaryKind::And, before, behind)?;
    let inside = builder.one(Reduce { kind: ReduceKind::All, axes: vec![2], keeps: true }, &[inside])?;
    let inside = builder.reshaped(inside, &[1, 1, rows_made, columns_made])?;
    let spread = builder.table(Elem::F32, &[1, 1, 2], &last.map(|last| 2.0 / last.max(1.0)))?;
    let grid = builder.of_both(BinaryKind::Mul, at, spread)?;
    let grid = builder.with_number(BinaryKind::Sub, grid, 1.0)?;
    let grid = builder.reshaped(grid, &[1, rows_made, columns_made, 2])?;
    let op = Sample { kind: SampleKind::Linear, beyond: Beyond::Edge, to_centers: true };
    let made = builder.one(op, &[x, grid])?;
    let zero = builder.number(Elem::F32, 0.0);
    Ok(Made::first(builder.one(Select, &[inside, made, zero])?))
}
