//! Quantised numbers one by one: functions as tables of 256, sums and products in fixed point.

use super::scales::{Fixed, bounds, range};
use super::{Importer, Scale};
use crate::Error;
use crate::tflite::Row;
use crate::tflite::call::{Call, Made};
use formats::tflite::{Activation, Options};
use graph::array::{Array, BinaryKind, Lookup, Requantize, scaled};
use graph::{ArrayType, Elem, Extents, ValueId};

pub(super) const ROWS: &[Row] = &[
    ("ABS", |i, c| function(i, c, libm::fabsf)),
    ("ADD", |i, c| sum(i, c, 1)),
    ("ELU", |i, c| function(i, c, |x| if x < 0.0 { libm::expm1f(x) } else { x })),
    ("EXP", |i, c| function(i, c, libm::expf)),
    ("HARD_SWISH", |i, c| function(i, c, |x| x * (x + 3.0).clamp(0.0, 6.0) / 6.0)),
    ("LEAKY_RELU", leaky_relu),
    ("LOG", |i, c| function(i, c, libm::logf)),
    ("LOGISTIC", |i, c| function(i, c, |x| 1.0 / (1.0 + libm::expf(-x)))),
    ("MUL", product),
    ("QUANTIZE", requantize),
    ("RELU", |i, c| rescale(i, c, Activation::Relu)),
    ("RELU6", |i, c| rescale(i, c, Activation::Relu6)),
    ("RELU_N1_TO_1", |i, c| rescale(i, c, Activation::ReluN1To1)),
    ("RSQRT", |i, c| function(i, c, |x| 1.0 / libm::sqrtf(x))),
    ("SQRT", |i, c| function(i, c, libm::sqrtf)),
    ("SUB", |i, c| sum(i, c, -1)),
    ("TANH", |i, c| function(i, c, libm::tanhf)),
];

impl Importer<'_> {
    /// What a table makes of a tensor of bytes; `of` gets whole numbers and gives such that are then held to `bounds`.
    fn by_table(
        &mut self,
        call: &Call<'_>,
        to: Elem,
        bounds: [i64; 2],
        of: impl Fn(i64) -> i64,
    ) -> Result<Vec<Made>, Error> {
        let (x, first) = self.either(call.input(0)?)?;
        Ok(Made::ordered(self.table_of(x, to, bounds, of)?, first))
    }

    /// As [`Importer::by_table`], of a value.
    pub(super) fn table_of(
        &mut self,
        x: ValueId,
        to: Elem,
        bounds: [i64; 2],
        of: impl Fn(i64) -> i64,
    ) -> Result<ValueId, Error> {
        let signed = self.builder.elem(x) == Elem::I8;
        let number = |byte: u8| if signed { i64::from(byte as i8) } else { i64::from(byte) };
        let table = (0..=255).flat_map(|byte| {
            let made = of(number(byte)).clamp(bounds[0], bounds[1]);
            made.to_le_bytes().into_iter().take(to.bytes()).collect::<Vec<u8>>()
        });
        let extents = Extents::new(&[256]).unwrap_or_default();
        let table =
            self.builder.constant(Array { kind: ArrayType { elem: to, extents }, bytes: table.collect() });
        self.builder.one(Lookup, &[x, table])
    }

    /// A value in fixed point, with one scale for all: `(x + offset) << left` by a fraction.
    pub(super) fn scaled(
        &mut self,
        x: ValueId,
        offset: i64,
        fixed: Fixed,
        op: Requantize,
    ) -> Result<ValueId, Error> {
        let offset = self.builder.number(Elem::I64, offset as f64);
        let multiplier = self.builder.number(Elem::I32, f64::from(fixed.multiplier));
        let shift = self.builder.number(Elem::I32, f64::from(fixed.shift));
        self.builder.one(op, &[x, offset, multiplier, shift])
    }
}

/// A function of the fractions that bytes stand for; wider numbers are done as fractions.
fn function(importer: &mut Importer<'_>, call: &Call<'_>, of: fn(f32) -> f32) -> Result<Vec<Made>, Error> {
    let [from, to] = [importer.scale(call.input(0)?)?, importer.scale(call.output(0)?)?];
    if from.elem.bytes() != 1 {
        return importer.through_fractions(call);
    }
    let inverse = 1.0 / to.scale;
    importer.by_table(call, to.elem, range(to.elem), |x| {
        let x = from.scale * (x - from.zero) as f32;
        (libm::roundf(of(x) * inverse) + to.zero as f32) as i64
    })
}

