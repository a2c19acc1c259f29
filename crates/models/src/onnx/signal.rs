//! Operators on signals: Fourier transforms and what comes with them; and numbers that look random.

use super::{Importer, OWN, Row};
use crate::Error;
use crate::network::Item;
use crate::onnx::call::{Call, unknown};
use graph::array::{
    Along, Binary, BinaryKind, Cast, Extreme, Fourier, Random, RandomKind, Restride, Unary, UnaryKind,
};
use graph::{ArrayType, Elem, Extents, ValueId};
use std::f64::consts::TAU;

pub(super) const ROWS: &[Row] = &[
    (OWN, "Bernoulli", bernoulli),
    (OWN, "BlackmanWindow", |i, c| window(i, c, [0.42, 0.5, 0.08])),
    (OWN, "DFT", dft),
    (OWN, "HammingWindow", |i, c| window(i, c, [25.0 / 46.0, 21.0 / 46.0, 0.0])),
    (OWN, "HannWindow", |i, c| window(i, c, [0.5, 0.5, 0.0])),
    (OWN, "MelWeightMatrix", mel_weights),
    (OWN, "Multinomial", multinomial),
    (OWN, "RandomNormal", |i, c| random(i, c, normal(c)?)),
    (OWN, "RandomNormalLike", |i, c| random(i, c, normal(c)?)),
    (OWN, "RandomUniform", |i, c| random(i, c, uniform(c)?)),
    (OWN, "RandomUniformLike", |i, c| random(i, c, uniform(c)?)),
    (OWN, "STFT", stft),
];

/// Numbers that a table of the importer's own may have.
const TABLE_MAX: usize = 1 << 24;

/// A length that an input says.
fn length(importer: &mut Importer<'_>, id: ValueId) -> Result<usize, Error> {
    let number = importer.builder.integer(id)?;
    let small = usize::try_from(number).ok().filter(|number| *number <= TABLE_MAX);
    let expected = "a length that is neither negative nor too large is needed";
    small.ok_or_else(|| Error::Attribute { attribute: "size", found: number.to_string(), expected })
}

/// Cosines of one, two and so many turns, with alternating signs.
fn window(importer: &mut Importer<'_>, call: &Call<'_>, parts: [f64; 3]) -> Result<Vec<Item>, Error> {
    let len = length(importer, call.value(0)?)?;
    let elem = super::elem_of_id("output_datatype", call.int_or("output_datatype", 1)?)?;
    let period = if call.int_or("periodic", 1)? != 0 { len } else { len.max(2) - 1 };
    let number = |at: usize| {
        let angle = TAU * at as f64 / period as f64;
        parts[0] - parts[1] * libm::cos(angle) + parts[2] * libm::cos(2.0 * angle)
    };
    let numbers: Vec<f64> = (0..len).map(number).collect();
    Ok(vec![Item::Value(importer.table(elem, &[len], &numbers)?)])
}

