//! Pictures made larger or smaller.
//!
//! The one design choice: one axis after another; each is a table of which elements make which and with what weight, worked
//! out here.

use super::{Importer, OWN, Row};
use crate::Error;
use crate::network::{Item, axis_of};
use crate::onnx::call::{Call, unknown};
use graph::array::{Binary, BinaryKind, Blend, Cast, Pick, Select, Unary, UnaryKind};
use graph::{Elem, Extents, ValueId};

pub(super) const ROWS: &[Row] = &[(OWN, "Resize", resize), (OWN, "Upsample", resize)];

/// Elements of a table.
const TABLE_MAX: usize = 1 << 24;

/// What is asked for besides extents.
struct Style<'a> {
    mode: &'a str,
    nearest: &'a str,
    places: &'a str,
    antialias: bool,
    cubic: f64,
    excludes: bool,
}

/// What happens to an axis.
struct Scaled {
    axis: usize,
    from: usize,
    to: usize,
    scale: f64,
    /// Which part of the axis is wanted, from 0 to 1.
    part: [f64; 2],
}

fn style<'a>(call: &Call<'a>) -> Result<Style<'a>, Error> {
    let old = call.operator == "Upsample" || call.version < 11;
    let places =
        call.text_or("coordinate_transformation_mode", if old { "asymmetric" } else { "half_pixel" })?;
    Ok(Style {
        mode: call.text_or("mode", "nearest")?,
        nearest: call.text_or("nearest_mode", if old { "first" } else { "round_prefer_floor" })?,
        places,
        antialias: call.int_or("antialias", 0)? != 0,
        cubic: f64::from(call.float_or("cubic_coeff_a", -0.75)?),
        excludes: call.int_or("exclude_outside", 0)? != 0,
    })
}

fn resize(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Item>, Error> {
    let input = call.value(0)?;
    let own = importer.builder.extents(input)?;
    let style = style(call)?;
    let mut scaled = scaled(importer, call, &own)?;
    // What becomes smaller goes first: less is left for the others.
    scaled.sort_by(|a, b| a.scale.total_cmp(&b.scale));
    let elem = importer.builder.elem(input);
    let mut value = input;
    let through_floats = style.mode != "nearest" && !elem.is_float();
    if through_floats {
        value = importer.builder.one(Cast { to: Elem::F32 }, &[value])?;
    }
    for axis in &scaled {
        value = along(importer, value, axis, &style, call.float_or("extrapolation_value", 0.0)?)?;
    }
    if through_floats {
        value = importer.builder.one(Unary { kind: UnaryKind::Round }, &[value])?;
        let bits = 8 * elem.bytes() as i32;
        let signed = matches!(elem, Elem::I8 | Elem::I16 | Elem::I32 | Elem::I64);
        let (least, most) = if signed { (-2f64.powi(bits - 1), bits - 1) } else { (0.0, bits) };
        for (kind, bound) in [(BinaryKind::Max, least), (BinaryKind::Min, 2f64.powi(most) - 1.0)] {
            let bound = importer.builder.number(Elem::F32, bound);
            value = importer.builder.one(Binary { kind }, &[value, bound])?;
        }
        value = importer.builder.one(Cast { to: elem }, &[value])?;
    }
    Ok(vec![Item::Value(value)])
}

/// What happens to which axis.
fn scaled(importer: &mut Importer<'_>, call: &Call<'_>, own: &Extents) -> Result<Vec<Scaled>, Error> {
    let list = |importer: &mut Importer<'_>, place: usize| match call.optional(place)? {
        Some(list) => Ok::<_, Error>(Some(importer.builder.fractions(list)?).filter(|list| !list.is_empty())),
        None => Ok(None),
    };
    let old = call.operator == "Upsample" || call.version < 11;
    let scales = match call.floats("scales")? {
        Some(scales) => Some(scales.iter().map(|scale| f64::from(*scale)).collect()),
        None => list(importer, if old { 1 } else { 2 })?,
    };
    let sizes = if old { None } else { list(importer, 3)? };
    let part = match call.text_or("coordinate_transformation_mode", "")? {
        "tf_crop_and_resize" => list(importer, 1)?,
        _ => None,
    };
    let axes: Vec<usize> = match call.ints("axes")? {
        Some(axes) => axes.iter().map(|axis| axis_of(*axis, own.len())).collect::<Result<_, _>>()?,
        None => (0..own.len()).collect(),
    };
    let numbers = sizes.as_ref().or(scales.as_ref()).ok_or(Error::MissingInput { input: 3 })?;
    let right = |list: &[f64], times: usize| list.len() == times * axes.len();
    if !right(numbers, 1) || part.as_ref().is_some_and(|part| !right(part, 2)) {
        return unknown("scales", &format!("{numbers:?}"), "a number for each axis is needed");
    }
    let by_size = |(&size, &axis): (&f64, &usize)| size / own[axis] as f64;
    let ratios: Vec<f64> =
        if sizes.is_some() { numbers.iter().zip(&axes).map(by_size).collect() } else { numbers.clone() };
    let together = match call.text_or("keep_aspect_ratio_policy", "stretch")? {
        "not_larger" if sizes.is_some() => ratios.iter().copied().reduce(f64::min),
        "not_smaller" if sizes.is_some() => ratios.iter().copied().reduce(f64::max),
        _ => None,
    };
    let mut scaled = Vec::with_capacity(axes.len());
    for (at, &axis) in axes.iter().enumerate() {
        let (from, scale) = (own[axis], together.unwrap_or(ratios[at]));
        let to = match (together, &sizes) {
            (Some(scale), _) => (scale * from as f64 + 0.5).floor(),
            (None, Some(sizes)) => sizes[at],
            (None, None) => (scale * from as f64).floor(),
        };
        if !(0.0..TABLE_MAX as f64).contains(&to)
            || (to > 0.0 && (from == 0 || scale.is_nan() || scale <= 0.0))
        {
            return unknown("scales", &format!("{numbers:?}"), "extents that are not too large are needed");
        }
        let part = part.as_ref().map_or([0.0, 1.0], |part| [part[at], part[at + axes.len()]]);
        scaled.push(Scaled { axis, from, to: to as usize, scale, part });
    }
    Ok(scaled)
}

