//! Norms over any axes.

use super::{Importer, MICROSOFT, OWN, Row};
use crate::Error;
use crate::network::Item;
use crate::onnx::call::{Call, unknown};
use graph::array::{BinaryKind, Norm, Pad, PadKind, Reduce, ReduceKind, UnaryKind};
use graph::{Elem, ValueId};

pub(super) const ROWS: &[Row] = &[
    (OWN, "BatchNormalization", batch_norm),
    (OWN, "GroupNormalization", group_norm),
    (OWN, "InstanceNormalization", instance_norm),
    (OWN, "LRN", local_response),
    (OWN, "LayerNormalization", |i, c| layer_norm(i, c, true)),
    (OWN, "LpNormalization", lp_norm),
    (OWN, "MeanVarianceNormalization", mean_variance),
    (OWN, "RMSNormalization", |i, c| layer_norm(i, c, false)),
    (OWN, "SimplifiedLayerNormalization", |i, c| layer_norm(i, c, false)),
    (MICROSOFT, "LayerNormalization", |i, c| layer_norm(i, c, true)),
    (MICROSOFT, "SimplifiedLayerNormalization", |i, c| layer_norm(i, c, false)),
    (MICROSOFT, "SkipLayerNormalization", |i, c| skip_norm(i, c, true)),
    (MICROSOFT, "SkipSimplifiedLayerNormalization", |i, c| skip_norm(i, c, false)),
];

fn layer_norm(importer: &mut Importer<'_>, call: &Call<'_>, centers: bool) -> Result<Vec<Item>, Error> {
    let x = call.value(0)?;
    let axis = call.axis("axis", -1, importer.builder.rank(x))?;
    let stash = super::elem_of_id("stash_type", call.int_or("stash_type", 1)?)?;
    let mut inputs = vec![x, call.value(1)?];
    inputs.extend(call.optional(2)?);
    let moments = (call.wants(1) || call.wants(2)).then_some(stash);
    let norm = Norm { axis, epsilon: call.float_or("epsilon", 1e-5)?, centers, moments };
    let made = importer.builder.push(norm, &inputs)?;
    // Without a mean only the factor is an output.
    let gone = usize::from(!centers && made.len() > 1);
    Ok(made
        .iter()
        .enumerate()
        .filter(|(place, _)| gone == 0 || *place != 1)
        .map(|(_, id)| Item::Value(*id))
        .collect())
}

impl Importer<'_> {
    /// A factor for each channel, the second axis, as an array that repeats over the others.
    pub fn per_channel(&mut self, factor: ValueId, rank: usize) -> Result<ValueId, Error> {
        let channels = self.builder.extents(factor)?.elements();
        let mut extents = vec![1; rank.max(2) - 1];
        extents[0] = channels;
        self.reshaped(factor, &extents)
    }
}

/// The sum of two or three arrays, and its norm.
fn skip_norm(importer: &mut Importer<'_>, call: &Call<'_>, centers: bool) -> Result<Vec<Item>, Error> {
    let (x, skip) = (call.value(0)?, call.value(1)?);
    let mut sum = importer.of_both(BinaryKind::Add, x, skip)?;
    let shift = if centers { 4 } else { 3 };
    if let Some(bias) = call.optional(shift)? {
        sum = importer.of_both(BinaryKind::Add, sum, bias)?;
    }
    let mut inputs = vec![sum, call.value(2)?];
    if centers {
        inputs.extend(call.optional(3)?);
    }
    let axis = importer.builder.rank(sum).saturating_sub(1);
    let moments = (call.wants(1) || call.wants(2)).then_some(Elem::F32);
    let norm = Norm { axis, epsilon: call.float_or("epsilon", 1e-12)?, centers, moments };
    let made = importer.builder.push(norm, &inputs)?;
    let output = |place: usize| made.get(place).map_or(Item::None, |id| Item::Value(*id));
    Ok(vec![output(0), output(1), output(2), Item::Value(sum)])
}

