//! Operators that take each element by itself.

use super::{Importer, OWN, Row};
use crate::Error;
use crate::network::Item;
use crate::onnx::call::{Call, unknown};
use graph::array::{Binary, BinaryKind, Cast, Select, Unary, UnaryKind};
use graph::{Elem, ValueId};

pub(super) const ROWS: &[Row] = &[
    (OWN, "Abs", |i, c| unary(i, c, UnaryKind::Abs)),
    (OWN, "Acos", |i, c| unary(i, c, UnaryKind::Acos)),
    (OWN, "Acosh", |i, c| unary(i, c, UnaryKind::Acosh)),
    (OWN, "Add", |i, c| binary(i, c, BinaryKind::Add)),
    (OWN, "And", |i, c| binary(i, c, BinaryKind::And)),
    (OWN, "Asin", |i, c| unary(i, c, UnaryKind::Asin)),
    (OWN, "Asinh", |i, c| unary(i, c, UnaryKind::Asinh)),
    (OWN, "Atan", |i, c| unary(i, c, UnaryKind::Atan)),
    (OWN, "Atanh", |i, c| unary(i, c, UnaryKind::Atanh)),
    (OWN, "BitShift", bit_shift),
    (OWN, "BitwiseAnd", |i, c| binary(i, c, BinaryKind::BitAnd)),
    (OWN, "BitwiseNot", |i, c| unary(i, c, UnaryKind::BitNot)),
    (OWN, "BitwiseOr", |i, c| binary(i, c, BinaryKind::BitOr)),
    (OWN, "BitwiseXor", |i, c| binary(i, c, BinaryKind::BitXor)),
    (OWN, "Cast", cast),
    (OWN, "CastLike", cast_like),
    (OWN, "Ceil", |i, c| unary(i, c, UnaryKind::Ceil)),
    (OWN, "Celu", |i, c| unary(i, c, UnaryKind::Celu { alpha: c.float_or("alpha", 1.0)? })),
    (OWN, "Clip", clip),
    (OWN, "Cos", |i, c| unary(i, c, UnaryKind::Cos)),
    (OWN, "Cosh", |i, c| unary(i, c, UnaryKind::Cosh)),
    (OWN, "Div", |i, c| binary(i, c, BinaryKind::Div)),
    (OWN, "Elu", |i, c| unary(i, c, UnaryKind::Elu { alpha: c.float_or("alpha", 1.0)? })),
    (OWN, "Equal", |i, c| binary(i, c, BinaryKind::Equal)),
    (OWN, "Erf", |i, c| unary(i, c, UnaryKind::Erf)),
    (OWN, "Exp", |i, c| unary(i, c, UnaryKind::Exp)),
    (OWN, "Floor", |i, c| unary(i, c, UnaryKind::Floor)),
    (OWN, "Gelu", gelu),
    (OWN, "Greater", |i, c| binary(i, c, BinaryKind::Greater)),
    (OWN, "GreaterOrEqual", |i, c| binary(i, c, BinaryKind::GreaterOrEqual)),
    (OWN, "HardSigmoid", |i, c| {
        let (alpha, beta) = (c.float_or("alpha", 0.2)?, c.float_or("beta", 0.5)?);
        unary(i, c, UnaryKind::HardSigmoid { alpha, beta })
    }),
    (OWN, "HardSwish", |i, c| unary(i, c, UnaryKind::HardSwish)),
    (OWN, "IsInf", |i, c| {
        let (negative, positive) =
            (c.int_or("detect_negative", 1)? != 0, c.int_or("detect_positive", 1)? != 0);
        unary(i, c, UnaryKind::IsInf { negative, positive })
    }),
    (OWN, "IsNaN", |i, c| unary(i, c, UnaryKind::IsNan)),
    (OWN, "LeakyRelu", |i, c| unary(i, c, UnaryKind::LeakyRelu { alpha: c.float_or("alpha", 0.01)? })),
    (OWN, "Less", |i, c| binary(i, c, BinaryKind::Less)),
    (OWN, "LessOrEqual", |i, c| binary(i, c, BinaryKind::LessOrEqual)),
    (OWN, "Log", |i, c| unary(i, c, UnaryKind::Log)),
    (OWN, "Max", |i, c| many(i, c, BinaryKind::Max)),
    (OWN, "Mean", mean),
    (OWN, "Min", |i, c| many(i, c, BinaryKind::Min)),
    (OWN, "Mish", |i, c| unary(i, c, UnaryKind::Mish)),
    (OWN, "Mod", |i, c| {
        binary(i, c, if c.int_or("fmod", 0)? != 0 { BinaryKind::Rem } else { BinaryKind::Mod })
    }),
    (OWN, "Mul", |i, c| binary(i, c, BinaryKind::Mul)),
    (OWN, "Neg", |i, c| unary(i, c, UnaryKind::Neg)),
    (OWN, "Not", |i, c| unary(i, c, UnaryKind::Not)),
    (OWN, "Or", |i, c| binary(i, c, BinaryKind::Or)),
    (OWN, "PRelu", prelu),
    (OWN, "Pow", |i, c| binary(i, c, BinaryKind::Pow)),
    (OWN, "Reciprocal", |i, c| unary(i, c, UnaryKind::Reciprocal)),
    (OWN, "Relu", |i, c| unary(i, c, UnaryKind::Relu)),
    (OWN, "Round", |i, c| unary(i, c, UnaryKind::Round)),
    (OWN, "Selu", |i, c| {
        let (alpha, gamma) = (c.float_or("alpha", 1.673_263_2)?, c.float_or("gamma", 1.050_701)?);
        unary(i, c, UnaryKind::Selu { alpha, gamma })
    }),
    (OWN, "Shrink", |i, c| {
        let (bias, lambd) = (c.float_or("bias", 0.0)?, c.float_or("lambd", 0.5)?);
        unary(i, c, UnaryKind::Shrink { bias, lambd })
    }),
    (OWN, "Sigmoid", |i, c| unary(i, c, UnaryKind::Sigmoid)),
    (OWN, "Sign", |i, c| unary(i, c, UnaryKind::Sign)),
    (OWN, "Sin", |i, c| unary(i, c, UnaryKind::Sin)),
    (OWN, "Sinh", |i, c| unary(i, c, UnaryKind::Sinh)),
    (OWN, "Softplus", |i, c| unary(i, c, UnaryKind::Softplus)),
    (OWN, "Softsign", |i, c| unary(i, c, UnaryKind::Softsign)),
    (OWN, "Sqrt", |i, c| unary(i, c, UnaryKind::Sqrt)),
    (OWN, "Sub", |i, c| binary(i, c, BinaryKind::Sub)),
    (OWN, "Sum", |i, c| many(i, c, BinaryKind::Add)),
    (OWN, "Swish", |i, c| unary(i, c, UnaryKind::Swish { alpha: c.float_or("alpha", 1.0)? })),
    (OWN, "Tan", |i, c| unary(i, c, UnaryKind::Tan)),
    (OWN, "Tanh", |i, c| unary(i, c, UnaryKind::Tanh)),
    (OWN, "ThresholdedRelu", |i, c| {
        unary(i, c, UnaryKind::ThresholdedRelu { alpha: c.float_or("alpha", 1.0)? })
    }),
    (OWN, "Where", |i, c| {
        let inputs = [c.value(0)?, c.value(1)?, c.value(2)?];
        Ok(vec![Item::Value(i.builder.one(Select, &inputs)?)])
    }),
    (OWN, "Xor", |i, c| binary(i, c, BinaryKind::Xor)),
];

