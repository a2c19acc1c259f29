//! Operators that take elements by their places or put them there, and lists of numbers.

use super::call::{Call, Made};
use super::shape::sizes;
use super::{Importer, Row};
use crate::Error;
use crate::network::axis_of;
use formats::tflite::Options;
use graph::array::{BinaryKind, Pick, PickSlices, PutKind, PutSlices, Reverse, Select, Top};
use graph::{Elem, ValueId};

pub(super) const ROWS: &[Row] = &[
    ("DYNAMIC_UPDATE_SLICE", update_slice),
    ("EMBEDDING_LOOKUP", |i, c| {
        let (places, table) = (i.plain(c.input(0)?)?, i.plain(c.input(1)?)?);
        let places = i.builder.cast(places, Elem::I64)?;
        Ok(Made::plain(i.builder.one(Pick { axis: 0 }, &[table, places])?))
    }),
    ("GATHER", gather),
    ("GATHER_ND", |i, c| {
        let inputs = [i.plain(c.input(0)?)?, i.plain(c.input(1)?)?];
        Ok(Made::plain(i.builder.one(PickSlices { batch: 0 }, &inputs)?))
    }),
    ("ONE_HOT", one_hot),
    ("RANGE", range),
    ("REVERSE_SEQUENCE", reverse_sequence),
    ("SCATTER_ND", scatter),
    ("TOPK_V2", top),
];

/// Numbers that a list of the importer's own may have.
const LIST_MAX: f64 = (1 << 24) as f64;

