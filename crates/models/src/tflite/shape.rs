//! Operators that put elements in another order, leave some out or repeat them; none is changed.

use super::call::{Call, Made};
use super::held::{Held, axis_first, in_order};
use super::{Importer, Row};
use crate::Error;
use crate::network::axis_of;
use formats::tflite::{MirrorPad, Options};
use graph::array::{Pad, PadKind, Pick};
use graph::{Elem, Extents};

pub(super) const ROWS: &[Row] = &[
    ("BATCH_TO_SPACE_ND", batch_to_space),
    ("BROADCAST_TO", broadcast_to),
    ("CONCATENATION", concatenation),
    ("DEPTH_TO_SPACE", |i, c| blocks(i, c, true)),
    ("EXPAND_DIMS", expand_dims),
    ("FILL", fill),
    ("GATHER", gather),
    ("MIRROR_PAD", mirror_pad),
    ("PACK", pack),
    ("PAD", pad),
    ("PADV2", pad),
    ("RANK", |i, c| {
        let rank = i.rank(c.input(0)?);
        Ok(Made::plain(i.builder.number(Elem::I32, rank as f64)))
    }),
    ("RESHAPE", reshape),
    ("REVERSE_V2", reverse),
    ("SHAPE", shape),
    ("SLICE", slice),
    ("SPACE_TO_BATCH_ND", space_to_batch),
    ("SPACE_TO_DEPTH", |i, c| blocks(i, c, false)),
    ("SPLIT", split),
    ("SPLIT_V", split_by_sizes),
    ("SQUEEZE", squeeze),
    ("STRIDED_SLICE", strided_slice),
    ("TILE", tile),
    ("TRANSPOSE", transpose),
    ("UNPACK", unpack),
    ("ZEROS_LIKE", |i, c| {
        let x = i.plain(c.input(0)?)?;
        let (elem, extents) = (i.builder.elem(x), i.builder.extents(x)?);
        let zero = i.builder.number(elem, 0.0);
        Ok(Made::plain(i.builder.repeated(zero, &extents)?))
    }),
];

/// Whole numbers that are extents or counts.
fn sizes(call: &Call<'_>, attribute: &'static str, numbers: &[i64]) -> Result<Vec<usize>, Error> {
    let list: Option<Vec<usize>> = numbers.iter().map(|x| usize::try_from(*x).ok()).collect();
    list.map_or_else(|| call.wrong(attribute, "numbers that are not negative are needed"), Ok)
}