fn unary(importer: &mut Importer<'_>, call: &Call<'_>, kind: UnaryKind) -> Result<Vec<Item>, Error> {
    Ok(vec![Item::Value(importer.builder.one(Unary { kind }, &[call.value(0)?])?)])
}

fn binary(importer: &mut Importer<'_>, call: &Call<'_>, kind: BinaryKind) -> Result<Vec<Item>, Error> {
    let (a, b) = (call.value(0)?, call.value(1)?);
    Ok(vec![Item::Value(importer.builder.one(Binary { kind }, &[a, b])?)])
}

/// Old exports give a slope for each channel as a list.
fn prelu(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Item>, Error> {
    let (input, mut slope) = (call.value(0)?, call.value(1)?);
    let (own, slopes) = (importer.builder.extents(input)?, importer.builder.extents(slope)?);
    if let ([slopes], [_, channels, places @ ..]) = (&slopes[..], &own[..])
        && slopes == channels
        && places.last().is_some_and(|last| last != slopes)
    {
        slope = importer.reshaped(slope, &[&[*slopes], &vec![1; places.len()][..]].concat())?;
    }
    Ok(vec![Item::Value(importer.builder.one(Binary { kind: BinaryKind::Prelu }, &[input, slope])?)])
}

/// All inputs, one with another.
fn many(importer: &mut Importer<'_>, call: &Call<'_>, kind: BinaryKind) -> Result<Vec<Item>, Error> {
    let inputs = call.values()?;
    let (first, rest) = inputs.split_first().ok_or(Error::MissingInput { input: 0 })?;
    let fold = |sum: ValueId, input: &ValueId| importer.builder.one(Binary { kind }, &[sum, *input]);
    Ok(vec![Item::Value(rest.iter().try_fold(*first, fold)?)])
}

fn mean(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Item>, Error> {
    let sum = match &many(importer, call, BinaryKind::Add)?[..] {
        [Item::Value(sum)] => *sum,
        _ => return Err(Error::NoOutput),
    };
    let count = importer.builder.number(importer.builder.elem(sum), call.inputs.len() as f64);
    Ok(vec![Item::Value(importer.builder.one(Binary { kind: BinaryKind::Div }, &[sum, count])?)])
}

fn gelu(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Item>, Error> {
    match call.text_or("approximate", "none")? {
        "none" => unary(importer, call, UnaryKind::Gelu),
        "tanh" => unary(importer, call, UnaryKind::GeluTanh),
        other => unknown("approximate", other, "'none' or 'tanh' is needed"),
    }
}

fn bit_shift(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Item>, Error> {
    match call.text_or("direction", "")? {
        "LEFT" => binary(importer, call, BinaryKind::ShiftLeft),
        "RIGHT" => binary(importer, call, BinaryKind::ShiftRight),
        other => unknown("direction", other, "'LEFT' or 'RIGHT' is needed"),
    }
}

fn cast(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Item>, Error> {
    let to = super::elem_of_id("to", call.int_or("to", 0)?)?;
    cast_to(importer, call, to)
}

fn cast_like(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Item>, Error> {
    let to = importer.builder.elem(call.value(1)?);
    cast_to(importer, call, to)
}

fn cast_to(importer: &mut Importer<'_>, call: &Call<'_>, to: Elem) -> Result<Vec<Item>, Error> {
    let input = call.value(0)?;
    if importer.builder.elem(input) == to {
        return Ok(vec![Item::Value(input)]);
    }
    Ok(vec![Item::Value(importer.builder.one(Cast { to }, &[input])?)])
}

/// Bounds are inputs, or before opset 11 settings.
fn clip(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Item>, Error> {
    let mut value = call.value(0)?;
    let elem = importer.builder.elem(value);
    let sides = [(1, "min", BinaryKind::Max), (2, "max", BinaryKind::Min)];
    for (input, name, kind) in sides {
        let bound = match (call.optional(input)?, call.float(name)?) {
            (Some(bound), _) => bound,
            (None, Some(bound)) => importer.builder.number(elem, f64::from(bound)),
            (None, None) => continue,
        };
        value = importer.builder.one(Binary { kind }, &[value, bound])?;
    }
    Ok(vec![Item::Value(value)])
}

impl Importer<'_> {
    /// A function of each element.
    pub fn of_each(&mut self, kind: UnaryKind, x: ValueId) -> Result<ValueId, Error> {
        self.builder.one(Unary { kind }, &[x])
    }

    /// Two arrays element by element.
    pub fn of_both(&mut self, kind: BinaryKind, a: ValueId, b: ValueId) -> Result<ValueId, Error> {
        self.builder.one(Binary { kind }, &[a, b])
    }

    /// An array and a number of its kind.
    pub fn with_number(&mut self, kind: BinaryKind, a: ValueId, b: f64) -> Result<ValueId, Error> {
        let b = self.builder.number(self.builder.elem(a), b);
        self.of_both(kind, a, b)
    }

    /// The same numbers as another kind of element.
    pub fn cast(&mut self, x: ValueId, to: Elem) -> Result<ValueId, Error> {
        if self.builder.elem(x) == to { Ok(x) } else { self.builder.one(Cast { to }, &[x]) }
    }
}
