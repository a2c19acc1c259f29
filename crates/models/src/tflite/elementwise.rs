//! Operators that take each element by itself.

use super::call::{Call, Made};
use super::{Importer, Row};
use crate::Error;
use formats::tflite::{Activation, Options};
use graph::ValueId;
use graph::array::{BinaryKind, Select, UnaryKind};

pub(super) const ROWS: &[Row] = &[
    ("ABS", |i, c| unary(i, c, UnaryKind::Abs)),
    ("ADD", |i, c| binary(i, c, BinaryKind::Add)),
    ("ADD_N", add_all),
    ("BITWISE_XOR", |i, c| binary(i, c, BinaryKind::BitXor)),
    ("CAST", cast),
    ("CEIL", |i, c| unary(i, c, UnaryKind::Ceil)),
    ("COS", |i, c| unary(i, c, UnaryKind::Cos)),
    ("DIV", |i, c| binary(i, c, BinaryKind::Div)),
    ("ELU", |i, c| unary(i, c, UnaryKind::Elu { alpha: 1.0 })),
    ("EQUAL", |i, c| binary(i, c, BinaryKind::Equal)),
    ("EXP", |i, c| unary(i, c, UnaryKind::Exp)),
    ("FAKE_QUANT", fake_quant),
    ("FLOOR", |i, c| unary(i, c, UnaryKind::Floor)),
    ("FLOOR_DIV", floor_div),
    ("FLOOR_MOD", |i, c| binary(i, c, BinaryKind::Mod)),
    ("GELU", |i, c| {
        let tanh = matches!(c.operator.options, Options::Gelu { approximate: true });
        unary(i, c, if tanh { UnaryKind::GeluTanh } else { UnaryKind::Gelu })
    }),
    ("GREATER", |i, c| binary(i, c, BinaryKind::Greater)),
    ("GREATER_EQUAL", |i, c| binary(i, c, BinaryKind::GreaterOrEqual)),
    ("HARD_SWISH", |i, c| unary(i, c, UnaryKind::HardSwish)),
    ("LEAKY_RELU", |i, c| match c.operator.options {
        Options::LeakyRelu { alpha } => unary(i, c, UnaryKind::LeakyRelu { alpha }),
        _ => unary(i, c, UnaryKind::LeakyRelu { alpha: 0.0 }),
    }),
    ("LESS", |i, c| binary(i, c, BinaryKind::Less)),
    ("LESS_EQUAL", |i, c| binary(i, c, BinaryKind::LessOrEqual)),
    ("LOG", |i, c| unary(i, c, UnaryKind::Log)),
    ("LOGICAL_AND", |i, c| binary(i, c, BinaryKind::And)),
    ("LOGICAL_NOT", |i, c| unary(i, c, UnaryKind::Not)),
    ("LOGICAL_OR", |i, c| binary(i, c, BinaryKind::Or)),
    ("LOGISTIC", |i, c| unary(i, c, UnaryKind::Sigmoid)),
    ("MAXIMUM", |i, c| binary(i, c, BinaryKind::Max)),
    ("MINIMUM", |i, c| binary(i, c, BinaryKind::Min)),
    ("MUL", |i, c| binary(i, c, BinaryKind::Mul)),
    ("NEG", |i, c| unary(i, c, UnaryKind::Neg)),
    ("NOT_EQUAL", not_equal),
    ("POW", |i, c| binary(i, c, BinaryKind::Pow)),
    ("PRELU", |i, c| binary(i, c, BinaryKind::Prelu)),
    ("RELU", |i, c| activation(i, c, Activation::Relu)),
    ("RELU6", |i, c| activation(i, c, Activation::Relu6)),
    ("RELU_0_TO_1", |i, c| bounded(i, c, 0.0, 1.0)),
    ("RELU_N1_TO_1", |i, c| activation(i, c, Activation::ReluN1To1)),
    ("ROUND", |i, c| unary(i, c, UnaryKind::Round)),
    ("RSQRT", |i, c| composed(i, c, &[UnaryKind::Sqrt, UnaryKind::Reciprocal])),
    ("SELECT", select),
    ("SELECT_V2", select),
    ("SIGN", |i, c| unary(i, c, UnaryKind::Sign)),
    ("SIN", |i, c| unary(i, c, UnaryKind::Sin)),
    ("SQRT", |i, c| unary(i, c, UnaryKind::Sqrt)),
    ("SQUARE", square),
    ("SQUARED_DIFFERENCE", squared_difference),
    ("SUB", |i, c| binary(i, c, BinaryKind::Sub)),
    ("TANH", |i, c| unary(i, c, UnaryKind::Tanh)),
];

