//! Whisper (arXiv 2212.04356): speech to text, as two networks, from the hub's files or CTranslate2's.
//!
//! What it is: what a file says of itself, and the two networks. What it is not: the rules by which text is decoded, which are
//! the task's. The one design choice: the first network looks at half a minute once and gives what every step of the second
//! attends to, already as the second one wants it; the second makes one token, and its caches are inputs that stay where
//! they are.

mod decoder;
mod encoder;
mod tensors;

pub use decoder::WhisperDecoder;
pub use encoder::WhisperEncoder;

use crate::Error;
use formats::{FromValue, ModelFile};
use tensors::Side;

/// How files call it.
const NAME: &str = "whisper";
/// More layers than any such model has.
const LAYERS_MAX: usize = 256;
/// No such model is wider, has a longer text or hears longer at once.
const WIDTH_MAX: usize = 1 << 14;

/// What a file says of its model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whisper {
    /// Bands of the picture of a sound.
    pub bands: usize,
    /// Moments of half a minute as the decoder sees them; the picture has twice as many.
    pub moments: usize,
    /// Tokens that it can have before and behind it.
    pub context: usize,
    /// Tokens that it knows.
    pub vocabulary: usize,
    /// Tokens that are never chosen.
    pub suppressed: Vec<u32>,
    /// Tokens that are not chosen first.
    pub suppressed_first: Vec<u32>,
    /// Elements of a row.
    width: usize,
    /// Heads of the encoder and of the decoder.
    heads: [usize; 2],
    /// Layers of the encoder and of the decoder.
    layers: [usize; 2],
}

impl Whisper {
    /// Whether the file is such a model.
    pub fn is(file: &ModelFile) -> bool {
        &*file.architecture == NAME
    }

    /// Reads what the file says.
    ///
    /// # Errors
    /// If it is another model, lacks a tensor, or has numbers that make no sense.
    pub fn new(file: &ModelFile) -> Result<Whisper, Error> {
        if !Whisper::is(file) {
            return Err(Error::Unsupported {
                key: "model_type".into(),
                value: file.architecture.to_string(),
            });
        }
        let layers = |side: Side| (0..LAYERS_MAX).take_while(|layer| side.has_layer(file, *layer)).count();
        let conv = tensors::extents(file, tensors::CONV_1)?;
        let moments = tensors::extents(file, tensors::MOMENTS)?;
        let context = tensors::extents(file, tensors::POSITIONS)?;
        let vocabulary = tensors::extents(file, tensors::EMBEDDING)?;
        let (&[width, bands, _], &[moments, _], &[context, _], &[vocabulary, _]) =
            (&conv[..], &moments[..], &context[..], &vocabulary[..])
        else {
            return Err(nonsense("a tensor's number of axes", conv.len(), "as in OpenAI's models"));
        };
        let heads = |joined: &str, hub: &str| -> Result<usize, Error> {
            let heads: Option<u32> = setting(file, &[joined, hub])?;
            let heads = heads.map_or(width / 64, |heads| heads as usize);
            let fits = heads > 0 && width.is_multiple_of(heads);
            if fits { Ok(heads) } else { Err(nonsense(hub, heads, "a divisor of the width")) }
        };
        let list = |keys: &[&str]| -> Result<Vec<u32>, Error> {
            let list: Option<Vec<i64>> = setting(file, keys)?;
            let known = |id: i64| u32::try_from(id).ok().filter(|id| (*id as usize) < vocabulary);
            Ok(list.unwrap_or_default().into_iter().filter_map(known).collect())
        };
        for (what, size) in [("width", width), ("moments", moments), ("context", context), ("bands", bands)] {
            if !(1..=WIDTH_MAX).contains(&size) {
                return Err(nonsense(what, size, "a size that a machine can hold"));
            }
        }
        Ok(Whisper {
            bands,
            moments,
            context,
            vocabulary,
            suppressed: list(&["suppress_ids", "generation.suppress_tokens", "suppress_tokens"])?,
            suppressed_first: list(&[
                "suppress_ids_begin",
                "generation.begin_suppress_tokens",
                "begin_suppress_tokens",
            ])?,
            width,
            heads: [
                heads("encoder/num_heads", "encoder_attention_heads")?,
                heads("decoder/num_heads", "decoder_attention_heads")?,
            ],
            layers: [layers(tensors::ENCODER), layers(tensors::DECODER)],
        })
    }
}

/// The first of some settings that is there.
fn setting<'f, T: FromValue<'f>>(file: &'f ModelFile, keys: &[&str]) -> Result<Option<T>, Error> {
    for key in keys {
        if let Some(found) = file.metadata.find(key)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

fn nonsense(key: &str, value: usize, expected: &'static str) -> Error {
    Error::Setting { key: key.to_string(), value: value.to_string(), expected }
}
