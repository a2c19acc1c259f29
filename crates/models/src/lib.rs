//! From a model file to a graph: one file for each architecture, one list that names them all.
//!
//! What it is: the meaning of a file's tensors and settings. What it is not: arithmetic, memory, or text. The one
//! design choice: most decoders are one value, a [`DecoderSpec`] read from the file's own settings, and a table
//! of tensor names with GGUF's and the hub's spelling side by side; what a model does follows from data, never from
//! its name.

#![forbid(unsafe_code)]

pub mod bert;
mod decoder;
mod deepseek2;
mod error;
mod experts;
mod gemma3;
mod gpt_oss;
mod latent;
mod llama;
mod names;
pub mod network;
mod olmoe;
pub mod onnx;
mod qwen2;
mod qwen2moe;
mod qwen3;
mod qwen3moe;
mod settings;
pub mod tflite;
mod whisper;

pub use decoder::{Decoder, DecoderSpec, RopeSpec, Windows};
pub use error::Error;
pub use experts::ExpertSpec;
pub use latent::LatentSpec;
pub use whisper::{Whisper, WhisperDecoder, WhisperEncoder};

use formats::ModelFile;
use settings::Settings;

/// A family of models that are built alike.
pub trait Architecture: Sync {
    /// How GGUF's `general.architecture` and the hub's `model_type` spell it.
    fn names(&self) -> &'static [&'static str];

    /// What the file's settings say.
    fn spec(&self, settings: &Settings<'_>) -> Result<DecoderSpec, Error>;
}

/// All architectures, alphabetically.
pub static ARCHITECTURES: &[&dyn Architecture] = &[
    &deepseek2::DeepSeek2,
    &gemma3::Gemma3,
    &gpt_oss::GptOss,
    &llama::Llama,
    &olmoe::Olmoe,
    &qwen2::Qwen2,
    &qwen2moe::Qwen2Moe,
    &qwen3::Qwen3,
    &qwen3moe::Qwen3Moe,
];

/// The graph of the model in `file`, whose last layer ends for rows without logits when attention has read them.
///
/// # Errors
/// [`Error::UnknownArchitecture`] if none of [`ARCHITECTURES`] claims it; otherwise what is missing in the file or not
/// supported yet, by name.
pub fn build(file: &ModelFile) -> Result<Decoder, Error> {
    let mut decoder = build_whole(file)?;
    graph::pass::pick_rows_early(&mut decoder.graph)?;
    graph::verify(&decoder.graph)?;
    Ok(decoder)
}

/// The same with every row through all of every layer, for who looks at what happens there.
///
/// # Errors
/// As for [`build`].
pub fn build_whole(file: &ModelFile) -> Result<Decoder, Error> {
    let name = &*file.architecture;
    let architecture = ARCHITECTURES
        .iter()
        .find(|a| a.names().contains(&name))
        .ok_or_else(|| Error::UnknownArchitecture { name: name.to_string() })?;
    let spec = architecture.spec(&Settings::new(file, name))?;
    decoder::build(&spec, file)
}
