//! Pairs of elements turned by an angle that depends on the position (arXiv 2104.09864).
//!
//! Angles come as tables of cosines and sines, one row for each position. Input (batch, heads, rows, width) or (batch, rows,
//! heads times width).

use super::floats::{Float, Run, each_float};
use super::{ArrayOperator, ArrayType, View, ViewMut, fault};
use crate::Error;

/// Turns pairs of `x` by tables of cosines and sines; a fourth input says which row of the tables, for each batch and row, or the
/// first one for all. Without it tables have a row for each batch and row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotary {
    /// Heads, for an input of three axes.
    pub heads: usize,
    /// Elements of a head that are turned.
    pub width: usize,
    /// Whether pairs are neighbours instead of halves apart.
    pub interleaved: bool,
}

/// Where elements lie: batches, heads, rows, elements of a head; from a head to the next and from a row to the next.
struct Layout {
    batch: usize,
    heads: usize,
    rows: usize,
    head: usize,
    strides: [usize; 2],
}

impl Rotary {
    fn layout(&self, x: &ArrayType) -> Option<Layout> {
        match x.extents[..] {
            [batch, heads, rows, head] => Some(Layout { batch, heads, rows, head, strides: [rows * head, head] }),
            [batch, rows, all] => {
                let head = all.checked_div(self.heads).filter(|head| head * self.heads == all)?;
                Some(Layout { batch, heads: self.heads, rows, head, strides: [head, all] })
            }
            _ => None,
        }
    }
}

impl ArrayOperator for Rotary {
    fn infer(&self, inputs: &[ArrayType]) -> Result<Vec<ArrayType>, Error> {
        let ([x, cos, sin] | [x, cos, sin, _]) = inputs else {
            return fault("Rotary", "three or four inputs are needed", inputs);
        };
        let fits = self.layout(x).is_some_and(|own| {
            let [positions, columns] = match cos.extents[..] {
                [positions, columns] => [positions, columns],
                [batch, rows, columns] => [batch * rows, columns],
                _ => return false,
            };
            let places = own.batch * own.rows;
            let tables = match inputs.get(3) {
                Some(ids) => !ids.elem.is_float() && [1, places].contains(&ids.extents.elements()),
                None => positions == places || positions == own.rows,
            };
            tables && self.width <= own.head && self.width.is_multiple_of(2) && columns >= self.width / 2
        });
        if !fits || !x.elem.is_float() || !cos.elem.is_float() || cos != sin {
            return fault("Rotary", "floats and tables that fit them are needed", inputs);
        }
        Ok(vec![*x])
    }

    fn evaluate(&self, inputs: &[View<'_>], outputs: &mut [ViewMut<'_>], _: &mut [u8]) -> Result<(), Error> {
        let ([x, cos, sin, ids @ ..], [out]) = (inputs, outputs) else {
            return fault("Rotary", "three inputs are needed", &[]);
        };
        let Some(own) = self.layout(&x.kind) else { return fault("Rotary", "another layout", &[]) };
        let columns = cos.kind.extents.last().copied().unwrap_or(1).max(1);
        let positions = cos.kind.extents.elements() / columns;
        let bytes = x.bytes_or(out).len().min(out.bytes.len());
        if let Some(from) = x.bytes {
            out.bytes[..bytes].copy_from_slice(&from[..bytes]);
        }
        for place in 0..own.batch * own.rows {
            let (batch, row) = (place / own.rows, place % own.rows);
            let position = match ids.first() {
                None => (place % positions.max(1)) as i64,
                Some(ids) => {
                    let single = ids.kind.extents.elements() == 1;
                    let mut id = [0i64];
                    ids.load(if single { 0 } else { place }, &mut id);
                    if single { id[0].saturating_add(row as i64) } else { id[0] }
                }
            };
            let angle = usize::try_from(position).ok().filter(|angle| *angle < positions);
            let Some(angle) = angle else {
                return Err(Error::Content { op: "Rotary", what: "a position that is not in the tables", found: position });
            };
            let tables = [cos, sin].map(|table| Run::of(table, angle * columns));
            for head in 0..own.heads {
                let start = batch * own.heads * own.rows * own.head + head * own.strides[0] + row * own.strides[1];
                each_float!(x.kind.elem, W => self.turn::<W>(out, start, tables));
            }
        }
        Ok(())
    }

    fn in_place(&self) -> Option<usize> {
        Some(0)
    }
}

impl Rotary {
    fn turn<W: Float>(&self, out: &mut ViewMut<'_>, start: usize, [cos, sin]: [Run<'_>; 2]) {
        let half = self.width / 2;
        for pair in 0..half {
            let [first, second] = if self.interleaved { [2 * pair, 2 * pair + 1] } else { [pair, pair + half] };
            let (c, s): (W, W) = (cos.at(pair), sin.at(pair));
            let own = Run { elem: out.kind.elem, bytes: out.bytes, start };
            let (a, b): (W, W) = (own.at(first), own.at(second));
            out.store(start + first, &[c.mul(a).sub(s.mul(b))]);
            out.store(start + second, &[s.mul(a).add(c.mul(b))]);
        }
    }
}