/// One axis.
fn along(
    importer: &mut Importer<'_>,
    input: ValueId,
    axis: &Scaled,
    style: &Style<'_>,
    beyond: f32,
) -> Result<ValueId, Error> {
    // At most so many elements make one.
    let most = if style.antialias { 4.0 / axis.scale.min(1.0) + 4.0 } else { 4.0 };
    if axis.to as f64 * most > TABLE_MAX as f64 {
        return Err(graph::Error::Overflow { op: "Resize", what: "the table" }.into());
    }
    let places: Vec<f64> = (0..axis.to).map(|at| place(axis, style, at)).collect::<Result<_, _>>()?;
    let rows: Vec<Vec<(usize, f64)>> =
        places.iter().map(|place| taps(axis, style, *place)).collect::<Result<_, _>>()?;
    let same = axis.from == axis.to
        && rows.iter().enumerate().all(|(at, row)| row.iter().all(|tap| tap.1 == 0.0 || *tap == (at, 1.0)));
    let mut value = input;
    let taps = rows.first().map_or(0, Vec::len);
    if !same {
        let table = |of: fn(&(usize, f64)) -> f64| rows.iter().flatten().map(of).collect::<Vec<f64>>();
        let (from, weights) = (table(|tap| tap.0 as f64), table(|tap| tap.1));
        value = if style.mode == "nearest" {
            let from = importer.table(Elem::I64, &[rows.len()], &from)?;
            importer.builder.one(Pick { axis: axis.axis }, &[value, from])?
        } else {
            let from = importer.table(Elem::I32, &[rows.len(), taps], &from)?;
            let weights = importer.table(Elem::F32, &[rows.len(), taps], &weights)?;
            importer.builder.one(Blend { axis: axis.axis }, &[value, from, weights])?
        };
    }
    let inside = |place: &f64| (0.0..=axis.from as f64 - 1.0).contains(place);
    if style.places == "tf_crop_and_resize" && !places.iter().all(inside) {
        let is: Vec<f64> = places.iter().map(|place| f64::from(u8::from(inside(place)))).collect();
        let mut extents = vec![1; importer.builder.rank(input)];
        extents[axis.axis] = is.len();
        let is = importer.table(Elem::Bool, &extents, &is)?;
        let beyond = importer.builder.number(importer.builder.elem(value), f64::from(beyond));
        value = importer.builder.one(Select, &[is, value, beyond])?;
    }
    Ok(value)
}

