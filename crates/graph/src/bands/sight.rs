//! Which rows of its inputs an operator looks at to make rows of its result, and what it is for some rows alone.
//!
//! Not an operator's definition. The one design choice: margins are at the true borders of an array only; what lies behind the end
//! of a band are rows of the array, so that each result is the same sum of the same numbers in the same order.

use crate::array::{Along, ArrayOp, PoolKind, Windows};
use crate::{ArrayType, Elem, Extents};
use std::ops::Range;

/// How rows of a result look at rows of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sight {
    /// The axis of the input that its rows lie along.
    pub axis: usize,
    /// From the first row that a row of the result looks at to the last, and one more.
    reach: usize,
    /// From a row of the result to the next.
    stride: usize,
    /// Rows that are added before the first.
    before: usize,
}

impl Sight {
    fn plain(axis: usize) -> Sight {
        Sight { axis, reach: 1, stride: 1, before: 0 }
    }

    /// Rows that `made` of the result look at, of an input of so many.
    pub fn seen(&self, made: &Range<usize>, extent: usize) -> Range<usize> {
        let first = self.first(made.start, extent);
        let last = made.end.saturating_sub(1) * self.stride + self.reach;
        first..last.saturating_sub(self.before).clamp(first, extent)
    }

    /// The first row that `made` of the result looks at, of an input of so many.
    pub fn first(&self, made: usize, extent: usize) -> usize {
        (made * self.stride).saturating_sub(self.before).min(extent)
    }

    /// The end of what the rows before `end` of the result look at, were there rows without end both ways.
    pub fn end(&self, end: isize) -> isize {
        (end - 1) * self.stride as isize + self.reach as isize - self.before as isize
    }

    /// Rows of margin before and behind what `made` look at.
    fn margins(&self, made: &Range<usize>, seen: &Range<usize>) -> [usize; 2] {
        let before = self.before.saturating_sub(made.start * self.stride);
        let all = made.len().saturating_sub(1) * self.stride + self.reach;
        [before, all.saturating_sub(before + seen.len())]
    }
}

/// By input, how rows of the result, along `axis`, look at it, `None` if it is needed whole; `None` if rows cannot be made apart.
pub(super) fn sights(
    op: &ArrayOp,
    inputs: &[ArrayType],
    made: &ArrayType,
    axis: usize,
) -> Option<Vec<Option<Sight>>> {
    let first =
        |sight: Sight| Some((0..inputs.len()).map(|input| (input == 0).then_some(sight)).collect::<Vec<_>>());
    match op {
        ArrayOp::Binary(_) | ArrayOp::Select(_) | ArrayOp::Quantize(_) => {
            Some(inputs.iter().map(|input| repeated(input, made, axis)).collect())
        }
        ArrayOp::Cast(_) | ArrayOp::Lookup(_) | ArrayOp::Unary(_) => first(Sight::plain(axis)),
        ArrayOp::Conv(op) => first(windows(&op.windows, axis)?),
        ArrayOp::Join(op) if op.axis != axis => Some(vec![Some(Sight::plain(axis)); inputs.len()]),
        ArrayOp::Pool(op) => match op.kind {
            PoolKind::Max { place: true, .. } => None,
            PoolKind::Average { margins: true } if op.ceil => None,
            _ => first(windows(&op.windows, axis)?),
        },
        ArrayOp::Requantize(op) if op.axis != axis => first(Sight::plain(axis)),
        ArrayOp::Restride(op) => {
            let Along::Axis { axis: own, len, start: 0, step: 1 } = *op.axes.get(axis)? else { return None };
            let walks = |along: &&Along| matches!(along, Along::Axis { axis, .. } if *axis == own);
            let whole = len.is_none_or(|len| inputs.first().is_some_and(|input| input.extents[own] == len));
            (whole && op.axes.iter().filter(walks).count() == 1).then(|| first(Sight::plain(own)))?
        }
        _ => None,
    }
}

/// Of an input that is repeated along axes where it has one element or none.
fn repeated(input: &ArrayType, made: &ArrayType, axis: usize) -> Option<Sight> {
    let own = (axis + input.extents.len()).checked_sub(made.extents.len())?;
    (input.extents.get(own) == made.extents.get(axis)).then_some(Sight::plain(own))
}

/// Of windows; `None` if one could lie in a margin alone.
fn windows(windows: &Windows, axis: usize) -> Option<Sight> {
    let (reach, stride) = (windows.reach(0), *windows.strides.first()?);
    let (before, behind) = (*windows.before.first()?, *windows.behind.first()?);
    let sight = Sight { axis, reach, stride, before };
    (axis == 2 && before < reach && behind < reach).then_some(sight)
}

/// `op` for the rows `made` of its result along `axis`, beside inputs that have been cut to what they look at; `None` if the
/// numbers would be others. `whole` is what it makes in all.
pub(super) fn cut(
    op: &ArrayOp,
    whole: &ArrayType,
    (axis, sight): (usize, &Sight),
    (made, seen): (&Range<usize>, &Range<usize>),
    places: &Extents,
) -> Option<ArrayOp> {
    let mut op = op.clone();
    match &mut op {
        ArrayOp::Conv(conv) => {
            [conv.windows.before[0], conv.windows.behind[0]] = sight.margins(made, seen);
            // Tiles lie where they lay, be the first row of them the second of its tile.
            if let Some(phase) = &mut conv.tiles {
                *phase = (*phase + made.start) % 2;
                return Some(op);
            }
            // Few windows are other chains of sums.
            let count = |rows: usize| rows * whole.extents[3..].iter().product::<usize>();
            let few = |rows| count(rows) <= crate::array::Conv::NARROW;
            if whole.elem == Elem::F32 && few(made.len()) != few(whole.extents[axis]) {
                return None;
            }
        }
        ArrayOp::Pool(pool) => {
            let windows = &mut pool.windows;
            [windows.before[0], windows.behind[0]] = sight.margins(made, seen);
            if std::mem::take(&mut pool.ceil) {
                // As many windows along the other axes as there are, be they over the end.
                for place in 1..windows.kernel.len() {
                    let all = (whole.extents[2 + place] - 1) * windows.strides[place] + windows.reach(place);
                    windows.behind[place] = all.saturating_sub(windows.before[place] + places[2 + place]);
                }
            }
        }
        ArrayOp::Restride(restride) => {
            restride.axes[axis] = Along::Axis { axis: sight.axis, len: None, start: 0, step: 1 };
        }
        _ => {}
    }
    Some(op)
}
