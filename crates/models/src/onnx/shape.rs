//! Operators that move elements or only change extents, and those that ask for them.

use super::{Importer, OWN, Row};
use crate::Error;
use crate::network::{Item, axis_of};
use crate::onnx::call::{Call, unknown};
use formats::onnx::AttributeValue;
use graph::array::{Along, Array, Join, Pad, PadKind, Pick, Reshape, Restride};
use graph::{ArrayType, Elem, Extents, MAX_RANK, ValueId};

pub(super) const ROWS: &[Row] = &[
    (OWN, "Concat", concat),
    (OWN, "Constant", constant),
    (OWN, "ConstantOfShape", constant_of_shape),
    (OWN, "DepthToSpace", depth_to_space),
    (OWN, "Dropout", dropout),
    (OWN, "Expand", expand),
    (OWN, "Flatten", flatten),
    (OWN, "Gather", gather),
    (OWN, "Identity", |_, call| Ok(call.inputs.clone())),
    (OWN, "Pad", pad),
    (OWN, "Reshape", reshape),
    (OWN, "Shape", shape),
    (OWN, "Size", size),
    (OWN, "Slice", slice),
    (OWN, "SpaceToDepth", space_to_depth),
    (OWN, "Split", split),
    (OWN, "Squeeze", squeeze),
    (OWN, "Tile", tile),
    (OWN, "Transpose", transpose),
    (OWN, "Unsqueeze", unsqueeze),
];

/// The most arrays that are joined at once.
const JOINED: usize = 24;

