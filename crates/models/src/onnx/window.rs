//! Operators whose windows slide over places: convolutions and pools.

use super::{Importer, OWN, Row};
use crate::Error;
use crate::network::Item;
use crate::onnx::call::{Call, unknown};
use graph::array::{Conv, ConvTranspose, Pool, PoolKind, Windows};
use graph::{Extents, ValueId};

pub(super) const ROWS: &[Row] = &[
    (OWN, "AveragePool", |i, c| {
        let margins = c.int_or("count_include_pad", 0)? != 0;
        pool(i, c, PoolKind::Average { margins })
    }),
    (OWN, "Conv", conv),
    (OWN, "ConvTranspose", conv_transpose),
    (OWN, "GlobalLpPool", global_lp),
    (OWN, "LpPool", |i, c| pool(i, c, PoolKind::Lp { p: c.int_or("p", 2)?.clamp(1, 1 << 20) as u32 })),
    (OWN, "MaxPool", |i, c| {
        let columns_first = c.int_or("storage_order", 0)? != 0;
        pool(i, c, PoolKind::Max { place: c.wants(1), columns_first })
    }),
];

/// A setting of one number for each axis of places, or two.
fn list(call: &Call<'_>, name: &'static str, len: usize, default: usize) -> Result<Vec<usize>, Error> {
    let Some(numbers) = call.ints(name)? else { return Ok(vec![default; len]) };
    let list = numbers.iter().map(|&number| usize::try_from(number).ok()).collect::<Option<Vec<usize>>>();
    match list.filter(|list| list.len() == len) {
        Some(list) => Ok(list),
        None => unknown(
            name,
            &format!("{numbers:?}"),
            "a number for each axis of places, not negative, is needed",
        ),
    }
}

/// How windows lie, by the settings that convolutions and pools share.
pub(super) fn windows(call: &Call<'_>, kernel: &[usize], input: &Extents) -> Result<Windows, Error> {
    let axes = kernel.len();
    let pads = list(call, "pads", 2 * axes, 0)?;
    let (strides, dilations) = (list(call, "strides", axes, 1)?, list(call, "dilations", axes, 1)?);
    let (before, behind) = pads.split_at(axes);
    let (before, behind) = (before.to_vec(), behind.to_vec());
    let mut windows = Windows { kernel: kernel.to_vec(), strides, dilations, before, behind };
    let upper = match call.text_or("auto_pad", "NOTSET")? {
        "NOTSET" => return Ok(windows),
        "VALID" => {
            windows.before.fill(0);
            windows.behind.fill(0);
            return Ok(windows);
        }
        "SAME_UPPER" => true,
        "SAME_LOWER" => false,
        other => {
            return unknown("auto_pad", other, "'NOTSET', 'VALID', 'SAME_UPPER' or 'SAME_LOWER' is needed");
        }
    };
    for axis in 0..axes {
        let (extent, stride) = (input.get(axis + 2).copied().unwrap_or(0), windows.strides[axis].max(1));
        let needed = extent.div_ceil(stride).saturating_sub(1) * stride + windows.reach(axis).max(1);
        let margin = needed.saturating_sub(extent);
        let less = margin / 2;
        (windows.before[axis], windows.behind[axis]) =
            if upper { (less, margin - less) } else { (margin - less, less) };
    }
    Ok(windows)
}

/// The window's size: a setting, or that of the weights.
fn kernel(call: &Call<'_>, weights: Option<&Extents>) -> Result<Vec<usize>, Error> {
    let of_weights = weights.and_then(|extents| extents.get(2..)).unwrap_or_default();
    match call.ints("kernel_shape")? {
        Some(numbers) => list(call, "kernel_shape", numbers.len(), 1),
        None => Ok(of_weights.to_vec()),
    }
}

