//! Operators on pictures besides convolutions: samples, regions, blocks, boxes.

use super::{Importer, OWN, Row};
use crate::Error;
use crate::network::{Item, axis_of};
use crate::onnx::call::{Call, unknown};
use graph::ValueId;
use graph::array::{
    Along, Beyond, Binary, BinaryKind, Deform, Determinant, FromColumns, MatMul, Pad, PadKind, PutElements,
    PutKind, RegionAverage, RegionMax, Restride, Sample, SampleKind, Suppress,
};

pub(super) const ROWS: &[Row] = &[
    (OWN, "AffineGrid", affine_grid),
    (OWN, "CenterCropPad", center),
    (OWN, "Col2Im", from_columns),
    (OWN, "DeformConv", deform_conv),
    (OWN, "Det", |i, c| i.single(Determinant, &[c.value(0)?])),
    (OWN, "GridSample", grid_sample),
    (OWN, "MaxRoiPool", |i, c| {
        let grid = match c.ints("pooled_shape")? {
            Some(&[rows, columns]) => [count(rows)?, count(columns)?],
            other => return unknown("pooled_shape", &format!("{other:?}"), "two extents are needed"),
        };
        i.single(RegionMax { grid, scale: c.float_or("spatial_scale", 1.0)? }, &[c.value(0)?, c.value(1)?])
    }),
    (OWN, "MaxUnpool", max_unpool),
    (OWN, "NonMaxSuppression", suppress),
    (OWN, "RoiAlign", region_average),
];

/// An extent or a step that a setting says.
fn count(number: i64) -> Result<usize, Error> {
    let small = usize::try_from(number).ok().filter(|number| *number < 1 << 31);
    let expected = "a number that is not negative is needed";
    small.ok_or_else(|| Error::Attribute { attribute: "shape", found: number.to_string(), expected })
}

/// A setting that is a number for each of `len` axes, and twice as many for margins.
fn list(call: &Call<'_>, name: &'static str, len: usize, default: i64) -> Result<Vec<usize>, Error> {
    let numbers = call.ints(name)?.map_or_else(|| vec![default; len], <[i64]>::to_vec);
    if numbers.len() != len {
        return unknown(name, &format!("{numbers:?}"), "a number for each axis is needed");
    }
    numbers.into_iter().map(count).collect()
}

