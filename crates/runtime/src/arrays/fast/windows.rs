//! Windows that slide over images: convolutions and pools.

use super::elements::map_kind;
use super::{floats, floats_mut};
use graph::Extents;
use graph::array::{Conv, ConvTranspose, Pool, PoolKind, View, ViewMut, Windows};
use host::{as_bytes, cast_mut};
use kernels::{Cpu, Dense, Finish, Image, PlaneKind, Right, Tiles, Weights};
use tensor::DType;

pub(super) fn conv(
    cpu: &Cpu,
    op: &Conv,
    inputs: &[View<'_>],
    outputs: &mut [ViewMut<'_>],
    scratch: &mut [u8],
) -> Option<()> {
    let ([x, w, ..], [out]) = (inputs, outputs) else { return None };
    let [scale, bias] = op.factors(inputs).map(|factor| factor.map(floats));
    let [scale, bias] =
        [scale.map_or(Some(None), |list| list.map(Some))?, bias.map_or(Some(None), |list| list.map(Some))?];
    let then = op.then.map_or(Some(None), |kind| map_kind(kind).map(Some))?;
    let bounds = op.bounds.map(|[least, most]| (least, most));
    let finish = Finish { of_columns: None, scale, bias, bounds, then };
    let empty = image(&op.windows, [x.kind.extents, out.kind.extents])?;
    let (pixels, weights) = (floats(x)?, floats(w)?);
    let to = floats_mut(out)?;
    let (batch, channels, maps) = (x.kind.extents[0], w.kind.extents[1], w.kind.extents[0]);
    let Image { size, made, .. } = empty;
    let (plane, seen) = (size[0] * size[1], made[0] * made[1]);
    if batch == 0 || plane == 0 || seen == 0 || channels == 0 || maps == 0 {
        return None;
    }
    let groups = op.groups;
    if let Some(phase) = op.tiles {
        let work = cast_mut(scratch)?;
        for (x, to) in pixels.chunks_exact(channels * plane).zip(to.chunks_exact_mut(maps * seen)) {
            let image = Image { x, ..empty };
            cpu.tiles(&Tiles { image, weights, maps, channels, phase, finish }, work, to);
        }
        return Some(());
    }
    let of_batch = pixels.chunks_exact(channels * groups * plane).zip(to.chunks_exact_mut(maps * seen));
    if channels == 1 && maps == groups {
        if !Cpu::takes_planes(&empty) {
            return None;
        }
        let kind = PlaneKind::Weighted { weights, finish };
        of_batch.for_each(|(x, to)| cpu.planes(&Image { x, ..empty }, kind, to));
        return Some(());
    }
    let (rows, common) = (maps / groups, channels * op.windows.kernel.iter().product::<usize>());
    if groups == 1 && seen <= Conv::NARROW {
        let work = cast_mut(scratch)?;
        of_batch.for_each(|(x, to)| narrow(cpu, &Image { x, ..empty }, weights, finish, work, to));
        return Some(());
    }
    let as_it_is = seen == plane && common == channels && op.windows.before.iter().all(|x| *x == 0);
    for (x, to) in of_batch {
        let groups = x.chunks_exact(channels * plane).zip(to.chunks_exact_mut(rows * seen)).enumerate();
        for (group, (x, to)) in groups {
            let right = match as_it_is {
                true => Right::Rows { b: x, stride: plane },
                false => Right::Image(Image { x, ..empty }),
            };
            let own = group * rows..(group + 1) * rows;
            let [scale, bias] = [scale, bias].map(|list| list.map(|list| &list[own.clone()]));
            let finish = Finish { scale, bias, ..finish };
            let a = &weights[group * rows * common..(group + 1) * rows * common];
            cpu.dense(&Dense { a, a_stride: common, rows, common, columns: seen, right, finish }, to);
        }
    }
    Some(())
}

/// A convolution with so few windows that what each sees is a column beside which the weights are rows.
fn narrow(
    cpu: &Cpu,
    image: &Image<'_>,
    weights: &[f32],
    finish: Finish<'_>,
    work: &mut [f32],
    out: &mut [f32],
) {
    let seen = image.made[0] * image.made[1];
    let maps = out.len() / seen;
    let common = weights.len() / maps;
    let (columns, made) = work.split_at_mut(seen * common);
    let made = &mut made[..seen * maps];
    image.columns(columns);
    let weights = Weights::in_rows(DType::F32, as_bytes(weights), maps, common);
    cpu.product_float(weights, columns, made, maps, 0);
    for (map, out) in out.chunks_exact_mut(seen).enumerate() {
        let number = |list: Option<&[f32]>, missing| list.map_or(missing, |list| list[map]);
        let (scale, bias) = (number(finish.scale, 1.0), number(finish.bias, 0.0));
        let (least, most) = finish.bounds.unwrap_or((f32::NEG_INFINITY, f32::INFINITY));
        for (window, x) in out.iter_mut().enumerate() {
            *x = (made[window * maps + map] * scale + bias).max(least).min(most);
        }
    }
    if let Some(kind) = finish.then {
        cpu.map(kind, None, out);
    }
}

/// One phase of a transposed convolution along an axis: results a stride apart are those of a convolution with every so
/// manieth tap, turned around.
#[derive(Clone, Copy)]
struct Phase {
    /// Its first tap.
    tap: usize,
    /// Its taps.
    taps: usize,
    /// What that convolution has before the first.
    before: usize,
    /// Its results.
    made: usize,
}

impl Phase {
    /// `None` if that convolution begins behind the first element.
    fn new(phase: usize, [kernel, stride, before, made]: [usize; 4]) -> Option<Phase> {
        let tap = (phase + before) % stride;
        let taps = kernel.saturating_sub(tap).div_ceil(stride);
        let far = (phase + before - tap) / stride;
        let made = made.saturating_sub(phase).div_ceil(stride);
        Some(Phase { tap, taps, before: if taps == 0 { 0 } else { (taps - 1).checked_sub(far)? }, made })
    }
}

pub(super) fn conv_transpose(
    cpu: &Cpu,
    op: &ConvTranspose,
    inputs: &[View<'_>],
    outputs: &mut [ViewMut<'_>],
    scratch: &mut [u8],
) -> Option<()> {
    let ([x, w, bias @ ..], [out]) = (inputs, outputs) else { return None };
    let whole = image(&op.windows, [x.kind.extents, out.kind.extents])?;
    let Image { size, made, kernel, strides, dilations, before, .. } = whole;
    let bias = bias.first().map(floats).map_or(Some(None), |list| list.map(Some))?;
    let (pixels, weights, to) = (floats(x)?, floats(w)?, floats_mut(out)?);
    let (groups, rows) = (op.groups, w.kind.extents[1]);
    let channels = x.kind.extents[1] / groups;
    let (plane, seen) = (size[0] * size[1], made[0] * made[1]);
    if dilations != [1; 2] || plane * seen * channels * rows == 0 {
        return None;
    }
    let phases = |axis: usize| {
        (0..strides[axis])
            .map(move |phase| Phase::new(phase, [kernel[axis], strides[axis], before[axis], made[axis]]))
    };
    if (0..2).any(|axis| phases(axis).any(|phase| phase.is_none())) {
        return None;
    }
    let (turned, results) =
        cast_mut(scratch)?.split_at_mut_checked(rows * weights.len() / (rows * groups))?;
    let each = pixels.chunks_exact(channels * plane).zip(to.chunks_exact_mut(rows * seen)).enumerate();
    for (number, (x, to)) in each {
        let group = number % groups;
        let weights = &weights[group * channels * rows * kernel[0] * kernel[1]..];
        let bias = bias.map(|bias| &bias[group * rows..(group + 1) * rows]);
        for ((down, high), (across, wide)) in phases(0)
            .flatten()
            .enumerate()
            .flat_map(|high| phases(1).flatten().enumerate().map(move |wide| (high, wide)))
        {
            let (common, columns) = (channels * high.taps * wide.taps, high.made * wide.made);
            if columns == 0 {
                continue;
            }
            let results = results.get_mut(..rows * columns)?;
            if common == 0 {
                let rows = results.chunks_exact_mut(columns).enumerate();
                rows.for_each(|(row, results)| results.fill(bias.map_or(0.0, |bias| bias[row])));
            } else {
                let a = turned.get_mut(..rows * common)?;
                turn(weights, (channels, rows), kernel, [high, wide], strides, a);
                let before = [high.before, wide.before];
                let taps = [high.taps, wide.taps];
                let image = Image {
                    x,
                    size,
                    made: [high.made, wide.made],
                    kernel: taps,
                    strides: [1; 2],
                    dilations,
                    before,
                };
                let finish = Finish { bias, ..Finish::NOTHING };
                let right = Right::Image(image);
                cpu.dense(&Dense { a, a_stride: common, rows, common, columns, right, finish }, results);
            }
            for (to, results) in to.chunks_exact_mut(seen).zip(results.chunks_exact(columns)) {
                for (q, results) in results.chunks_exact(wide.made).enumerate() {
                    let line = &mut to[(down + q * strides[0]) * made[1]..][..made[1]];
                    let places = line[across..].iter_mut().step_by(strides[1]);
                    places.zip(results).for_each(|(to, x)| *to = *x);
                }
            }
        }
    }
    Some(())
}

/// The weights of a phase as (map, channel and tap), taps turned around.
fn turn(
    weights: &[f32],
    (channels, maps): (usize, usize),
    kernel: [usize; 2],
    [high, wide]: [Phase; 2],
    strides: [usize; 2],
    to: &mut [f32],
) {
    let window = kernel[0] * kernel[1];
    let mut to = to.iter_mut();
    for map in 0..maps {
        for channel in 0..channels {
            let own = &weights[(channel * maps + map) * window..][..window];
            for i in (0..high.taps).rev() {
                for j in (0..wide.taps).rev() {
                    let (down, across) = (high.tap + i * strides[0], wide.tap + j * strides[1]);
                    if let Some(to) = to.next() {
                        *to = own[down * kernel[1] + across];
                    }
                }
            }
        }
    }
}

pub(super) fn pool(cpu: &Cpu, op: &Pool, inputs: &[View<'_>], outputs: &mut [ViewMut<'_>]) -> Option<()> {
    let ([input], [out]) = (inputs, outputs) else { return None };
    let kind = match op.kind {
        PoolKind::Average { margins } if !(margins && op.ceil) => PlaneKind::Average { margins },
        PoolKind::Max { place: false, .. } => PlaneKind::Max,
        _ => return None,
    };
    let empty = image(&op.windows, [input.kind.extents, out.kind.extents])?;
    let (x, to) = (floats(input)?, floats_mut(out)?);
    if x.is_empty() || to.is_empty() || !Cpu::takes_planes(&empty) {
        return None;
    }
    cpu.planes(&Image { x, ..empty }, kind, to);
    Some(())
}

/// An image of no elements, and the windows on it; `None` if it has more than two axes.
fn image(windows: &Windows, [own, made]: [Extents; 2]) -> Option<Image<'static>> {
    Some(Image {
        x: &[],
        size: pair(own.get(2..)?, 1)?,
        made: pair(made.get(2..)?, 1)?,
        kernel: pair(&windows.kernel, 1)?,
        strides: pair(&windows.strides, 1)?,
        dilations: pair(&windows.dilations, 1)?,
        before: pair(&windows.before, 0)?,
    })
}

/// Numbers for two axes, of which the first may be missing.
fn pair(numbers: &[usize], missing: usize) -> Option<[usize; 2]> {
    match *numbers {
        [one] => Some([missing, one]),
        [one, two] => Some([one, two]),
        _ => None,
    }
}