fn concatenation(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Made>, Error> {
    let Options::Concatenation { axis, fused_activation_function } = call.operator.options else {
        return call.wrong("builtin_options", "an axis is needed");
    };
    let (values, first) = importer.together(&call.all()?)?;
    let rank = values.first().map_or(0, |id| importer.builder.rank(*id));
    let axis = axis_of(axis.into(), rank)?;
    let made = importer.builder.join(&values, if first { axis_first(axis) } else { axis })?;
    Ok(Made::ordered(importer.activated(made, fused_activation_function)?, first))
}

/// Blocks of channels become places, or the other way round; with channels first.
fn blocks(importer: &mut Importer<'_>, call: &Call<'_>, up: bool) -> Result<Vec<Made>, Error> {
    let (Options::DepthToSpace { block_size } | Options::SpaceToDepth { block_size }) = call.operator.options
    else {
        return call.wrong("builtin_options", "the size of a block is needed");
    };
    let side = usize::try_from(block_size).ok().filter(|side| (1..1 << 16).contains(side));
    let Some(side) = side else { return call.wrong("block_size", "a number from 1 to 65535 is needed") };
    let x = importer.first(call.input(0)?)?;
    let own = importer.builder.extents(x)?;
    let [n, c, h, w] = own[..] else { return Err(Error::Axis { axis: 3, rank: own.len() }) };
    let builder = &mut importer.builder;
    let (split, order, made): (_, _, [usize; 4]) = if up {
        (
            [n, side, side, c / (side * side), h, w],
            [0, 3, 4, 1, 5, 2],
            [n, c / (side * side), h * side, w * side],
        )
    } else {
        ([n, c, h / side, side, w / side, side], [0, 3, 5, 1, 2, 4], [n, c * side * side, h / side, w / side])
    };
    let x = builder.reshaped(x, &split)?;
    let x = builder.turned(x, &order)?;
    Ok(Made::first(builder.reshaped(x, &made)?))
}

fn expand_dims(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Made>, Error> {
    let axis = importer.integers(call.input(1)?)?;
    let x = importer.plain(call.input(0)?)?;
    let mut extents = importer.builder.extents(x)?.to_vec();
    let axis = axis_of(axis.first().copied().unwrap_or(0), extents.len() + 1)?;
    extents.insert(axis, 1);
    Ok(Made::plain(importer.builder.reshaped(x, &extents)?))
}

fn fill(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Made>, Error> {
    let extents = importer.integers(call.input(0)?)?;
    let extents = sizes(call, "dims", &extents)?;
    let number = importer.plain(call.input(1)?)?;
    Ok(Made::plain(importer.builder.repeated(number, &extents)?))
}

fn broadcast_to(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Made>, Error> {
    let extents = importer.integers(call.input(1)?)?;
    let extents = sizes(call, "shape", &extents)?;
    let x = importer.plain(call.input(0)?)?;
    Ok(Made::plain(importer.builder.repeated(x, &extents)?))
}

fn gather(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Made>, Error> {
    let Options::Gather { axis, batch_dims } = call.operator.options else {
        return call.wrong("builtin_options", "an axis is needed");
    };
    if batch_dims != 0 {
        return call.wrong("batch_dims", "0 is needed");
    }
    let (x, places) = (importer.plain(call.input(0)?)?, importer.plain(call.input(1)?)?);
    let axis = importer.builder.axis(x, axis.into())?;
    let places = importer.builder.cast(places, Elem::I64)?;
    Ok(Made::plain(importer.builder.one(Pick { axis }, &[x, places])?))
}

/// Margins before and behind each axis, which must be known now.
fn margins(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<[Vec<isize>; 2], Error> {
    let numbers = importer.integers(call.input(1)?)?;
    let rank = importer.rank(call.input(0)?);
    if numbers.len() != 2 * rank || numbers.iter().any(|x| !(0..1 << 31).contains(x)) {
        return call.wrong("paddings", "two margins for each axis are needed");
    }
    let side = |at: usize| numbers.iter().skip(at).step_by(2).map(|x| *x as isize).collect();
    Ok([side(0), side(1)])
}

/// Of quantised numbers margins are what counts as zero.
fn pad(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Made>, Error> {
    let [before, behind] = margins(importer, call)?;
    let (x, first) = importer.either(call.input(0)?)?;
    let beyond = match call.optional(2) {
        Some(number) => importer.plain(number)?,
        None => {
            let zero = importer.zero_of(call.output(0)?)?;
            importer.builder.number(importer.builder.elem(x), zero)
        }
    };
    let beyond = importer.builder.reshaped(beyond, &[])?;
    let pad =
        Pad { kind: PadKind::Constant, before: in_order(&before, first), behind: in_order(&behind, first) };
    Ok(Made::ordered(importer.builder.one(pad, &[x, beyond])?, first))
}

fn mirror_pad(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Made>, Error> {
    let Options::MirrorPad { mode: MirrorPad::Reflect } = call.operator.options else {
        return call.wrong("mode", "REFLECT is needed");
    };
    let [before, behind] = margins(importer, call)?;
    let (x, first) = importer.either(call.input(0)?)?;
    let pad =
        Pad { kind: PadKind::Reflect, before: in_order(&before, first), behind: in_order(&behind, first) };
    Ok(Made::ordered(importer.builder.one(pad, &[x])?, first))
}

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

/// The extents are an input or a setting; one may be whatever is left.
fn reshape(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Made>, Error> {
    let asked = match (call.optional(1), &call.operator.options) {
        (Some(number), _) => importer.integers(number)?,
        (None, Options::Reshape { new_shape }) => new_shape.iter().map(|x| i64::from(*x)).collect(),
        _ => return call.wrong("new_shape", "the extents are needed"),
    };
    let number = call.input(0)?;
    let elements = importer.extents(number)?.elements();
    let known: usize = asked.iter().filter(|x| **x >= 0).map(|x| *x as usize).product();
    let extent = |x: &i64| if *x < 0 { elements.checked_div(known).unwrap_or(0) } else { *x as usize };
    let extents: Vec<usize> = asked.iter().map(extent).collect();
    if let Some(mut stored) = importer.stored(number)
        && let Some(made) = Extents::new(&extents).filter(|made| made.elements() == elements)
    {
        stored.extents = made;
        return Ok(vec![Made(Held::stored(stored))]);
    }
    let x = importer.plain(number)?;
    Ok(Made::plain(importer.builder.reshaped(x, &extents)?))
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

fn shape(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Made>, Error> {
    let extents = importer.extents(call.input(0)?)?;
    let elem = importer.elem(call.output(0)?)?;
    let numbers: Vec<f64> = extents.iter().map(|extent| *extent as f64).collect();
    Ok(Made::plain(importer.builder.table(elem, &[numbers.len()], &numbers)?))
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

fn squeeze(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Made>, Error> {
    let x = importer.plain(call.input(0)?)?;
    let own = importer.builder.extents(x)?;
    let mut gone = Vec::new();
    if let Options::Squeeze { squeeze_dims } = &call.operator.options {
        for axis in squeeze_dims {
            gone.push(axis_of((*axis).into(), own.len())?);
        }
    }
    let stays =
        |(axis, extent): &(usize, &usize)| if gone.is_empty() { **extent != 1 } else { !gone.contains(axis) };
    let extents: Vec<usize> = own.iter().enumerate().filter(stays).map(|(_, extent)| *extent).collect();
    Ok(Made::plain(importer.builder.reshaped(x, &extents)?))
}

/// Bits of the masks say that an axis is whole at an end, is new, or goes away.
fn strided_slice(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Made>, Error> {
    let Options::StridedSlice {
        begin_mask,
        end_mask,
        ellipsis_mask,
        new_axis_mask,
        shrink_axis_mask,
        offset,
    } = call.operator.options
    else {
        return call.wrong("builtin_options", "masks are needed");
    };
    let [begin, end, step] =
        [1, 2, 3].map(|input| call.input(input).and_then(|number| importer.integers(number)));
    let (begin, end, step) = (begin?, end?, step?);
    let own = importer.extents(call.input(0)?)?;
    let rank = begin.len();
    if offset
        || ellipsis_mask != 0
        || new_axis_mask != 0
        || rank > own.len()
        || end.len() != rank
        || step.len() != rank
    {
        return call.wrong(
            "builtin_options",
            "no ellipsis, no new axes, and three numbers for each axis are needed",
        );
    }
    let is = |mask: i32, axis: usize| mask >> axis & 1 == 1;
    let (mut parts, mut extents) = (Vec::new(), Vec::new());
    for (axis, &extent) in own.iter().enumerate() {
        if axis >= rank {
            parts.push((0, extent, 1));
            extents.push(extent);
            continue;
        }
        let (by, long) = (step[axis], extent as i64);
        if by == 0 {
            return call.wrong("strides", "steps that are not zero are needed");
        }
        let (least, most) = if by > 0 { (0, long) } else { (-1, long - 1) };
        let place = |x: i64| (if x < 0 { x.saturating_add(long) } else { x }).clamp(least, most);
        let start = if is(begin_mask, axis) { if by > 0 { 0 } else { long - 1 } } else { place(begin[axis]) };
        if is(shrink_axis_mask, axis) {
            parts.push((usize::try_from(start).unwrap_or(0), 1, 1));
            continue;
        }
        let stop = if is(end_mask, axis) { if by > 0 { long } else { -1 } } else { place(end[axis]) };
        let far = if by > 0 { stop - start } else { start - stop };
        let len = far.max(0).unsigned_abs().div_ceil(by.unsigned_abs()) as usize;
        parts.push((start.max(0) as usize, len, by as isize));
        extents.push(len);
    }
    if shrink_axis_mask == 0 {
        return part(importer, call, &parts);
    }
    let x = importer.plain(call.input(0)?)?;
    let made = importer.builder.part(x, &parts)?;
    Ok(Made::plain(importer.builder.reshaped(made, &extents)?))
}

fn tile(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Made>, Error> {
    let times = importer.integers(call.input(1)?)?;
    let times = sizes(call, "multiples", &times)?;
    let mut x = importer.plain(call.input(0)?)?;
    let own = importer.builder.extents(x)?;
    if times.len() != own.len() {
        return call.wrong("multiples", "a number for each axis is needed");
    }
    for axis in (0..own.len()).filter(|axis| times[*axis] != 1) {
        let now = importer.builder.extents(x)?.to_vec();
        let flat = [now[..axis].iter().product::<usize>(), 1, now[axis..].iter().product()];
        let block = importer.builder.reshaped(x, &flat)?;
        let many = importer.builder.repeated(block, &[flat[0], times[axis], flat[2]])?;
        let mut made = now;
        made[axis] = made[axis].saturating_mul(times[axis]);
        x = importer.builder.reshaped(many, &made)?;
    }
    Ok(Made::plain(x))
}

fn transpose(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Made>, Error> {
    let order = importer.integers(call.input(1)?)?;
    let x = importer.plain(call.input(0)?)?;
    let rank = importer.builder.rank(x);
    let order = order.into_iter().map(|axis| axis_of(axis, rank)).collect::<Result<Vec<usize>, _>>()?;
    let mut seen = order.clone();
    seen.sort_unstable();
    if seen.iter().copied().ne(0..rank) {
        return call.wrong("perm", "each axis once is needed");
    }
    Ok(Made::plain(importer.builder.turned(x, &order)?))
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

/// Sides of blocks and what is cut off or added, along the axes of places.
fn block_shape(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<(Vec<usize>, Vec<[usize; 2]>), Error> {
    let (sides, edges) = (importer.integers(call.input(1)?)?, importer.integers(call.input(2)?)?);
    let (sides, edges) = (sizes(call, "block_shape", &sides)?, sizes(call, "crops", &edges)?);
    let rank = importer.rank(call.input(0)?);
    let right = sides.len() + 1 < rank && sides.iter().all(|side| (1..1 << 16).contains(side));
    if !right || edges.len() != 2 * sides.len() || edges.iter().any(|x| *x >= 1 << 31) {
        return call.wrong("block_shape", "a side and two edges for each axis of places are needed");
    }
    let edges = edges.as_chunks::<2>().0.to_vec();
    Ok((sides, edges))
}

fn batch_to_space(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Made>, Error> {
    let (sides, edges) = block_shape(importer, call)?;
    let x = importer.plain(call.input(0)?)?;
    let own = importer.builder.extents(x)?.to_vec();
    let (axes, area) = (sides.len(), sides.iter().product::<usize>());
    let batch = own[0] / area.max(1);
    let split = [&sides[..], &[batch], &own[1..]].concat();
    let mut order = vec![axes];
    (0..axes).for_each(|axis| order.extend([axes + 1 + axis, axis]));
    order.extend(2 * axes + 1..split.len());
    let x = importer.builder.reshaped(x, &split)?;
    let x = importer.builder.turned(x, &order)?;
    let mut made = own.clone();
    made[0] = batch;
    (0..axes).for_each(|axis| made[1 + axis] = own[1 + axis].saturating_mul(sides[axis]));
    let x = importer.builder.reshaped(x, &made)?;
    let mut parts: Vec<(usize, usize, isize)> = made.iter().map(|extent| (0, *extent, 1)).collect();
    for (axis, [before, behind]) in edges.iter().enumerate() {
        parts[1 + axis] = (*before, made[1 + axis].saturating_sub(before + behind), 1);
    }
    Ok(Made::plain(importer.builder.part(x, &parts)?))
}

fn space_to_batch(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Made>, Error> {
    let (sides, edges) = block_shape(importer, call)?;
    let x = importer.plain(call.input(0)?)?;
    let rank = importer.builder.rank(x);
    let (mut before, mut behind) = (vec![0; rank], vec![0; rank]);
    for (axis, edge) in edges.iter().enumerate() {
        (before[1 + axis], behind[1 + axis]) = (edge[0] as isize, edge[1] as isize);
    }
    let zero = importer.zero_of(call.input(0)?)?;
    let zero = importer.builder.number(importer.builder.elem(x), zero);
    let x = importer.builder.one(Pad { kind: PadKind::Constant, before, behind }, &[x, zero])?;
    let own = importer.builder.extents(x)?.to_vec();
    let axes = sides.len();
    let mut split = vec![own[0]];
    for axis in 0..axes {
        split.extend([own[1 + axis] / sides[axis], sides[axis]]);
    }
    split.extend(&own[1 + axes..]);
    let mut order: Vec<usize> = (0..axes).map(|axis| 2 + 2 * axis).collect();
    order.push(0);
    order.extend((0..axes).map(|axis| 1 + 2 * axis));
    order.extend(1 + 2 * axes..split.len());
    let x = importer.builder.reshaped(x, &split)?;
    let x = importer.builder.turned(x, &order)?;
    let mut made = own.clone();
    made[0] = own[0].saturating_mul(sides.iter().product());
    (0..axes).for_each(|axis| made[1 + axis] = own[1 + axis] / sides[axis]);
    Ok(Made::plain(importer.builder.reshaped(x, &made)?))
}
