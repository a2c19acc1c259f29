//! Operators that make one number of many, and find the largest.

use super::call::{Call, Made};
use super::held::axis_first;
use super::{Importer, Row};
use crate::Error;
use crate::network::axis_of;
use formats::tflite::Options;
use graph::array::{Cumulate, Extreme, Reduce, ReduceKind};

pub(super) const ROWS: &[Row] = &[
    ("ARG_MAX", |i, c| extreme(i, c, false)),
    ("ARG_MIN", |i, c| extreme(i, c, true)),
    ("CUMSUM", cumsum),
    ("MEAN", |i, c| reduce(i, c, ReduceKind::Mean)),
    ("REDUCE_ALL", |i, c| reduce(i, c, ReduceKind::All)),
    ("REDUCE_ANY", |i, c| reduce(i, c, ReduceKind::Any)),
    ("REDUCE_MAX", |i, c| reduce(i, c, ReduceKind::Max)),
    ("REDUCE_MIN", |i, c| reduce(i, c, ReduceKind::Min)),
    ("REDUCE_PROD", |i, c| reduce(i, c, ReduceKind::Prod)),
    ("SUM", |i, c| reduce(i, c, ReduceKind::Sum)),
];

/// Axes that go away, ascending.
pub(super) fn axes(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<usize>, Error> {
    let rank = importer.rank(call.input(0)?);
    let list = importer.integers(call.input(1)?)?;
    let mut axes = list.into_iter().map(|axis| axis_of(axis, rank)).collect::<Result<Vec<usize>, _>>()?;
    axes.sort_unstable();
    axes.dedup();
    Ok(axes)
}

/// The input in the order that suits, axes in that order, whether they stay, and whether the result has channels first.
pub(super) fn reduced(
    importer: &mut Importer<'_>,
    call: &Call<'_>,
) -> Result<(graph::ValueId, Vec<usize>, bool, bool), Error> {
    let Options::Reducer { keep_dims: keeps } = call.operator.options else {
        return call.wrong("builtin_options", "settings of a reduction are needed");
    };
    let number = call.input(0)?;
    let mut axes = axes(importer, call)?;
    // What is left of places and channels is in one order only if either goes away.
    let either = keeps || axes.contains(&3) || axes.ends_with(&[1, 2]);
    if !importer.is_first(number) || !either {
        return Ok((importer.plain(number)?, axes, keeps, false));
    }
    axes.iter_mut().for_each(|axis| *axis = axis_first(*axis));
    axes.sort_unstable();
    Ok((importer.first(number)?, axes, keeps, keeps))
}

fn reduce(importer: &mut Importer<'_>, call: &Call<'_>, kind: ReduceKind) -> Result<Vec<Made>, Error> {
    let (x, axes, keeps, first) = reduced(importer, call)?;
    Ok(Made::ordered(importer.builder.one(Reduce { kind, axes, keeps }, &[x])?, first))
}

fn extreme(importer: &mut Importer<'_>, call: &Call<'_>, least: bool) -> Result<Vec<Made>, Error> {
    let axis = importer.integers(call.input(1)?)?.first().copied().unwrap_or(0);
    let x = importer.plain(call.input(0)?)?;
    let axis = importer.builder.axis(x, axis)?;
    let made = importer.builder.one(Extreme { axis, keeps: false, largest: !least, last: false }, &[x])?;
    let elem = importer.elem(call.output(0)?)?;
    Ok(Made::plain(importer.builder.cast(made, elem)?))
}

fn cumsum(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Made>, Error> {
    let Options::Cumsum { exclusive, reverse } = call.operator.options else {
        return call.wrong("builtin_options", "settings of a cumulated sum are needed");
    };
    let axis = importer.integers(call.input(1)?)?.first().copied().unwrap_or(0);
    let x = importer.plain(call.input(0)?)?;
    let axis = importer.builder.axis(x, axis)?;
    Ok(Made::plain(importer.builder.one(Cumulate { axis, exclusive, product: false, reverse }, &[x])?))
}
