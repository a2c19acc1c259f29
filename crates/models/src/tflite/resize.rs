//! Pictures of another size.
//!
//! The one design choice: places and weights are worked out in f32 as TFLite does, so that the nearest element is the same one.

use super::call::{Call, Made};
use super::{Importer, Row};
use crate::Error;
use formats::tflite::Options;
use graph::array::{Blend, Pick};
use graph::{Elem, ValueId};

pub(super) const ROWS: &[Row] = &[("RESIZE_BILINEAR", resize), ("RESIZE_NEAREST_NEIGHBOR", resize)];

/// Places along an axis, at most.
const PLACES_MAX: usize = 1 << 16;

/// How places of the result lie among those of the input.
#[derive(Clone, Copy)]
struct Style {
    linear: bool,
    corners: bool,
    half: bool,
}

fn resize(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Made>, Error> {
    let style = match call.operator.options {
        Options::ResizeBilinear { align_corners: corners, half_pixel_centers: half } => {
            Style { linear: true, corners, half }
        }
        Options::ResizeNearestNeighbor { align_corners: corners, half_pixel_centers: half } => {
            Style { linear: false, corners, half }
        }
        _ => return call.wrong("builtin_options", "settings of a resize are needed"),
    };
    let sizes = importer.integers(call.input(1)?)?;
    let sizes = sizes.iter().map(|x| usize::try_from(*x).ok().filter(|x| *x <= PLACES_MAX));
    let sizes = sizes.collect::<Option<Vec<usize>>>().unwrap_or_default();
    let [height, width] = sizes[..] else {
        return call.wrong("size", "two extents that are not too large are needed");
    };
    let x = importer.first(call.input(0)?)?;
    let own = importer.builder.elem(x);
    // Sums of whole numbers are made of fractions.
    let whole = style.linear && !own.is_float();
    let mut made = if whole { importer.builder.cast(x, Elem::F32)? } else { x };
    for (axis, to) in [(2, height), (3, width)] {
        made = along(importer, made, axis, to, style)?;
    }
    if whole {
        made = importer.builder.of_each(graph::array::UnaryKind::Round, made)?;
        made = importer.builder.cast(made, own)?;
    }
    Ok(Made::first(made))
}

fn along(
    importer: &mut Importer<'_>,
    x: ValueId,
    axis: usize,
    to: usize,
    Style { linear, corners, half }: Style,
) -> Result<ValueId, Error> {
    let extents = importer.builder.extents(x)?;
    let from = *extents.get(axis).ok_or(Error::Axis { axis: axis as i64, rank: extents.len() })?;
    if from == to || from == 0 {
        return Ok(x);
    }
    let scale = if corners && to > 1 { (from - 1) as f32 / (to - 1) as f32 } else { from as f32 / to as f32 };
    let last = from as f32 - 1.0;
    let place = |at: usize| if half { (at as f32 + 0.5) * scale - 0.5 } else { at as f32 * scale };
    if !linear {
        let nearest = |at: usize| {
            let place = if half { (at as f32 + 0.5) * scale } else { at as f32 * scale };
            // Away from zero, as the C library's rounding.
            let place = if corners { place.round() } else { place.floor() };
            f64::from(place.clamp(0.0, last))
        };
        let places: Vec<f64> = (0..to).map(nearest).collect();
        let places = importer.builder.table(Elem::I64, &[to], &places)?;
        return importer.builder.one(Pick { axis }, &[x, places]);
    }
    let (mut places, mut weights) = (Vec::with_capacity(2 * to), Vec::with_capacity(2 * to));
    for at in 0..to {
        let place = place(at);
        let lower = place.floor().max(0.0);
        let upper = place.ceil().min(last);
        let part = place - lower;
        places.extend([f64::from(lower.min(last)), f64::from(upper.max(0.0))]);
        weights.extend([f64::from(1.0 - part), f64::from(part)]);
    }
    let places = importer.builder.table(Elem::I32, &[to, 2], &places)?;
    let weights = importer.builder.table(Elem::F32, &[to, 2], &weights)?;
    importer.builder.one(Blend { axis }, &[x, places, weights])
}
