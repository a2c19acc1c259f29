//! OLMoE: Llama with experts, and norms over all queries and over all keys (arXiv 2409.02060).
//!
//! RoPE pairs halves in every format; the scores of the chosen are not divided by their sum.

use crate::decoder::DecoderSpec;
use crate::experts::ExpertSpec;
use crate::llama;
use crate::settings::{Key, Settings};
use crate::{Architecture, Error};
use graph::op::RopeStyle;

/// Bounds of queries, keys and values, which no released model has.
const CLAMP: Key = Key("attention.clamp_kqv", "clip_qkv");

pub(crate) struct Olmoe;

impl Architecture for Olmoe {
    fn names(&self) -> &'static [&'static str] {
        &["olmoe"]
    }

    fn spec(&self, settings: &Settings<'_>) -> Result<DecoderSpec, Error> {
        if let Some(clamp) = settings.find::<f64>(CLAMP)?.filter(|&clamp| clamp > 0.0) {
            return Err(settings.unsupported(CLAMP, clamp));
        }
        let plain = llama::plain(settings, RopeStyle::Halves, 10_000.0)?;
        Ok(DecoderSpec { experts: ExpertSpec::softmax(settings, false)?, ..plain })
    }
}
