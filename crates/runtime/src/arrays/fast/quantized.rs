//! Numbers as bytes, and back.
//!
//! Not products of bytes, which are with the other products. The one design choice: a stretch of elements that share a scale is one
//! call of a kernel, or one loop so plain that the compiler makes vectors of it.

use super::{floats, floats_mut};
use graph::Elem;
use graph::array::{Quantize, Requantize, View, ViewMut, Walk, repeated};
use host::cast;
use kernels::{Cpu, Fixed, Sums};

/// Elements of a piece.
const PIECE: usize = 32 << 10;

pub(super) fn quantize(
    cpu: &Cpu,
    op: Quantize,
    inputs: &[View<'_>],
    outputs: &mut [ViewMut<'_>],
) -> Option<()> {
    let ([x, scale, zero @ ..], [out]) = (inputs, outputs) else { return None };
    let (to, elem) = (out.kind.extents, out.kind.elem);
    let strides = |view: &View<'_>| repeated(&view.kind.extents, &to);
    let zeros = zero.first().map(|zero| zero.bytes).unwrap_or(Some(&[0; 4]))?;
    let scales = floats(scale).filter(|_| scale.kind.elem == Elem::F32)?;
    let walk = Walk::new(&to, [strides(scale), zero.first().map_or([0; _], strides)]);
    if walk.steps() != [0, 0] {
        return None;
    }
    if op.back {
        let to = (elem == Elem::F32).then(|| floats_mut(out)).flatten()?;
        let byte = |at: isize| zeros.get(at as usize).copied().unwrap_or(0);
        let bytes = x.bytes?;
        match x.kind.elem {
            Elem::U8 => walk.each(usize::MAX, |one| {
                let (from, to) = (&bytes[one.start..][..one.len], &mut to[one.start..][..one.len]);
                let (scale, zero) = (scales[one.at[0] as usize], i32::from(byte(one.at[1])));
                each(cpu, from, to, |x| (i32::from(*x) - zero) as f32 * scale);
            }),
            Elem::I8 => walk.each(usize::MAX, |one| {
                let (from, to) = (&bytes[one.start..][..one.len], &mut to[one.start..][..one.len]);
                let (scale, zero) = (scales[one.at[0] as usize], i32::from(byte(one.at[1]) as i8));
                each(cpu, from, to, |x| (i32::from(*x as i8) - zero) as f32 * scale);
            }),
            Elem::I32 if zero.is_empty() => {
                let bytes = cast::<i32>(bytes)?;
                walk.each(usize::MAX, |one| {
                    let (from, to) = (&bytes[one.start..][..one.len], &mut to[one.start..][..one.len]);
                    let scale = scales[one.at[0] as usize];
                    each(cpu, from, to, |x| *x as f32 * scale);
                });
            }
            _ => return None,
        }
        return Some(());
    }
    let signed = match elem {
        Elem::I8 => true,
        Elem::U8 => false,
        _ => return None,
    };
    let from = floats(x).filter(|_| x.kind.elem == Elem::F32 && !op.away)?;
    walk.each(usize::MAX, |one| {
        let (from, to) = (&from[one.start..][..one.len], &mut out.bytes[one.start..][..one.len]);
        cpu.narrow(from, scales[one.at[0] as usize], (zeros[one.at[1] as usize], signed), to);
    });
    Some(())
}

/// Whole numbers of 32 bits, if there are any.
fn list<'a>(view: &View<'a>) -> Option<&'a [i32]> {
    let bytes = view.bytes.filter(|_| view.kind.elem == Elem::I32)?;
    cast(bytes).filter(|list| !list.is_empty())
}

/// Elements of a block below which a kernel is not worth its call.
const FEW: usize = 16;

/// Sums of 32 bits as bytes, by fractions in fixed point.
pub(super) fn requantize(
    cpu: &Cpu,
    op: Requantize,
    inputs: &[View<'_>],
    outputs: &mut [ViewMut<'_>],
) -> Option<()> {
    let ([x, lists @ ..], [out]) = (inputs, outputs) else { return None };
    let [offsets, multipliers, shifts] = lists else { return None };
    let (offsets, multipliers, shifts) = (list(offsets)?, list(multipliers)?, list(shifts)?);
    let single = offsets.len() == 1 && multipliers.len() == 1 && shifts.len() == 1;
    let extents = x.kind.extents;
    let (extent, inner) = match single {
        true => (1, extents.elements()),
        false => (*extents.get(op.axis)?, extents[op.axis + 1..].iter().product()),
    };
    let sums = match x.kind.elem {
        Elem::I32 => Sums::Whole(cast(x.bytes?)?),
        Elem::F32 => Sums::Floats(cast(x.bytes?)?),
        _ => return None,
    };
    if inner < FEW || op.left != 0 || op.to.bytes() != 1 {
        return None;
    }
    let bounds = [i32::try_from(op.bounds[0]).ok()?, i32::try_from(op.bounds[1]).ok()?];
    let zero = i32::try_from(op.zero).ok()?;
    let of = |list: &[i32], index: usize| list[if list.len() == 1 { 0 } else { index }];
    let fixed = |block: usize| {
        let index = block % extent;
        let [offset, multiplier, shift] = [offsets, multipliers, shifts].map(|list| of(list, index));
        Fixed { offset, multiplier, shift, once: op.once, zero, bounds }
    };
    cpu.fixed(&fixed, inner, sums, out.bytes);
    Some(())
}

fn each<T: Sync>(cpu: &Cpu, from: &[T], to: &mut [f32], f: impl Fn(&T) -> f32 + Sync) {
    cpu.each_piece(PIECE, to, &|first, to| {
        to.iter_mut().zip(&from[first..]).for_each(|(to, x)| *to = f(x));
    });
}
