//! Elements of other kinds than 32-bit floats: widened to those, compared, chosen between.
//!
//! Not arithmetic: nothing here is rounded. The one design choice: loops so plain that the compiler makes vectors of them.

use super::floats_mut;
use graph::Elem;
use graph::array::{Select, UnaryKind, View, ViewMut, Walk, repeated};
use host::cast;
use kernels::Cpu;

/// Elements of a piece.
const PIECE: usize = 32 << 10;

/// Whole numbers and truth values as floats, in pieces for all threads.
pub(super) fn widen(cpu: &Cpu, inputs: &[View<'_>], outputs: &mut [ViewMut<'_>]) -> Option<()> {
    let ([input], [out]) = (inputs, outputs) else { return None };
    let bytes = input.bytes?;
    let to = (out.kind.elem == Elem::F32).then(|| floats_mut(out)).flatten()?;
    match input.kind.elem {
        Elem::Bool | Elem::U8 => each(cpu, bytes, to, |x| f32::from(*x)),
        Elem::I8 => each(cpu, cast::<i8>(bytes)?, to, |x| f32::from(*x)),
        Elem::I32 => each(cpu, cast::<i32>(bytes)?, to, |x| *x as f32),
        Elem::I64 => each(cpu, cast::<i64>(bytes)?, to, |x| *x as f32),
        _ => return None,
    }
    Some(())
}

fn each<T: Sync>(cpu: &Cpu, from: &[T], to: &mut [f32], f: impl Fn(&T) -> f32 + Sync) {
    cpu.each_piece(PIECE, to, &|first, to| {
        to.iter_mut().zip(&from[first..]).for_each(|(to, x)| *to = f(x));
    });
}

/// Whether elements are not numbers.
pub(super) fn ask(kind: UnaryKind, inputs: &[View<'_>], outputs: &mut [ViewMut<'_>]) -> Option<()> {
    let ([input], [out]) = (inputs, outputs) else { return None };
    if input.kind.elem != Elem::F32 || out.kind.elem != Elem::Bool || kind != UnaryKind::IsNan {
        return None;
    }
    let x: &[f32] = cast(input.bytes?)?;
    out.bytes.iter_mut().zip(x).for_each(|(to, x)| *to = u8::from(x.is_nan()));
    Some(())
}

/// From one of two arrays of floats, as truth values say.
pub(super) fn select(_: Select, inputs: &[View<'_>], outputs: &mut [ViewMut<'_>]) -> Option<()> {
    let ([condition, a, b], [out]) = (inputs, outputs) else { return None };
    if a.kind.elem != Elem::F32 {
        return None;
    }
    let extents = out.kind.extents;
    let strides = [condition, a, b].map(|view| repeated(&view.kind.extents, &extents));
    let (is, a, b) = (condition.bytes?, cast::<f32>(a.bytes?)?, cast::<f32>(b.bytes?)?);
    let to = floats_mut(out)?;
    let walk = Walk::new(&extents, strides);
    if walk.steps().iter().any(|step| !(0..=1).contains(step)) {
        return None;
    }
    walk.each(usize::MAX, |stretch| {
        let to = &mut to[stretch.start..stretch.start + stretch.len];
        let [of_is, of_a, of_b] = stretch.at.map(|at| at as usize);
        match stretch.step {
            [1, 0, 1] => {
                let a = a[of_a];
                let pairs = is[of_is..].iter().zip(&b[of_b..]);
                to.iter_mut().zip(pairs).for_each(|(to, (is, b))| *to = if *is != 0 { a } else { *b });
            }
            [1, 1, 0] => {
                let b = b[of_b];
                let pairs = is[of_is..].iter().zip(&a[of_a..]);
                to.iter_mut().zip(pairs).for_each(|(to, (is, a))| *to = if *is != 0 { *a } else { b });
            }
            step => {
                let [is_step, a_step, b_step] = step.map(|step| step as usize);
                for (i, to) in to.iter_mut().enumerate() {
                    *to = match is[of_is + i * is_step] {
                        0 => b[of_b + i * b_step],
                        _ => a[of_a + i * a_step],
                    };
                }
            }
        }
    });
    Some(())
}
