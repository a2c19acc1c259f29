//! Text to token ids and back, and conversations to text.
//!
//! What it is: tokenizers ([`Builder`], [`Tokenizer`]), the way back ([`Detokenizer`]), what watches the answer
//! ([`StopMatcher`]), what it may say at all ([`Grammar`]) and chat templates ([`ChatTemplate`]). What it is not: sampling. The one design choice: one
//! compact vocabulary serves every kind of tokenizer; kinds differ in how text is cut and which pieces are joined.

mod added;
mod bpe;
mod builder;
mod byte_level;
mod chat;
mod clock;
mod detokenizer;
mod gbnf;
mod gguf;
mod grammar;
mod json;
mod json_guard;
mod json_parts;
mod merges;
mod pattern;
mod post_processor;
mod pretokenizer;
mod python;
mod spec;
mod stop;
mod template_file;
mod token_index;
mod tokenizer;
mod tools;
mod unigram;
mod vocab;
mod vocab_txt;
mod words;

pub use builder::Builder;
pub use chat::{ChatTemplate, Message, RenderOptions};
pub use clock::strftime;
pub use detokenizer::{DecodeOptions, Detokenizer};
pub use gguf::GgufKeys;
pub use grammar::{Allowed, Frame, Grammar, Guide};
pub use json::JsonTokenizer;
pub use post_processor::{Encoding, PostProcessor};
pub use pretokenizer::{PRETOKENIZERS, Pretokenizer};
pub use spec::{Counts, Kind, SpacePrefix, Spec, TokenType};
pub use stop::StopMatcher;
pub use template_file::TemplateFile;
pub use token_index::TokenIndex;
pub use tokenizer::Tokenizer;
pub use tools::{CallReader, Family, Said, Tool, ToolCall};
pub use vocab_txt::VocabTxt;
pub use words::Words;
