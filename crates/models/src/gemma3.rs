//! Gemma 3, text: norms before and after, GELU gate, five layers with a window to one without (arXiv 2503.19786).
//!
//! GGUF's conversion adds one to the norms' weights; the hub's files store them as `w - 1`. Layers with a window turn
//! by a base of their own and are never scaled.

use crate::decoder::{DecoderSpec, RopeSpec, Windows};
use crate::llama;
use crate::settings::{self as key, Settings};
use crate::{Architecture, Error};
use graph::op::{Activation, RopeScaling, RopeStyle};

/// Layers from one that sees everything to the next, where the file does not say.
const PERIOD: u32 = 6;

pub(crate) struct Gemma3;

impl Architecture for Gemma3 {
    fn names(&self) -> &'static [&'static str] {
        &["gemma3", "gemma3_text"]
    }

    fn spec(&self, settings: &Settings<'_>) -> Result<DecoderSpec, Error> {
        settings.refuse_experts()?;
        let plain = llama::plain(settings, RopeStyle::Halves, 1_000_000.0)?;
        let windows = windows(settings, settings.size(key::WINDOW)?)?;
        let local_base = settings.positive(key::ROPE_BASE_LOCAL)?.unwrap_or(10_000.0);
        let scalar = settings.positive(key::QUERY_SCALE)?.unwrap_or(f64::from(plain.head_dim));
        Ok(DecoderSpec {
            norm_offset: if settings.is_gguf() { 0.0 } else { 1.0 },
            activation: Activation::GeluTanh,
            embedding_scale: Some(f64::from(plain.width).sqrt() as f32),
            attention_scale: (1.0 / scalar.sqrt()) as f32,
            score_softcap: settings.positive(key::SCORE_SOFTCAP)?.map(|cap| cap as f32),
            final_softcap: settings.positive(key::FINAL_SOFTCAP)?.map(|cap| cap as f32),
            local_rope: Some(RopeSpec { base: local_base, scaling: RopeScaling::None, ..plain.rope }),
            windows,
            ..plain
        })
    }
}

/// Which layers see how far: by a period, by a list of layers' types, or as all models of the family do.
fn windows(settings: &Settings<'_>, window: u32) -> Result<Windows, Error> {
    let types = settings.find::<Vec<String>>(key::LAYER_TYPES)?.unwrap_or_default();
    let whole = |kind: &String| kind == "full_attention";
    let listed = match types.iter().position(whole) {
        Some(first) => u32::try_from(first + 1).ok(),
        None if types.is_empty() => None,
        None => return Ok(Windows::All { window }),
    };
    let period = listed.or(settings.find(key::WINDOW_PATTERN)?).unwrap_or(PERIOD);
    if period == 0 {
        return Err(settings.nonsense(key::WINDOW_PATTERN, period, "at least 1"));
    }
    let windows = Windows::AllButEvery { window, period };
    let differs = |(kind, layer): (&String, u32)| whole(kind) == windows.of(layer).is_some();
    match types.iter().zip(0..).find(|pair| differs(*pair)) {
        Some((kind, layer)) => Err(settings.unsupported(key::LAYER_TYPES, format!("{kind} at {layer}"))),
        None => Ok(windows),
    }
}