/// Where in the input an element of the result lies.
fn place(axis: &Scaled, style: &Style<'_>, at: usize) -> Result<f64, Error> {
    let (at, from, scale) = (at as f64, axis.from as f64, axis.scale);
    // Not the number of elements: what they would be if there were fractions of one. Rounded where others round, since a
    // place in the middle of two elements goes one way or the other.
    let rounded = |x: f64| f64::from(x as f32);
    let to = rounded(scale * from);
    Ok(match style.places {
        "align_corners" if to == 1.0 => 0.0,
        "align_corners" => at * (from - 1.0) / (to - 1.0),
        "asymmetric" => at / scale,
        "half_pixel" => (at + 0.5) / scale - 0.5,
        "half_pixel_symmetric" => from / 2.0 * (1.0 - axis.to as f64 / to) + (at + 0.5) / scale - 0.5,
        "pytorch_half_pixel" if to == 1.0 => -0.5,
        "pytorch_half_pixel" => (at + 0.5) / scale - 0.5,
        "tf_crop_and_resize" => {
            let [start, end] = axis.part;
            let len = rounded(end - start) * (from - 1.0);
            let within = if to == 1.0 { len / 2.0 } else { at * len / (to - 1.0) };
            within + rounded(start * (from - 1.0))
        }
        other => return unknown("coordinate_transformation_mode", other, "a mode that ONNX names is needed"),
    })
}

/// Which elements make one at `place`, and with what weight.
fn taps(axis: &Scaled, style: &Style<'_>, place: f64) -> Result<Vec<(usize, f64)>, Error> {
    // The element before, which a place on an element has too.
    let before = place.ceil() - 1.0;
    let part = place - before;
    let shrink = if style.antialias { axis.scale.min(1.0) } else { 1.0 };
    let clamped = |at: f64| at.clamp(0.0, axis.from as f64 - 1.0) as usize;
    let (reach, weight): (f64, Box<dyn Fn(f64) -> f64>) = match style.mode {
        "nearest" => {
            let is_next = match style.nearest {
                _ if part == 1.0 => true,
                "ceil" => true,
                "first" => axis.scale < 1.0,
                "floor" => false,
                "round_prefer_ceil" => part >= 0.5,
                "round_prefer_floor" => part > 0.5,
                other => return unknown("nearest_mode", other, "a mode that ONNX names is needed"),
            };
            return Ok(vec![(clamped(before + f64::from(u8::from(is_next))), 1.0)]);
        }
        "linear" | "bilinear" => (1.0, Box::new(|far| (1.0 - far).max(0.0))),
        "cubic" => {
            let a = style.cubic;
            (2.0, Box::new(move |far| cubic(far, a)))
        }
        other => return unknown("mode", other, "'nearest', 'linear' or 'cubic' is needed"),
    };
    let first = (-reach / shrink).floor() + 1.0;
    let mut taps = Vec::new();
    let mut sum = 0.0;
    for step in first as i64..=1 - first as i64 {
        let at = before + step as f64;
        let outside = at < 0.0 || at > axis.from as f64 - 1.0;
        let counts = !(outside && style.excludes);
        let share = if counts { weight(((step as f64 - part) * shrink).abs()) } else { 0.0 };
        sum += share;
        taps.push((clamped(at), share));
    }
    if (style.antialias || style.excludes) && sum != 0.0 {
        taps.iter_mut().for_each(|tap| tap.1 /= sum);
    }
    Ok(taps)
}

/// How much of an element counts that is so far away.
fn cubic(far: f64, a: f64) -> f64 {
    match far {
        far if far <= 1.0 => ((a + 2.0) * far - (a + 3.0)) * far * far + 1.0,
        far if far < 2.0 => ((a * far - 5.0 * a) * far + 8.0 * a) * far - 4.0 * a,
        _ => 0.0,
    }
}
