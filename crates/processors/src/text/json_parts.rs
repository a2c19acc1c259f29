//! The parts of a tokenizer.json around its vocabulary, and the [`Spec`] that they amount to.
//!
//! What it is: a reading of normalizer, pre-tokenizer and post-processor as the `tokenizers` library writes them.
//! What it is not: lenient; a part that would change ids and is not understood is refused by name.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;

use super::post_processor::PostProcessor;
use super::pretokenizer::Pretokenizer;
use super::spec::{Kind, SpacePrefix, Spec};
use super::words::Words;
use crate::Error;

/// A token that is found in the text as it stands.
#[derive(Deserialize)]
pub(crate) struct AddedToken {
    pub id: u32,
    pub content: String,
    #[serde(default)]
    pub special: bool,
    #[serde(default)]
    pub lstrip: bool,
    #[serde(default)]
    pub rstrip: bool,
    #[serde(default)]
    pub single_word: bool,
    /// Whether it is looked for in the text as it is after it was folded.
    #[serde(default)]
    pub normalized: bool,
}

/// Everything but the vocabulary.
#[derive(Default)]
pub(crate) struct Parts {
    pub added: Vec<AddedToken>,
    pub normalizer: Value,
    pub pre_tokenizer: Value,
    pub post_processor: Value,
    /// The scalars of `model`.
    pub model: Model,
}

/// What `model` says besides vocabulary and merges.
#[derive(Default)]
pub(crate) struct Model {
    pub kind: Option<String>,
    pub unknown_token: Option<String>,
    pub unknown_id: Option<u32>,
    pub fuse_unknown: bool,
    pub byte_fallback: bool,
    pub ignore_merges: bool,
    /// A prefix inside words, which vocabularies of word pieces have.
    pub prefix: Option<String>,
    /// A suffix of words, which none of those that are known has.
    pub suffix: Option<String>,
    /// The longest word that is taken apart.
    pub longest_word: Option<usize>,
}

impl Parts {
    /// Heap bytes that it holds, an allocator's own among them.
    pub fn heap_bytes(&self) -> u64 {
        const BLOCK: u64 = 32;
        let added =
            self.added.iter().map(|a| size_of::<AddedToken>() as u64 + a.content.len() as u64 + BLOCK);
        let values = [&self.normalizer, &self.pre_tokenizer, &self.post_processor];
        added.chain(values.map(heap_of)).sum()
    }

    /// The specification; ids of tokens that are named by their text are found with `id`.
    pub fn spec(&self, id: impl Fn(&str) -> Option<u32>) -> Result<Spec, Error> {
        let mut draft = Draft { spec: Spec::of(Kind::CharBpe), bytes: false, spaces: false, words: false };
        draft.spec.words = Words::as_it_is();
        draft.normalizer(&self.normalizer)?;
        draft.pre_tokenizer(&self.pre_tokenizer)?;
        let Draft { mut spec, bytes, spaces, words } = draft;
        spec.kind = match self.model.kind.as_deref() {
            // Files of old do not name it.
            Some("BPE") | None if bytes => Kind::ByteBpe,
            Some("BPE") | None if spaces => Kind::CharBpe,
            Some("Unigram") if spaces => Kind::Unigram,
            Some("WordPiece") if words => Kind::WordPiece,
            other => return Err(unknown("model", &Value::from(other.unwrap_or("BPE")))),
        };
        let is_words = spec.kind == Kind::WordPiece;
        let prefix = self.model.prefix.as_deref().filter(|_| !is_words);
        if let Some(affix) = prefix.into_iter().chain(self.model.suffix.as_deref()).find(|a| !a.is_empty()) {
            return Err(unknown("subword affix", &affix.into()));
        }
        if is_words {
            spec.words.prefix = self.model.prefix.as_deref().unwrap_or("##").into();
            spec.words.set_longest(self.model.longest_word);
        } else if words {
            return Err(unknown("normalizer of words", &self.normalizer));
        }
        if let Some(token) =
            self.added.iter().find(|a| a.single_word || is_words && a.normalized && !a.special)
        {
            return Err(unknown("single-word token", &token.content.as_str().into()));
        }
        spec.whole_words = self.model.ignore_merges;
        spec.fuse_unknown = self.model.fuse_unknown || spec.kind == Kind::Unigram;
        spec.unknown = self.model.unknown_id.or_else(|| id(self.model.unknown_token.as_deref()?));
        template(&self.post_processor, &mut spec, &id);
        spec.post_processor = PostProcessor::from_json(&self.post_processor)?;
        Ok(spec)
    }
}

