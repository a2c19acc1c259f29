//! Operators on arrays that the kernels of this machine do; whatever is not here is done by its definition.
//!
//! The one design choice: whether a kernel does an operator follows from the operator and the types of its inputs alone,
//! never from what they hold.

use graph::Elem;
use graph::array::{
    ArrayOp, Binary, BinaryKind, Conv, MatMul, Unary, UnaryKind, View, ViewMut, Walk, repeated,
};
use host::{as_bytes, cast, cast_mut};
use kernels::{Cpu, Dense, Finish, Image, JoinKind, MapKind, Right, Weights};
use tensor::DType;

/// Elements of a stretch, at most.
const STRETCH: usize = usize::MAX;

/// Does an operator, if there are kernels for it.
pub(super) fn run(cpu: &Cpu, op: &ArrayOp, inputs: &[View<'_>], outputs: &mut [ViewMut<'_>]) -> bool {
    if let ArrayOp::MatMul(op) = op
        && op.widens
    {
        return whole(cpu, *op, inputs, outputs).is_some();
    }
    let plain = |view: &View<'_>| view.kind.elem == Elem::F32;
    if !inputs.iter().all(plain) {
        return false;
    }
    let done = match op {
        ArrayOp::Binary(op) => binary(cpu, *op, inputs, outputs),
        ArrayOp::Conv(op) => conv(cpu, op, inputs, outputs),
        ArrayOp::MatMul(op) => matmul(cpu, *op, inputs, outputs),
        ArrayOp::Unary(op) => unary(cpu, *op, inputs, outputs),
        _ => None,
    };
    done.is_some()
}

/// Elements of an input as f32; `None` if it lies where the output does.
fn floats<'a>(view: &View<'a>) -> Option<&'a [f32]> {
    cast(view.bytes?)
}

fn floats_mut<'a>(view: &'a mut ViewMut<'_>) -> Option<&'a mut [f32]> {
    cast_mut(view.bytes)
}

fn unary(cpu: &Cpu, op: Unary, inputs: &[View<'_>], outputs: &mut [ViewMut<'_>]) -> Option<()> {
    let ([input], [out]) = (inputs, outputs) else { return None };
    let kind = match op.kind {
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
    };
    let x = floats_mut(out)?;
    cpu.map(kind, floats(input), x);
    Some(())
}

fn binary(cpu: &Cpu, op: Binary, inputs: &[View<'_>], outputs: &mut [ViewMut<'_>]) -> Option<()> {
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

fn matmul(cpu: &Cpu, op: MatMul, inputs: &[View<'_>], outputs: &mut [ViewMut<'_>]) -> Option<()> {
    let ([a, b], [out]) = (inputs, outputs) else { return None };
    let product = op.product(&[a.kind, b.kind])?;
    let (x, y, to) = (floats(a)?, floats(b)?, floats_mut(out)?);
    let (common, columns) = (product.common, product.columns);
    if common == 0 || to.is_empty() {
        return None;
    }
    if op.b_is_transposed {
        // Weights in rows, as in a decoder; one matrix for all is more columns.
        let (matrix, own) = (common * columns, product.rows * common);
        let one = |x: &[f32], y: &[f32], to: &mut [f32]| {
            let weights = Weights { dtype: DType::F32, bytes: as_bytes(y), rows: columns, columns: common };
            cpu.product_float(weights, x, to, columns, 0);
        };
        if y.len() == matrix {
            one(x, y, to);
            return Some(());
        }
        if x.len() != own * product.batch || y.len() != matrix * product.batch {
            return None;
        }
        let pairs = x.chunks_exact(own).zip(y.chunks_exact(matrix));
        pairs.zip(to.chunks_exact_mut(product.rows * columns)).for_each(|((x, y), to)| one(x, y, to));
        return Some(());
    }
    let dense = |x, rows, b| Dense {
        a: x,
        a_stride: common,
        rows,
        common,
        columns,
        right: Right::Rows { b, stride: columns },
        finish: Finish::NOTHING,
    };
    let matrix = common * columns;
    if y.len() == matrix {
        // One matrix for all: more rows.
        cpu.dense(&dense(x, x.len() / common, y), to);
        return Some(());
    }
    let own = product.rows * common;
    if x.len() == own * product.batch && y.len() == matrix * product.batch {
        let each =
            |i: usize| dense(&x[i * own..(i + 1) * own], product.rows, &y[i * matrix..(i + 1) * matrix]);
        cpu.dense_each(product.batch, &each, to);
        return Some(());
    }
    None
}

/// Products of bytes; one matrix on the right.
fn whole(cpu: &Cpu, op: MatMul, inputs: &[View<'_>], outputs: &mut [ViewMut<'_>]) -> Option<()> {
    let ([a, b, zeros @ ..], [out]) = (inputs, outputs) else { return None };
    let product = op.product(&[a.kind, b.kind])?;
    let signed = |view: &View<'_>| match view.kind.elem {
        Elem::I8 => Some(true),
        Elem::U8 => Some(false),
        _ => None,
    };
    let one = [0];
    let [a_zeros, b_zeros] = match zeros {
        [] => [&one[..]; 2],
        [a_zeros, b_zeros] => [a_zeros.bytes?, b_zeros.bytes?],
        _ => return None,
    };
    let a = kernels::Bytes { bytes: a.bytes?, signed: signed(a)?, zeros: a_zeros };
    let b = kernels::Bytes { bytes: b.bytes?, signed: signed(b)?, zeros: b_zeros };
    let (common, columns) = (product.common, product.columns);
    if op.b_is_transposed || common == 0 || b.bytes.len() != common * columns || out.kind.elem != Elem::I32 {
        return None;
    }
    let rows = a.bytes.len() / common;
    if ![1, rows].contains(&a_zeros.len()) || ![1, columns].contains(&b_zeros.len()) {
        return None;
    }
    cpu.whole(&kernels::Whole { a, b, rows, common, columns }, cast_mut(out.bytes)?);
    Some(())
}

