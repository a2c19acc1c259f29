//! Convolutions that are made together with the depthwise ones behind them.
//!
//! Not those that are by themselves, see [`super::windows`].

use super::elements::map_kind;
use super::windows::image;
use super::{floats, floats_mut};
use graph::array::{Conv, ConvDepthwise, View, ViewMut};
use host::cast_mut;
use kernels::{Cpu, Dense, Finish, Image, Right};

pub(super) fn conv_depthwise(
    cpu: &Cpu,
    op: &ConvDepthwise,
    inputs: &[View<'_>],
    outputs: &mut [ViewMut<'_>],
    scratch: &mut [u8],
) -> Option<()> {
    let ([out], (firsts, seconds)) = (outputs, inputs.split_at_checked(op.inputs)?) else { return None };
    let ([x, w, ..], [deep, ..]) = (firsts, seconds) else { return None };
    let pointwise = |list: &[usize], number| list.iter().all(|x| *x == number);
    let own = &op.first.windows;
    let as_it_lies = [&own.kernel, &own.strides].iter().all(|list| pointwise(list, 1))
        && [&own.before, &own.behind].iter().all(|list| pointwise(list, 0));
    if !as_it_lies {
        return None;
    }
    let windows = image(&op.second.windows, [x.kind.extents, out.kind.extents])?;
    let (batch, common, maps) = (x.kind.extents[0], x.kind.extents[1], out.kind.extents[1]);
    let Image { size, made, .. } = windows;
    let (plane, seen) = (size[0] * size[1], made[0] * made[1]);
    if batch * common * maps * plane * seen == 0 {
        return None;
    }
    // Its own input lies nowhere; factors lie where they always do.
    let [first, second] = [finish(&op.first, firsts)?, finish(&op.second, &inputs[op.inputs - 1..])?];
    let (pixels, a, weights) = (floats(x)?, floats(w)?, floats(deep)?);
    let (work, to) = (cast_mut(scratch)?, floats_mut(out)?);
    for (x, to) in pixels.chunks_exact(common * plane).zip(to.chunks_exact_mut(maps * seen)) {
        let right = Right::Rows { b: x, stride: plane };
        let product = Dense { a, a_stride: common, rows: maps, common, columns: plane, right, finish: first };
        let task = kernels::ConvDepthwise { first: product, windows, weights, finish: second };
        if !Cpu::takes_conv_depthwise(&task, work.len()) {
            return None;
        }
        cpu.conv_depthwise(&task, work, to);
    }
    Some(())
}

/// What becomes of the sums of a convolution.
fn finish<'a>(op: &Conv, inputs: &[View<'a>]) -> Option<Finish<'a>> {
    let factors = op.factors(inputs);
    let read = |factor: Option<&View<'a>>| factor.map_or(Some(None), |list| floats(list).map(Some));
    let [scale, bias] = [read(factors[0])?, read(factors[1])?];
    let then = op.then.map_or(Some(None), |kind| map_kind(kind).map(Some))?;
    Some(Finish { scale, bias, bounds: op.bounds.map(|[least, most]| (least, most)), then })
}
