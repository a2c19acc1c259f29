//! Whole numbers that stand for fractions: scales, zeros, and the way there and back.
//!
//! The one design choice: constants that are stored narrow are not turned by a node but as they are read.

mod each;
mod layers;
mod rows;
mod scales;

use super::call::{Call, Made};
use super::held::Held;
use super::{Importer, Row, row};
use crate::Error;
use graph::array::{BinaryKind, Quantize};
use graph::{Elem, ValueId};

pub(super) const ROWS: &[Row] = &[("DENSIFY", densify), ("DEQUANTIZE", dequantize), ("QUANTIZE", quantize)];

/// Operators that are done in whole numbers, as TFLite does them.
static WHOLE: &[&[Row]] = &[each::ROWS, layers::ROWS, rows::ROWS];

/// Operators that only move numbers or compare them, whatever they stand for, and those of this file.
const MOVES: &[&str] = &[
    "ARG_MAX",
    "ARG_MIN",
    "BATCH_TO_SPACE_ND",
    "BROADCAST_TO",
    "CALL",
    "CAST",
    "DENSIFY",
    "DEPTH_TO_SPACE",
    "DEQUANTIZE",
    "DYNAMIC_UPDATE_SLICE",
    "EXPAND_DIMS",
    "FILL",
    "GATHER",
    "GATHER_ND",
    "IF",
    "MIRROR_PAD",
    "PACK",
    "PAD",
    "PADV2",
    "RANK",
    "REDUCE_MAX",
    "REDUCE_MIN",
    "RESHAPE",
    "RESIZE_BILINEAR",
    "RESIZE_NEAREST_NEIGHBOR",
    "REVERSE_SEQUENCE",
    "REVERSE_V2",
    "SELECT",
    "SELECT_V2",
    "SHAPE",
    "SLICE",
    "SPACE_TO_BATCH_ND",
    "SPACE_TO_DEPTH",
    "SPLIT",
    "SPLIT_V",
    "SQUEEZE",
    "STABLEHLO_COMPOSITE",
    "STRIDED_SLICE",
    "TILE",
    "TOPK_V2",
    "TRANSPOSE",
    "UNPACK",
    "WHILE",
];

/// Scales and zeros of a tensor, at most.
const SCALES_MAX: u64 = 1 << 16;

/// How whole numbers stand for fractions.
#[derive(Clone, Debug)]
pub(super) struct Scales {
    /// One for all, or one for each index along the axis.
    pub scale: Vec<f32>,
    pub zero: Vec<i64>,
    pub axis: usize,
}

/// One scale for all of a tensor.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    pub elem: Elem,
    pub scale: f32,
    pub zero: i64,
}