fn constant(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Item>, Error> {
    if let Some(tensor) = call.tensor("value")? {
        return Ok(vec![Item::Value(importer.tensor(tensor)?)]);
    }
    if let Some(AttributeValue::SparseTensor(sparse)) = call.attribute("sparse_value") {
        return Ok(vec![Item::Value(importer.sparse(sparse)?)]);
    }
    let (elem, bytes, rank): (_, Vec<u8>, _) = if let Some(number) = call.float("value_float")? {
        (Elem::F32, number.to_le_bytes().into(), 0)
    } else if let Some(numbers) = call.floats("value_floats")? {
        (Elem::F32, numbers.iter().flat_map(|x| x.to_le_bytes()).collect(), 1)
    } else if let Some(number) = call.int("value_int")? {
        (Elem::I64, number.to_le_bytes().into(), 0)
    } else if let Some(numbers) = call.ints("value_ints")? {
        (Elem::I64, numbers.iter().flat_map(|x| x.to_le_bytes()).collect(), 1)
    } else {
        return Err(Error::Element { name: "a constant".into(), element: "string" });
    };
    let extents = Extents::new(&[bytes.len() / elem.bytes()][..rank]).ok_or(Error::NoOutput)?;
    Ok(vec![Item::Value(
        importer.builder.constant(Array { kind: ArrayType { elem, extents }, bytes: bytes.into() }),
    )])
}

/// Extents that numbers ask for.
fn extents_of(numbers: &[i64]) -> Result<Vec<usize>, Error> {
    let extent = |&number: &i64| {
        let expected = "extents that are not negative are needed";
        usize::try_from(number).map_err(|_| Error::Attribute {
            attribute: "shape",
            found: number.to_string(),
            expected,
        })
    };
    numbers.iter().map(extent).collect()
}

fn constant_of_shape(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Item>, Error> {
    let extents = extents_of(&importer.builder.integers(call.value(0)?)?)?;
    let number = match call.tensor("value")? {
        Some(tensor) => {
            let one = importer.tensor(tensor)?;
            importer.builder.one(Reshape { extents: Vec::new() }, &[one])?
        }
        None => importer.builder.number(Elem::F32, 0.0),
    };
    repeat(importer, number, &extents)
}

/// A single number as an array of these extents.
fn repeat(importer: &mut Importer<'_>, number: ValueId, extents: &[usize]) -> Result<Vec<Item>, Error> {
    let axes = extents.iter().map(|&extent| Along::Repeat(extent)).collect();
    Ok(vec![Item::Value(importer.builder.one(Restride { axes, at: Vec::new() }, &[number])?)])
}

fn concat(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Item>, Error> {
    let inputs = call.values()?;
    let first = *inputs.first().ok_or(Error::MissingInput { input: 0 })?;
    let axis = call.axis("axis", 1, importer.builder.rank(first))?;
    Ok(vec![Item::Value(importer.join(&inputs, axis)?)])
}

impl Importer<'_> {
    /// Arrays one behind another along an axis, a few at a time.
    pub fn join(&mut self, inputs: &[ValueId], axis: usize) -> Result<ValueId, Error> {
        if let [only] = inputs {
            return Ok(*only);
        }
        let mut inputs = inputs.to_vec();
        while inputs.len() > JOINED {
            let joined = inputs.chunks(JOINED).map(|some| self.builder.one(Join { axis }, some));
            inputs = joined.collect::<Result<_, _>>()?;
        }
        self.builder.one(Join { axis }, &inputs)
    }

    /// A part of an array along one axis.
    pub fn part(&mut self, input: ValueId, axis: usize, start: usize, len: usize) -> Result<ValueId, Error> {
        let rank = self.builder.rank(input);
        let mut part = Restride::transpose(&(0..rank).collect::<Vec<_>>());
        if let Some(along) = part.axes.get_mut(axis) {
            *along = Along::Axis { axis, len: Some(len), start, step: 1 };
        }
        self.builder.one(part, &[input])
    }

    /// The same elements under other extents.
    pub fn reshaped(&mut self, input: ValueId, extents: &[usize]) -> Result<ValueId, Error> {
        let extents = extents.iter().map(|&extent| Some(extent)).collect();
        self.builder.one(Reshape { extents }, &[input])
    }

    /// Axes in another order.
    pub fn transposed(&mut self, input: ValueId, order: &[usize]) -> Result<ValueId, Error> {
        if order.iter().enumerate().all(|(place, axis)| place == *axis) {
            return Ok(input);
        }
        self.builder.one(Restride::transpose(order), &[input])
    }
}

/// Places along a side of a block.
fn block_side(call: &Call<'_>) -> Result<usize, Error> {
    let side = call.int_or("blocksize", 1)?;
    match usize::try_from(side).ok().filter(|side| (1..1 << 16).contains(side)) {
        Some(side) => Ok(side),
        None => unknown("blocksize", &side.to_string(), "a number from 1 to 65535 is needed"),
    }
}

/// Blocks of channels become squares of places.
fn depth_to_space(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Item>, Error> {
    let (input, side) = (call.value(0)?, block_side(call)?);
    let [n, c, h, w] = importer.builder.extents(input)?[..] else {
        return Err(Error::Axis { axis: 3, rank: 0 });
    };
    let channels = c / (side * side);
    let (split, order) = match call.text_or("mode", "DCR")? {
        "DCR" => ([n, side, side, channels, h, w], [0, 3, 4, 1, 5, 2]),
        "CRD" => ([n, channels, side, side, h, w], [0, 1, 4, 2, 5, 3]),
        other => return unknown("mode", other, "'DCR' or 'CRD' is needed"),
    };
    let split = importer.reshaped(input, &split)?;
    let moved = importer.transposed(split, &order)?;
    Ok(vec![Item::Value(importer.reshaped(moved, &[n, channels, h * side, w * side])?)])
}

fn space_to_depth(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Item>, Error> {
    let (input, side) = (call.value(0)?, block_side(call)?);
    let [n, c, h, w] = importer.builder.extents(input)?[..] else {
        return Err(Error::Axis { axis: 3, rank: 0 });
    };
    let (high, wide) = (h / side, w / side);
    let split = importer.reshaped(input, &[n, c, high, side, wide, side])?;
    let moved = importer.transposed(split, &[0, 3, 5, 1, 2, 4])?;
    Ok(vec![Item::Value(importer.reshaped(moved, &[n, c * side * side, high, wide])?)])
}

/// Nothing is dropped outside training; the mask is true everywhere.
fn dropout(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Item>, Error> {
    let input = call.value(0)?;
    if let Some(mode) = call.optional(2)?
        && importer.builder.integer(mode)? != 0
    {
        let ratio = call.optional(1)?.map(|ratio| importer.builder.fractions(ratio)).transpose()?;
        if ratio.and_then(|ratio| ratio.first().copied()).unwrap_or(0.5) != 0.0 {
            return unknown("training_mode", "true", "pintpot does not train");
        }
    }
    let mut made = vec![Item::Value(input)];
    if call.wants(1) {
        let extents = importer.builder.extents(input)?;
        let one = importer.builder.number(Elem::Bool, 1.0);
        made.extend(repeat(importer, one, &extents)?);
    }
    Ok(made)
}

fn expand(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Item>, Error> {
    let (input, wanted) = (call.value(0)?, call.value(1)?);
    let wanted = extents_of(&importer.builder.integers(wanted)?)?;
    let own = importer.builder.extents(input)?;
    let rank = own.len().max(wanted.len());
    let mut axes = Vec::with_capacity(rank);
    for place in 0..rank {
        let wanted = (place + wanted.len()).checked_sub(rank).map_or(1, |at| wanted[at]);
        let axis = (place + own.len()).checked_sub(rank);
        axes.push(match axis {
            Some(axis) if own[axis] != 1 || wanted == 1 => Along::Axis { axis, len: None, start: 0, step: 1 },
            _ => Along::Repeat(wanted),
        });
    }
    let at = vec![0; own.len()];
    Ok(vec![Item::Value(importer.builder.one(Restride { axes, at }, &[input])?)])
}

fn flatten(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Item>, Error> {
    let input = call.value(0)?;
    let own = importer.builder.extents(input)?;
    let axis = call.int_or("axis", 1)?;
    let axis = if axis == own.len() as i64 { own.len() } else { axis_of(axis, own.len())? };
    let (rows, columns) = own.split_at(axis);
    let extents = [rows.iter().product(), columns.iter().product()];
    Ok(vec![Item::Value(importer.reshaped(input, &extents)?)])
}

fn gather(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Item>, Error> {
    let (input, numbers) = (call.value(0)?, call.value(1)?);
    let axis = call.axis("axis", 0, importer.builder.rank(input))?;
    Ok(vec![Item::Value(importer.builder.one(Pick { axis }, &[input, numbers])?)])
}

fn pad(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Item>, Error> {
    let input = call.value(0)?;
    let rank = importer.builder.rank(input);
    let elem = importer.builder.elem(input);
    let margins = match call.optional(1)? {
        Some(margins) => importer.builder.integers(margins)?,
        None => call.ints("pads")?.unwrap_or_default().to_vec(),
    };
    let axes: Vec<usize> = match call.optional(3)? {
        Some(axes) => importer
            .builder
            .integers(axes)?
            .into_iter()
            .map(|axis| axis_of(axis, rank))
            .collect::<Result<_, _>>()?,
        None => (0..rank).collect(),
    };
    if margins.len() != 2 * axes.len() {
        return unknown("pads", &format!("{margins:?}"), "two numbers for each axis are needed");
    }
    let (mut before, mut behind) = (vec![0; rank], vec![0; rank]);
    for (place, &axis) in axes.iter().enumerate() {
        before[axis] = margins[place] as isize;
        behind[axis] = margins[place + axes.len()] as isize;
    }
    let kind = match call.text_or("mode", "constant")? {
        "constant" => PadKind::Constant,
        "edge" => PadKind::Edge,
        "reflect" => PadKind::Reflect,
        "wrap" => PadKind::Wrap,
        other => return unknown("mode", other, "'constant', 'edge', 'reflect' or 'wrap' is needed"),
    };
    let mut inputs = vec![input];
    match call.optional(2)? {
        Some(value) => inputs.push(value),
        None => inputs.push(importer.builder.number(elem, f64::from(call.float_or("value", 0.0)?))),
    }
    Ok(vec![Item::Value(importer.builder.one(Pad { kind, before, behind }, &inputs)?)])
}

fn reshape(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Item>, Error> {
    let (data, wanted) = (call.value(0)?, call.value(1)?);
    let wanted = importer.builder.integers(wanted)?;
    let keeps_zero = call.int_or("allowzero", 0)? != 0;
    let mut extents = Vec::with_capacity(wanted.len());
    for (axis, extent) in wanted.into_iter().enumerate() {
        extents.push(match extent {
            0 if !keeps_zero => {
                let old = importer.builder.extents(data)?;
                Some(*old.get(axis).ok_or(Error::Axis { axis: axis as i64, rank: old.len() })?)
            }
            -1 => None,
            extent => Some(extents_of(&[extent])?[0]),
        });
    }
    Ok(vec![Item::Value(importer.builder.one(Reshape { extents }, &[data])?)])
}

fn shape(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Item>, Error> {
    let extents = importer.builder.extents(call.value(0)?)?;
    let rank = extents.len() as i64;
    let place = |at: i64| (if at < 0 { at + rank } else { at }).clamp(0, rank) as usize;
    let (start, end) = (place(call.int_or("start", 0)?), place(call.int_or("end", rank)?));
    let numbers: Vec<i64> =
        extents.get(start..end).unwrap_or_default().iter().map(|&extent| extent as i64).collect();
    Ok(vec![Item::Value(importer.builder.integers_constant(&numbers)?)])
}

fn size(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Item>, Error> {
    let elements = importer.builder.extents(call.value(0)?)?.elements();
    Ok(vec![Item::Value(importer.builder.number(Elem::I64, elements as f64))])
}

/// Starts, ends, axes and steps are inputs, or before opset 10 settings.
fn slice(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Item>, Error> {
    let input = call.value(0)?;
    let own = importer.builder.extents(input)?;
    let mut list = |place: usize, name: &'static str| -> Result<Option<Vec<i64>>, Error> {
        match call.optional(place)? {
            Some(value) => importer.builder.integers(value).map(Some),
            None => Ok(call.ints(name)?.map(<[i64]>::to_vec)),
        }
    };
    let (starts, ends) = (list(1, "starts")?.unwrap_or_default(), list(2, "ends")?.unwrap_or_default());
    let axes = list(3, "axes")?.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = list(4, "steps")?.unwrap_or_else(|| vec![1; starts.len()]);
    let mut part = Restride::transpose(&(0..own.len()).collect::<Vec<_>>());
    for (((start, end), axis), step) in starts.into_iter().zip(ends).zip(axes).zip(steps) {
        let axis = axis_of(axis, own.len())?;
        let extent = own[axis] as i64;
        let place = |at: i64| if at < 0 { at.saturating_add(extent) } else { at };
        let (start, end) = match step {
            0 => return unknown("steps", "0", "steps must not be zero"),
            step if step > 0 => (place(start).clamp(0, extent), place(end).clamp(0, extent)),
            _ => (place(start).clamp(-1, extent - 1), place(end).clamp(-1, extent - 1)),
        };
        let len = if step > 0 { (end - start).max(0) as u64 } else { (start - end).max(0) as u64 };
        let len = len.div_ceil(step.unsigned_abs()) as usize;
        let (start, step) = if len == 0 { (0, 1) } else { (start as usize, step as isize) };
        part.axes[axis] = Along::Axis { axis, len: Some(len), start, step };
    }
    Ok(vec![Item::Value(importer.builder.one(part, &[input])?)])
}

fn split(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Item>, Error> {
    let input = call.value(0)?;
    let own = importer.builder.extents(input)?;
    let axis = call.axis("axis", 0, own.len())?;
    let lengths = match call.optional(1)? {
        Some(lengths) => extents_of(&importer.builder.integers(lengths)?)?,
        None => match call.ints("split")? {
            Some(lengths) => extents_of(lengths)?,
            None => {
                // There is no more than the node names.
                let count = call.int_or("num_outputs", call.wanted.len() as i64)?;
                let count = count.clamp(1, call.wanted.len().max(1) as i64) as usize;
                let each = own[axis].div_ceil(count);
                (0..count).map(|n| each.min(own[axis].saturating_sub(n * each))).collect()
            }
        },
    };
    let mut start = 0;
    let mut parts = Vec::with_capacity(lengths.len());
    for len in lengths {
        parts.push(Item::Value(importer.part(input, axis, start, len)?));
        start += len;
    }
    Ok(parts)
}

/// Axes are an input, or before opset 13 a setting.
fn axes(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Option<Vec<i64>>, Error> {
    match call.optional(1)? {
        Some(axes) => importer.builder.integers(axes).map(Some),
        None => Ok(call.ints("axes")?.map(<[i64]>::to_vec)),
    }
}

fn squeeze(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Item>, Error> {
    let input = call.value(0)?;
    let own = importer.builder.extents(input)?;
    let gone: Vec<usize> = match axes(importer, call)? {
        Some(axes) => axes.into_iter().map(|axis| axis_of(axis, own.len())).collect::<Result<_, _>>()?,
        None => (0..own.len()).filter(|axis| own[*axis] == 1).collect(),
    };
    let left: Vec<usize> = (0..own.len()).filter(|axis| !gone.contains(axis)).map(|axis| own[axis]).collect();
    Ok(vec![Item::Value(importer.reshaped(input, &left)?)])
}

fn unsqueeze(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Item>, Error> {
    let input = call.value(0)?;
    let own = importer.builder.extents(input)?;
    let new = axes(importer, call)?.ok_or(Error::MissingInput { input: 1 })?;
    let rank = own.len() + new.len();
    if rank > MAX_RANK {
        return Err(Error::Axis { axis: rank as i64, rank: MAX_RANK });
    }
    let new: Vec<usize> = new.into_iter().map(|axis| axis_of(axis, rank)).collect::<Result<_, _>>()?;
    let mut old = own.iter();
    let extents: Vec<usize> = (0..rank)
        .map(|axis| if new.contains(&axis) { 1 } else { old.next().copied().unwrap_or(1) })
        .collect();
    Ok(vec![Item::Value(importer.reshaped(input, &extents)?)])
}

/// Repetitions: each axis becomes two, one of which repeats.
fn tile(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Item>, Error> {
    let (mut value, times) = (call.value(0)?, call.value(1)?);
    let times = extents_of(&importer.builder.integers(times)?)?;
    let mut own = importer.builder.extents(value)?;
    for axis in 0..own.len().min(times.len()) {
        if times[axis] == 1 {
            continue;
        }
        // Before, the repetitions, the axis and what is within it.
        let before: usize = own[..axis].iter().product();
        let within: usize = own[axis..].iter().product();
        let flat = importer.reshaped(value, &[before, within])?;
        let along = |axis| Along::Axis { axis, len: None, start: 0, step: 1 };
        let axes = vec![along(0), Along::Repeat(times[axis]), along(1)];
        let repeated = importer.builder.one(Restride { axes, at: vec![0; 2] }, &[flat])?;
        own[axis] *= times[axis];
        value = importer.reshaped(repeated, &own)?;
    }
    Ok(vec![Item::Value(value)])
}

fn transpose(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Item>, Error> {
    let input = call.value(0)?;
    let rank = importer.builder.rank(input);
    let order: Vec<usize> = match call.ints("perm")? {
        Some(order) => order.iter().map(|&axis| axis_of(axis, rank)).collect::<Result<_, _>>()?,
        None => (0..rank).rev().collect(),
    };
    let mut seen = order.clone();
    seen.sort_unstable();
    if !seen.iter().copied().eq(0..rank) {
        return unknown("perm", &format!("{order:?}"), "each axis once is needed");
    }
    Ok(vec![Item::Value(importer.transposed(input, &order)?)])
}
