//! Fourier transforms, numbers of two parts, and what a sound looks like.
//!
//! Meaning of what is TFLite's own: tensorflow, `lite/kernels/{audio_spectrogram,mfcc}.cc`; it is worked out in f64, as there.
//! The one design choice: a complex number is an innermost axis of two; only operators that know of it and those that change extents
//! take such arrays.

use super::call::{Call, Made};
use super::settings::Settings;
use super::{Importer, Row};
use crate::Error;
use formats::tflite::TensorType;
use graph::Elem;
use graph::array::{Along, BinaryKind, Fourier, MatMul, Reduce, ReduceKind, Restride, UnaryKind};
use std::f64::consts::{PI, TAU};

pub(super) const ROWS: &[Row] = &[
    ("AudioSpectrogram", spectrogram),
    ("COMPLEX_ABS", |i, c| {
        let x = i.plain(c.input(0)?)?;
        let axes = vec![i.builder.axis(x, -1)?];
        let square = i.builder.one(Reduce { kind: ReduceKind::SumSquare, axes, keeps: false }, &[x])?;
        Ok(Made::plain(i.builder.of_each(UnaryKind::Sqrt, square)?))
    }),
    ("IMAG", |i, c| half(i, c, 1)),
    ("Mfcc", cepstrum),
    ("REAL", |i, c| half(i, c, 0)),
    ("RFFT2D", transform),
];

/// Points of a transform along an axis, at most.
const LONGEST: i64 = 1 << 24;
/// Numbers that a table of the importer's own may have.
const TABLE_MAX: usize = 1 << 22;
/// Bands are at least that loud.
const SILENCE: f64 = 1e-12;

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

/// Stretches of a sound, each as loud in the middle as it is and silent at its ends, and how loud each pitch in them is.
fn spectrogram(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Made>, Error> {
    let settings = Settings::read(importer, call)?;
    let count = |name| settings.count(call, name, None);
    let (window, stride, squared) =
        (count("window_size")?, count("stride")?, count("magnitude_squared")? != 0);
    if !(2..=TABLE_MAX).contains(&window) || stride == 0 {
        return call.wrong("window_size", "a window of two or more and a stride are needed");
    }
    let x = importer.plain(call.input(0)?)?;
    let builder = &mut importer.builder;
    let (channels, room) = match builder.extents(x)?[..] {
        [samples, channels] if samples >= window => (channels, samples - window),
        _ => return call.wrong("input", "a sound that is as long as a window is needed"),
    };
    let along = |axis, len, step| Along::Axis { axis, len: Some(len), start: 0, step };
    let rows = room / stride + 1;
    let axes = vec![along(1, channels, 1), along(0, rows, stride as isize), along(0, window, 1)];
    let x = builder.one(Restride { axes, at: vec![0; 2] }, &[x])?;
    let x = builder.cast(x, Elem::F64)?;
    let hann = (0..window).map(|at| 0.5 - 0.5 * libm::cos(TAU * at as f64 / window as f64));
    let hann = builder.table(Elem::F64, &[window], &hann.collect::<Vec<f64>>())?;
    let x = builder.of_both(BinaryKind::Mul, x, hann)?;
    let x = builder.reshaped(x, &[channels, rows, window, 1])?;
    let len = window.next_power_of_two();
    let x = builder.one(Fourier { axis: 2, inverse: false, len, half: true }, &[x])?;
    let x = builder.one(Reduce { kind: ReduceKind::SumSquare, axes: vec![3], keeps: false }, &[x])?;
    let x = builder.cast(x, Elem::F32)?;
    Ok(Made::plain(if squared { x } else { builder.of_each(UnaryKind::Sqrt, x)? }))
}

/// How loud bands are that are evenly wide as an ear hears them, as a sum of a few waves.
fn cepstrum(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Made>, Error> {
    let settings = Settings::read(importer, call)?;
    let limits = [settings.one(call, "lower_frequency_limit")?, settings.one(call, "upper_frequency_limit")?];
    let bands = settings.count(call, "filterbank_channel_count", None)?;
    let waves = settings.count(call, "dct_coefficient_count", None)?;
    let rate = importer.integers(call.input(1)?)?.first().copied().unwrap_or(0);
    let x = importer.plain(call.input(0)?)?;
    let builder = &mut importer.builder;
    let [channels, rows, bins] = builder.extents(x)?[..] else {
        return call.wrong("input", "spectra are needed");
    };
    if waves > bands || bands.saturating_mul(bins.max(bands)) > TABLE_MAX {
        return call.wrong(
            "dct_coefficient_count",
            "no more than there are bands, which are not too many, is needed",
        );
    }
    let Some(weights) = weights(bins, rate as f64, bands, limits) else {
        return call.wrong("upper_frequency_limit", "a range that is in the spectrum is needed");
    };
    let wave = |at: usize| {
        let (band, wave) = ((at / waves) as f64, (at % waves) as f64);
        (2.0 / bands as f64).sqrt() * libm::cos(wave * (PI / bands as f64) * (band + 0.5))
    };
    let table: Vec<f64> = (0..bands * waves).map(wave).collect();
    let (weights, table) = (
        builder.table(Elem::F64, &[bins, bands], &weights)?,
        builder.table(Elem::F64, &[bands, waves], &table)?,
    );
    let x = builder.reshaped(x, &[channels.saturating_mul(rows), bins])?;
    let x = builder.cast(x, Elem::F64)?;
    let x = builder.of_each(UnaryKind::Sqrt, x)?;
    let product = MatMul { b_is_transposed: false, widens: false };
    let x = builder.one(product, &[x, weights])?;
    let x = builder.with_number(BinaryKind::Max, x, SILENCE)?;
    let x = builder.of_each(UnaryKind::Log, x)?;
    let x = builder.one(product, &[x, table])?;
    let x = builder.cast(x, Elem::F32)?;
    Ok(Made::plain(builder.reshaped(x, &[channels, rows, waves])?))
}

/// What part of each pitch is in which band: (bins, bands). A pitch between the middles of two bands is shared out between them.
fn weights(bins: usize, rate: f64, bands: usize, [low, high]: [f64; 2]) -> Option<Vec<f64>> {
    let mel = |hertz: f64| 1127.0 * libm::log1p(hertz / 700.0);
    let wide = 0.5 * rate / bins.checked_sub(1)? as f64;
    let (first, last) = ((1.5 + low / wide) as usize, (high / wide) as usize);
    if !(wide > 0.0 && low >= 0.0 && high > low && last < bins && bands > 0) {
        return None;
    }
    let step = (mel(high) - mel(low)) / (bands + 1) as f64;
    let edge = |at: usize| mel(low) + step * at as f64;
    let mut weights = vec![0.0; bins * bands];
    let mut band = 0;
    for bin in first..=last {
        let own = mel(bin as f64 * wide);
        while band < bands && edge(band + 1) < own {
            band += 1;
        }
        // On the way down from the middle of the band before, and up to that of this one.
        let share = (edge(band + 1) - own) / step;
        if band > 0 {
            weights[bin * bands + band - 1] = share;
        }
        if band < bands {
            weights[bin * bands + band] = 1.0 - share;
        }
    }
    Some(weights)
}
