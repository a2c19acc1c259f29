//! From a file's metadata to a tokenizer: arrays are streamed from the file into the builder, token by token.

use crate::Error;
use formats::{ArrayRef, Metadata, ModelFile};
use host::{FlashFile, ReadAt};
use processors::text::{Builder, ChatTemplate, Counts, GgufKeys, Kind, Spec, TokenType, Tokenizer};
use std::sync::Arc;

const TOKENS: &str = "tokenizer.ggml.tokens";
const MERGES: &str = "tokenizer.ggml.merges";
const SCORES: &str = "tokenizer.ggml.scores";
const TYPES: &str = "tokenizer.ggml.token_type";
const TEMPLATE: &str = "tokenizer.chat_template";

/// Scalar keys of a file, as the text crate asks for them.
struct Keys<'a>(&'a Metadata);

impl GgufKeys for Keys<'_> {
    fn text(&self, key: &str) -> Option<&str> {
        self.0.get(key).ok()
    }

    fn flag(&self, key: &str) -> Option<bool> {
        self.0.get(key).ok()
    }

    fn number(&self, key: &str) -> Option<u64> {
        self.0.get(key).ok()
    }
}

/// How many tokens and merges a file has, and of which kind: enough to predict the tokenizer's bytes.
pub(crate) fn measure(file: &ModelFile) -> Result<(Kind, Counts), Error> {
    let spec = Spec::from_gguf(&Keys(&file.metadata))?;
    let tokens = array(file, TOKENS)?.ok_or(Error::NoTokenizer { key: TOKENS })?;
    let merges = array(file, MERGES)?;
    let text_bytes = tokens.encoded_bytes().saturating_sub(8 * tokens.len()) as usize;
    let merges = merges.map_or(0, |m| m.len() as usize);
    Ok((spec.kind, Counts { tokens: tokens.len() as usize, merges, text_bytes }))
}

/// Builds the tokenizer. Nothing is held meanwhile but its tables and windows of a few KiB.
pub(crate) fn tokenizer(file: &ModelFile, files: &[Arc<FlashFile>]) -> Result<Tokenizer, Error> {
    let spec = Spec::from_gguf(&Keys(&file.metadata))?;
    let (_, counts) = measure(file)?;
    let mut builder = Builder::new(spec, counts)?;
    let tokens = array(file, TOKENS)?.ok_or(Error::NoTokenizer { key: TOKENS })?;
    let (scores, types) = (array(file, SCORES)?, array(file, TYPES)?);
    let mut texts = tokens.strings(source(tokens, files));
    let mut scores = scores.map(|a| a.f32s(source(a, files)));
    let mut types = types.map(|a| a.i32s(source(a, files)));
    while let Some(text) = texts.next()? {
        let score = scores.as_mut().and_then(Iterator::next).transpose()?.unwrap_or(0.0);
        let number = types.as_mut().and_then(Iterator::next).transpose()?.unwrap_or(1);
        builder.token(text, score, TokenType::from_gguf(i64::from(number)))?;
    }
    if let Some(merges) = array(file, MERGES)? {
        let mut lines = merges.strings(source(merges, files));
        while let Some(line) = lines.next()? {
            builder.merge(line)?;
        }
    }
    Ok(builder.finish()?)
}

/// The chat template, if the file has one.
pub(crate) fn template(file: &ModelFile, tokenizer: &Tokenizer) -> Result<Option<ChatTemplate>, Error> {
    let Some(source) = file.metadata.find::<&str>(TEMPLATE)? else { return Ok(None) };
    let text = |id: Option<u32>| {
        id.map(|id| String::from_utf8_lossy(tokenizer.bytes(id)).into_owned()).unwrap_or_default()
    };
    let spec = tokenizer.spec();
    Ok(Some(ChatTemplate::new(source, &text(spec.bos), &text(spec.eos))?))
}

fn array<'a>(file: &'a ModelFile, key: &str) -> Result<Option<&'a ArrayRef>, Error> {
    Ok(file.metadata.find(key)?)
}

/// The file that an array is streamed from; arrays that are held need none, so any will do.
fn source<'a>(array: &ArrayRef, files: &'a [Arc<FlashFile>]) -> &'a dyn ReadAt {
    &*files[array.file().unwrap_or(0) as usize]
}
