//! Everything that can go wrong here, as facts and as a sentence that says what to do.
//!
//! Not a place for strings from elsewhere, save those that quote the model's own words.

use std::io;

/// What can be done about an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// The file contradicts itself, or was made to hurt: get another.
    Damaged,
    /// The machine could not read the file.
    Io,
    /// There is not enough memory.
    Memory,
    /// The text: shorten it.
    Text,
    /// Sound, perhaps, but not something pintpot knows.
    Unsupported,
}

/// Why a vocabulary, a template or a text was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)]
pub enum Error {
    #[error(
        "the array is {found}, which is not read; save it with numpy.ascontiguousarray as plain little-endian numbers"
    )]
    Array { found: String },
    #[error(
        "the vocabulary is crafted: token {id} collides with thousands of others; get the file from its author"
    )]
    CraftedVocabulary { id: usize },
    #[error(
        "the vocabulary has {got} tokens where {counted} were counted; the file is damaged, fetch it again"
    )]
    FewerTokensThanCounted { counted: usize, got: usize },
    #[error("the grammar is not one: {reason}")]
    Grammar { reason: String },
    #[error("the grammar was given up: {0}; make it simpler")]
    GrammarBounds(host::Error),
    #[error("the grammar takes more than {limit} bytes of memory; make it simpler")]
    GrammarTooLarge { limit: u64 },
    #[error("no token of the vocabulary goes on as the grammar wants; change the grammar")]
    GrammarDeadEnd,
    #[error("cannot read tokenizer.json: {0}; fetch it again")]
    Json(#[from] serde_json::Error),
    #[error("tokenizer.json numbers token {id} after {after}; save it again with the tokenizers library")]
    JsonOutOfOrder { id: u32, after: u32 },
    #[error("tokenizer.json has a {part} {name} that pintpot does not know; use a GGUF file of this model")]
    JsonUnknownPart { part: &'static str, name: String },
    #[error("the JSON of tools or calls is made of too many small values; leave some out")]
    JsonTooDense,
    #[error("merge {rank} ({text:?}) makes no token of the vocabulary; the file is damaged, fetch it again")]
    MergeWithoutToken { rank: usize, text: String },
    #[error("the file has no {key}; convert the model again with a current converter")]
    MissingKey { key: &'static str },
    #[error("more than the {counted} merges that were counted; the file is damaged, fetch it again")]
    MoreMergesThanCounted { counted: usize },
    #[error("the file is neither a PNG nor a JPEG; convert it to one of them")]
    NotAPicture,
    #[error("this is no .npy file; write one with numpy.save")]
    NotNpy,
    #[error(
        "this is no WAV file, or it ends in its header; make one with: ffmpeg -i SOUND -ar 16000 -ac 1 sound.wav"
    )]
    NotWav,
    #[error(
        "token {id} goes beyond the {counted} bytes of text that were counted; the file is damaged, fetch it again"
    )]
    MoreTextThanCounted { id: usize, counted: usize },
    #[error("more than the {counted} tokens that were counted; the file is damaged, fetch it again")]
    MoreTokensThanCounted { counted: usize },
    #[error("no memory for {bytes} bytes of vocabulary; give more with --memory")]
    OutOfMemory { bytes: usize },
    #[error("the picture is damaged: {reason}; get it again")]
    Picture { reason: String },
    #[error("cannot open the picture: {0}")]
    PictureFile(host::Error),
    #[error("the picture is a JPEG of kind {marker:#04x}, which is not read; save it anew")]
    PictureKind { marker: u8 },
    #[error("cannot read the picture: {0}; get it again")]
    PictureRead(io::Error),
    #[error("the picture does not fit: {0}")]
    PictureRoom(host::Error),
    #[error("the picture has {width} x {height} pixels, but each side must have 1 to 65535; scale it")]
    PictureSize { width: usize, height: usize },
    #[error("the picture holds more beside its pixels than is read; save it without profiles and notes")]
    PictureTables,
    #[error("cannot read the sound: {0}")]
    Sound(io::Error),
    #[error(
        "splitting {bytes} bytes of text takes too many steps with this tokenizer's pattern; shorten the text"
    )]
    PatternTooCostly { bytes: usize },
    #[error("the chat template fails: {reason}{}; use --raw, or a file with another template", at_line(.line))]
    Template { reason: String, line: Option<usize> },
    #[error("cannot read the chat template in {file}: {source}; fetch the file again, or remove it")]
    TemplateFile { file: &'static str, source: io::Error },
    #[error("the chat template was given up: {0}; use --raw, or a file with another template")]
    TemplateBounds(#[from] host::Error),
    #[error("the chat template takes more than {steps} steps; use --raw, or a file with another template")]
    TemplateSteps { steps: u64 },
    #[error("the chat template is none: {reason}{}; use --raw, or fetch the file again", at_line(.line))]
    TemplateSyntax { reason: String, line: Option<usize> },
    #[error(
        "the chat template has {bytes} bytes, more than {limit}; use --raw, or a file with another template"
    )]
    TemplateSource { bytes: usize, limit: usize },
    #[error(
        "the chat template has {tokens} words and signs in one tag, more than {limit}; use --raw, or a file with \
         another template"
    )]
    TemplateTooDense { tokens: usize, limit: usize },
    #[error("the chat template wrote more than {limit} bytes; shorten the conversation, or use --raw")]
    TemplateTooLong { limit: usize },
    #[error("the text has {bytes} bytes, more than the {limit} that can be encoded at once; split it")]
    TextTooLong { bytes: usize, limit: usize },
    #[error("the JSON of tools or calls is wrong: {reason}")]
    ToolsJson { reason: String },
    #[error("{what} names token {id}, but there are only {tokens}; the file is damaged, fetch it again")]
    TokenOutOfRange { what: &'static str, id: u32, tokens: usize },
    #[error("token {id} is {bytes} bytes long, more than {limit}; pintpot cannot hold it")]
    TokenTooLong { id: usize, bytes: usize, limit: usize },
    #[error("the tokenizer cuts text by {patterns} patterns, more than {limit}; please report this model")]
    TooManyPatterns { patterns: usize, limit: usize },
    #[error("{tokens} tokens are more than the {limit} that pintpot can number")]
    TooManyTokens { tokens: usize, limit: usize },
    #[error(
        "the pattern {pattern:?} uses something at byte {at} that pintpot does not know; please report this model"
    )]
    UnknownPattern { pattern: String, at: usize },
    #[error("the pre-tokenizer {name:?} is unknown; pintpot knows {}", known.join(", "))]
    UnknownPretokenizer { name: String, known: Vec<&'static str> },
    #[error(
        "the tokenizer {model:?} is unknown; pintpot knows gpt2 (byte-level BPE) and llama (SentencePiece BPE)"
    )]
    UnknownTokenizer { model: String },
    #[error("cannot read vocab.txt: {0}; fetch it again")]
    VocabTxt(io::Error),
    #[error(
        "vocab.txt has no line {mark}, so it is no vocabulary of BERT's; give the model its tokenizer.json"
    )]
    VocabTxtWithout { mark: &'static str },
    #[error(
        "the sound is WAV {what}, which is not read; make one with: ffmpeg -i SOUND -ar 16000 -ac 1 sound.wav"
    )]
    Wav { what: String },
}