/// About the heap bytes of a value: each key and value has a place in a table or a tree, which is half empty at worst.
fn heap_of(value: &Value) -> u64 {
    const PLACE: u64 = 160;
    PLACE
        + match value {
            Value::String(text) => text.len() as u64,
            Value::Array(items) => items.iter().map(heap_of).sum(),
            Value::Object(map) => {
                map.iter().map(|(key, value)| PLACE + key.len() as u64 + heap_of(value)).sum()
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        }
}

struct Draft {
    spec: Spec,
    /// Bytes are written as letters.
    bytes: bool,
    /// Spaces are written as U+2581.
    spaces: bool,
    /// Words are cut and folded as BERT does it.
    words: bool,
}

impl Draft {
    fn normalizer(&mut self, part: &Value) -> Result<(), Error> {
        match kind(part) {
            "" => Ok(()),
            "Sequence" => list(part, "normalizers").try_for_each(|p| self.normalizer(p)),
            "BertNormalizer" => {
                let flag = |name: &str| part[name].as_bool().unwrap_or(true);
                let words = &mut self.spec.words;
                (words.clean, words.han_apart) = (flag("clean_text"), flag("handle_chinese_chars"));
                words.lowercase = flag("lowercase");
                // What is not said follows from the case.
                words.strip_accents = part["strip_accents"].as_bool().unwrap_or(words.lowercase);
                self.words = true;
                Ok(())
            }
            "NFC" => {
                self.spec.compose = true;
                Ok(())
            }
            "Prepend" if part["prepend"] == "▁" => {
                self.spec.space_prefix = SpacePrefix::Always;
                Ok(())
            }
            "Replace" if part["pattern"]["String"] == " " && part["content"] == "▁" => {
                self.spaces = true;
                Ok(())
            }
            _ => Err(unknown("normalizer", part)),
        }
    }

    fn pre_tokenizer(&mut self, part: &Value) -> Result<(), Error> {
        let first = self.spec.patterns.is_empty() && !self.bytes;
        if self.bytes && !part.is_null() {
            return Err(unknown("pre-tokenizer after ByteLevel", part));
        }
        match kind(part) {
            "" => {}
            "BertPreTokenizer" => self.words = true,
            "Sequence" => list(part, "pretokenizers").try_for_each(|p| self.pre_tokenizer(p))?,
            "ByteLevel" => {
                self.bytes = true;
                if part["use_regex"] != false {
                    let gpt2 = Pretokenizer::named("gpt-2")?;
                    self.spec.patterns.extend(gpt2.patterns.iter().copied().map(Cow::Borrowed));
                }
                if part["add_prefix_space"] == true {
                    if !first {
                        return Err(unknown("pre-tokenizer with a space before every piece", part));
                    }
                    (self.spec.space_prefix, self.spec.double_space) = (SpacePrefix::Always, false);
                }
            }
            "Digits" if part["individual_digits"] == true => self.spec.patterns.push(r"\p{N}".into()),
            "Digits" => self.spec.patterns.push(r"\p{N}+".into()),
            "Metaspace" if part["replacement"] == "▁" => self.metaspace(part)?,
            "Punctuation" if matches!(part["behavior"].as_str(), None | Some("Isolated")) => {
                self.spec.patterns.push(r"[!-/:-@\[-`{-~\p{P}]".into());
            }
            "Punctuation" if part["behavior"] == "Contiguous" => {
                self.spec.patterns.push(r"[!-/:-@\[-`{-~\p{P}]+".into());
            }
            // The normalizer left no space to split at.
            "Split" if self.spaces && part["pattern"]["String"] == " " => {}
            "Split" => self.split(part)?,
            _ => return Err(unknown("pre-tokenizer", part)),
        }
        Ok(())
    }

    fn metaspace(&mut self, part: &Value) -> Result<(), Error> {
        self.spaces = true;
        self.spec.double_space = false;
        self.spec.space_prefix = match part["prepend_scheme"].as_str() {
            Some("first") => SpacePrefix::First,
            Some("never") => SpacePrefix::Never,
            Some("always") => SpacePrefix::Always,
            None if part["add_prefix_space"] == false => SpacePrefix::Never,
            None => SpacePrefix::Always,
            Some(other) => return Err(unknown("prepend scheme", &other.into())),
        };
        if part["split"] != false {
            self.spec.patterns.push(" [^ ]*|[^ ]+".into());
        }
        Ok(())
    }

    fn split(&mut self, part: &Value) -> Result<(), Error> {
        let pattern = match (part["pattern"]["Regex"].as_str(), part["pattern"]["String"].as_str()) {
            (Some(regex), _) => regex.to_owned(),
            (None, Some(text)) => text.chars().fold(String::new(), |mut out, c| {
                if c.is_ascii_punctuation() {
                    out.push('\\');
                }
                out.push(c);
                out
            }),
            (None, None) => return Err(unknown("pre-tokenizer", part)),
        };
        // A pattern that covers everything may as well be said to be removed where it does not match.
        let inverted = part["behavior"] == "Removed" && part["invert"] == true;
        if !inverted && (part["behavior"] != "Isolated" || part["invert"] == true) {
            return Err(unknown("split", part));
        }
        self.spec.patterns.push(pattern.into());
        Ok(())
    }
}

/// Reads from a template which marks stand around a text.
fn template(part: &Value, spec: &mut Spec, id: &impl Fn(&str) -> Option<u32>) {
    match kind(part) {
        "Sequence" => list(part, "processors").for_each(|p| template(p, spec, id)),
        "TemplateProcessing" => {
            let mark = |item: Option<&Value>| item.and_then(|i| id(i["SpecialToken"]["id"].as_str()?));
            let items: Vec<&Value> = list(part, "single").collect();
            spec.bos = mark(items.first().copied());
            spec.eos = mark(items.last().copied());
            (spec.add_bos, spec.add_eos) = (spec.bos.is_some(), spec.eos.is_some());
        }
        _ => {}
    }
}

pub(crate) fn kind(part: &Value) -> &str {
    match part {
        Value::Null => "",
        _ => part["type"].as_str().unwrap_or("?"),
    }
}

pub(crate) fn list<'v>(part: &'v Value, name: &str) -> impl Iterator<Item = &'v Value> {
    part[name].as_array().into_iter().flatten()
}

pub(crate) fn unknown(part: &'static str, what: &Value) -> Error {
    Error::JsonUnknownPart { part, name: what.to_string().chars().take(200).collect() }
}
