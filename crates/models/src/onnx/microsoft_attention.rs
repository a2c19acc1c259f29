//! Attention as onnxruntime's operators have it, and what stands before it.

use super::attention::heads;
use super::quantized::product_to_float;
use super::{Importer, MICROSOFT, Row};
use crate::Error;
use crate::network::Item;
use crate::onnx::call::{Call, unknown};
use graph::array::{
    Along, Attention, BinaryKind, MatMul, Norm, Pick, Reduce, ReduceKind, Restride, Rotary, Select,
};
use graph::{Elem, ValueId};

pub(super) const ROWS: &[Row] = &[
    (MICROSOFT, "Attention", attention),
    (MICROSOFT, "EmbedLayerNormalization", embed),
    (MICROSOFT, "GroupQueryAttention", grouped),
    (MICROSOFT, "MultiHeadAttention", many_heads),
    (MICROSOFT, "QAttention", quantised),
];

/// What comes behind queries, keys and values.
#[derive(Clone, Copy, Default)]
struct Masks {
    /// Added to scores.
    mask: Option<ValueId>,
    /// Keys of each batch.
    lengths: Option<ValueId>,
}

impl Importer<'_> {
    /// What a mask says in one of the ways that onnxruntime has: lengths, or ones for keys that are seen.
    fn masks(
        &mut self,
        call: &Call<'_>,
        mask: Option<ValueId>,
        bias: Option<ValueId>,
    ) -> Result<Masks, Error> {
        let mut masks = Masks { mask: bias, lengths: None };
        let Some(mask) = mask else { return Ok(masks) };
        let own = self.builder.extents(mask)?;
        let shape = match own[..] {
            [_] => {
                masks.lengths = Some(mask);
                return Ok(masks);
            }
            [batch, keys] => [batch, 1, 1, keys],
            [batch, queries, keys] => [batch, 1, queries, keys],
            _ => return unknown("mask_index", &format!("{own:?}"), "one to three axes are needed"),
        };
        let mask = self.reshaped(mask, &shape)?;
        let seen = self.cast(mask, Elem::Bool)?;
        let elem = bias.map_or(Elem::F32, |bias| self.builder.elem(bias));
        let nothing = self.builder.number(elem, 0.0);
        let hidden = self.builder.number(elem, f64::from(call.float_or("mask_filter_value", -10000.0)?));
        let mask = self.builder.one(Select, &[seen, nothing, hidden])?;
        masks.mask = Some(match bias {
            Some(bias) => self.of_both(BinaryKind::Add, bias, mask)?,
            None => mask,
        });
        Ok(masks)
    }

    fn attend(
        &mut self,
        mut attention: Attention,
        arrays: [ValueId; 3],
        Masks { mask, lengths }: Masks,
    ) -> Result<ValueId, Error> {
        (attention.masked, attention.lengths) = (mask.is_some(), lengths.is_some());
        let inputs: Vec<ValueId> = arrays.into_iter().chain(mask).chain(lengths).collect();
        self.builder.one(attention, &inputs)
    }

    /// Parts of the last axis.
    fn parts<const N: usize>(&mut self, x: ValueId, widths: [usize; N]) -> Result<[ValueId; N], Error> {
        let axis = self.builder.rank(x).saturating_sub(1);
        let mut start = 0;
        let mut parts = [x; N];
        for (part, width) in parts.iter_mut().zip(widths) {
            *part = self.part(x, axis, start, width)?;
            start += width;
        }
        Ok(parts)
    }
}

/// Settings that all forms share; `width` is that of a head.
fn settings(call: &Call<'_>, heads: [usize; 2], width: usize) -> Result<Attention, Error> {
    // Zero stands for what is not set.
    let scale = call.float("scale")?.filter(|scale| *scale != 0.0);
    Ok(Attention {
        heads,
        scale: scale.unwrap_or(1.0 / (width as f32).sqrt()),
        cap: call.float_or("softcap", 0.0)?,
        caps_first: true,
        causal: None,
        window: None,
        masked: false,
        lengths: false,
        scores: None,
    })
}