impl Error {
    /// What can be done about it.
    pub fn kind(&self) -> Kind {
        match self {
            Error::Json(error)
                if error.io_error_kind().is_some_and(|kind| kind != io::ErrorKind::InvalidData) =>
            {
                Kind::Io
            }
            Error::TemplateFile { source, .. }
                if !matches!(source.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) =>
            {
                Kind::Io
            }
            Error::Sound(_)
            | Error::TemplateBounds(host::Error::Worker { .. })
            | Error::PictureFile(_)
            | Error::VocabTxt(_) => Kind::Io,
            Error::PictureRead(source) if source.kind() != io::ErrorKind::UnexpectedEof => Kind::Io,
            Error::CraftedVocabulary { .. }
            | Error::FewerTokensThanCounted { .. }
            | Error::Json(_)
            | Error::JsonOutOfOrder { .. }
            | Error::MergeWithoutToken { .. }
            | Error::MissingKey { .. }
            | Error::MoreMergesThanCounted { .. }
            | Error::MoreTextThanCounted { .. }
            | Error::MoreTokensThanCounted { .. }
            | Error::NotNpy
            | Error::Picture { .. }
            | Error::PictureRead(_)
            | Error::NotWav
            | Error::TemplateBounds(_)
            | Error::TemplateFile { .. }
            | Error::TemplateSource { .. }
            | Error::TemplateSteps { .. }
            | Error::TemplateSyntax { .. }
            | Error::TemplateTooDense { .. }
            | Error::TokenOutOfRange { .. }
            | Error::TooManyTokens { .. } => Kind::Damaged,
            Error::OutOfMemory { .. } | Error::PictureRoom(_) => Kind::Memory,
            Error::Grammar { .. }
            | Error::GrammarBounds(_)
            | Error::GrammarDeadEnd
            | Error::GrammarTooLarge { .. }
            | Error::JsonTooDense
            | Error::PatternTooCostly { .. }
            | Error::TemplateTooLong { .. }
            | Error::TextTooLong { .. }
            | Error::ToolsJson { .. } => Kind::Text,
            Error::Array { .. }
            | Error::JsonUnknownPart { .. }
            | Error::NotAPicture
            | Error::PictureKind { .. }
            | Error::PictureSize { .. }
            | Error::PictureTables
            | Error::Template { .. }
            | Error::TokenTooLong { .. }
            | Error::TooManyPatterns { .. }
            | Error::UnknownPattern { .. }
            | Error::UnknownPretokenizer { .. }
            | Error::UnknownTokenizer { .. }
            | Error::VocabTxtWithout { .. }
            | Error::Wav { .. } => Kind::Unsupported,
        }
    }
}

fn at_line(line: &Option<usize>) -> String {
    line.map_or(String::new(), |line| format!(" (line {line})"))
}