/// How an operator on quantised numbers is built, if that is what it is: in whole numbers, or as fractions.
pub(super) fn lower(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Option<Vec<Made>>, Error> {
    let operator = call.operator;
    let mut numbers = operator.inputs.iter().chain(&operator.outputs).flatten();
    if !numbers.any(|number| matches!(importer.stands_for_fractions(*number), Ok(true))) {
        return Ok(None);
    }
    let name = operator.code.to_string();
    let mut rows = WHOLE.iter().flat_map(|rows| rows.iter());
    if let Some((_, lower)) = rows.find(|(own, _)| *own == name) {
        return lower(importer, call).map(Some);
    }
    if MOVES.contains(&&*name) { Ok(None) } else { importer.through_fractions(call).map(Some) }
}

/// What is narrow enough to have a scale.
fn narrow(elem: Elem) -> bool {
    matches!(elem, Elem::I8 | Elem::U8 | Elem::I16)
}

impl Importer<'_> {
    /// How all of a tensor's whole numbers stand for fractions.
    ///
    /// # Errors
    /// If there is no scale or more than one.
    pub(super) fn scale(&self, number: u32) -> Result<Scale, Error> {
        let expected = "one scale is needed";
        let found =
            |found: &str| Error::Attribute { attribute: "quantization", found: found.into(), expected };
        let scales = self.scales(number)?.ok_or_else(|| found("none"))?;
        match (&scales.scale[..], &scales.zero[..]) {
            (&[scale], &[zero]) if scale > 0.0 => Ok(Scale { elem: self.elem(number)?, scale, zero }),
            _ => Err(found("a list or zero")),
        }
    }

    /// An operator on the fractions that its inputs stand for; what comes out is rounded once.
    pub(super) fn through_fractions(&mut self, call: &Call<'_>) -> Result<Vec<Made>, Error> {
        let lower = row(&call.operator.code)?;
        let mut kept = Vec::new();
        let numbers: Vec<u32> = call.operator.inputs.iter().copied().flatten().collect();
        for number in numbers {
            let is_new = kept.iter().all(|(own, _)| *own != number) && !self.is_state(number);
            if is_new && self.scales(number)?.is_some() {
                let x = self.plain(number)?;
                let meant = self.meant(number, x)?;
                kept.push((number, self.held[number as usize].clone()));
                self.hold(number, Held::plain(meant));
            }
        }
        let made = lower(self, call);
        kept.into_iter().for_each(|(number, held)| self.hold(number, held));
        let mut whole = Vec::new();
        for (number, made) in call.operator.outputs.iter().zip(made?) {
            whole.push(match number {
                Some(number) if self.scales(*number)?.is_some() => self.rounded(*number, made)?,
                _ => made,
            });
        }
        Ok(whole)
    }

    /// Whether a tensor has narrow whole numbers that stand for fractions.
    pub(super) fn stands_for_fractions(&self, number: u32) -> Result<bool, Error> {
        Ok(narrow(self.elem(number)?) && self.scales(number)?.is_some())
    }

    /// The fractions that a tensor's whole numbers stand for.
    pub(super) fn meant(&mut self, number: u32, x: ValueId) -> Result<ValueId, Error> {
        let elem = self.builder.elem(x);
        let [scale, zero] = self.factors(number, elem, self.builder.rank(x))?;
        if elem == Elem::I64 {
            let x = self.builder.cast(x, Elem::F32)?;
            return self.builder.of_both(BinaryKind::Mul, x, scale);
        }
        self.builder.one(Quantize { to: Elem::F32, back: true, away: true }, &[x, scale, zero])
    }

    /// Fractions as the whole numbers of a tensor.
    pub(super) fn rounded(&mut self, number: u32, made: Made) -> Result<Made, Error> {
        let (id, first) = made.value().ok_or(Error::NoOutput)?;
        let to = self.elem(number)?;
        if !self.builder.elem(id).is_float() {
            return Ok(made);
        }
        let [scale, zero] = self.factors(number, to, self.builder.rank(id))?;
        let id = self.builder.one(Quantize { to, back: false, away: true }, &[id, scale, zero])?;
        Made::ordered(id, first).pop().ok_or(Error::NoOutput)
    }

    /// How a tensor's whole numbers stand for fractions, if they do.
    pub(super) fn scales(&self, number: u32) -> Result<Option<Scales>, Error> {
        let tensor = self.tensor(number);
        let Some(quantization) = &tensor.quantization else { return Ok(None) };
        if quantization.scale.is_empty() || self.elem(number)?.is_float() {
            return Ok(None);
        }
        let expected = "scales and zeros that pintpot reads are needed";
        let wrong =
            || Error::Attribute { attribute: "quantization", found: tensor.name.to_string(), expected };
        let fits = quantization.scale.len() <= SCALES_MAX && quantization.zero_point.len() <= SCALES_MAX;
        if quantization.is_custom || !fits {
            return Err(wrong());
        }
        let file = self.builder.files().first().ok_or_else(wrong)?;
        let scale = quantization.scale.f32s(*file).collect::<Result<Vec<f32>, _>>()?;
        let mut zero = quantization.zero_point.numbers::<i64>(*file).collect::<Result<Vec<i64>, _>>()?;
        if zero.len() != scale.len() {
            zero = vec![zero.first().copied().unwrap_or(0); scale.len()];
        }
        if scale.iter().any(|scale| !scale.is_finite() || *scale < 0.0)
            || zero.iter().any(|x| x.unsigned_abs() > 1 << 31)
        {
            return Err(wrong());
        }
        Ok(Some(Scales { scale, zero, axis: quantization.axis as usize }))
    }

    /// What counts as zero in a tensor.
    pub(super) fn zero_of(&self, number: u32) -> Result<f64, Error> {
        Ok(self
            .scales(number)?
            .and_then(|scales| scales.zero.first().map(|zero| *zero as f64))
            .unwrap_or(0.0))
    }

    /// Scale and zero of a tensor as constants that repeat along with `x`.
    fn factors(&mut self, number: u32, elem: Elem, rank: usize) -> Result<[ValueId; 2], Error> {
        let missing = Error::Attribute {
            attribute: "quantization",
            found: "none".into(),
            expected: "a scale is needed",
        };
        let scales = self.scales(number)?.ok_or(missing)?;
        let mut extents = Vec::new();
        if scales.scale.len() > 1 {
            extents = vec![1; rank];
            *extents.get_mut(scales.axis).ok_or(Error::Axis { axis: scales.axis as i64, rank })? =
                scales.scale.len();
        }
        let wide: Vec<f64> = scales.scale.iter().map(|x| f64::from(*x)).collect();
        let scale = self.builder.table(Elem::F32, &extents, &wide)?;
        let zeros: Vec<f64> = scales.zero.iter().map(|x| *x as f64).collect();
        Ok([scale, self.builder.table(elem, &extents, &zeros)?])
    }
}

/// What is stored sparse becomes dense as it is read.
fn densify(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Made>, Error> {
    match importer.stored(call.input(0)?) {
        Some(stored) => Ok(vec![Made(Held::stored(stored))]),
        None => call.wrong("input", "a constant is needed"),
    }
}

fn dequantize(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Made>, Error> {
    let number = call.input(0)?;
    if let Some(mut stored) = importer.stored(number).filter(|stored| stored.elem == Elem::F16) {
        stored.elem = Elem::F32;
        return Ok(vec![Made(Held::stored(stored))]);
    }
    let (x, _) = importer.either(number)?;
    let elem = importer.builder.elem(x);
    if elem.is_float() {
        let (x, first) = importer.either(number)?;
        return Ok(Made::ordered(importer.builder.cast(x, Elem::F32)?, first));
    }
    let x = importer.plain(number)?;
    let [scale, zero] = importer.factors(number, elem, importer.builder.rank(x))?;
    let op = Quantize { to: Elem::F32, back: true, away: true };
    Ok(Made::plain(importer.builder.one(op, &[x, scale, zero])?))
}

fn quantize(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Made>, Error> {
    let (number, made) = (call.input(0)?, call.output(0)?);
    let x = importer.plain(number)?;
    let to = importer.elem(made)?;
    let [scale, zero] = importer.factors(made, to, importer.builder.rank(x))?;
    Ok(Made::plain(importer.builder.one(Quantize { to, back: false, away: true }, &[x, scale, zero])?))
}