fn conv(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Item>, Error> {
    let mut inputs = vec![call.value(0)?, call.value(1)?];
    inputs.extend(call.optional(2)?);
    Ok(vec![Item::Value(conv_of(importer, call, &inputs)?)])
}

/// A convolution by the settings of a call: of an input, weights, and maybe a bias.
pub(super) fn conv_of(
    importer: &mut Importer<'_>,
    call: &Call<'_>,
    inputs: &[ValueId],
) -> Result<ValueId, Error> {
    let [x, w, ..] = *inputs else { return Err(Error::MissingInput { input: 1 }) };
    let (windows, groups) = windows_of(importer, call, [x, w])?;
    importer
        .builder
        .one(Conv { windows, groups, scales: false, bounds: None, then: None, tiles: None }, inputs)
}

/// How a convolution's windows lie, and its groups.
pub(super) fn windows_of(
    importer: &Importer<'_>,
    call: &Call<'_>,
    [x, w]: [ValueId; 2],
) -> Result<(Windows, usize), Error> {
    let kernel = kernel(call, Some(&importer.builder.extents(w)?))?;
    let windows = windows(call, &kernel, &importer.builder.extents(x)?)?;
    Ok((windows, call.int_or("group", 1)?.max(0) as usize))
}

fn conv_transpose(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Item>, Error> {
    let (x, w) = (call.value(0)?, call.value(1)?);
    let (own, weights) = (importer.builder.extents(x)?, importer.builder.extents(w)?);
    let kernel = kernel(call, Some(&weights))?;
    let axes = kernel.len();
    let mut more = list(call, "output_padding", axes, 0)?;
    let mut windows = Windows {
        strides: list(call, "strides", axes, 1)?,
        dilations: list(call, "dilations", axes, 1)?,
        before: list(call, "pads", 2 * axes, 0)?[..axes].to_vec(),
        behind: list(call, "pads", 2 * axes, 0)?[axes..].to_vec(),
        kernel,
    };
    let auto = call.text_or("auto_pad", "NOTSET")?;
    let asked = match call.ints("output_shape")? {
        Some(shape) => {
            let skip = shape.len().saturating_sub(axes);
            Some(shape[skip..].iter().map(|&extent| extent.max(0) as usize).collect::<Vec<_>>())
        }
        None if auto.starts_with("SAME") => {
            Some(own.iter().skip(2).zip(&windows.strides).map(|(extent, stride)| extent * stride).collect())
        }
        None => None,
    };
    if let Some(asked) = asked.filter(|asked| asked.len() == axes && own.len() == axes + 2) {
        for axis in 0..axes {
            let reach =
                own[axis + 2].saturating_sub(1) * windows.strides[axis] + windows.reach(axis) + more[axis];
            let margin = reach.saturating_sub(asked[axis]);
            more[axis] += asked[axis].saturating_sub(reach);
            let less = margin / 2;
            let (before, behind) =
                if auto == "SAME_UPPER" { (less, margin - less) } else { (margin - less, less) };
            (windows.before[axis], windows.behind[axis]) = (before, behind);
        }
    }
    let groups = call.int_or("group", 1)?.max(0) as usize;
    let mut inputs = vec![x, w];
    inputs.extend(call.optional(2)?);
    Ok(vec![Item::Value(importer.builder.one(ConvTranspose { windows, groups, more }, &inputs)?)])
}

fn pool(importer: &mut Importer<'_>, call: &Call<'_>, kind: PoolKind) -> Result<Vec<Item>, Error> {
    let x = call.value(0)?;
    let ceil = call.int_or("ceil_mode", 0)? != 0;
    let windows = windows(call, &kernel(call, None)?, &importer.builder.extents(x)?)?;
    let made = importer.builder.push(Pool { kind, windows, ceil }, &[x])?;
    Ok(made.into_iter().map(Item::Value).collect())
}

/// A window as large as all places.
fn global_lp(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Item>, Error> {
    let x = call.value(0)?;
    let kernel = importer.builder.extents(x)?.get(2..).unwrap_or_default().to_vec();
    let (ones, zeros) = (vec![1; kernel.len()], vec![0; kernel.len()]);
    let windows =
        Windows { kernel, strides: ones.clone(), dilations: ones, before: zeros.clone(), behind: zeros };
    let kind = PoolKind::Lp { p: call.int_or("p", 2)?.clamp(1, 1 << 20) as u32 };
    Ok(vec![Item::Value(importer.builder.one(Pool { kind, windows, ceil: false }, &[x])?)])
}