/// Of each batch, if there are any, other elements.
fn gather(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Made>, Error> {
    let Options::Gather { axis, batch_dims } = call.operator.options else {
        return call.wrong("builtin_options", "an axis is needed");
    };
    let (x, places) = (importer.plain(call.input(0)?)?, importer.plain(call.input(1)?)?);
    let builder = &mut importer.builder;
    let axis = builder.axis(x, axis.into())?;
    if batch_dims == 0 {
        let places = builder.cast(places, Elem::I64)?;
        return Ok(Made::plain(builder.one(Pick { axis }, &[x, places])?));
    }
    let batch = axis_of(batch_dims.into(), builder.rank(places) + 1)?;
    if batch != axis {
        return call.wrong("batch_dims", "0, or as many as the axis says, is needed");
    }
    let rows = [&builder.extents(places)?[..], &[1]].concat();
    let rows = builder.reshaped(places, &rows)?;
    Ok(Made::plain(builder.one(PickSlices { batch }, &[x, rows])?))
}

/// A part becomes another array; it is moved as far as it must be to lie within.
fn update_slice(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Made>, Error> {
    let [x, new, starts] = [0, 1, 2].map(|input| call.input(input).and_then(|number| importer.plain(number)));
    let (x, new, starts) = (x?, new?, starts?);
    let builder = &mut importer.builder;
    let (own, part) = (builder.extents(x)?, builder.extents(new)?);
    let fits = own.len() == part.len() && own.iter().zip(part.iter()).all(|(own, part)| own >= part);
    if !fits || builder.extents(starts)?[..] != [own.len()] {
        return call.wrong("update", "a part and a start for each axis are needed");
    }
    // Behind the last axis that is not whole slices are put as they are.
    let Some(last) = (0..own.len()).rfind(|axis| own[*axis] != part[*axis]) else {
        return Ok(Made::plain(new));
    };
    let named = &part[..=last];
    let rows: usize = named.iter().product();
    if rows as f64 * own.len() as f64 > LIST_MAX {
        return call.wrong("update", "a smaller part is needed");
    }
    let mut places = Vec::with_capacity(rows * (last + 1));
    for row in 0..rows {
        let inner = |axis: usize| part[axis + 1..=last].iter().product::<usize>();
        places.extend((0..=last).map(|axis| (row / inner(axis) % part[axis]) as f64));
    }
    let most: Vec<f64> = (0..=last).map(|axis| (own[axis] - part[axis]) as f64).collect();
    let starts = builder.cast(starts, Elem::I64)?;
    let starts = builder.part_along(starts, 0, 0, last + 1)?;
    let starts = builder.with_number(BinaryKind::Max, starts, 0.0)?;
    let most = builder.table(Elem::I64, &[last + 1], &most)?;
    let starts = builder.of_both(BinaryKind::Min, starts, most)?;
    let places = builder.table(Elem::I64, &[named, &[last + 1]].concat(), &places)?;
    let places = builder.of_both(BinaryKind::Add, places, starts)?;
    Ok(Made::plain(builder.one(PutSlices { kind: PutKind::Set }, &[x, places, new])?))
}

fn one_hot(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Made>, Error> {
    let Options::OneHot { axis } = call.operator.options else {
        return call.wrong("builtin_options", "an axis is needed");
    };
    let depth = importer.integers(call.input(1)?)?.first().copied().unwrap_or(0);
    let depth = if (0.0..LIST_MAX).contains(&(depth as f64)) {
        depth
    } else {
        return call.wrong("depth", "a count is needed");
    };
    let numbers = importer.plain(call.input(0)?)?;
    let (on, off) = (importer.plain(call.input(2)?)?, importer.plain(call.input(3)?)?);
    let builder = &mut importer.builder;
    let mut own = builder.extents(numbers)?.to_vec();
    let axis = axis_of(axis.into(), own.len() + 1)?;
    own.insert(axis, 1);
    let numbers = builder.reshaped(numbers, &own)?;
    let numbers = builder.cast(numbers, Elem::I64)?;
    let mut list = vec![1; own.len()];
    list[axis] = depth as usize;
    let all = builder.integers_constant(&(0..depth).collect::<Vec<i64>>())?;
    let all = builder.reshaped(all, &list)?;
    let is = builder.of_both(BinaryKind::Equal, numbers, all)?;
    Ok(Made::plain(builder.one(Select, &[is, on, off])?))
}

/// Start, end and step must be known now.
fn range(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Made>, Error> {
    let mut one = |input| {
        let id = importer.plain(call.input(input)?)?;
        importer.builder.fractions(id)?.first().copied().ok_or(Error::DataDependent)
    };
    let (start, end, step) = (one(0)?, one(1)?, one(2)?);
    let count = ((end - start) / step).ceil().max(0.0);
    if count.is_nan() || count > LIST_MAX {
        return call.wrong("delta", "a step that comes to the end is needed");
    }
    let elem = importer.elem(call.output(0)?)?;
    let numbers: Vec<f64> = (0..count as usize).map(|at| start + at as f64 * step).collect();
    Ok(Made::plain(importer.builder.table(elem, &[numbers.len()], &numbers)?))
}

fn reverse_sequence(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Made>, Error> {
    let Options::ReverseSequence { seq_dim, batch_dim } = call.operator.options else {
        return call.wrong("builtin_options", "two axes are needed");
    };
    let (x, lengths) = (importer.plain(call.input(0)?)?, importer.plain(call.input(1)?)?);
    let builder = &mut importer.builder;
    let (along, batch) = (builder.axis(x, seq_dim.into())?, builder.axis(x, batch_dim.into())?);
    let rank = builder.rank(x);
    let mut order = vec![batch, along];
    order.extend((0..rank).filter(|axis| ![batch, along].contains(axis)));
    let mut back = vec![0; rank];
    order.iter().enumerate().for_each(|(at, axis)| back[*axis] = at);
    if order.len() != rank {
        return call.wrong("batch_dim", "an axis other than that of the sequences is needed");
    }
    let x = builder.turned(x, &order)?;
    let x = builder.one(Reverse { time_first: false }, &[x, lengths])?;
    Ok(Made::plain(builder.turned(x, &back)?))
}

/// Slices on nothing, added up where they come to lie at one place.
fn scatter(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Made>, Error> {
    let extents = importer.integers(call.input(2)?)?;
    let extents = sizes(call, "shape", &extents)?;
    let (places, new) = (importer.plain(call.input(0)?)?, importer.plain(call.input(1)?)?);
    let builder = &mut importer.builder;
    let zero = builder.number(builder.elem(new), 0.0);
    let nothing = builder.repeated(zero, &extents)?;
    Ok(Made::plain(builder.one(PutSlices { kind: PutKind::Add }, &[nothing, places, new])?))
}

fn top(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Made>, Error> {
    let count = importer.integers(call.input(1)?)?.first().copied().unwrap_or(-1);
    let Ok(count) = usize::try_from(count) else { return call.wrong("k", "a count is needed") };
    let x = importer.plain(call.input(0)?)?;
    let axis = importer.builder.axis(x, -1)?;
    let made: Vec<ValueId> = importer.builder.push(Top { axis, count, largest: true }, &[x])?;
    let [values, places] = made[..] else { return Err(Error::NoOutput) };
    let to = call.output(1).and_then(|number| importer.elem(number)).unwrap_or(Elem::I32);
    let places = importer.builder.cast(places, to)?;
    Ok([values, places].into_iter().flat_map(Made::plain).collect())
}
