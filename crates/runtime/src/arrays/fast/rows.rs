//! Rows of an array, each by itself: softmax, norms, totals.

use super::{floats, floats_mut};
use graph::Extents;
use graph::array::{Norm, Reduce, ReduceKind, Softmax, View, ViewMut};
use kernels::{Cpu, Factor, JoinKind, RowKind, TotalKind};

pub(super) fn softmax(
    cpu: &Cpu,
    op: Softmax,
    inputs: &[View<'_>],
    outputs: &mut [ViewMut<'_>],
) -> Option<()> {
    let ([input], [out]) = (inputs, outputs) else { return None };
    let extents = input.kind.extents;
    let (len, behind) = (extents[op.axis], extents[op.axis + 1..].iter().product::<usize>());
    if op.log || behind != 1 || len == 0 {
        return None;
    }
    let x = moved(input, out)?;
    cpu.rows(RowKind::Softmax, len, x);
    Some(())
}

pub(super) fn norm(cpu: &Cpu, op: Norm, inputs: &[View<'_>], outputs: &mut [ViewMut<'_>]) -> Option<()> {
    let ([input, more @ ..], [out]) = (inputs, outputs) else { return None };
    let extents = input.kind.extents;
    let len: usize = extents[op.axis..].iter().product();
    let factor = |place: usize| match more.get(place) {
        None => Some(None),
        Some(view) => Some(Some(factor(&extents, op.axis, &view.kind.extents, floats(view)?)?)),
    };
    let (scale, bias) = (factor(0)?, factor(1)?);
    if len == 0 {
        return None;
    }
    let x = moved(input, out)?;
    cpu.rows(RowKind::Norm { epsilon: op.epsilon, centers: op.centers, scale, bias }, len, x);
    Some(())
}

/// Numbers of extents `own`, repeated to `extents`, beside rows that begin at `axis`; `None` if they are neither the same for
/// all rows nor one for each row.
pub(super) fn factor<'a>(
    extents: &Extents,
    axis: usize,
    own: &Extents,
    numbers: &'a [f32],
) -> Option<Factor<'a>> {
    let shift = extents.len().checked_sub(own.len())?;
    let extent = |axis: usize| if axis < shift { 1 } else { own[axis - shift] };
    let rank = extents.len();
    if numbers.is_empty() {
        return None;
    }
    if (0..axis).all(|axis| extent(axis) == 1) && (axis..rank).all(|axis| extent(axis) == extents[axis]) {
        return Some(Factor::Each(numbers));
    }
    // One for each row: from some axis on all of them, before it always the same.
    let first = (0..axis).find(|&axis| extent(axis) != 1).unwrap_or(axis);
    let whole = (first..axis).all(|axis| extent(axis) == extents[axis]);
    (whole && (axis..rank).all(|axis| extent(axis) == 1)).then_some(Factor::Row(numbers))
}

pub(super) fn reduce(cpu: &Cpu, op: &Reduce, inputs: &[View<'_>], outputs: &mut [ViewMut<'_>]) -> Option<()> {
    let ([input], [out]) = (inputs, outputs) else { return None };
    let (total, join) = match op.kind {
        ReduceKind::L1 => (TotalKind::SumAbsolute, None),
        ReduceKind::L2 | ReduceKind::SumSquare => (TotalKind::SumSquare, None),
        ReduceKind::Max => (TotalKind::Max, Some(JoinKind::Max)),
        ReduceKind::Mean | ReduceKind::Sum => (TotalKind::Sum, Some(JoinKind::Add)),
        ReduceKind::Min => (TotalKind::Min, Some(JoinKind::Min)),
        _ => return None,
    };
    // Axes that go are neighbours, whatever of extent one lies between.
    let extents = input.kind.extents;
    let goes = |axis: usize| op.axes.contains(&axis);
    let real = (0..extents.len()).filter(|&axis| extents[axis] != 1);
    let first = real.clone().find(|&axis| goes(axis)).unwrap_or(extents.len());
    let end = real.clone().rfind(|&axis| goes(axis)).map_or(first, |axis| axis + 1);
    if real.clone().any(|axis| (first..end).contains(&axis) && !goes(axis)) {
        return None;
    }
    let (len, behind) = (extents[first..end].iter().product(), extents[end..].iter().product());
    let (x, to) = (floats(input)?, floats_mut(out)?);
    if len == 0 || to.is_empty() {
        return None;
    }
    if behind == 1 {
        cpu.totals(total, len, x, to);
    } else {
        let join = join?;
        for (x, to) in x.chunks_exact(len * behind).zip(to.chunks_exact_mut(behind)) {
            let mut rows = x.chunks_exact(behind);
            to.copy_from_slice(rows.next()?);
            rows.for_each(|row| cpu.join(join, None, row, to));
        }
    }
    match op.kind {
        ReduceKind::L2 => to.iter_mut().for_each(|x| *x = x.sqrt()),
        ReduceKind::Mean => to.iter_mut().for_each(|x| *x /= len as f32),
        _ => {}
    }
    Some(())
}

/// The output with the elements of the input.
pub(super) fn moved<'o>(input: &View<'_>, out: &'o mut ViewMut<'_>) -> Option<&'o mut [f32]> {
    let to = floats_mut(out)?;
    if input.bytes.is_some() {
        to.copy_from_slice(floats(input)?);
    }
    Some(to)
}
