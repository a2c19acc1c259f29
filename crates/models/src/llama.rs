//! Llama and all that is built like it: Mistral, Mixtral, SmolLM, TinyLlama (arXiv 2302.13971, 2407.21783, 2401.04088).
//!
//! GGUF's conversion reorders the rows of queries and keys so that pairs of RoPE are neighbours; files of the hub
//! pair the halves of a head. Llama 3's frequency ramp comes as settings from the hub, as a tensor in GGUF.

use crate::decoder::{DecoderSpec, RopeSpec, Windows};
use crate::experts::ExpertSpec;
use crate::settings::{self as key, Key, Settings};
use crate::{Architecture, Error};
use graph::op::{Activation, RopeScaling, RopeStyle};

/// Heads are computed and cached in pieces of this many elements.
pub(crate) const HEAD_DIM_UNIT: u32 = 16;
/// The longest context that is believed; positions beyond are not reckoned with.
const LONGEST_CONTEXT: u32 = 1 << 28;
/// The most elements of all heads together, so that their number fits everywhere.
const WIDEST: u32 = 1 << 24;

/// Share of the neurons that a token wakes, where a file does not say.
const USUALLY_AWAKE: f64 = 0.2;

pub(crate) struct Llama;

impl Architecture for Llama {
    fn names(&self) -> &'static [&'static str] {
        &["llama", "mistral", "mixtral", "smollm"]
    }

    fn spec(&self, settings: &Settings<'_>) -> Result<DecoderSpec, Error> {
        let style = if settings.is_gguf() { RopeStyle::Interleaved } else { RopeStyle::Halves };
        let spec = plain(settings, style, 10_000.0)?;
        let window = settings.find::<u32>(key::WINDOW)?.filter(|&w| w > 0);
        let windows = window.map_or(Windows::None, |window| Windows::All { window });
        Ok(DecoderSpec { windows, experts: ExpertSpec::softmax(settings, true)?, ..spec })
    }
}

/// The settings that the whole family shares: norms before, SiLU gate, one RoPE, no windows.
pub(crate) fn plain(settings: &Settings<'_>, style: RopeStyle, base: f64) -> Result<DecoderSpec, Error> {
    let heads = settings.size(key::HEADS)?;
    let kv_heads = settings.find::<u32>(key::KV_HEADS)?.unwrap_or(heads);
    if kv_heads == 0 || !heads.is_multiple_of(kv_heads) {
        return Err(settings.nonsense(key::KV_HEADS, kv_heads, "a divisor of the number of heads"));
    }
    let spec = with_heads(settings, style, base, [heads, kv_heads], key::HEAD_DIM)?;
    if let Some(value_dim) = settings.find::<u32>(key::VALUE_DIM)?.filter(|&v| v != spec.head_dim) {
        return Err(settings.unsupported(key::VALUE_DIM, value_dim));
    }
    match (spec.rope.scaling, settings.positive(SHARPNESS)?) {
        (RopeScaling::Yarn { .. }, Some(sharpness)) => Err(settings.unsupported(SHARPNESS, sharpness)),
        _ => Ok(spec),
    }
}

/// As [`plain`], for so many heads of queries and of keys whose width stands under a key of its own. What values are and
/// YaRN's sharpness are left to the caller.
pub(crate) fn with_heads(
    settings: &Settings<'_>,
    style: RopeStyle,
    base: f64,
    [heads, kv_heads]: [u32; 2],
    head_key: Key,
) -> Result<DecoderSpec, Error> {
    let width = settings.size(key::WIDTH)?;
    let layers = settings.size(key::LAYERS)?;
    let head_dim = settings.find::<u32>(head_key)?.unwrap_or(width / heads);
    if head_dim == 0 || !head_dim.is_multiple_of(2) || head_dim > 1024 {
        return Err(settings.nonsense(head_key, head_dim, "an even number from 2 to 1024"));
    }
    if !head_dim.is_multiple_of(HEAD_DIM_UNIT) {
        return Err(settings.unsupported(head_key, head_dim));
    }
    if heads > WIDEST / head_dim {
        return Err(settings.nonsense(key::HEADS, heads, "fewer heads"));
    }
    let dims = settings.find::<u32>(key::ROPE_DIMS)?.unwrap_or(head_dim);
    if dims == 0 || dims > head_dim || !dims.is_multiple_of(2) {
        return Err(settings.nonsense(key::ROPE_DIMS, dims, "an even number up to the head's width"));
    }
    let base = settings.positive(key::ROPE_BASE)?.unwrap_or(base);
    let norm_eps: f64 = settings.get(key::NORM_EPS)?;
    if !(0.0..1.0).contains(&norm_eps) {
        return Err(settings.nonsense(key::NORM_EPS, norm_eps, "a small fraction, not negative"));
    }
    Ok(DecoderSpec {
        layers,
        width,
        heads,
        kv_heads,
        head_dim,
        context: settings.size(key::CONTEXT)?.min(LONGEST_CONTEXT),
        norm_eps: norm_eps as f32,
        norm_offset: 0.0,
        activation: activation(settings)?,
        awake: settings.positive(key::AWAKE)?.map_or(USUALLY_AWAKE, |share| share.min(1.0)),
        embedding_scale: None,
        attention_scale: (1.0 / f64::from(head_dim).sqrt()) as f32,
        score_softcap: None,
        final_softcap: None,
        rope: RopeSpec { dims, base, scaling: scaling(settings)?, style },
        local_rope: None,
        windows: Windows::None,
        latent: None,
        experts: None,
    })
}

