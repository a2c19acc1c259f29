//! Qwen2-MoE and Qwen1.5-MoE: Qwen2 with experts, one of them shared by all rows behind a gate (arXiv 2407.10671).
//!
//! The scores of the chosen are not divided by their sum, unless the file says so.

use crate::decoder::DecoderSpec;
use crate::experts::ExpertSpec;
use crate::llama;
use crate::settings::Settings;
use crate::{Architecture, Error};
use graph::op::RopeStyle;

pub(crate) struct Qwen2Moe;

impl Architecture for Qwen2Moe {
    fn names(&self) -> &'static [&'static str] {
        &["qwen2_moe", "qwen2moe"]
    }

    fn spec(&self, settings: &Settings<'_>) -> Result<DecoderSpec, Error> {
        let plain = llama::plain(settings, RopeStyle::Halves, 10_000.0)?;
        Ok(DecoderSpec { experts: ExpertSpec::softmax(settings, false)?, ..plain })
    }
}
