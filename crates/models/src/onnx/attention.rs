//! Attention and what goes with it.

use super::{Importer, MICROSOFT, OWN, Row};
use crate::Error;
use crate::network::Item;
use crate::onnx::call::{Call, unknown};
use graph::array::{Attention, BinaryKind, Pad, PadKind, Rotary, Scores};
use graph::{Elem, ValueId};

pub(super) const ROWS: &[Row] = &[
    (OWN, "Attention", attention),
    (OWN, "RotaryEmbedding", |i, c| rotary(i, c, [1, 2, 3])),
    (MICROSOFT, "RotaryEmbedding", |i, c| rotary(i, c, [2, 3, 1])),
];

impl Importer<'_> {
    /// (batch, rows, heads times width) as (batch, heads, rows, width).
    pub fn split_heads(&mut self, x: ValueId, heads: usize) -> Result<ValueId, Error> {
        let own = self.builder.extents(x)?;
        let [batch, rows, all] = own[..] else { return Ok(x) };
        let width = all.checked_div(heads).unwrap_or(0);
        let split = self.reshaped(x, &[batch, rows, heads, width])?;
        self.transposed(split, &[0, 2, 1, 3])
    }

    /// A mask whose last axis has all keys; those that it lacks are not seen.
    fn whole_mask(&mut self, mask: ValueId, keys: usize) -> Result<ValueId, Error> {
        let own = self.builder.extents(mask)?;
        let missing = own.last().map_or(0, |&last| if last == 1 { 0 } else { keys.saturating_sub(last) });
        if missing == 0 {
            return Ok(mask);
        }
        let elem = self.builder.elem(mask);
        let hidden = self.builder.number(elem, if elem == Elem::Bool { 0.0 } else { f64::NEG_INFINITY });
        let (before, mut behind) = (vec![0; own.len()], vec![0; own.len()]);
        behind[own.len() - 1] = missing as isize;
        self.builder.one(Pad { kind: PadKind::Constant, before, behind }, &[mask, hidden])
    }
}

/// A setting that counts heads.
pub(super) fn heads(call: &Call<'_>, name: &'static str) -> Result<usize, Error> {
    let heads = call.int_or(name, 0)?;
    let count = usize::try_from(heads).ok().filter(|count| *count < 1 << 20);
    count.map_or_else(|| unknown(name, &heads.to_string(), "a number of heads is needed"), Ok)
}

/// As onnxruntime does it and releases of ONNX after 1.19 say it: queries stand behind past keys, and scores are bent before
/// the mask.
fn attention(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Item>, Error> {
    let (q, mut k, mut v) = (call.value(0)?, call.value(1)?, call.value(2)?);
    let heads = [heads(call, "q_num_heads")?, heads(call, "kv_num_heads")?];
    let past = [call.optional(4)?, call.optional(5)?];
    let before = past[0].map(|past| importer.builder.extents(past)).transpose()?;
    let before = before.and_then(|past| past.get(2).copied()).unwrap_or(0);
    if past.iter().any(Option::is_some) || call.wants(1) || call.wants(2) {
        k = importer.split_heads(k, heads[1])?;
        v = importer.split_heads(v, heads[1])?;
        if let Some(past) = past[0] {
            k = importer.join(&[past, k], 2)?;
        }
        if let Some(past) = past[1] {
            v = importer.join(&[past, v], 2)?;
        }
    }
    let (of_q, of_k) = (importer.builder.extents(q)?, importer.builder.extents(k)?);
    let keys = of_k[of_k.len().saturating_sub(2)..].first().copied().unwrap_or(0);
    let keys = if of_k.len() == 3 { of_k[1] } else { keys };
    let last = of_q.last().copied().unwrap_or(1);
    let width = if of_q.len() == 3 { last / heads[0].max(1) } else { last };
    let mut inputs = vec![q, k, v];
    let mask = call.optional(3)?;
    if let Some(mask) = mask {
        inputs.push(importer.whole_mask(mask, keys)?);
    }
    inputs.extend(call.optional(6)?);
    let scores = match (call.wants(3), call.int_or("qk_matmul_output_mode", 0)?) {
        (false, _) => None,
        (_, 0) => Some(Scores::Product),
        (_, 1) => Some(Scores::Masked),
        (_, 2) => Some(Scores::Capped),
        (_, 3) => Some(Scores::Weights),
        (_, other) => return unknown("qk_matmul_output_mode", &other.to_string(), "0 to 3 is needed"),
    };
    let attention = Attention {
        heads,
        scale: call.float("scale")?.unwrap_or(1.0 / (width as f32).sqrt()),
        cap: call.float_or("softcap", 0.0)?,
        caps_first: true,
        causal: (call.int_or("is_causal", 0)? != 0).then_some(before as isize),
        window: None,
        masked: mask.is_some(),
        lengths: call.optional(6)?.is_some(),
        scores,
    };
    let made = importer.builder.push(attention, &inputs)?;
    let scores = made.get(1).map_or(Item::None, |id| Item::Value(*id));
    Ok(vec![Item::Value(made[0]), Item::Value(k), Item::Value(v), scores])
}

/// The inputs that are cosines, sines and positions differ between the domains.
fn rotary(
    importer: &mut Importer<'_>,
    call: &Call<'_>,
    [cos, sin, ids]: [usize; 3],
) -> Result<Vec<Item>, Error> {
    let x = call.value(0)?;
    let own = importer.builder.extents(x)?;
    let mut inputs = vec![x, call.value(cos)?, call.value(sin)?];
    inputs.extend(call.optional(ids)?);
    let last = own.last().copied().unwrap_or(0);
    let turned = heads(call, "rotary_embedding_dim")?;
    let mut count = heads(call, "num_heads")?;
    if count == 0 && own.len() == 3 {
        // Tables are as wide as half a head.
        let columns = importer.builder.extents(inputs[1])?.last().copied().unwrap_or(0);
        count = last.checked_div(2 * columns).unwrap_or(0);
    }
    let head = if own.len() == 3 { last.checked_div(count).unwrap_or(0) } else { last };
    let width = if turned == 0 { head } else { turned };
    let rotary = Rotary { heads: count, width, interleaved: call.int_or("interleaved", 0)? != 0 };
    let made = importer.builder.one(rotary, &inputs)?;
    let factor = call.float_or("scale", 1.0)?;
    if call.domain == MICROSOFT && factor != 1.0 {
        return Ok(vec![Item::Value(importer.with_number(BinaryKind::Mul, made, f64::from(factor))?)]);
    }
    Ok(vec![Item::Value(made)])
}
