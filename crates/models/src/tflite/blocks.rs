//! Operators that turn blocks of places into channels or into pictures of their own, and back.

use super::call::{Call, Made};
use super::shape::sizes;
use super::{Importer, Row};
use crate::Error;
use formats::tflite::Options;
use graph::array::{Pad, PadKind};

pub(super) const ROWS: &[Row] = &[
    ("BATCH_TO_SPACE_ND", batch_to_space),
    ("DEPTH_TO_SPACE", |i, c| blocks(i, c, true)),
    ("SPACE_TO_BATCH_ND", space_to_batch),
    ("SPACE_TO_DEPTH", |i, c| blocks(i, c, false)),
];

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
