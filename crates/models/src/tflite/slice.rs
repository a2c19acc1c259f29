//! Operators that take parts of an array, or put arrays beside each other along a new axis.

use super::call::{Call, Made};
use super::held::{axis_first, in_order};
use super::shape::sizes;
use super::{Importer, Row};
use crate::Error;
use crate::network::axis_of;
use formats::tflite::Options;

pub(super) const ROWS: &[Row] = &[
    ("PACK", pack),
    ("REVERSE_V2", reverse),
    ("SLICE", slice),
    ("SPLIT", split),
    ("SPLIT_V", split_by_sizes),
    ("STRIDED_SLICE", strided_slice),
    ("UNPACK", unpack),
];

fn pack(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Made>, Error> {
    let Options::Pack { axis, .. } = call.operator.options else {
        return call.wrong("builtin_options", "an axis is needed");
    };
    let mut slices = Vec::new();
    let mut at = 0;
    for number in call.all()? {
        let x = importer.plain(number)?;
        let mut extents = importer.builder.extents(x)?.to_vec();
        at = axis_of(axis.into(), extents.len() + 1)?;
        extents.insert(at, 1);
        slices.push(importer.builder.reshaped(x, &extents)?);
    }
    Ok(Made::plain(importer.builder.join(&slices, at)?))
}

fn reverse(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Made>, Error> {
    let axes = importer.integers(call.input(1)?)?;
    let x = importer.plain(call.input(0)?)?;
    let own = importer.builder.extents(x)?;
    let mut parts: Vec<_> = own.iter().map(|extent| (0, *extent, 1)).collect();
    for axis in axes {
        let axis = axis_of(axis, own.len())?;
        parts[axis] = (own[axis].saturating_sub(1), own[axis], -1);
    }
    Ok(Made::plain(importer.builder.part(x, &parts)?))
}

fn slice(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Made>, Error> {
    let (starts, lens) = (importer.integers(call.input(1)?)?, importer.integers(call.input(2)?)?);
    let own = importer.extents(call.input(0)?)?;
    if starts.len() != own.len() || lens.len() != own.len() {
        return call.wrong("begin", "a start and a length for each axis are needed");
    }
    let mut parts = Vec::new();
    for (axis, extent) in own.iter().enumerate() {
        let start = usize::try_from(starts[axis]).unwrap_or(usize::MAX).min(*extent);
        let len = if lens[axis] < 0 { extent - start } else { lens[axis] as usize };
        parts.push((start, len, 1));
    }
    part(importer, call, &parts)
}

/// A part of the first input, in the order that it has.
fn part(
    importer: &mut Importer<'_>,
    call: &Call<'_>,
    parts: &[(usize, usize, isize)],
) -> Result<Vec<Made>, Error> {
    let (x, first) = importer.either(call.input(0)?)?;
    Ok(Made::ordered(importer.builder.part(x, &in_order(parts, first))?, first))
}

fn split(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Made>, Error> {
    let axis = importer.integers(call.input(0)?)?.first().copied().unwrap_or(0);
    let own = importer.extents(call.input(1)?)?;
    let axis = axis_of(axis, own.len())?;
    let count = call.operator.outputs.len();
    if count == 0 || !own[axis].is_multiple_of(count) {
        return call.wrong("num_splits", "a number that divides the extent is needed");
    }
    cut(importer, call.input(1)?, axis, &vec![own[axis] / count; count])
}

fn split_by_sizes(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Made>, Error> {
    let mut lens = importer.integers(call.input(1)?)?;
    let axis = importer.integers(call.input(2)?)?.first().copied().unwrap_or(0);
    let own = importer.extents(call.input(0)?)?;
    let axis = axis_of(axis, own.len())?;
    let known: i64 = lens.iter().filter(|len| **len >= 0).fold(0, |sum, len| sum.saturating_add(*len));
    lens.iter_mut().filter(|len| **len < 0).for_each(|len| *len = (own[axis] as i64).saturating_sub(known));
    let lens = sizes(call, "size_splits", &lens)?;
    cut(importer, call.input(0)?, axis, &lens)
}

/// Parts one behind another along an axis.
fn cut(importer: &mut Importer<'_>, number: u32, axis: usize, lens: &[usize]) -> Result<Vec<Made>, Error> {
    let (x, first) = importer.either(number)?;
    let axis = if first { axis_first(axis) } else { axis };
    let (mut start, mut made) = (0usize, Vec::new());
    for &len in lens {
        made.extend(Made::ordered(importer.builder.part_along(x, axis, start, len)?, first));
        start = start.saturating_add(len);
    }
    Ok(made)
}

/// Bits of the masks say that an axis is whole at an end, is new, goes away, or that all axes that nothing is said of stand here.
fn strided_slice(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Made>, Error> {
    let Options::StridedSlice {
        begin_mask,
        end_mask,
        ellipsis_mask,
        new_axis_mask,
        shrink_axis_mask,
        offset: false,
    } = call.operator.options
    else {
        return call.wrong("offset", "masks, and ends that are places, are needed");
    };
    let [begin, end, step] =
        [1, 2, 3].map(|input| call.input(input).and_then(|number| importer.integers(number)));
    let (begin, end, step) = (begin?, end?, step?);
    let own = importer.extents(call.input(0)?)?;
    let is = |mask: i32, at: usize| at < 32 && mask >> at & 1 == 1;
    let said = (0..begin.len()).filter(|at| !is(ellipsis_mask | new_axis_mask, *at)).count();
    if said > own.len() || end.len() != begin.len() || step.len() != begin.len() {
        return call.wrong("begin", "three numbers for each axis are needed");
    }
    let (mut parts, mut extents) = (Vec::new(), Vec::new());
    let mut open = own.len() - said;
    for at in 0..begin.len() {
        if is(ellipsis_mask, at) {
            let whole = own[parts.len()..][..std::mem::take(&mut open)].to_vec();
            parts.extend(whole.iter().map(|extent| (0, *extent, 1)));
            extents.extend(whole);
            continue;
        }
        if is(new_axis_mask, at) {
            extents.push(1);
            continue;
        }
        let (by, long) = (step[at], own[parts.len()] as i64);
        if by == 0 {
            return call.wrong("strides", "steps that are not zero are needed");
        }
        let (least, most) = if by > 0 { (0, long) } else { (-1, long - 1) };
        let place = |x: i64| (if x < 0 { x.saturating_add(long) } else { x }).clamp(least, most);
        let start = if is(begin_mask, at) { if by > 0 { 0 } else { long - 1 } } else { place(begin[at]) };
        if is(shrink_axis_mask, at) {
            parts.push((usize::try_from(start).unwrap_or(0), 1, 1));
            continue;
        }
        let stop = if is(end_mask, at) { if by > 0 { long } else { -1 } } else { place(end[at]) };
        let far = if by > 0 { stop - start } else { start - stop };
        let len = far.max(0).unsigned_abs().div_ceil(by.unsigned_abs()) as usize;
        parts.push((start.max(0) as usize, len, by as isize));
        extents.push(len);
    }
    for extent in &own[parts.len()..] {
        parts.push((0, *extent, 1));
        extents.push(*extent);
    }
    if ellipsis_mask | new_axis_mask | shrink_axis_mask == 0 {
        return part(importer, call, &parts);
    }
    let x = importer.plain(call.input(0)?)?;
    let made = importer.builder.part(x, &parts)?;
    Ok(Made::plain(importer.builder.reshaped(made, &extents)?))
}

fn unpack(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Made>, Error> {
    let Options::Unpack { axis, .. } = call.operator.options else {
        return call.wrong("builtin_options", "an axis is needed");
    };
    let x = importer.plain(call.input(0)?)?;
    let own = importer.builder.extents(x)?;
    let axis = axis_of(axis.into(), own.len())?;
    let mut extents = own.to_vec();
    extents.remove(axis);
    let mut made = Vec::new();
    for at in 0..call.operator.outputs.len() {
        let part = importer.builder.part_along(x, axis, at, 1)?;
        made.extend(Made::plain(importer.builder.reshaped(part, &extents)?));
    }
    Ok(made)
}
