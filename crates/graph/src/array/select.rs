//! From one of two arrays, element by element, as a third says.

use super::binary::take;
use super::walk::{Walk, repeated};
use super::{ArrayOperator, ArrayType, LANES, View, ViewMut, Wide, broadcast, each_wide, fault};
use crate::{Elem, Error};

/// `condition ? a : b`, each repeated where another is longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Select;

impl ArrayOperator for Select {
    fn infer(&self, inputs: &[ArrayType]) -> Result<Vec<ArrayType>, Error> {
        match inputs {
            [condition, a, b] if condition.elem == Elem::Bool && a.elem == b.elem => {
                Ok(vec![ArrayType { elem: a.elem, extents: broadcast("Select", inputs)? }])
            }
            _ => fault("Select", "truth values and two arrays of one kind are needed", inputs),
        }
    }

    fn evaluate(&self, inputs: &[View<'_>], outputs: &mut [ViewMut<'_>], _: &mut [u8]) -> Result<(), Error> {
        let ([condition, a, b], [out]) = (inputs, outputs) else { return fault("Select", "three inputs", &[]) };
        each_wide!(a.kind.elem, W => run::<W>([condition, a, b], out));
        Ok(())
    }
}

fn run<W: Wide>([condition, a, b]: [&View<'_>; 3], out: &mut ViewMut<'_>) {
    let to = out.kind.extents;
    let walk = Walk::new(&to, [condition, a, b].map(|view| repeated(&view.kind.extents, &to)));
    let (mut is, mut x, mut y) = ([0i64; LANES], [W::default(); LANES], [W::default(); LANES]);
    walk.each(LANES, |stretch| {
        let len = stretch.len;
        take(condition, out, (stretch.at[0], stretch.step[0]), &mut is[..len]);
        take(a, out, (stretch.at[1], stretch.step[1]), &mut x[..len]);
        take(b, out, (stretch.at[2], stretch.step[2]), &mut y[..len]);
        for ((x, y), is) in x.iter_mut().zip(&y).zip(&is[..len]) {
            *x = if *is != 0 { *x } else { *y };
        }
        out.store(stretch.start, &x[..len]);
    });
}
