//! Qwen3-MoE: Qwen3 with experts and none that is shared (arXiv 2505.09388).
//!
//! Every released model divides the scores of the chosen by their sum; GGUF does not say so, the hub's files do.

use crate::decoder::DecoderSpec;
use crate::experts::ExpertSpec;
use crate::llama;
use crate::settings::Settings;
use crate::{Architecture, Error};
use graph::op::RopeStyle;

pub(crate) struct Qwen3Moe;

impl Architecture for Qwen3Moe {
    fn names(&self) -> &'static [&'static str] {
        &["qwen3_moe", "qwen3moe"]
    }

    fn spec(&self, settings: &Settings<'_>) -> Result<DecoderSpec, Error> {
        let plain = llama::plain(settings, RopeStyle::Halves, 1_000_000.0)?;
        Ok(DecoderSpec { experts: ExpertSpec::softmax(settings, settings.is_gguf())?, ..plain })
    }
}