fn conv(cpu: &Cpu, op: &Conv, inputs: &[View<'_>], outputs: &mut [ViewMut<'_>]) -> Option<()> {
    let ([x, w, ..], [out]) = (inputs, outputs) else { return None };
    let made = pair(&out.kind.extents[2..], 1)?;
    let size = pair(&x.kind.extents[2..], 1)?;
    let windows = &op.windows;
    let [scale, bias] = op.factors(inputs).map(|factor| factor.map(floats));
    let [scale, bias] =
        [scale.map_or(Some(None), |list| list.map(Some))?, bias.map_or(Some(None), |list| list.map(Some))?];
    let bounds = op.bounds.map(|[least, most]| (least, most));
    let (pixels, weights) = (floats(x)?, floats(w)?);
    let to = floats_mut(out)?;
    let (batch, channels, maps) = (x.kind.extents[0], w.kind.extents[1], w.kind.extents[0]);
    let image = |x| Image {
        x,
        size,
        made,
        kernel: pair(&windows.kernel, 1).unwrap_or([1; 2]),
        strides: pair(&windows.strides, 1).unwrap_or([1; 2]),
        dilations: pair(&windows.dilations, 1).unwrap_or([1; 2]),
        before: pair(&windows.before, 0).unwrap_or([0; 2]),
    };
    let (plane, seen) = (size[0] * size[1], made[0] * made[1]);
    if batch == 0 || plane == 0 || seen == 0 || channels == 0 || maps == 0 {
        return None;
    }
    let groups = op.groups;
    let of_batch = pixels.chunks_exact(channels * groups * plane).zip(to.chunks_exact_mut(maps * seen));
    if channels == 1 && maps == groups {
        if !Cpu::takes_planes(&image(&[])) {
            return None;
        }
        let finish = Finish { scale, bias, bounds };
        of_batch.for_each(|(x, to)| cpu.planes(&image(x), weights, finish, to));
        return Some(());
    }
    let (rows, common) = (maps / groups, channels * windows.kernel.iter().product::<usize>());
    let as_it_is = seen == plane && common == channels && windows.before.iter().all(|x| *x == 0);
    for (x, to) in of_batch {
        let groups = x.chunks_exact(channels * plane).zip(to.chunks_exact_mut(rows * seen)).enumerate();
        for (group, (x, to)) in groups {
            let right = if as_it_is { Right::Rows { b: x, stride: plane } } else { Right::Image(image(x)) };
            let own = group * rows..(group + 1) * rows;
            let [scale, bias] = [scale, bias].map(|list| list.map(|list| &list[own.clone()]));
            let finish = Finish { scale, bias, bounds };
            let a = &weights[group * rows * common..(group + 1) * rows * common];
            cpu.dense(&Dense { a, a_stride: common, rows, common, columns: seen, right, finish }, to);
        }
    }
    Some(())
}

/// Numbers for two axes, of which the first may be missing.
fn pair(numbers: &[usize], missing: usize) -> Option<[usize; 2]> {
    match *numbers {
        [one] => Some([missing, one]),
        [one, two] => Some([one, two]),
        _ => None,
    }
}
