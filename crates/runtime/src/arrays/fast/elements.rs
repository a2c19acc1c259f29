//! Functions of each element, and of two.

use super::{floats, floats_mut, rows};
use graph::Extents;
use graph::array::{Binary, BinaryKind, Unary, UnaryKind, View, ViewMut, Walk, repeated};
use kernels::{Cpu, JoinKind, MapKind, RowKind};

/// Elements of a stretch, at most.
const STRETCH: usize = usize::MAX;

pub(super) fn unary(cpu: &Cpu, op: Unary, inputs: &[View<'_>], outputs: &mut [ViewMut<'_>]) -> Option<()> {
    let ([input], [out]) = (inputs, outputs) else { return None };
    let kind = map_kind(op.kind)?;
    let x = floats_mut(out)?;
    cpu.map(kind, floats(input), x);
    Some(())
}

/// The kernel of a function of an element, if there is one.
pub(super) fn map_kind(kind: UnaryKind) -> Option<MapKind> {
    Some(match kind {
        UnaryKind::Erf => MapKind::Erf,
        UnaryKind::Exp => MapKind::Exp,
        UnaryKind::Gelu => MapKind::Gelu,
        UnaryKind::HardSigmoid { alpha, beta } => MapKind::HardSigmoid { alpha, beta },
        UnaryKind::HardSwish => MapKind::HardSwish,
        UnaryKind::LeakyRelu { alpha } => MapKind::LeakyRelu { alpha },
        UnaryKind::Relu => MapKind::Relu,
        UnaryKind::Sigmoid => MapKind::Sigmoid,
        UnaryKind::Swish { alpha: 1.0 } => MapKind::Silu,
        UnaryKind::Tanh => MapKind::Tanh,
        _ => return None,
    })
}

pub(super) fn binary(cpu: &Cpu, op: Binary, inputs: &[View<'_>], outputs: &mut [ViewMut<'_>]) -> Option<()> {
    let ([a, b], [out]) = (inputs, outputs) else { return None };
    // What the first says with the second, and the second with the first.
    let (kind, turned) = match op.kind {
        BinaryKind::Add => (JoinKind::Add, JoinKind::Add),
        BinaryKind::Div => (JoinKind::Div, JoinKind::Over),
        BinaryKind::Max => (JoinKind::Max, JoinKind::Max),
        BinaryKind::Min => (JoinKind::Min, JoinKind::Min),
        BinaryKind::Mul => (JoinKind::Mul, JoinKind::Mul),
        BinaryKind::Sub => (JoinKind::Sub, JoinKind::From),
        _ => return None,
    };
    let to = out.kind.extents;
    if let Some((axis, other)) = beside(&a.kind.extents, &b.kind.extents, &to) {
        let (whole, numbers, kind) = if other { (b, a, turned) } else { (a, b, kind) };
        let numbers_extents = numbers.kind.extents;
        if let (Some(of), true) = (floats(numbers), whole.kind.extents.elements() == to.elements())
            && let Some(factor) = rows::factor(&to, axis, &numbers_extents, of)
        {
            let len = to[axis..].iter().product();
            cpu.rows(RowKind::Join { kind, factor }, len, rows::moved(whole, out)?);
            return Some(());
        }
    }
    let strides = [repeated(&a.kind.extents, &to), repeated(&b.kind.extents, &to)];
    let (x, y) = (floats(a), floats(b)?);
    let out = floats_mut(out)?;
    let walk = Walk::new(&to, strides);
    let [first, second] = walk.steps();
    let turns = match (first, second) {
        (1, 0 | 1) => false,
        (0, 1) => true,
        _ => return None,
    };
    walk.each(STRETCH, |stretch| {
        let [at, other] = stretch.at.map(|at| at as usize);
        let len = stretch.len;
        let to = &mut out[stretch.start..stretch.start + len];
        if turns {
            let Some(x) = x else { return };
            cpu.join(turned, Some(&y[other..other + len]), &x[at..at + 1], to);
        } else {
            let count = if second == 1 { len } else { 1 };
            cpu.join(kind, x.map(|x| &x[at..at + len]), &y[other..other + count], to);
        }
    });
    Some(())
}

/// Where rows begin beside which one of two arrays is the same or a single number, and whether that is the first; `None` if
/// both are whole or neither is.
fn beside(a: &Extents, b: &Extents, to: &Extents) -> Option<(usize, bool)> {
    let count = to.elements();
    let first = match (a.elements() == count, b.elements() == count) {
        (false, true) => true,
        (true, false) => false,
        _ => return None,
    };
    let numbers = if first { a } else { b };
    if numbers.elements() == 1 {
        return None;
    }
    let shift = to.len().checked_sub(numbers.len())?;
    let extent = |axis: usize| if axis < shift { 1 } else { numbers[axis - shift] };
    let real: Vec<usize> = (0..to.len()).filter(|&axis| to[axis] != 1).collect();
    let (&last, _) = real.split_last()?;
    // A number for each row ends before the axes along which it is repeated; the same for each row begins behind them.
    let is_repeated = |axis: &&usize| extent(**axis) == 1;
    if extent(last) == 1 {
        let run = real.iter().rev().take_while(is_repeated).count();
        real.get(real.len() - run).map(|axis| (*axis, first))
    } else {
        real.iter().rfind(is_repeated).map(|axis| (axis + 1, first))
    }
}
