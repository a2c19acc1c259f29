//! Operators that put elements in another order, leave some out or repeat them; none is changed.

use super::call::{Call, Made};
use super::held::{Held, axis_first, in_order};
use super::{Importer, Row};
use crate::Error;
use crate::network::axis_of;
use formats::tflite::{MirrorPad, Options};
use graph::array::{Pad, PadKind};
use graph::{Elem, Extents};

pub(super) const ROWS: &[Row] = &[
    ("BROADCAST_ARGS", broadcast_args),
    ("BROADCAST_TO", broadcast_to),
    ("CONCATENATION", concatenation),
    ("EXPAND_DIMS", expand_dims),
    ("FILL", fill),
    ("MIRROR_PAD", mirror_pad),
    ("PAD", pad),
    ("PADV2", pad),
    ("RANK", |i, c| {
        let rank = i.rank(c.input(0)?);
        Ok(Made::plain(i.builder.number(Elem::I32, rank as f64)))
    }),
    ("RESHAPE", reshape),
    ("SHAPE", shape),
    ("SQUEEZE", squeeze),
    ("TILE", tile),
    ("TRANSPOSE", transpose),
    ("ZEROS_LIKE", |i, c| {
        let x = i.plain(c.input(0)?)?;
        let (elem, extents) = (i.builder.elem(x), i.builder.extents(x)?);
        let zero = i.builder.number(elem, 0.0);
        Ok(Made::plain(i.builder.repeated(zero, &extents)?))
    }),
];

/// Whole numbers that are extents or counts.
pub(super) fn sizes(call: &Call<'_>, attribute: &'static str, numbers: &[i64]) -> Result<Vec<usize>, Error> {
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

/// The extents that two arrays have together, if each is repeated where the other is longer.
fn broadcast_args(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Made>, Error> {
    let (a, b) = (importer.integers(call.input(0)?)?, importer.integers(call.input(1)?)?);
    let (long, short) = if a.len() < b.len() { (b, a) } else { (a, b) };
    let mut made = long;
    let shift = made.len() - short.len();
    for (own, other) in made[shift..].iter_mut().zip(short) {
        match (*own, other) {
            (own, other) if own == other || other == 1 => {}
            (1, other) => *own = other,
            _ => return call.wrong("shape", "extents that are equal or one are needed"),
        }
    }
    let elem = importer.elem(call.output(0)?)?;
    let numbers: Vec<f64> = made.iter().map(|extent| *extent as f64).collect();
    Ok(Made::plain(importer.builder.table(elem, &[numbers.len()], &numbers)?))
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
    let Options::MirrorPad { mode } = call.operator.options else {
        return call.wrong("builtin_options", "a way to mirror is needed");
    };
    let [before, behind] = margins(importer, call)?;
    let (mut x, first) = importer.either(call.input(0)?)?;
    let (before, behind) = (in_order(&before, first), in_order(&behind, first));
    if mode == MirrorPad::Reflect {
        let pad = Pad { kind: PadKind::Reflect, before, behind };
        return Ok(Made::ordered(importer.builder.one(pad, &[x])?, first));
    }
    // The outermost elements are there twice.
    for (axis, margin) in before.iter().zip(&behind).enumerate().map(|(axis, (a, b))| (axis, [*a, *b])) {
        let own = importer.builder.extents(x)?;
        let [before, behind] = margin.map(|margin| margin as usize);
        if before.max(behind) > own[axis] {
            return call.wrong("paddings", "margins that are no longer than the array are needed");
        }
        let mut mirrored = |start: usize, len: usize| {
            let mut parts: Vec<_> = own.iter().map(|extent| (0, *extent, 1)).collect();
            parts[axis] = (start, len, -1);
            importer.builder.part(x, &parts)
        };
        let mut all = vec![x];
        if before > 0 {
            all.insert(0, mirrored(before - 1, before)?);
        }
        if behind > 0 {
            all.push(mirrored(own[axis] - 1, behind)?);
        }
        x = importer.builder.join(&all, axis)?;
    }
    Ok(Made::ordered(x, first))
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

fn shape(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Made>, Error> {
    let extents = importer.extents(call.input(0)?)?;
    let elem = importer.elem(call.output(0)?)?;
    let numbers: Vec<f64> = extents.iter().map(|extent| *extent as f64).collect();
    Ok(Made::plain(importer.builder.table(elem, &[numbers.len()], &numbers)?))
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
