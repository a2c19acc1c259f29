//! Qwen3 (dense): Llama with norms on queries and keys and a head width of its own (arXiv 2505.09388).
//!
//! The norms are found in the file; RoPE pairs halves in every format.

use crate::decoder::DecoderSpec;
use crate::llama;
use crate::settings::Settings;
use crate::{Architecture, Error};
use graph::op::RopeStyle;

pub(crate) struct Qwen3;

impl Architecture for Qwen3 {
    fn names(&self) -> &'static [&'static str] {
        &["qwen3"]
    }

    fn spec(&self, settings: &Settings<'_>) -> Result<DecoderSpec, Error> {
        settings.refuse_experts()?;
        llama::plain(settings, RopeStyle::Halves, 1_000_000.0)
    }
}