fn leaky_relu(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Made>, Error> {
    let [from, to] = [importer.scale(call.input(0)?)?, importer.scale(call.output(0)?)?];
    let Options::LeakyRelu { alpha } = call.operator.options else {
        return call.wrong("builtin_options", "a slope is needed");
    };
    if from.elem.bytes() != 1 {
        return importer.through_fractions(call);
    }
    let below = Fixed::new(f64::from(from.scale * alpha / to.scale));
    let above = Fixed::new(f64::from(from.scale / to.scale));
    importer.by_table(call, to.elem, range(to.elem), |x| {
        let far = (x - from.zero) as i32;
        let by = if far >= 0 { above } else { below };
        to.zero + i64::from(scaled(far, by.multiplier, by.shift))
    })
}

/// The same fractions at another scale, within an activation.
fn rescale(importer: &mut Importer<'_>, call: &Call<'_>, activation: Activation) -> Result<Vec<Made>, Error> {
    let [from, to] = [importer.scale(call.input(0)?)?, importer.scale(call.output(0)?)?];
    let by = Fixed::new(f64::from(from.scale / to.scale));
    within(importer, call, [from, to], by, activation)
}

/// TFLite's product of scales for this one operator is of f64.
fn requantize(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Made>, Error> {
    let [from, to] = [call.input(0)?, call.output(0)?];
    if importer.elem(from)?.is_float() || importer.elem(from)?.bytes() > 2 || importer.elem(to)?.bytes() > 2 {
        return super::quantize(importer, call);
    }
    let [from, to] = [importer.scale(from)?, importer.scale(to)?];
    let by = Fixed::new(f64::from(from.scale) / f64::from(to.scale));
    within(importer, call, [from, to], by, Activation::None)
}

fn within(
    importer: &mut Importer<'_>,
    call: &Call<'_>,
    [from, to]: [Scale; 2],
    by: Fixed,
    activation: Activation,
) -> Result<Vec<Made>, Error> {
    let bounds = bounds(activation, to.elem, to.scale, to.zero).unwrap_or(range(to.elem));
    if from.elem.bytes() == 1 {
        return importer.by_table(call, to.elem, bounds, |x| {
            to.zero + i64::from(scaled((x - from.zero) as i32, by.multiplier, by.shift))
        });
    }
    let (x, first) = importer.either(call.input(0)?)?;
    let op = Requantize { to: to.elem, axis: 0, once: false, left: 0, zero: to.zero, bounds };
    Ok(Made::ordered(importer.scaled(x, -from.zero, by, op)?, first))
}

/// Bits by which numbers are made finer before they are added.
fn finer(elem: Elem) -> u32 {
    if elem == Elem::I16 { 15 } else { 20 }
}

/// A sum or a difference: both at the larger scale, finer by some bits, then at that of the result.
fn sum(importer: &mut Importer<'_>, call: &Call<'_>, sign: i32) -> Result<Vec<Made>, Error> {
    let (Options::Add { fused_activation_function: activation, pot_scale_int16 }
    | Options::Sub { fused_activation_function: activation, pot_scale_int16 }) = call.operator.options
    else {
        return call.wrong("builtin_options", "settings of a sum are needed");
    };
    let numbers = [call.input(0)?, call.input(1)?];
    let [a, b] = [importer.scale(numbers[0])?, importer.scale(numbers[1])?];
    let to = importer.scale(call.output(0)?)?;
    let Some(bounds) = bounds(activation, to.elem, to.scale, to.zero) else {
        return importer.through_fractions(call);
    };
    if to.elem == Elem::I16 && pot_scale_int16 && [a, b, to].iter().all(|x| x.scale.log2().fract() == 0.0) {
        return importer.through_fractions(call);
    }
    let left = finer(to.elem);
    let most = 2.0 * f64::from(a.scale.max(b.scale));
    let (values, first) = importer.together(&numbers)?;
    let all = [i32::MIN.into(), i32::MAX.into()];
    let mut terms = Vec::new();
    for (x, of) in values.into_iter().zip([a, b]) {
        let op = Requantize { to: Elem::I32, axis: 0, once: false, left, zero: 0, bounds: all };
        terms.push(importer.scaled(x, -of.zero, Fixed::new(f64::from(of.scale) / most), op)?);
    }
    let kind = if sign < 0 { BinaryKind::Sub } else { BinaryKind::Add };
    let made = importer.builder.of_both(kind, terms[0], terms[1])?;
    let by = Fixed::new(most / (f64::from(1u32 << left) * f64::from(to.scale)));
    let op = Requantize { to: to.elem, axis: 0, once: false, left: 0, zero: to.zero, bounds };
    Ok(Made::ordered(importer.scaled(made, 0, by, op)?, first))
}

fn product(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Made>, Error> {
    let Options::Mul { fused_activation_function: activation } = call.operator.options else {
        return call.wrong("builtin_options", "settings of a product are needed");
    };
    let numbers = [call.input(0)?, call.input(1)?];
    let [a, b] = [importer.scale(numbers[0])?, importer.scale(numbers[1])?];
    let to = importer.scale(call.output(0)?)?;
    let Some(bounds) = bounds(activation, to.elem, to.scale, to.zero) else {
        return importer.through_fractions(call);
    };
    let (values, first) = importer.together(&numbers)?;
    let mut terms = Vec::new();
    for (x, of) in values.into_iter().zip([a, b]) {
        let x = importer.builder.cast(x, Elem::I32)?;
        terms.push(importer.builder.with_number(BinaryKind::Sub, x, of.zero as f64)?);
    }
    let made = importer.builder.of_both(BinaryKind::Mul, terms[0], terms[1])?;
    let by = Fixed::new(f64::from(a.scale * b.scale / to.scale));
    let op = Requantize { to: to.elem, axis: 0, once: false, left: 0, zero: to.zero, bounds };
    Ok(Made::ordered(importer.scaled(made, 0, by, op)?, first))
}