impl Importer<'_> {
    /// What a fused activation makes of a result.
    pub(super) fn activated(&mut self, x: ValueId, activation: Activation) -> Result<ValueId, Error> {
        let builder = &mut self.builder;
        match activation {
            Activation::None => Ok(x),
            Activation::Relu => builder.of_each(UnaryKind::Relu, x),
            Activation::Relu6 => {
                let x = builder.of_each(UnaryKind::Relu, x)?;
                builder.with_number(BinaryKind::Min, x, 6.0)
            }
            Activation::ReluN1To1 => {
                let x = builder.with_number(BinaryKind::Max, x, -1.0)?;
                builder.with_number(BinaryKind::Min, x, 1.0)
            }
            Activation::SignBit => {
                let expected = "an activation that pintpot has is needed";
                Err(Error::Attribute {
                    attribute: "fused_activation_function",
                    found: "SIGN_BIT".into(),
                    expected,
                })
            }
            Activation::Tanh => builder.of_each(UnaryKind::Tanh, x),
        }
    }
}

/// The activation that is fused into an operator on two arrays.
fn fused(call: &Call<'_>) -> Activation {
    match call.operator.options {
        Options::Add { fused_activation_function, .. }
        | Options::Div { fused_activation_function }
        | Options::Mul { fused_activation_function }
        | Options::Sub { fused_activation_function, .. } => fused_activation_function,
        _ => Activation::None,
    }
}

fn unary(importer: &mut Importer<'_>, call: &Call<'_>, kind: UnaryKind) -> Result<Vec<Made>, Error> {
    composed(importer, call, &[kind])
}

/// Functions one after another.
fn composed(importer: &mut Importer<'_>, call: &Call<'_>, kinds: &[UnaryKind]) -> Result<Vec<Made>, Error> {
    let (x, first) = importer.either(call.input(0)?)?;
    let made = kinds.iter().try_fold(x, |x, kind| importer.builder.of_each(*kind, x))?;
    Ok(Made::ordered(made, first))
}

fn activation(
    importer: &mut Importer<'_>,
    call: &Call<'_>,
    activation: Activation,
) -> Result<Vec<Made>, Error> {
    let (x, first) = importer.either(call.input(0)?)?;
    Ok(Made::ordered(importer.activated(x, activation)?, first))
}

fn bounded(importer: &mut Importer<'_>, call: &Call<'_>, least: f64, most: f64) -> Result<Vec<Made>, Error> {
    let (x, first) = importer.either(call.input(0)?)?;
    let x = importer.builder.with_number(BinaryKind::Max, x, least)?;
    Ok(Made::ordered(importer.builder.with_number(BinaryKind::Min, x, most)?, first))
}

fn binary(importer: &mut Importer<'_>, call: &Call<'_>, kind: BinaryKind) -> Result<Vec<Made>, Error> {
    let (values, first) = importer.together(&[call.input(0)?, call.input(1)?])?;
    let made = importer.builder.of_both(kind, values[0], values[1])?;
    Ok(Made::ordered(importer.activated(made, fused(call))?, first))
}

