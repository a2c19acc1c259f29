//! Losses.

use super::{Importer, OWN, Row};
use crate::Error;
use crate::network::Item;
use crate::onnx::call::{Call, unknown};
use graph::ValueId;
use graph::array::{BinaryKind, Reduce, ReduceKind, Select, Softmax, UnaryKind};

pub(super) const ROWS: &[Row] = &[
    (OWN, "NegativeLogLikelihoodLoss", |i, c| {
        let x = c.value(0)?;
        Ok(vec![Item::Value(likelihood(i, c, x)?)])
    }),
    (OWN, "SoftmaxCrossEntropyLoss", |i, c| {
        let log = i.builder.one(Softmax { axis: 1, log: true }, &[c.value(0)?])?;
        Ok(vec![Item::Value(likelihood(i, c, log)?), Item::Value(log)])
    }),
];

/// Classes whose numbers are listed.
const CLASSES_MAX: usize = 1 << 22;

/// Of logarithms (n, classes, places): what the class in question has, negative, with its weight.
fn likelihood(importer: &mut Importer<'_>, call: &Call<'_>, x: ValueId) -> Result<ValueId, Error> {
    let (own, target) = (importer.builder.extents(x)?, call.value(1)?);
    let classes = *own.get(1).ok_or(Error::Axis { axis: 1, rank: own.len() })?;
    if classes > CLASSES_MAX {
        return unknown("weight", &classes.to_string(), "fewer classes are needed");
    }
    let mut extents = own;
    extents[1] = 1;
    let wanted = importer.reshaped(target, &extents)?;
    let places = vec![1; own.len() - 2];
    let column = [&[classes], &places[..]].concat();
    let numbers = importer.builder.integers_constant(&(0..classes as i64).collect::<Vec<_>>())?;
    let numbers = importer.cast(numbers, importer.builder.elem(target))?;
    let numbers = importer.reshaped(numbers, &column)?;
    // A class that is ignored is none of them, unless it is one of them.
    let mut is = importer.of_both(BinaryKind::Equal, wanted, numbers)?;
    if let Some(ignored) = call.int("ignore_index")? {
        let same = importer.with_number(BinaryKind::Equal, wanted, ignored as f64)?;
        let other = importer.of_each(UnaryKind::Not, same)?;
        is = importer.of_both(BinaryKind::And, is, other)?;
    }
    let elem = importer.builder.elem(x);
    let zero = importer.builder.number(elem, 0.0);
    let weights = match call.optional(2)? {
        Some(weights) => importer.reshaped(weights, &column)?,
        None => importer.builder.number(elem, 1.0),
    };
    let sum = |importer: &mut Importer<'_>, values, axes| {
        importer.builder.one(Reduce { kind: ReduceKind::Sum, axes, keeps: false }, &[values])
    };
    let weights = importer.builder.one(Select, &[is, weights, zero])?;
    let chosen = importer.builder.one(Select, &[is, x, zero])?;
    let weighted = importer.of_both(BinaryKind::Mul, chosen, weights)?;
    let loss = sum(importer, weighted, vec![1])?;
    let loss = importer.of_each(UnaryKind::Neg, loss)?;
    let all: Vec<usize> = (0..own.len() - 1).collect();
    match call.text_or("reduction", "mean")? {
        "none" => Ok(loss),
        "sum" => sum(importer, loss, all),
        "mean" => {
            let total = sum(importer, loss, all)?;
            let weight = sum(importer, weights, (0..own.len()).collect())?;
            importer.of_both(BinaryKind::Div, total, weight)
        }
        other => unknown("reduction", other, "'none', 'sum' or 'mean' is needed"),
    }
}
