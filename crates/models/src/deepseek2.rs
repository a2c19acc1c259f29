//! DeepSeek-V2, V3 and R1, and what is built like them: latent keys and values, experts chosen by groups, a shared expert
//! (arXiv 2405.04434, 2412.19437).
//!
//! GGUF only. V2 judges a group of experts by its best, V3, whose scores are sigmoids, by its two best; which the score
//! tells. YaRN's magnitude goes into the scores of attention, twice, and not into cosines and sines: GGUF has a tenth of
//! what the hub calls `mscale_all_dim`, and the hub's `mscale`, which it drops, is the same number in every released model.

use crate::decoder::{DecoderSpec, RopeSpec};
use crate::experts::ExpertSpec;
use crate::latent::LatentSpec;
use crate::llama::{self, SHARPNESS};
use crate::settings::{self as key, Key, Settings};
use crate::{Architecture, Error};
use graph::op::{RopeScaling, RopeStyle};

/// Width of a head's queries where [`key::HEAD_DIM`] is that of what is kept: in files whose keys and values lie apart.
const HEAD_DIM: Key = Key("attention.key_length_mla", "");
const VALUE_DIM: Key = Key("attention.value_length_mla", "");
const RANK: Key = Key("attention.kv_lora_rank", "kv_lora_rank");
/// Layers at the end that guess tokens after the next.
const NEXT: Key = Key("nextn_predict_layers", "num_nextn_predict_layers");
const TEMPERATURE: Key = Key("attention.temperature_scale", "");
/// The widest row of keys that is reckoned with.
const WIDEST: u32 = 1024;

pub(crate) struct DeepSeek2;

impl Architecture for DeepSeek2 {
    fn names(&self) -> &'static [&'static str] {
        &["deepseek2"]
    }

    fn spec(&self, settings: &Settings<'_>) -> Result<DecoderSpec, Error> {
        if let Some(scale) = settings.find::<f64>(TEMPERATURE)?.filter(|&scale| scale != 0.0) {
            return Err(settings.unsupported(TEMPERATURE, scale));
        }
        let known = |mla: Key, plain: Key| if settings.has(mla) { mla } else { plain };
        let (head_key, value_key) = (known(HEAD_DIM, key::HEAD_DIM), known(VALUE_DIM, key::VALUE_DIM));
        let heads = settings.size(key::HEADS)?;
        let spec = llama::with_heads(settings, RopeStyle::Interleaved, 10_000.0, [heads, heads], head_key)?;
        let layers = spec.layers.checked_sub(settings.find(NEXT)?.unwrap_or(0)).filter(|&layers| layers > 0);
        let layers = layers.ok_or_else(|| settings.nonsense(key::LAYERS, spec.layers, "more layers"))?;
        let (rank, value_dim) = (settings.size(RANK)?, settings.size(value_key)?);
        let turned = spec.rope.dims;
        if turned >= spec.head_dim || rank > WIDEST || turned > WIDEST - rank || value_dim > WIDEST {
            return Err(settings.nonsense(RANK, rank, "widths of heads and of their latent up to 1024"));
        }
        for (key, width) in [(RANK, rank), (key::ROPE_DIMS, turned), (value_key, value_dim)] {
            if !width.is_multiple_of(llama::HEAD_DIM_UNIT) {
                return Err(settings.unsupported(key, width));
            }
        }
        let (scaling, sharper) = sharpened(settings, spec.rope.scaling)?;
        Ok(DecoderSpec {
            layers,
            attention_scale: (sharper / f64::from(spec.head_dim).sqrt()) as f32,
            rope: RopeSpec { scaling, ..spec.rope },
            latent: Some(LatentSpec { rank, value_dim }),
            experts: ExpertSpec::grouped(settings)?,
            ..spec
        })
    }
}

/// RoPE with the usual magnitude taken out, and what scores are multiplied by instead.
fn sharpened(settings: &Settings<'_>, scaling: RopeScaling) -> Result<(RopeScaling, f64), Error> {
    match (scaling, settings.positive(SHARPNESS)?) {
        (RopeScaling::Yarn { factor, fast, slow, original, magnitude, whole }, Some(sharpness)) => {
            let usual = RopeScaling::usual_magnitude(factor);
            let (magnitude, root) = (magnitude / usual, 1.0 + sharpness / 0.1 * (usual - 1.0));
            Ok((RopeScaling::Yarn { factor, fast, slow, original, magnitude, whole }, root * root))
        }
        (scaling, _) => Ok((scaling, 1.0)),
    }
}