fn add_all(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Made>, Error> {
    let (values, first) = importer.together(&call.all()?)?;
    let (sum, rest) = values.split_first().ok_or(Error::MissingInput { input: 0 })?;
    let sum = rest.iter().try_fold(*sum, |sum, x| importer.builder.of_both(BinaryKind::Add, sum, *x))?;
    Ok(Made::ordered(sum, first))
}

fn cast(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Made>, Error> {
    let (x, first) = importer.either(call.input(0)?)?;
    let to = importer.elem(call.output(0)?)?;
    Ok(Made::ordered(importer.builder.cast(x, to)?, first))
}

/// What is left of fractions that became whole numbers of so many bits and fractions again.
fn fake_quant(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Made>, Error> {
    let Options::FakeQuant { min, max, num_bits: bits @ 2..=16, narrow_range } = call.operator.options else {
        return call.wrong("num_bits", "a number from 2 to 16 is needed");
    };
    let (least, most) = (f32::from(u8::from(narrow_range)), ((1u32 << bits) - 1) as f32);
    if min > 0.0 || max < 0.0 || min >= max {
        return call.wrong("min", "a range with zero in it is needed");
    }
    // Zero is a whole number.
    let scale = (max - min) / (most - least);
    let zero = (least - min / scale).clamp(least, most).round();
    let [least, most] = [least, most].map(|end| (end - zero) * scale);
    let (x, first) = importer.either(call.input(0)?)?;
    let builder = &mut importer.builder;
    let x = builder.with_number(BinaryKind::Max, x, least.into())?;
    let x = builder.with_number(BinaryKind::Min, x, most.into())?;
    let x = builder.with_number(BinaryKind::Sub, x, least.into())?;
    let x = builder.with_number(BinaryKind::Mul, x, (1.0 / scale).into())?;
    let x = builder.with_number(BinaryKind::Add, x, 0.5)?;
    let x = builder.of_each(UnaryKind::Floor, x)?;
    let x = builder.with_number(BinaryKind::Mul, x, scale.into())?;
    Ok(Made::ordered(builder.with_number(BinaryKind::Add, x, least.into())?, first))
}

fn floor_div(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Made>, Error> {
    let (values, first) = importer.together(&[call.input(0)?, call.input(1)?])?;
    let [a, b] = [values[0], values[1]];
    let builder = &mut importer.builder;
    if builder.elem(a).is_float() {
        let made = builder.of_both(BinaryKind::Div, a, b)?;
        return Ok(Made::ordered(builder.of_each(UnaryKind::Floor, made)?, first));
    }
    // What is left over has the divisor's sign, so that the rest can be divided.
    let rest = builder.of_both(BinaryKind::Mod, a, b)?;
    let whole = builder.of_both(BinaryKind::Sub, a, rest)?;
    Ok(Made::ordered(builder.of_both(BinaryKind::Div, whole, b)?, first))
}

fn not_equal(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Made>, Error> {
    let (values, first) = importer.together(&[call.input(0)?, call.input(1)?])?;
    let same = importer.builder.of_both(BinaryKind::Equal, values[0], values[1])?;
    Ok(Made::ordered(importer.builder.of_each(UnaryKind::Not, same)?, first))
}

/// An old condition of one axis chooses whole slices of the first.
fn select(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Made>, Error> {
    let numbers = [call.input(0)?, call.input(1)?, call.input(2)?];
    let ranks = numbers.map(|number| importer.rank(number));
    if ranks[0] == 1 && ranks[1] > 1 && call.operator.code.to_string() == "SELECT" {
        let values = [importer.plain(numbers[0])?, importer.plain(numbers[1])?, importer.plain(numbers[2])?];
        let count = importer.builder.extents(values[0])?[0];
        let long = [&[count], &vec![1; ranks[1] - 1][..]].concat();
        let condition = importer.builder.reshaped(values[0], &long)?;
        return Ok(Made::plain(importer.builder.one(Select, &[condition, values[1], values[2]])?));
    }
    let (values, first) = importer.together(&numbers)?;
    Ok(Made::ordered(importer.builder.one(Select, &values)?, first))
}

fn square(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Made>, Error> {
    let (x, first) = importer.either(call.input(0)?)?;
    Ok(Made::ordered(importer.builder.of_both(BinaryKind::Mul, x, x)?, first))
}

fn squared_difference(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Made>, Error> {
    let (values, first) = importer.together(&[call.input(0)?, call.input(1)?])?;
    let far = importer.builder.of_both(BinaryKind::Sub, values[0], values[1])?;
    Ok(Made::ordered(importer.builder.of_both(BinaryKind::Mul, far, far)?, first))
}