/// The gate's non-linearity.
fn activation(settings: &Settings<'_>) -> Result<Activation, Error> {
    match settings.find::<&str>(key::ACTIVATION)?.unwrap_or("silu") {
        "silu" | "swish" => Ok(Activation::Silu),
        "relu" => Ok(Activation::Relu),
        "gelu_pytorch_tanh" => Ok(Activation::GeluTanh),
        other => Err(settings.unsupported(key::ACTIVATION, other)),
    }
}

/// Context of the training, where that is not the context.
const ORIGINAL: Key =
    Key("rope.scaling.original_context_length", "rope_scaling.original_max_position_embeddings");

/// How YaRN sharpens the scores of attention, in files that say so.
pub(crate) const SHARPNESS: Key = Key("rope.scaling.yarn_log_multiplier", "rope_scaling.mscale_all_dim");

/// What the settings say about long contexts.
fn scaling(settings: &Settings<'_>) -> Result<RopeScaling, Error> {
    const LOW: Key = Key("rope.scaling.low_freq_factor", "rope_scaling.low_freq_factor");
    const HIGH: Key = Key("rope.scaling.high_freq_factor", "rope_scaling.high_freq_factor");
    let kind = settings.find::<&str>(key::ROPE_TYPE)?.unwrap_or("none");
    let positive = |key: Key| settings.positive(key)?.map_or_else(|| settings.get(key), Ok);
    match kind {
        "none" | "default" => Ok(RopeScaling::None),
        "linear" => Ok(RopeScaling::Linear { factor: positive(key::ROPE_FACTOR)? }),
        "llama3" => Ok(RopeScaling::Llama3 {
            factor: positive(key::ROPE_FACTOR)?,
            low: positive(LOW)?,
            high: positive(HIGH)?,
            original: positive(ORIGINAL)?,
        }),
        "yarn" => yarn(settings, positive(key::ROPE_FACTOR)?),
        other => Err(settings.unsupported(key::ROPE_TYPE, other)),
    }
}

/// What the settings say about YaRN.
fn yarn(settings: &Settings<'_>, factor: f64) -> Result<RopeScaling, Error> {
    const FAST: Key = Key("rope.scaling.yarn_beta_fast", "rope_scaling.beta_fast");
    const SLOW: Key = Key("rope.scaling.yarn_beta_slow", "rope_scaling.beta_slow");
    const MAGNITUDE: Key = Key("rope.scaling.attn_factor", "rope_scaling.attention_factor");
    const WHOLE: Key = Key("", "rope_scaling.truncate");
    let whole = if settings.is_gguf() { true } else { settings.find(WHOLE)?.unwrap_or(true) };
    let usual = RopeScaling::usual_magnitude(factor);
    let magnitude = match settings.positive(MAGNITUDE)? {
        Some(given) if settings.is_gguf() => given * usual,
        Some(given) => given,
        None => usual,
    };
    let original = match settings.positive(ORIGINAL)? {
        Some(original) => original,
        None => settings.get(key::CONTEXT)?,
    };
    Ok(RopeScaling::Yarn {
        factor,
        fast: settings.positive(FAST)?.unwrap_or(32.0),
        slow: settings.positive(SLOW)?.unwrap_or(1.0),
        original,
        magnitude,
        whole,
    })
}
