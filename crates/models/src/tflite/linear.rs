//! Products of matrices, and what makes shares or lengths of a row.

use super::call::{Call, Made};
use super::{Importer, Row};
use crate::Error;
use formats::tflite::{Activation, Options, WeightsFormat};
use graph::ValueId;
use graph::array::{BinaryKind, MatMul, Pad, PadKind, Reduce, ReduceKind, Softmax, UnaryKind};

pub(super) const ROWS: &[Row] = &[
    ("BATCH_MATMUL", batch_matmul),
    ("FULLY_CONNECTED", fully_connected),
    ("L2_NORMALIZATION", l2_norm),
    ("LOCAL_RESPONSE_NORMALIZATION", local_response),
    ("LOG_SOFTMAX", |i, c| softmax(i, c, true)),
    ("SOFTMAX", |i, c| softmax(i, c, false)),
];

/// What a fully connected layer is: its input as rows, the extents of what it makes, its activation.
pub(super) struct Layer {
    pub rows: ValueId,
    pub made: Vec<usize>,
    pub activation: Activation,
}

/// A fully connected layer as its settings say.
pub(super) fn layer(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Layer, Error> {
    let Options::FullyConnected {
        fused_activation_function: activation,
        weights_format: WeightsFormat::Default,
        keep_num_dims,
        ..
    } = call.operator.options
    else {
        return call.wrong("weights_format", "weights that are not shuffled are needed");
    };
    let [outputs, width] = importer.extents(call.input(1)?)?[..] else {
        return call.wrong("weights", "a matrix is needed");
    };
    let x = importer.plain(call.input(0)?)?;
    let own = importer.builder.extents(x)?;
    let elements = own.elements();
    if width == 0 || !elements.is_multiple_of(width) {
        return call.wrong("weights", "as many columns as the input has elements in a row are needed");
    }
    let made = match (keep_num_dims, own.split_last()) {
        (true, Some((_, before))) => [before, &[outputs]].concat(),
        _ => vec![elements / width, outputs],
    };
    let rows = importer.builder.reshaped(x, &[elements / width, width])?;
    Ok(Layer { rows, made, activation })
}

fn fully_connected(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Made>, Error> {
    let Layer { rows, made, activation } = layer(importer, call)?;
    let w = importer.plain(call.input(1)?)?;
    let mut y = importer.builder.one(MatMul { b_is_transposed: true, widens: false }, &[rows, w])?;
    if let Some(bias) = call.optional(2) {
        let bias = importer.plain(bias)?;
        y = importer.builder.of_both(BinaryKind::Add, y, bias)?;
    }
    let y = importer.activated(y, activation)?;
    Ok(Made::plain(importer.builder.reshaped(y, &made)?))
}

fn batch_matmul(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Made>, Error> {
    let Options::BatchMatMul { adj_x, adj_y, .. } = call.operator.options else {
        return call.wrong("builtin_options", "settings of a product are needed");
    };
    let mut a = importer.plain(call.input(0)?)?;
    if adj_x {
        let mut order: Vec<usize> = (0..importer.builder.rank(a)).collect();
        let last = order.len().saturating_sub(2);
        order[last..].reverse();
        a = importer.builder.turned(a, &order)?;
    }
    let b = importer.plain(call.input(1)?)?;
    Ok(Made::plain(importer.builder.one(MatMul { b_is_transposed: adj_y, widens: false }, &[a, b])?))
}

fn softmax(importer: &mut Importer<'_>, call: &Call<'_>, log: bool) -> Result<Vec<Made>, Error> {
    let mut x = importer.plain(call.input(0)?)?;
    if let Options::Softmax { beta } = call.operator.options
        && beta != 1.0
    {
        x = importer.builder.with_number(BinaryKind::Mul, x, beta.into())?;
    }
    let axis = importer.builder.axis(x, -1)?;
    Ok(Made::plain(importer.builder.one(Softmax { axis, log }, &[x])?))
}

/// Rows by their length.
fn l2_norm(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Made>, Error> {
    let x = importer.plain(call.input(0)?)?;
    let axis = importer.builder.axis(x, -1)?;
    let builder = &mut importer.builder;
    let square = builder.one(Reduce { kind: ReduceKind::SumSquare, axes: vec![axis], keeps: true }, &[x])?;
    let long = builder.of_each(UnaryKind::Sqrt, square)?;
    let long = builder.with_number(BinaryKind::Max, long, 1e-6)?;
    let made = builder.of_both(BinaryKind::Div, x, long)?;
    let Options::L2Norm { fused_activation_function } = call.operator.options else {
        return Ok(Made::plain(made));
    };
    Ok(Made::plain(importer.activated(made, fused_activation_function)?))
}

/// Channels that a channel is seen beside, at most.
const BESIDE: i32 = 64;

/// Each channel by a power of the squares of those around it.
fn local_response(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Made>, Error> {
    let Options::LocalResponseNormalization { radius, bias, alpha, beta } = call.operator.options else {
        return call.wrong("builtin_options", "settings of this norm are needed");
    };
    let Some(radius) = Some(radius).filter(|radius| (0..=BESIDE).contains(radius)) else {
        return call.wrong("radius", "a number from 0 to 64 is needed");
    };
    let x = importer.plain(call.input(0)?)?;
    let builder = &mut importer.builder;
    let axis = builder.axis(x, -1)?;
    let own = builder.extents(x)?;
    let square = builder.of_both(BinaryKind::Mul, x, x)?;
    let mut margin = vec![0; own.len()];
    margin[axis] = radius as isize;
    let zero = builder.number(builder.elem(x), 0.0);
    let pad = Pad { kind: PadKind::Constant, before: margin.clone(), behind: margin };
    let padded = builder.one(pad, &[square, zero])?;
    let mut sum = builder.part_along(padded, axis, 0, own[axis])?;
    for start in 1..=2 * radius as usize {
        let next = builder.part_along(padded, axis, start, own[axis])?;
        sum = builder.of_both(BinaryKind::Add, sum, next)?;
    }
    let sum = builder.with_number(BinaryKind::Mul, sum, alpha.into())?;
    let sum = builder.with_number(BinaryKind::Add, sum, bias.into())?;
    let power = builder.with_number(BinaryKind::Pow, sum, (-beta).into())?;
    Ok(Made::plain(builder.of_both(BinaryKind::Mul, x, power)?))
}
