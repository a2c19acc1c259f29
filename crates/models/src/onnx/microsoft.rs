//! Operators of onnxruntime that exports for it carry.

use super::window::conv_of;
use super::{Importer, MICROSOFT, Row};
use crate::Error;
use crate::network::Item;
use crate::onnx::call::{Call, unknown};
use graph::ValueId;
use graph::array::{BinaryKind, MatMul, MatMulBlocks, UnaryKind};

pub(super) const ROWS: &[Row] = &[
    (MICROSOFT, "BiasGelu", |i, c| with_bias(i, c, UnaryKind::Gelu)),
    (MICROSOFT, "FastGelu", |i, c| with_bias(i, c, UnaryKind::GeluTanh)),
    (MICROSOFT, "FusedConv", fused_conv),
    (MICROSOFT, "FusedMatMul", fused_mat_mul),
    (MICROSOFT, "Gelu", |i, c| with_bias(i, c, UnaryKind::Gelu)),
    (MICROSOFT, "MatMulNBits", mat_mul_blocks),
    (MICROSOFT, "QuickGelu", |i, c| {
        let kind = UnaryKind::Swish { alpha: c.float_or("alpha", 1.702)? };
        let x = c.value(0)?;
        value(i.of_each(kind, x)?)
    }),
];

fn value(id: ValueId) -> Result<Vec<Item>, Error> {
    Ok(vec![Item::Value(id)])
}

/// A function of the sum of an array and maybe a bias.
fn with_bias(importer: &mut Importer<'_>, call: &Call<'_>, kind: UnaryKind) -> Result<Vec<Item>, Error> {
    let mut x = call.value(0)?;
    if let Some(bias) = call.optional(1)? {
        x = importer.of_both(BinaryKind::Add, x, bias)?;
    }
    value(importer.of_each(kind, x)?)
}

/// A convolution, maybe a sum, and a function.
fn fused_conv(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Item>, Error> {
    let mut inputs = vec![call.value(0)?, call.value(1)?];
    inputs.extend(call.optional(2)?);
    let mut made = conv_of(importer, call, &inputs)?;
    if let Some(more) = call.optional(3)? {
        made = importer.of_both(BinaryKind::Add, made, more)?;
    }
    let params = call.floats("activation_params")?.unwrap_or_default();
    let param = |place: usize, default: f32| params.get(place).copied().unwrap_or(default);
    let kind = match call.text_or("activation", "")? {
        "" => return value(made),
        "Clip" => {
            made = importer.with_number(BinaryKind::Max, made, f64::from(param(0, f32::MIN)))?;
            return value(importer.with_number(BinaryKind::Min, made, f64::from(param(1, f32::MAX)))?);
        }
        "HardSigmoid" => UnaryKind::HardSigmoid { alpha: param(0, 0.2), beta: param(1, 0.5) },
        "LeakyRelu" => UnaryKind::LeakyRelu { alpha: param(0, 0.01) },
        "Relu" => UnaryKind::Relu,
        "Sigmoid" => UnaryKind::Sigmoid,
        "Tanh" => UnaryKind::Tanh,
        other => return unknown("activation", other, "a function that follows convolutions is needed"),
    };
    value(importer.of_each(kind, made)?)
}

/// `alpha a b`, either maybe transposed: the last two axes, or the batch and the row.
fn fused_mat_mul(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Item>, Error> {
    let mut inputs = [call.value(0)?, call.value(1)?];
    let settings = [("transA", "transBatchA"), ("transB", "transBatchB")];
    for (input, (swapped, batch)) in inputs.iter_mut().zip(settings) {
        let rank = importer.builder.rank(*input);
        let mut order: Vec<usize> = (0..rank).collect();
        if rank > 2 && call.int_or(batch, 0)? != 0 {
            order[..rank - 1].rotate_left(1);
        }
        if rank > 1 && call.int_or(swapped, 0)? != 0 {
            order.swap(rank - 2, rank - 1);
        }
        *input = importer.transposed(*input, &order)?;
    }
    let made = importer.builder.one(MatMul { b_is_transposed: false, widens: false }, &inputs)?;
    value(super::reduce::scaled(importer, made, call.float_or("alpha", 1.0)?)?)
}

fn mat_mul_blocks(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Item>, Error> {
    let count = |name: &'static str, default: i64| {
        let number = call.int_or(name, default)?;
        usize::try_from(number).or_else(|_| unknown(name, &number.to_string(), "a number is needed"))
    };
    if call.optional(4)?.is_some() {
        return unknown("g_idx", "given", "columns must be in order");
    }
    let (zeros, bias) = (call.optional(3)?, call.optional(5)?);
    let (common, columns) = (count("K", 0)?, count("N", 0)?);
    let (bits, block) = (count("bits", 4)?, count("block_size", 32)?);
    let product = MatMulBlocks { common, columns, bits, block, zeros: zeros.is_some(), bias: bias.is_some() };
    let inputs = [call.value(0)?, call.value(1)?, call.value(2)?];
    let inputs: Vec<ValueId> = inputs.into_iter().chain(zeros).chain(bias).collect();
    value(importer.builder.one(product, &inputs)?)
}