/// Places -1 to 1 along each axis times matrices.
fn affine_grid(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Item>, Error> {
    let (matrices, size) = (call.value(0)?, call.value(1)?);
    let size = importer.builder.integers(size)?;
    let extents = size.iter().map(|extent| count(*extent)).collect::<Result<Vec<_>, _>>()?;
    let places = extents.get(2..).unwrap_or_default();
    let elements = places.iter().try_fold(1usize, |all, extent| all.checked_mul(*extent));
    let Some(elements) = elements.filter(|elements| *elements < 1 << 24 && (2..=3).contains(&places.len()))
    else {
        return unknown("size", &format!("{size:?}"), "batch, channels and two or three extents are needed");
    };
    let to_centers = call.int_or("align_corners", 0)? != 0;
    let mut numbers = Vec::with_capacity(elements * (places.len() + 1));
    for at in 0..elements {
        let mut left = at;
        // The innermost axis comes first.
        for extent in places.iter().rev() {
            let (place, len) = ((left % extent) as f64, *extent as f64);
            left /= extent;
            numbers.push(match to_centers {
                true if *extent > 1 => 2.0 * place / (len - 1.0) - 1.0,
                true => -1.0,
                false => (2.0 * place + 1.0) / len - 1.0,
            });
        }
        numbers.push(1.0);
    }
    let grid = importer.table(importer.builder.elem(matrices), &[elements, places.len() + 1], &numbers)?;
    let product = MatMul { b_is_transposed: true, widens: false };
    let made = importer.builder.one(product, &[grid, matrices])?;
    let batch = importer.builder.extents(matrices)?.first().copied().unwrap_or(1);
    let extents = [&[batch], places, &[places.len()]].concat();
    Ok(vec![Item::Value(importer.reshaped(made, &extents)?)])
}

/// A margin where more is wanted, a negative one where less.
fn center(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Item>, Error> {
    let (input, wanted) = (call.value(0)?, call.value(1)?);
    let own = importer.builder.extents(input)?;
    let wanted = importer.builder.integers(wanted)?;
    let axes: Vec<usize> = match call.ints("axes")? {
        Some(axes) => axes.iter().map(|axis| axis_of(*axis, own.len())).collect::<Result<_, _>>()?,
        None => (0..own.len()).collect(),
    };
    let (mut before, mut behind) = (vec![0; own.len()], vec![0; own.len()]);
    for (axis, wanted) in axes.into_iter().zip(wanted) {
        let more = count(wanted)? as isize - own[axis] as isize;
        before[axis] = more / 2;
        behind[axis] = more - more / 2;
    }
    importer.single(Pad { kind: PadKind::Constant, before, behind }, &[input])
}

fn from_columns(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Item>, Error> {
    let (input, image, block) = (call.value(0)?, call.value(1)?, call.value(2)?);
    let mut counts =
        |id| importer.builder.integers(id)?.into_iter().map(count).collect::<Result<Vec<_>, _>>();
    let (image, block) = (counts(image)?, counts(block)?);
    let rank = block.len();
    let (steps, within) = (list(call, "strides", rank, 1)?, list(call, "dilations", rank, 1)?);
    let margins = list(call, "pads", 2 * rank, 0)?;
    let axis = |axis: usize| [block[axis], steps[axis], within[axis], margins[axis], margins[axis + rank]];
    importer.single(FromColumns { axes: (0..rank).map(axis).collect(), image }, &[input])
}

/// What the kernel sees as columns, and a product of matrices for each group of channels.
fn deform_conv(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Item>, Error> {
    let (input, weights, offsets) = (call.value(0)?, call.value(1)?, call.value(2)?);
    let kernel = importer.builder.extents(weights)?;
    let places = importer.builder.extents(offsets)?;
    let ([out, in_group, high, wide], [batch, _, rows, columns]) = (&kernel[..], &places[..]) else {
        return Err(Error::Axis { axis: 3, rank: kernel.len() });
    };
    let pair = |list: Vec<usize>| [list[0], list[1]];
    let op = Deform {
        kernel: [*high, *wide],
        step: pair(list(call, "strides", 2, 1)?),
        within: pair(list(call, "dilations", 2, 1)?),
        before: pair(list(call, "pads", 4, 0)?),
        groups: count(call.int_or("offset_group", 1)?)?,
    };
    let mut inputs = vec![input, offsets];
    inputs.extend(call.optional(4)?);
    let seen = importer.builder.one(op, &inputs)?;
    let groups = count(call.int_or("group", 1)?)?.max(1);
    let common = in_group * high * wide;
    let seen = importer.reshaped(seen, &[*batch, groups, common, rows * columns])?;
    let weights = importer.reshaped(weights, &[groups, out / groups, common])?;
    let product = MatMul { b_is_transposed: false, widens: false };
    let made = importer.builder.one(product, &[weights, seen])?;
    let mut made = importer.reshaped(made, &[*batch, *out, *rows, *columns])?;
    if let Some(bias) = call.optional(3)? {
        let bias = importer.reshaped(bias, &[*out, 1, 1])?;
        made = importer.builder.one(Binary { kind: BinaryKind::Add }, &[made, bias])?;
    }
    Ok(vec![Item::Value(made)])
}

fn grid_sample(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Item>, Error> {
    let kind = match call.text_or("mode", "linear")? {
        "linear" | "bilinear" => SampleKind::Linear,
        "cubic" | "bicubic" => SampleKind::Cubic,
        "nearest" => SampleKind::Nearest,
        other => return unknown("mode", other, "'linear', 'cubic' or 'nearest' is needed"),
    };
    let beyond = match call.text_or("padding_mode", "zeros")? {
        "border" => Beyond::Edge,
        "reflection" => Beyond::Mirror,
        "zeros" => Beyond::Zero,
        other => return unknown("padding_mode", other, "'zeros', 'border' or 'reflection' is needed"),
    };
    let to_centers = call.int_or("align_corners", 0)? != 0;
    importer.single(Sample { kind, beyond, to_centers }, &[call.value(0)?, call.value(1)?])
}

/// Elements go back to where they were the largest, among zeros.
fn max_unpool(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Item>, Error> {
    let (input, places) = (call.value(0)?, call.value(1)?);
    let own = importer.builder.extents(input)?;
    let axes = own.len().saturating_sub(2);
    let (kernel, steps) = (list(call, "kernel_shape", axes, 1)?, list(call, "strides", axes, 1)?);
    let margins = list(call, "pads", 2 * axes, 0)?;
    let mut extents = own.to_vec();
    for axis in 0..axes {
        let whole = own[axis + 2].saturating_sub(1).saturating_mul(steps[axis]).saturating_add(kernel[axis]);
        extents[axis + 2] = whole.saturating_sub(margins[axis] + margins[axis + axes]);
    }
    let zero = importer.builder.number(importer.builder.elem(input), 0.0);
    let elements = extents.iter().try_fold(1usize, |all, extent| all.checked_mul(*extent));
    let axes = vec![Along::Repeat(elements.unwrap_or(usize::MAX))];
    let zeros = importer.builder.one(Restride { axes, at: Vec::new() }, &[zero])?;
    let flat = |importer: &mut Importer<'_>, id: ValueId| importer.reshaped(id, &[own.elements()]);
    let (input, places) = (flat(importer, input)?, flat(importer, places)?);
    let put = PutElements { axis: 0, kind: PutKind::Set };
    let made = importer.builder.one(put, &[zeros, places, input])?;
    let mut made = importer.reshaped(made, &extents)?;
    if let Some(wanted) = call.optional(2)? {
        let wanted = importer.builder.integers(wanted)?;
        let more =
            wanted.iter().zip(&extents).map(|(wanted, own)| Ok(count(*wanted)? as isize - *own as isize));
        let behind = more.collect::<Result<Vec<_>, Error>>()?;
        if behind.iter().any(|more| *more != 0) {
            let before = vec![0; behind.len()];
            made = importer.builder.one(Pad { kind: PadKind::Constant, before, behind }, &[made])?;
        }
    }
    Ok(vec![Item::Value(made)])
}

fn suppress(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Item>, Error> {
    let mut number = |place: usize| match call.optional(place)? {
        Some(id) => Ok::<_, Error>(importer.builder.fractions(id)?.first().copied()),
        None => Ok(None),
    };
    let (most, overlap, score) = (number(2)?, number(3)?, number(4)?);
    let op = Suppress {
        centered: call.int_or("center_point_box", 0)? != 0,
        most: most.unwrap_or(0.0).max(0.0) as usize,
        overlap: overlap.unwrap_or(0.0) as f32,
        score: score.map(|score| score as f32),
        filled: false,
    };
    importer.single(op, &[call.value(0)?, call.value(1)?])
}

fn region_average(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Item>, Error> {
    let default = if call.version < 16 { "output_half_pixel" } else { "half_pixel" };
    let largest = match call.text_or("mode", "avg")? {
        "avg" => false,
        "max" => true,
        other => return unknown("mode", other, "'avg' or 'max' is needed"),
    };
    let op = RegionAverage {
        grid: [count(call.int_or("output_height", 1)?)?, count(call.int_or("output_width", 1)?)?],
        half_pixel: call.text_or("coordinate_transformation_mode", default)? == "half_pixel",
        largest,
        samples: count(call.int_or("sampling_ratio", 0)?)?,
        scale: call.float_or("spatial_scale", 1.0)?,
    };
    importer.single(op, &[call.value(0)?, call.value(1)?, call.value(2)?])
}