/// The axis is an input, or before opset 20 a setting.
fn dft(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Item>, Error> {
    let input = call.value(0)?;
    let own = importer.builder.extents(input)?;
    let axis = match call.optional(2)? {
        Some(axis) => importer.builder.integer(axis)?,
        None => call.int_or("axis", if call.version < 20 { 1 } else { -2 })?,
    };
    let axis = importer.builder.axis(input, axis)?;
    let len = match call.optional(1)? {
        Some(len) => length(importer, len)?,
        None => own[axis],
    };
    let (inverse, half) = (call.int_or("inverse", 0)? != 0, call.int_or("onesided", 0)? != 0);
    importer.single(Fourier { axis, inverse, len, half }, &[input])
}

/// Frames that overlap, each times a window, and their transforms.
fn stft(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Item>, Error> {
    let (mut signal, step) = (call.value(0)?, call.value(1)?);
    let step = length(importer, step)?.max(1);
    let mut own = importer.builder.extents(signal)?.to_vec();
    if own.len() == 2 {
        own.push(1);
        signal = importer.reshaped(signal, &own)?;
    }
    let window = call.optional(2)?;
    let len = match (call.optional(3)?, window) {
        (Some(len), _) => length(importer, len)?,
        (None, Some(window)) => importer.builder.extents(window)?.elements(),
        (None, None) => own.get(1).copied().unwrap_or(0),
    };
    let Some(room) = own.get(1).and_then(|extent| extent.checked_sub(len)).filter(|_| own.len() == 3) else {
        return unknown("frame_length", &len.to_string(), "a signal at least as long is needed");
    };
    let whole = |axis| Along::Axis { axis, len: None, start: 0, step: 1 };
    let along = |len, step| Along::Axis { axis: 1, len: Some(len), start: 0, step };
    let axes = vec![whole(0), along(room / step + 1, step as isize), along(len, 1), whole(2)];
    let mut frames = importer.builder.one(Restride { axes, at: vec![0; 3] }, &[signal])?;
    if let Some(window) = window {
        let window = importer.reshaped(window, &[len, 1])?;
        frames = importer.builder.one(Binary { kind: BinaryKind::Mul }, &[frames, window])?;
    }
    let half = call.int_or("onesided", 1)? != 0;
    importer.single(Fourier { axis: 2, inverse: false, len, half }, &[frames])
}

/// Triangles that are evenly wide as an ear hears them.
fn mel_weights(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Item>, Error> {
    let mut number = |place: usize| {
        let id = call.value(place)?;
        importer.builder.fractions(id)?.first().copied().ok_or(Error::DataDependent)
    };
    let (bands, len, rate, low, high) = (number(0)?, number(1)?, number(2)?, number(3)?, number(4)?);
    let (columns, rows) = (bands.max(0.0) as usize, (len.max(0.0) / 2.0) as usize + 1);
    if columns.saturating_mul(rows) > TABLE_MAX {
        return unknown("num_mel_bins", &columns.to_string(), "a table that is not too large is needed");
    }
    let elem = super::elem_of_id("output_datatype", call.int_or("output_datatype", 1)?)?;
    let mel = |hertz: f64| 2595.0 * libm::log10(1.0 + hertz / 700.0);
    let step = (mel(high) - mel(low)) / (bands + 2.0);
    let edge = |at: usize| {
        let hertz = 700.0 * (libm::pow(10.0, (at as f64 * step + mel(low)) / 2595.0) - 1.0);
        ((len + 1.0) * hertz / rate).floor().clamp(0.0, rows as f64) as usize
    };
    let mut numbers = vec![0.0; rows * columns];
    for column in 0..columns {
        let (left, center, right) = (edge(column), edge(column + 1), edge(column + 2));
        for row in left..(right.max(center + 1)).min(rows) {
            let share = |way: usize, of: usize| way as f64 / of as f64;
            numbers[row * columns + column] = match row {
                row if row < center => share(row - left, center - left),
                row if row == center => 1.0,
                _ => share(right - row, right - center),
            };
        }
    }
    Ok(vec![Item::Value(importer.table(elem, &[rows, columns], &numbers)?)])
}

fn normal(call: &Call<'_>) -> Result<RandomKind, Error> {
    Ok(RandomKind::Normal(call.float_or("mean", 0.0)?.into(), call.float_or("scale", 1.0)?.into()))
}

fn uniform(call: &Call<'_>) -> Result<RandomKind, Error> {
    Ok(RandomKind::Uniform(call.float_or("low", 0.0)?.into(), call.float_or("high", 1.0)?.into()))
}

/// Where none is given each node has a seed of its own.
fn seed(importer: &Importer<'_>, call: &Call<'_>) -> Result<u64, Error> {
    Ok(match call.float("seed")? {
        Some(seed) => u64::from(seed.to_bits()),
        None => (1 << 32) + importer.builder.graph.values.len() as u64,
    })
}

fn random(importer: &mut Importer<'_>, call: &Call<'_>, kind: RandomKind) -> Result<Vec<Item>, Error> {
    let like = call.optional(0)?;
    let extents = match (like, call.ints("shape")?) {
        (Some(like), _) => importer.builder.extents(like)?.to_vec(),
        (None, shape) => shape.unwrap_or_default().iter().map(|extent| (*extent).max(0) as usize).collect(),
    };
    let elem = match (call.int("dtype")?, like) {
        (Some(id), _) => super::elem_of_id("dtype", id)?,
        (None, Some(like)) => importer.builder.elem(like),
        (None, None) => Elem::F32,
    };
    let overflow = graph::Error::Overflow { op: "Random", what: "the number of elements" };
    let extents = Extents::new(&extents).ok_or(overflow)?;
    let seed = seed(importer, call)?;
    // What is not a float is drawn as one.
    let drawn = if elem.is_float() { elem } else { Elem::F32 };
    let made = importer.builder.one(Random { made: ArrayType { elem: drawn, extents }, kind, seed }, &[])?;
    if drawn == elem { Ok(vec![Item::Value(made)]) } else { importer.single(Cast { to: elem }, &[made]) }
}

/// True as often as the input says.
fn bernoulli(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Item>, Error> {
    let input = call.value(0)?;
    let to = match call.int("dtype")? {
        Some(id) => super::elem_of_id("dtype", id)?,
        None => importer.builder.elem(input),
    };
    let made = ArrayType { elem: importer.builder.elem(input), extents: importer.builder.extents(input)? };
    let seed = seed(importer, call)?;
    let drawn = importer.builder.one(Random { made, kind: RandomKind::Uniform(0.0, 1.0), seed }, &[])?;
    let is = importer.builder.one(Binary { kind: BinaryKind::Less }, &[drawn, input])?;
    importer.single(Cast { to }, &[is])
}

/// With noise of Gumbel's kind the largest logarithm is each as often as its exponential says.
fn multinomial(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Item>, Error> {
    let input = call.value(0)?;
    let [batch, classes] = importer.builder.extents(input)?[..] else {
        return Err(Error::Axis { axis: 1, rank: importer.builder.rank(input) });
    };
    let to = super::elem_of_id("dtype", call.int_or("dtype", 6)?)?;
    let samples = call.int_or("sample_size", 1)?.max(0) as usize;
    let overflow = graph::Error::Overflow { op: "Random", what: "the number of elements" };
    let extents = Extents::new(&[batch, samples, classes]).ok_or(overflow)?;
    let elem = importer.builder.elem(input);
    let seed = seed(importer, call)?;
    let kind = RandomKind::Uniform(f64::from(f32::MIN_POSITIVE), 1.0);
    let mut noise = importer.builder.one(Random { made: ArrayType { elem, extents }, kind, seed }, &[])?;
    for kind in [UnaryKind::Log, UnaryKind::Neg, UnaryKind::Log, UnaryKind::Neg] {
        noise = importer.builder.one(Unary { kind }, &[noise])?;
    }
    let rows = importer.reshaped(input, &[batch, 1, classes])?;
    let noisy = importer.builder.one(Binary { kind: BinaryKind::Add }, &[rows, noise])?;
    let op = Extreme { axis: 2, keeps: false, largest: true, last: false };
    let made = importer.builder.one(op, &[noisy])?;
    importer.single(Cast { to }, &[made])
}
