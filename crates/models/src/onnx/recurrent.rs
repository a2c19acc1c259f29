//! Recurrent networks.

use super::{Importer, OWN, Row};
use crate::Error;
use crate::network::Item;
use crate::onnx::call::{Call, unknown, wrong};
use formats::onnx::AttributeValue;
use graph::array::{Recurrent, RecurrentInputs, RecurrentKind, UnaryKind};

pub(super) const ROWS: &[Row] = &[
    (OWN, "GRU", |i, c| {
        let linear = c.int_or("linear_before_reset", 0)? != 0;
        recurrent(i, c, RecurrentKind::Gru { linear }, &["Sigmoid", "Tanh"])
    }),
    (OWN, "LSTM", |i, c| {
        let couples = c.int_or("input_forget", 0)? != 0;
        recurrent(i, c, RecurrentKind::Lstm { couples }, &["Sigmoid", "Tanh", "Tanh"])
    }),
    (OWN, "RNN", |i, c| recurrent(i, c, RecurrentKind::Plain, &["Tanh"])),
];

fn recurrent(
    importer: &mut Importer<'_>,
    call: &Call<'_>,
    kind: RecurrentKind,
    default: &[&str],
) -> Result<Vec<Item>, Error> {
    let backwards = match call.text_or("direction", "forward")? {
        "forward" => vec![false],
        "reverse" => vec![true],
        "bidirectional" => vec![false, true],
        other => return unknown("direction", other, "'forward', 'reverse' or 'bidirectional' is needed"),
    };
    let lstm = matches!(kind, RecurrentKind::Lstm { .. });
    let mut inputs = vec![call.value(0)?, call.value(1)?, call.value(2)?];
    let optional: Vec<_> = (3..8).map(|input| call.optional(input)).collect::<Result<_, _>>()?;
    let with = RecurrentInputs {
        bias: optional[0].is_some(),
        lengths: optional[1].is_some(),
        hidden: optional[2].is_some(),
        cell: lstm && optional[3].is_some(),
        peepholes: lstm && optional[4].is_some(),
    };
    inputs.extend(optional.into_iter().take(if lstm { 5 } else { 3 }).flatten());
    let all = call.wants(0);
    let network = Recurrent {
        kind,
        activations: activations(call, default, backwards.len())?,
        backwards,
        clip: call.float("clip")?,
        batch_first: call.int_or("layout", 0)? != 0,
        all,
        with,
    };
    let made = importer.builder.push(network, &inputs)?;
    let none = if all { None } else { Some(Item::None) };
    Ok(none.into_iter().chain(made.into_iter().map(Item::Value)).collect())
}

/// The functions of all directions. Those that have settings take the next ones of two lists.
fn activations(call: &Call<'_>, default: &[&str], directions: usize) -> Result<Vec<UnaryKind>, Error> {
    let names: Vec<String> = match call.attribute("activations") {
        None => default.iter().cycle().take(default.len() * directions).map(|name| (*name).into()).collect(),
        Some(AttributeValue::Strings(names)) if names.len() == default.len() * directions => {
            names.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect()
        }
        Some(other) => {
            return wrong("activations", other, "a name for each function of each direction is needed");
        }
    };
    let mut alphas = call.floats("activation_alpha")?.unwrap_or_default().iter().copied();
    let mut betas = call.floats("activation_beta")?.unwrap_or_default().iter().copied();
    let mut function = |name: &str| {
        let mut alpha = |default: f32| alphas.next().unwrap_or(default);
        let mut beta = |default: f32| betas.next().unwrap_or(default);
        Ok(match &*name.to_ascii_lowercase() {
            "affine" => UnaryKind::Affine { alpha: alpha(1.0), beta: beta(0.0) },
            "elu" => UnaryKind::Elu { alpha: alpha(1.0) },
            "hardsigmoid" => UnaryKind::HardSigmoid { alpha: alpha(0.2), beta: beta(0.5) },
            "leakyrelu" => UnaryKind::LeakyRelu { alpha: alpha(0.01) },
            "relu" => UnaryKind::Relu,
            "scaledtanh" => UnaryKind::ScaledTanh { alpha: alpha(1.0), beta: beta(1.0) },
            "sigmoid" => UnaryKind::Sigmoid,
            "softplus" => UnaryKind::Softplus,
            "softsign" => UnaryKind::Softsign,
            "tanh" => UnaryKind::Tanh,
            "thresholdedrelu" => UnaryKind::ThresholdedRelu { alpha: alpha(1.0) },
            _ => return unknown("activations", name, "a function of ONNX's list is needed"),
        })
    };
    names.iter().map(|name| function(name)).collect()
}