/// Queries, keys and values from one input by one matrix.
fn attention(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Item>, Error> {
    let (x, weights) = (call.value(0)?, call.value(1)?);
    if call.int_or("do_rotary", 0)? != 0 {
        return unknown("do_rotary", "1", "positions must be turned by an operator of their own");
    }
    let mut all = importer.builder.one(MatMul { b_is_transposed: false, widens: false }, &[x, weights])?;
    if let Some(bias) = call.optional(2)? {
        all = importer.of_both(BinaryKind::Add, all, bias)?;
    }
    let width = importer.builder.extents(weights)?.last().copied().unwrap_or(0);
    let widths = match call.ints("qkv_hidden_sizes")? {
        Some(&[q, k, v]) => [q, k, v].map(|width| width.max(0) as usize),
        _ => [width / 3; 3],
    };
    let masks = importer.masks(call, call.optional(3)?, call.optional(5)?)?;
    of_one(importer, call, (all, widths), masks, call.optional(4)?)
}

/// As [`attention`], where the input and the matrix are small whole numbers.
fn quantised(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Item>, Error> {
    if call.int_or("do_rotary", 0)? != 0 {
        return unknown("do_rotary", "1", "positions must be turned by an operator of their own");
    }
    let (arrays, scales) = ([call.value(0)?, call.value(1)?], [call.value(3)?, call.value(4)?]);
    let zeros = [call.optional(6)?, call.optional(7)?];
    let all = product_to_float(importer, arrays, scales, zeros, Some(call.value(2)?))?;
    let all = importer.builder.value(all.first().unwrap_or(&Item::None))?;
    let width = importer.builder.extents(all)?.last().copied().unwrap_or(0);
    let masks = importer.masks(call, call.optional(5)?, None)?;
    of_one(importer, call, (all, [width / 3; 3]), masks, call.optional(8)?)
}

/// Queries, keys and values beside each other on the last axis, of these widths.
fn of_one(
    importer: &mut Importer<'_>,
    call: &Call<'_>,
    (all, widths): (ValueId, [usize; 3]),
    masks: Masks,
    past: Option<ValueId>,
) -> Result<Vec<Item>, Error> {
    let count = heads(call, "num_heads")?;
    let [q, mut k, mut v] = importer.parts(all, widths)?;
    let (mut before, mut present) = (0, Item::None);
    if past.is_some() || call.wants(1) {
        (k, v) = (importer.split_heads(k, count)?, importer.split_heads(v, count)?);
        if let Some(past) = past {
            let own = importer.builder.extents(past)?;
            let [_, batch, heads, rows, width] = own[..] else {
                return Err(Error::MissingInput { input: 4 });
            };
            before = rows;
            for (place, new) in [(0, &mut k), (1, &mut v)] {
                let old = importer.part(past, 0, place, 1)?;
                let old = importer.reshaped(old, &[batch, heads, rows, width])?;
                *new = importer.join(&[old, *new], 2)?;
            }
        }
        let one = [&[1], &importer.builder.extents(k)?[..]].concat();
        let pair = [importer.reshaped(k, &one)?, importer.reshaped(v, &one)?];
        present = Item::Value(importer.join(&pair, 0)?);
    }
    let mut attention = settings(call, [count; 2], widths[0].checked_div(count).unwrap_or(0))?;
    attention.causal = (call.int_or("unidirectional", 0)? != 0).then_some(before as isize);
    Ok(vec![Item::Value(importer.attend(attention, [q, k, v], masks)?), present])
}

/// Queries, keys and values as inputs, apart or together.
fn many_heads(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Item>, Error> {
    let count = heads(call, "num_heads")?;
    let mut arrays = match (call.optional(1)?, call.optional(2)?) {
        (Some(k), Some(v)) => [call.value(0)?, k, v],
        (Some(pair), None) => {
            let [k, v] = together(importer, pair)?;
            [call.value(0)?, k, v]
        }
        _ => together(importer, call.value(0)?)?,
    };
    if let Some(bias) = call.optional(3)? {
        let all = importer.builder.extents(bias)?.elements();
        let width = importer.builder.extents(arrays[0])?.last().copied().unwrap_or(0);
        let parts = importer.parts(bias, [width, width, all.saturating_sub(2 * width)])?;
        for (array, part) in arrays.iter_mut().zip(parts) {
            // What comes from a cache has its bias already.
            if importer.builder.rank(*array) == 3 {
                *array = importer.of_both(BinaryKind::Add, *array, part)?;
            }
        }
    }
    let [q, mut k, mut v] = arrays;
    let past = [call.optional(6)?, call.optional(7)?];
    let mut before = 0;
    if past.iter().any(Option::is_some) || call.wants(1) || call.wants(2) {
        (k, v) = (importer.split_heads(k, count)?, importer.split_heads(v, count)?);
        if let [Some(old_k), Some(old_v)] = past {
            before = importer.builder.extents(old_k)?.get(2).copied().unwrap_or(0);
            (k, v) = (importer.join(&[old_k, k], 2)?, importer.join(&[old_v, v], 2)?);
        }
    }
    let width = importer.builder.extents(q)?.last().copied().unwrap_or(0);
    let masks = importer.masks(call, call.optional(4)?, call.optional(5)?)?;
    let mut attention = settings(call, [count; 2], width.checked_div(count).unwrap_or(0))?;
    attention.causal = (call.int_or("unidirectional", 0)? != 0).then_some(before as isize);
    let made = importer.attend(attention, [q, k, v], masks)?;
    Ok(vec![Item::Value(made), Item::Value(k), Item::Value(v)])
}

/// Arrays that lie together: (batch, rows, heads, `N`, width).
fn together<const N: usize>(importer: &mut Importer<'_>, all: ValueId) -> Result<[ValueId; N], Error> {
    let own = importer.builder.extents(all)?;
    let [batch, rows, heads, _, width] = own[..] else { return Err(Error::MissingInput { input: 1 }) };
    let mut arrays = [all; N];
    for (place, array) in arrays.iter_mut().enumerate() {
        let part = importer.part(all, 3, place, 1)?;
        *array = importer.reshaped(part, &[batch, rows, heads * width])?;
    }
    Ok(arrays)
}

/// Queries in groups that share keys, positions turned on the way, a cache of keys and values.
fn grouped(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Item>, Error> {
    let counts = [heads(call, "num_heads")?, heads(call, "kv_num_heads")?];
    if call.int_or("smooth_softmax", 0)? > 0 || call.optional(11)?.is_some() {
        return unknown("smooth_softmax", "1", "weights must add up to one");
    }
    let (mut q, own) = (call.value(0)?, importer.builder.extents(call.value(0)?)?);
    let [_, rows, all] = own[..] else { return Err(Error::Axis { axis: 2, rank: own.len() }) };
    let (mut k, mut v) = (call.optional(1)?.unwrap_or(q), call.optional(2)?.unwrap_or(q));
    let mut width = all.checked_div(counts[0]).unwrap_or(0);
    if call.optional(1)?.is_none() {
        width = all.checked_div(counts[0] + 2 * counts[1]).unwrap_or(0);
        [q, k, v] = importer.parts(q, [counts[0] * width, counts[1] * width, counts[1] * width])?;
    }
    let total = usize::try_from(importer.builder.integer(call.value(6)?)?).unwrap_or(0);
    let before = total.saturating_sub(rows);
    if call.int_or("do_rotary", 0)? != 0 {
        let positions = match call.optional(9)? {
            Some(positions) => positions,
            None => {
                let first = importer.builder.integers_constant(&[before as i64])?;
                importer.reshaped(first, &[])?
            }
        };
        let tables = [call.value(7)?, call.value(8)?];
        let turned = 2 * importer.builder.extents(tables[0])?.last().copied().unwrap_or(0);
        let interleaved = call.int_or("rotary_interleaved", 0)? != 0;
        for (array, heads) in [(&mut q, counts[0]), (&mut k, counts[1])] {
            let rotary = Rotary { heads, width: turned.min(width), interleaved };
            *array = importer.builder.one(rotary, &[*array, tables[0], tables[1], positions])?;
        }
    }
    let (mut presents, pasts) = ([k, v], [call.optional(3)?, call.optional(4)?]);
    for ((new, past), present) in [&mut k, &mut v].into_iter().zip(pasts).zip(&mut presents) {
        *new = importer.split_heads(*new, counts[1])?;
        let mut rest = None;
        if let Some(past) = past {
            // A past may be a buffer with room for what comes later.
            let room = importer.builder.extents(past)?.get(2).copied().unwrap_or(0);
            let old = importer.part(past, 2, 0, before)?;
            *new = importer.join(&[old, *new], 2)?;
            rest = (room > total).then(|| importer.part(past, 2, total, room - total)).transpose()?;
        }
        *present = match rest {
            Some(rest) => importer.join(&[*new, rest], 2)?,
            None => *new,
        };
    }
    let lengths = importer.with_number(BinaryKind::Add, call.value(5)?, 1.0)?;
    let masks = Masks { mask: call.optional(10)?, lengths: Some(lengths) };
    let mut attention = settings(call, counts, width)?;
    attention.causal = Some(before as isize);
    attention.window = usize::try_from(call.int_or("local_window_size", -1)?).ok();
    let made = importer.attend(attention, [q, k, v], masks)?;
    Ok([made, presents[0], presents[1]].map(Item::Value).into())
}

/// Words, positions and segments as rows of tables; the norm of their sum.
fn embed(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Item>, Error> {
    let ids = call.value(0)?;
    let own = importer.builder.extents(ids)?;
    let [batch, rows] = own[..] else { return Err(Error::Axis { axis: 1, rank: own.len() }) };
    let mut sum = importer.builder.one(Pick { axis: 0 }, &[call.value(2)?, ids])?;
    let positions = match call.optional(8)? {
        Some(positions) => importer.builder.one(Pick { axis: 0 }, &[call.value(3)?, positions])?,
        None => importer.part(call.value(3)?, 0, 0, rows)?,
    };
    sum = importer.of_both(BinaryKind::Add, sum, positions)?;
    if let (Some(segments), Some(table)) = (call.optional(1)?, call.optional(4)?) {
        let segments = importer.builder.one(Pick { axis: 0 }, &[table, segments])?;
        sum = importer.of_both(BinaryKind::Add, sum, segments)?;
    }
    let norm = Norm { axis: 2, epsilon: call.float_or("epsilon", 1e-12)?, centers: true, moments: None };
    let made = importer.builder.push(norm, &[sum, call.value(5)?, call.value(6)?])?[0];
    let seen = match call.optional(7)? {
        Some(mask) => {
            importer.builder.one(Reduce { kind: ReduceKind::Sum, axes: vec![1], keeps: false }, &[mask])?
        }
        None => {
            let zero = importer.builder.number(Elem::I32, 0.0);
            importer.builder.one(Restride { axes: vec![Along::Repeat(batch)], at: Vec::new() }, &[zero])?
        }
    };
    Ok([made, seen, sum].map(Item::Value).into())
}
