//! Products of matrices.

use super::elements::map_kind;
use super::{floats, floats_mut};
use graph::Elem;
use graph::array::{Dense as DenseOp, MatMul, View, ViewMut};
use host::{as_bytes, cast_mut};
use kernels::{Cpu, Dense, Finish, Meaning, Right, Scaled, Weights, Whole};
use tensor::DType;

/// Rows beside which weights are used as they lie, at most.
const FEW: usize = 8;

pub(super) fn matmul(cpu: &Cpu, op: MatMul, inputs: &[View<'_>], outputs: &mut [ViewMut<'_>]) -> Option<()> {
    let ([a, b], [out]) = (inputs, outputs) else { return None };
    let product = op.product(&[a.kind, b.kind])?;
    let (x, y, to) = (floats(a)?, floats(b)?, floats_mut(out)?);
    let (common, columns) = (product.common, product.columns);
    if common == 0 || to.is_empty() {
        return None;
    }
    let matrix = common * columns;
    if op.b_is_transposed && product.rows * product.batch <= FEW && y.len() == matrix {
        // Weights in rows, as in a decoder.
        let weights = Weights::in_rows(DType::F32, as_bytes(y), columns, common);
        cpu.product_float(weights, x, to, columns, 0);
        return Some(());
    }
    let dense = |x, rows, b| Dense {
        a: x,
        a_stride: common,
        rows,
        common,
        columns,
        right: match op.b_is_transposed {
            true => Right::Columns { b, stride: common },
            false => Right::Rows { b, stride: columns },
        },
        finish: Finish::NOTHING,
    };
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

/// A product with one matrix of floats or of bytes, and what follows it.
pub(super) fn dense(cpu: &Cpu, op: DenseOp, inputs: &[View<'_>], outputs: &mut [ViewMut<'_>]) -> Option<()> {
    let ([a, w, ..], [out]) = (inputs, outputs) else { return None };
    let factors = op.factors(inputs);
    let &[common, columns] = &w.kind.extents[..] else { return None };
    let (x, to) = (floats(a)?, floats_mut(out)?);
    if common == 0 || to.is_empty() {
        return None;
    }
    let right = match factors.scale {
        None => Right::Rows { b: floats(w)?, stride: columns },
        Some(scale) => {
            let signed = w.kind.elem == Elem::I8;
            let zeros = factors.zero.map_or(Some(&[0][..]), |zero| zero.bytes)?;
            let b = kernels::Bytes { bytes: w.bytes?, signed, zeros };
            let by_row = matches!(scale.kind.extents[..], [rows, 1] if rows > 1);
            Right::Bytes(Scaled { b, stride: columns, scale: floats(scale)?, by_row })
        }
    };
    let of_columns = factors.bias.map_or(Some(None), |bias| floats(bias).map(Some))?;
    let then = op.then.map_or(Some(None), |kind| map_kind(kind).map(Some))?;
    let finish = Finish { of_columns, then, ..Finish::NOTHING };
    cpu.dense(&Dense { a: x, a_stride: common, rows: x.len() / common, common, columns, right, finish }, to);
    Some(())
}

/// Products with f16 or bf16 in rows, as in a decoder; one matrix for all is more columns.
pub(super) fn narrow(cpu: &Cpu, op: MatMul, inputs: &[View<'_>], outputs: &mut [ViewMut<'_>]) -> Option<()> {
    let ([a, b], [out]) = (inputs, outputs) else { return None };
    let product = op.product(&[a.kind, b.kind])?;
    let (x, y, to) = (floats(a)?, b.bytes?, floats_mut(out)?);
    let (common, columns) = (product.common, product.columns);
    let dtype = match b.kind.elem {
        Elem::BF16 => DType::BF16,
        Elem::F16 => DType::F16,
        _ => return None,
    };
    if !op.b_is_transposed || common == 0 || to.is_empty() {
        return None;
    }
    let (matrix, own) = (common * columns * b.kind.elem.bytes(), product.rows * common);
    let one = |x: &[f32], bytes: &[u8], to: &mut [f32]| {
        cpu.product_float(Weights::in_rows(dtype, bytes, columns, common), x, to, columns, 0);
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
    Some(())
}

/// Products of bytes as what they stand for.
pub(super) fn meant(cpu: &Cpu, inputs: &[View<'_>], outputs: &mut [ViewMut<'_>]) -> Option<()> {
    let (arrays, factors) = inputs.split_at_checked(4)?;
    let (scale, bias) = match factors {
        [scale] => (scale, &[][..]),
        [scale, bias] => (scale, floats(bias)?),
        _ => return None,
    };
    let op = MatMul { b_is_transposed: false, widens: true };
    bytes(cpu, op, arrays, outputs, Some(Meaning { scale: floats(scale)?, bias }))
}

/// Products of bytes.
pub(super) fn whole(cpu: &Cpu, op: MatMul, inputs: &[View<'_>], outputs: &mut [ViewMut<'_>]) -> Option<()> {
    bytes(cpu, op, inputs, outputs, None)
}

/// Products of bytes; one matrix on the right, or as many as there are on the left.
fn bytes(
    cpu: &Cpu,
    op: MatMul,
    inputs: &[View<'_>],
    outputs: &mut [ViewMut<'_>],
    meaning: Option<Meaning<'_>>,
) -> Option<()> {
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
    if op.b_is_transposed
        || common == 0
        || out.kind.elem.bytes() != 4
        || ![1, columns].contains(&b_zeros.len())
    {
        return None;
    }
    let to = cast_mut(out.bytes)?;
    let (matrix, own) = (common * columns, product.rows * common);
    if b.bytes.len() == matrix {
        let rows = a.bytes.len() / common;
        if ![1, rows].contains(&a_zeros.len()) {
            return None;
        }
        cpu.whole(&Whole { a, b, rows, common, columns, meaning }, to);
        return Some(());
    }
    let each = |list: &[u8], len: usize| list.len() == len * product.batch;
    let fits = [1, product.rows].contains(&a_zeros.len()) && matrix > 0 && own > 0;
    if !fits || !each(b.bytes, matrix) || !(each(a.bytes, own) || a.bytes.len() == own) {
        return None;
    }
    let lefts = a.bytes.chunks_exact(own).cycle();
    let products = lefts.zip(b.bytes.chunks_exact(matrix)).zip(to.chunks_exact_mut(product.rows * columns));
    for ((left, right), to) in products {
        let (a, b) = (kernels::Bytes { bytes: left, ..a }, kernels::Bytes { bytes: right, ..b });
        cpu.whole(&Whole { a, b, rows: product.rows, common, columns, meaning }, to);
    }
    Some(())
}
