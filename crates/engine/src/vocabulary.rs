//! From a model to its tokenizer: GGUF's arrays, or a tokenizer.json beside the weights, stream into the builder token
//! by token.

use crate::Error;
use formats::{ArrayRef, Format, Metadata, ModelFile};
use host::{FlashFile, ReadAt};
use processors::text::{
    Builder, ChatTemplate, Counts, GgufKeys, JsonTokenizer, Kind, Spec, TemplateFile, TokenType, Tokenizer,
};
use std::io::{self, Read};
use std::sync::Arc;

const TOKENS: &str = "tokenizer.ggml.tokens";
const MERGES: &str = "tokenizer.ggml.merges";
const SCORES: &str = "tokenizer.ggml.scores";
const TYPES: &str = "tokenizer.ggml.token_type";
const TEMPLATE: &str = "tokenizer.chat_template";
const TOKENIZER_JSON: &str = "tokenizer.json";

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

/// Opens a file that lies beside a model's, if there is one.
pub(crate) type Beside<'a> = dyn Fn(&str) -> Option<Box<dyn ReadAt>> + 'a;

/// A model's vocabulary, looked at but not read.
pub(crate) enum Vocabulary {
    /// Arrays in the model file itself.
    Gguf(Counts, Kind),
    /// A tokenizer.json beside it, and where it is.
    Json(Box<JsonTokenizer>, Box<dyn ReadAt>),
}

impl Vocabulary {
    /// Looks for the vocabulary of `file`.
    pub fn find(file: &ModelFile, beside: &Beside<'_>) -> Result<Vocabulary, Error> {
        if matches!(file.format, Format::Gguf { .. }) {
            let (kind, counts) = measure(file)?;
            return Ok(Vocabulary::Gguf(counts, kind));
        }
        let json = beside(TOKENIZER_JSON).ok_or(Error::NoTokenizer { key: TOKENIZER_JSON })?;
        let mut tokenizer = JsonTokenizer::survey(Bytes { file: &*json, at: 0 })?;
        let spec = tokenizer.spec_mut();
        let [bos, mut ends] = ["bos_token_id", "eos_token_id"].map(|key| ids(&file.metadata, key));
        spec.bos = bos.first().copied().or(spec.bos);
        spec.eos = ends.first().copied().or(spec.eos);
        spec.ends.append(&mut ends);
        Ok(Vocabulary::Json(Box::new(tokenizer), json))
    }

    /// How much it holds.
    pub fn counts(&self) -> Counts {
        match self {
            Vocabulary::Gguf(counts, _) => *counts,
            Vocabulary::Json(json, _) => json.counts(),
        }
    }

    /// Which kind it is.
    pub fn kind(&self) -> Kind {
        match self {
            Vocabulary::Gguf(_, kind) => *kind,
            Vocabulary::Json(json, _) => json.spec().kind,
        }
    }

    /// Heap bytes that it holds until the tokenizer is built.
    pub fn heap_bytes(&self) -> u64 {
        match self {
            Vocabulary::Gguf(..) => 0,
            Vocabulary::Json(json, _) => json.heap_bytes(),
        }
    }

    /// Builds the tokenizer. Nothing is held meanwhile but its tables and windows of a few KiB.
    pub fn build(self, file: &ModelFile, files: &[Arc<FlashFile>]) -> Result<Tokenizer, Error> {
        match self {
            Vocabulary::Gguf(counts, _) => tokenizer(file, files, counts),
            Vocabulary::Json(json, source) => Ok(json.build(Bytes { file: &*source, at: 0 })?),
        }
    }
}

/// A file from its beginning to its end.
pub(crate) struct Bytes<'a> {
    pub file: &'a dyn ReadAt,
    pub at: u64,
}

impl Read for Bytes<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.file.len().saturating_sub(self.at);
        let count = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
        self.file.read_exact_at(self.at, &mut buffer[..count])?;
        self.at += count as u64;
        Ok(count)
    }
}

/// An id, or a list of them, of config.json or generation_config.json.
fn ids(metadata: &Metadata, key: &str) -> Vec<u32> {
    metadata.find(key).ok().flatten().unwrap_or_default()
}

/// How many tokens and merges a file has, and of which kind: enough to predict the tokenizer's bytes.
fn measure(file: &ModelFile) -> Result<(Kind, Counts), Error> {
    let spec = Spec::from_gguf(&Keys(&file.metadata))?;
    let tokens = array(file, TOKENS)?.ok_or(Error::NoTokenizer { key: TOKENS })?;
    let merges = array(file, MERGES)?;
    let text_bytes = tokens.encoded_bytes().saturating_sub(8 * tokens.len()) as usize;
    let merges = merges.map_or(0, |m| m.len() as usize);
    Ok((spec.kind, Counts { tokens: tokens.len() as usize, merges, text_bytes }))
}

fn tokenizer(file: &ModelFile, files: &[Arc<FlashFile>], counts: Counts) -> Result<Tokenizer, Error> {
    let spec = Spec::from_gguf(&Keys(&file.metadata))?;
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

/// The source of the chat template: what GGUF has within, other formats beside the weights.
pub(crate) fn template_source(file: &ModelFile, beside: &Beside<'_>) -> Result<Option<String>, Error> {
    if matches!(file.format, Format::Gguf { .. }) {
        return Ok(file.metadata.find::<&str>(TEMPLATE)?.map(str::to_owned));
    }
    let mut there = TemplateFile::ALL.into_iter().filter_map(|kind| Some((kind, beside(kind.name())?)));
    let read = there.next().map(|(kind, file)| kind.read(Bytes { file: &*file, at: 0 }));
    Ok(read.transpose()?.flatten())
}

/// The chat template with the texts that it may name.
pub(crate) fn template(source: &str, tokenizer: &Tokenizer) -> ChatTemplate {
    let text = |id: Option<u32>| {
        id.map(|id| String::from_utf8_lossy(tokenizer.bytes(id)).into_owned()).unwrap_or_default()
    };
    let spec = tokenizer.spec();
    ChatTemplate::new(source, &text(spec.bos), &text(spec.eos))
}

fn array<'a>(file: &'a ModelFile, key: &str) -> Result<Option<&'a ArrayRef>, Error> {
    Ok(file.metadata.find(key)?)
}

/// The file that an array is streamed from; arrays that are held need none, so any will do.
fn source<'a>(array: &ArrayRef, files: &'a [Arc<FlashFile>]) -> &'a dyn ReadAt {
    &*files[array.file().unwrap_or(0) as usize]
}
