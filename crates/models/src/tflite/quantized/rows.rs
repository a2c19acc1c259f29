//! Quantised numbers many at a time: means, shares, and arrays of several scales as one.

use super::scales::{Fixed, bounds, range};
use super::{Importer, Scale};
use crate::Error;
use crate::network::axis_of;
use crate::tflite::Row;
use crate::tflite::call::{Call, Made};
use crate::tflite::held::axis_first;
use crate::tflite::reduce::reduced;
use crate::tflite::window::{places, slide_of_pool};
use formats::tflite::{Activation, Options};
use graph::array::{BinaryKind, Lookup, Pool, PoolKind, Reduce, ReduceKind, Requantize};
use graph::{Elem, ValueId};

pub(super) const ROWS: &[Row] = &[
    ("AVERAGE_POOL_2D", |i, c| pool(i, c, PoolKind::Nearest)),
    ("CONCATENATION", concatenation),
    ("MAX_POOL_2D", |i, c| pool(i, c, PoolKind::Max { place: false, columns_first: false })),
    ("MEAN", mean),
    ("SOFTMAX", softmax),
];

/// Input and result have one scale.
fn pool(importer: &mut Importer<'_>, call: &Call<'_>, kind: PoolKind) -> Result<Vec<Made>, Error> {
    let (slide, kernel) = slide_of_pool(call)?;
    let to = importer.scale(call.output(0)?)?;
    let x = importer.first(call.input(0)?)?;
    let windows = slide.windows(call, kernel, places(&importer.builder.extents(x)?)?)?;
    let mut made = importer.builder.one(Pool { kind, windows, ceil: false }, &[x])?;
    let Some([least, most]) = bounds(slide.activation, to.elem, to.scale, to.zero) else {
        return importer.through_fractions(call);
    };
    let all = range(to.elem);
    for (bound, end, kind) in [(least, all[0], BinaryKind::Max), (most, all[1], BinaryKind::Min)] {
        if bound != end {
            made = importer.builder.with_number(kind, made, bound as f64)?;
        }
    }
    Ok(Made::first(made))
}

/// Arrays of other scales are brought to that of the result first.
fn concatenation(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Made>, Error> {
    let to = importer.scale(call.output(0)?)?;
    let Options::Concatenation { axis, fused_activation_function: Activation::None } = call.operator.options
    else {
        return importer.through_fractions(call);
    };
    let numbers = call.all()?;
    let (mut values, first) = importer.together(&numbers)?;
    for (x, number) in values.iter_mut().zip(&numbers) {
        let from = importer.scale(*number)?;
        if (from.scale, from.zero) != (to.scale, to.zero) {
            if from.elem.bytes() != 1 {
                return importer.through_fractions(call);
            }
            *x = moved(importer, *x, from, to)?;
        }
    }
    let rank = values.first().map_or(0, |id| importer.builder.rank(*id));
    let axis = axis_of(axis.into(), rank)?;
    let made = importer.builder.join(&values, if first { axis_first(axis) } else { axis })?;
    Ok(Made::ordered(made, first))
}

/// The same fractions at another scale, worked out in f32 as TFLite does here.
fn moved(importer: &mut Importer<'_>, x: ValueId, from: Scale, to: Scale) -> Result<ValueId, Error> {
    let by = from.scale * (1.0 / to.scale);
    let bias = -(from.zero as f32) * by;
    importer.table_of(x, to.elem, range(to.elem), |x| libm::roundf(x as f32 * by + bias) as i64 + to.zero)
}

/// The sum in whole numbers, and the count in the fraction.
fn mean(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Made>, Error> {
    let [from, to] = [importer.scale(call.input(0)?)?, importer.scale(call.output(0)?)?];
    let (x, axes, keeps, first) = reduced(importer, call)?;
    let own = importer.builder.extents(x)?;
    let count = axes.iter().map(|axis| own[*axis] as i64).product::<i64>();
    if count == 0 {
        return call.wrong("axis", "something to take the mean of is needed");
    }
    let x = importer.builder.cast(x, Elem::I32)?;
    let sums = importer.builder.one(Reduce { kind: ReduceKind::Sum, axes, keeps }, &[x])?;
    let mut by = Fixed::new(f64::from(from.scale) / f64::from(to.scale));
    let shift = (63 - count.leading_zeros() as i32).min(32).min(31 + by.shift).max(0);
    by.multiplier = ((i64::from(by.multiplier) << shift) / count) as i32;
    by.shift -= shift;
    let op = Requantize { to: to.elem, axis: 0, once: false, left: 0, zero: to.zero, bounds: range(to.elem) };
    let offset = from.zero.saturating_neg().saturating_mul(count);
    Ok(Made::ordered(importer.scaled(sums, offset, by, op)?, first))
}

/// Exponentials of how far each is below the largest are a table; their shares are of fractions.
fn softmax(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Made>, Error> {
    let [from, to] = [importer.scale(call.input(0)?)?, importer.scale(call.output(0)?)?];
    let Options::Softmax { beta } = call.operator.options else {
        return call.wrong("builtin_options", "a factor is needed");
    };
    if from.elem.bytes() != 1 || to.elem.bytes() != 1 {
        return importer.through_fractions(call);
    }
    let x = importer.plain(call.input(0)?)?;
    let axis = importer.builder.axis(x, -1)?;
    let builder = &mut importer.builder;
    let x = builder.cast(x, Elem::I32)?;
    let most = builder.one(Reduce { kind: ReduceKind::Max, axes: vec![axis], keeps: true }, &[x])?;
    let far = builder.of_both(BinaryKind::Sub, most, x)?;
    let far = builder.cast(far, Elem::U8)?;
    let by = -from.scale * beta;
    let table: Vec<f64> = (0..256).map(|far| f64::from(libm::expf(by * far as f32))).collect();
    let table = builder.table(Elem::F32, &[256], &table)?;
    let parts = builder.one(Lookup, &[far, table])?;
    let sum = builder.one(Reduce { kind: ReduceKind::Sum, axes: vec![axis], keeps: true }, &[parts])?;
    let whole = builder.with_number(BinaryKind::Mul, sum, f64::from(to.scale))?;
    let made = builder.of_both(BinaryKind::Div, parts, whole)?;
    let one = builder.number(Elem::F32, 1.0);
    let zero = builder.number(to.elem, to.zero as f64);
    let op = graph::array::Quantize { to: to.elem, back: false, away: false };
    Ok(Made::plain(builder.one(op, &[made, one, zero])?))
}
