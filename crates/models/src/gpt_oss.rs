//! gpt-oss: experts with biases, attention with sinks, a window in every other layer (arXiv 2508.10925).
//!
//! GGUF only: the hub's files interleave gate and up and keep blocks and scales apart. The ramp of its YaRN is not
//! rounded to whole pairs, which GGUF has no key for.

use crate::decoder::{DecoderSpec, RopeSpec, Windows};
use crate::experts::ExpertSpec;
use crate::llama;
use crate::settings::{self as key, Settings};
use crate::{Architecture, Error};
use graph::op::{Activation, RopeScaling, RopeStyle};

/// From one layer that sees everything to the next.
const PERIOD: u32 = 2;

pub(crate) struct GptOss;

impl Architecture for GptOss {
    fn names(&self) -> &'static [&'static str] {
        &["gpt-oss"]
    }

    fn spec(&self, settings: &Settings<'_>) -> Result<DecoderSpec, Error> {
        let plain = llama::plain(settings, RopeStyle::Halves, 150_000.0)?;
        let scaling = match plain.rope.scaling {
            RopeScaling::Yarn { factor, fast, slow, original, magnitude, .. } => {
                RopeScaling::Yarn { factor, fast, slow, original, magnitude, whole: false }
            }
            other => other,
        };
        Ok(DecoderSpec {
            activation: Activation::ClampedSwiglu,
            rope: RopeSpec { scaling, ..plain.rope },
            windows: Windows::AllButEvery { window: settings.size(key::WINDOW)?, period: PERIOD },
            experts: ExpertSpec::softmax(settings, true)?,
            ..plain
        })
    }
}
