//! Numbers as bytes, and back.
//!
//! Not products of bytes, which are with the other products. The one design choice: a stretch of elements that share a scale is one
//! call of a kernel, or one loop so plain that the compiler makes vectors of it.

use super::{floats, floats_mut};
use graph::Elem;
use graph::array::{Quantize, View, ViewMut, Walk, repeated};
use host::cast;
use kernels::Cpu;

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

fn each<T: Sync>(cpu: &Cpu, from: &[T], to: &mut [f32], f: impl Fn(&T) -> f32 + Sync) {
    cpu.each_piece(PIECE, to, &|first, to| {
        to.iter_mut().zip(&from[first..]).for_each(|(to, x)| *to = f(x));
    });
}
