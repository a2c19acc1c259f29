//! Qwen2 and Qwen2.5: Llama with biases on queries, keys and values (arXiv 2407.10671).
//!
//! The biases are found in the file; RoPE pairs halves in every format.

use crate::decoder::DecoderSpec;
use crate::llama;
use crate::settings::Settings;
use crate::{Architecture, Error};
use graph::op::RopeStyle;

pub(crate) struct Qwen2;

impl Architecture for Qwen2 {
    fn names(&self) -> &'static [&'static str] {
        &["qwen2"]
    }

    fn spec(&self, settings: &Settings<'_>) -> Result<DecoderSpec, Error> {
        settings.refuse_experts()?;
        llama::plain(settings, RopeStyle::Halves, 10_000.0)
    }
}