fn instance_norm(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Item>, Error> {
    let x = call.value(0)?;
    let rank = importer.builder.rank(x);
    let factors = [importer.per_channel(call.value(1)?, rank)?, importer.per_channel(call.value(2)?, rank)?];
    let norm = Norm { axis: 2, epsilon: call.float_or("epsilon", 1e-5)?, centers: true, moments: None };
    Ok(vec![Item::Value(importer.builder.push(norm, &[x, factors[0], factors[1]])?[0])])
}

/// Factors are those of channels, or before opset 21 of groups.
fn group_norm(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Item>, Error> {
    let x = call.value(0)?;
    let own = importer.builder.extents(x)?;
    let groups =
        usize::try_from(call.int_or("num_groups", 1)?).ok().filter(|groups| *groups > 0).unwrap_or(1);
    let [batch, channels, places @ ..] = &own[..] else {
        return Err(Error::Axis { axis: 1, rank: own.len() });
    };
    let split = [*batch, groups, channels / groups, places.iter().product()];
    let grouped = importer.reshaped(x, &split)?;
    let factor = if call.version >= 21 { [groups, channels / groups, 1] } else { [groups, 1, 1] };
    let inputs =
        [grouped, importer.reshaped(call.value(1)?, &factor)?, importer.reshaped(call.value(2)?, &factor)?];
    let norm = Norm { axis: 2, epsilon: call.float_or("epsilon", 1e-5)?, centers: true, moments: None };
    let made = importer.builder.push(norm, &inputs)?[0];
    Ok(vec![Item::Value(importer.reshaped(made, &own)?)])
}

/// With the moments of what was seen in training, or with those of this batch.
fn batch_norm(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Item>, Error> {
    let [x, scale, bias, mean, variance] = call.values()?[..] else {
        return Err(Error::MissingInput { input: 4 });
    };
    if call.int_or("spatial", 1)? == 0 {
        return unknown("spatial", "0", "moments for each channel are needed");
    }
    let (elem, rank) = (importer.builder.elem(x), importer.builder.rank(x));
    let of = importer.builder.elem(mean);
    let [scale, bias] = [importer.cast(scale, of)?, importer.cast(bias, of)?];
    let training = call.int_or("training_mode", 0)? != 0;
    let (mut now, mut kept) = ([mean, variance], Vec::new());
    if training {
        now = batch_moments(importer, x, of)?;
        let momentum = f64::from(call.float_or("momentum", 0.9)?);
        for (old, new) in [mean, variance].into_iter().zip(now) {
            let old = importer.with_number(BinaryKind::Mul, old, momentum)?;
            let new = importer.with_number(BinaryKind::Mul, new, 1.0 - momentum)?;
            kept.push(Item::Value(importer.of_both(BinaryKind::Add, old, new)?));
        }
    }
    // All that does not depend on the input is worked out once.
    let root = importer.with_number(BinaryKind::Add, now[1], f64::from(call.float_or("epsilon", 1e-5)?))?;
    let root = importer.of_each(UnaryKind::Sqrt, root)?;
    let factor = importer.of_both(BinaryKind::Div, scale, root)?;
    let shift = importer.of_both(BinaryKind::Mul, now[0], factor)?;
    let shift = importer.of_both(BinaryKind::Sub, bias, shift)?;
    let (factor, shift) = (importer.per_channel(factor, rank)?, importer.per_channel(shift, rank)?);
    let wide = importer.cast(x, of)?;
    let made = importer.of_both(BinaryKind::Mul, wide, factor)?;
    let made = importer.of_both(BinaryKind::Add, made, shift)?;
    let made = importer.cast(made, elem)?;
    Ok([Item::Value(made)].into_iter().chain(kept).collect())
}

/// Mean and variance of each channel.
fn batch_moments(importer: &mut Importer<'_>, x: ValueId, of: Elem) -> Result<[ValueId; 2], Error> {
    let rank = importer.builder.rank(x);
    let axes: Vec<usize> = (0..rank).filter(|axis| *axis != 1).collect();
    let wide = importer.cast(x, of)?;
    let [mean, _, variance] = moments(importer, wide, &axes)?;
    let channels = importer.builder.extents(mean)?.elements();
    Ok([importer.reshaped(mean, &[channels])?, importer.reshaped(variance, &[channels])?])
}

/// The mean over axes, the rest without it, and the mean of its squares.
fn moments(importer: &mut Importer<'_>, x: ValueId, axes: &[usize]) -> Result<[ValueId; 3], Error> {
    let reduce = Reduce { kind: ReduceKind::Mean, axes: axes.to_vec(), keeps: true };
    let mean = importer.builder.one(reduce.clone(), &[x])?;
    let rest = importer.of_both(BinaryKind::Sub, x, mean)?;
    let square = importer.of_both(BinaryKind::Mul, rest, rest)?;
    Ok([mean, rest, importer.builder.one(reduce, &[square])?])
}

fn mean_variance(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Item>, Error> {
    let x = call.value(0)?;
    let rank = importer.builder.rank(x);
    let axes = call.ints("axes")?.unwrap_or(&[0, 2, 3]);
    let axes = axes.iter().map(|&axis| crate::network::axis_of(axis, rank)).collect::<Result<Vec<_>, _>>()?;
    let [_, rest, variance] = moments(importer, x, &axes)?;
    let root = importer.of_each(UnaryKind::Sqrt, variance)?;
    let root = importer.with_number(BinaryKind::Add, root, 1e-9)?;
    Ok(vec![Item::Value(importer.of_both(BinaryKind::Div, rest, root)?)])
}

fn lp_norm(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Item>, Error> {
    let x = call.value(0)?;
    let axes = vec![call.axis("axis", -1, importer.builder.rank(x))?];
    let kind = match call.int_or("p", 2)? {
        1 => ReduceKind::L1,
        2 => ReduceKind::L2,
        other => return unknown("p", &other.to_string(), "1 or 2 is needed"),
    };
    let length = importer.builder.one(Reduce { kind, axes, keeps: true }, &[x])?;
    Ok(vec![Item::Value(importer.of_both(BinaryKind::Div, x, length)?)])
}

/// Each element by a power of the squares of its neighbours, along the channels.
fn local_response(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Item>, Error> {
    let x = call.value(0)?;
    let (elem, own) = (importer.builder.elem(x), importer.builder.extents(x)?);
    let channels = *own.get(1).ok_or(Error::Axis { axis: 1, rank: own.len() })?;
    let size =
        usize::try_from(call.int_or("size", 1)?).ok().filter(|size| (1..=channels.max(1) * 2).contains(size));
    let Some(size) = size else { return unknown("size", "out of range", "a number of channels is needed") };
    let square = importer.of_both(BinaryKind::Mul, x, x)?;
    let (mut before, mut behind) = (vec![0; own.len()], vec![0; own.len()]);
    (before[1], behind[1]) = (((size - 1) / 2) as isize, (size / 2) as isize);
    let zero = importer.builder.number(elem, 0.0);
    let padded = importer.builder.one(Pad { kind: PadKind::Constant, before, behind }, &[square, zero])?;
    let mut sum = importer.part(padded, 1, 0, channels)?;
    for start in 1..size {
        let next = importer.part(padded, 1, start, channels)?;
        sum = importer.of_both(BinaryKind::Add, sum, next)?;
    }
    let alpha = f64::from(call.float_or("alpha", 1e-4)?) / size as f64;
    let sum = importer.with_number(BinaryKind::Mul, sum, alpha)?;
    let sum = importer.with_number(BinaryKind::Add, sum, f64::from(call.float_or("bias", 1.0)?))?;
    let power = importer.with_number(BinaryKind::Pow, sum, f64::from(call.float_or("beta", 0.75)?))?;
    Ok(vec![Item::Value(importer.of_both(BinaryKind::Div, x, power)?)])
}
