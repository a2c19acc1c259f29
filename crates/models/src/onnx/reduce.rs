//! Operators that make one number of many, and products of matrices.

use super::{Importer, OWN, Row};
use crate::Error;
use crate::network::{Item, axis_of};
use crate::onnx::call::Call;
use graph::array::{Binary, BinaryKind, Cast, MatMul, Reduce, ReduceKind, Softmax};
use graph::{Elem, ValueId};

pub(super) const ROWS: &[Row] = &[
    (OWN, "Gemm", gemm),
    (OWN, "GlobalAveragePool", |i, c| global(i, c, ReduceKind::Mean)),
    (OWN, "GlobalMaxPool", |i, c| global(i, c, ReduceKind::Max)),
    (OWN, "LogSoftmax", |i, c| softmax(i, c, true)),
    (OWN, "MatMul", mat_mul),
    (OWN, "ReduceL1", |i, c| reduce(i, c, ReduceKind::L1)),
    (OWN, "ReduceL2", |i, c| reduce(i, c, ReduceKind::L2)),
    (OWN, "ReduceLogSum", |i, c| reduce(i, c, ReduceKind::LogSum)),
    (OWN, "ReduceLogSumExp", |i, c| reduce(i, c, ReduceKind::LogSumExp)),
    (OWN, "ReduceMax", |i, c| reduce(i, c, ReduceKind::Max)),
    (OWN, "ReduceMean", |i, c| reduce(i, c, ReduceKind::Mean)),
    (OWN, "ReduceMin", |i, c| reduce(i, c, ReduceKind::Min)),
    (OWN, "ReduceProd", |i, c| reduce(i, c, ReduceKind::Prod)),
    (OWN, "ReduceSum", |i, c| reduce(i, c, ReduceKind::Sum)),
    (OWN, "ReduceSumSquare", |i, c| reduce(i, c, ReduceKind::SumSquare)),
    (OWN, "Softmax", |i, c| softmax(i, c, false)),
];

fn reduce(importer: &mut Importer<'_>, call: &Call<'_>, kind: ReduceKind) -> Result<Vec<Item>, Error> {
    let input = call.value(0)?;
    let rank = importer.builder.rank(input);
    let given = match call.optional(1)? {
        Some(axes) => Some(importer.builder.integers(axes)?),
        None => call.ints("axes")?.map(<[i64]>::to_vec),
    };
    let given = given.filter(|axes| !axes.is_empty());
    if given.is_none() && call.int_or("noop_with_empty_axes", 0)? != 0 {
        // Nothing is added up, but each number still goes through what sums go through.
        let axes = Vec::new();
        return Ok(vec![Item::Value(importer.builder.one(Reduce { kind, axes, keeps: true }, &[input])?)]);
    }
    let mut axes: Vec<usize> = match given {
        Some(axes) => axes.into_iter().map(|axis| axis_of(axis, rank)).collect::<Result<_, _>>()?,
        None => (0..rank).collect(),
    };
    axes.sort_unstable();
    axes.dedup();
    let keeps = call.int_or("keepdims", 1)? != 0;
    Ok(vec![Item::Value(importer.builder.one(Reduce { kind, axes, keeps }, &[input])?)])
}

fn global(importer: &mut Importer<'_>, call: &Call<'_>, kind: ReduceKind) -> Result<Vec<Item>, Error> {
    let input = call.value(0)?;
    let axes = (2..importer.builder.rank(input)).collect();
    Ok(vec![Item::Value(importer.builder.one(Reduce { kind, axes, keeps: true }, &[input])?)])
}

/// Before opset 13 all axes from the one that is named on are taken as one.
fn softmax(importer: &mut Importer<'_>, call: &Call<'_>, log: bool) -> Result<Vec<Item>, Error> {
    let input = call.value(0)?;
    let rank = importer.builder.rank(input);
    if call.version >= 13 {
        let axis = call.axis("axis", -1, rank)?;
        return Ok(vec![Item::Value(importer.builder.one(Softmax { axis, log }, &[input])?)]);
    }
    let axis = call.axis("axis", 1, rank)?;
    let own = importer.builder.extents(input)?;
    let (rows, columns) = own.split_at(axis);
    let flat = importer.reshaped(input, &[rows.iter().product(), columns.iter().product()])?;
    let made = importer.builder.one(Softmax { axis: 1, log }, &[flat])?;
    Ok(vec![Item::Value(importer.reshaped(made, &own)?)])
}

fn mat_mul(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Item>, Error> {
    let inputs = [call.value(0)?, call.value(1)?];
    let product = MatMul { b_is_transposed: false, widens: false };
    Ok(vec![Item::Value(importer.builder.one(product, &inputs)?)])
}

/// `alpha a b + beta c`.
fn gemm(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Item>, Error> {
    let (mut a, b) = (call.value(0)?, call.value(1)?);
    if call.int_or("transA", 0)? != 0 {
        a = importer.transposed(a, &[1, 0])?;
    }
    let product = MatMul { b_is_transposed: call.int_or("transB", 0)? != 0, widens: false };
    let mut made = importer.builder.one(product, &[a, b])?;
    made = scaled(importer, made, call.float_or("alpha", 1.0)?)?;
    if let Some(c) = call.optional(2)? {
        let c = scaled(importer, c, call.float_or("beta", 1.0)?)?;
        made = importer.builder.one(Binary { kind: BinaryKind::Add }, &[made, c])?;
    }
    Ok(vec![Item::Value(made)])
}

pub(super) fn scaled(importer: &mut Importer<'_>, value: ValueId, factor: f32) -> Result<ValueId, Error> {
    if factor == 1.0 {
        return Ok(value);
    }
    let elem = importer.builder.elem(value);
    if elem.is_float() {
        let factor = importer.builder.number(elem, f64::from(factor));
        return importer.builder.one(Binary { kind: BinaryKind::Mul }, &[value, factor]);
    }
    let wide = importer.builder.one(Cast { to: Elem::F64 }, &[value])?;
    let factor = importer.builder.number(Elem::F64, f64::from(factor));
    let made = importer.builder.one(Binary { kind: BinaryKind::Mul }, &[wide, factor])?;
    importer.builder.one(Cast { to: elem }, &[made])
}
