//! tokenizer.json, read twice.
//!
//! What it is: a survey that counts, and a second reading that fills a [`Builder`]. What it is not: a document in
//! memory; the vocabulary, which may be 30 MB of JSON, only streams by. The one design choice: ids must ascend, as
//! the `tokenizers` library writes them, so that tokens arrive in the order in which they are kept.

use std::fmt;
use std::io::Read;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::builder::Builder;
use super::json_guard::{Allowance, Guard};
use super::json_parts::Parts;
use super::spec::{Counts, Kind, Spec, TokenType};
use super::tokenizer::Tokenizer;
use crate::Error;

/// The most bytes of the list of added tokens, of which some models have thousands.
const ADDED: usize = 2 << 20;
/// The longest token or other string, bytes.
const LONGEST: usize = 64 << 10;
/// The most bytes of each of the parts that say how text is cut.
const PART: usize = 64 << 10;

/// A tokenizer.json that has been looked through once.
pub struct JsonTokenizer {
    parts: Parts,
    spec: Spec,
    counts: Counts,
}

impl JsonTokenizer {
    /// Counts what the file holds and decides whether it is understood. Reads all of it.
    pub fn survey(file: impl Read) -> Result<JsonTokenizer, Error> {
        let mut survey = Survey::default();
        walk(file, &mut survey)?;
        let Survey { mut parts, mut counts, next, named, .. } = survey;
        parts.added.shrink_to_fit();
        parts.added.sort_by_key(|a| a.id);
        let found = |text: &str| {
            let added = parts.added.iter().find(|a| a.content == text).map(|a| a.id);
            added.or_else(|| named.iter().find(|n| n.0 == text).map(|n| n.1))
        };
        let spec = parts.spec(found)?;
        let beyond = parts.added.iter().filter(|a| a.id >= next);
        counts.text_bytes += parts.added.iter().map(|a| a.content.len()).sum::<usize>();
        counts.tokens = beyond.map(|a| a.id as usize + 1).max().unwrap_or(0).max(next as usize);
        Ok(JsonTokenizer { parts, spec, counts })
    }

    /// What the tokenizer is.
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// What the tokenizer is, for ids that only files beside this one tell.
    pub fn spec_mut(&mut self) -> &mut Spec {
        &mut self.spec
    }

    /// How much it holds; [`Tokenizer::estimate`] turns that into bytes.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Heap bytes that it holds until it is built.
    pub fn heap_bytes(&self) -> u64 {
        self.parts.heap_bytes()
    }

    /// Reads the same file again and builds.
    pub fn build(self, file: impl Read) -> Result<Tokenizer, Error> {
        let builder = Builder::new(self.spec.clone(), self.counts)?;
        let mut fill =
            Fill { builder, parts: &self.parts, byte_fallback: self.parts.model.byte_fallback, next: 0 };
        walk(file, &mut fill)?;
        fill.fill_to(self.counts.tokens as u32)?;
        for added in &self.parts.added {
            fill.builder.strip(added.id, added.lstrip, added.rstrip);
        }
        // Merges come after the vocabulary in the file, but tokens beyond it after them.
        fill.builder.finish()
    }
}

/// What is done with the parts of the file as they come.
trait Sink {
    fn token(&mut self, text: &str, id: Option<u32>, score: f32) -> Result<(), Error>;
    fn merge(&mut self, left: &str, right: Option<&str>) -> Result<(), Error>;
    /// Where to put the small parts, if they are wanted.
    fn parts(&mut self) -> Option<&mut Parts>;
}

#[derive(Default)]
struct Survey {
    parts: Parts,
    counts: Counts,
    /// One more than the highest id.
    next: u32,
    /// Tokens that a mark may be named after: the short ones in angle or square brackets.
    named: Vec<(String, u32)>,
}

impl Sink for Survey {
    fn token(&mut self, text: &str, id: Option<u32>, _: f32) -> Result<(), Error> {
        let id = id.unwrap_or(self.next);
        if id < self.next {
            return Err(Error::JsonOutOfOrder { id, after: self.next - 1 });
        }
        if id == u32::MAX {
            return Err(Error::TooManyTokens { tokens: usize::MAX, limit: id as usize });
        }
        if text.len() < 32 && text.starts_with(['<', '[']) && self.named.len() < 256 {
            self.named.push((text.to_owned(), id));
        }
        self.next = id + 1;
        self.counts.text_bytes += text.len();
        Ok(())
    }

    fn merge(&mut self, _: &str, _: Option<&str>) -> Result<(), Error> {
        self.counts.merges += 1;
        Ok(())
    }

    fn parts(&mut self) -> Option<&mut Parts> {
        Some(&mut self.parts)
    }
}

struct Fill<'p> {
    builder: Builder,
    parts: &'p Parts,
    byte_fallback: bool,
    next: u32,
}

impl Fill<'_> {
    /// Adds what has an id below `id` and is not in the vocabulary.
    fn fill_to(&mut self, id: u32) -> Result<(), Error> {
        while self.next < id {
            self.put("", 0.0, TokenType::Unused)?;
        }
        Ok(())
    }

    /// Adds the token with the next id, as an added token if it is one.
    fn put(&mut self, text: &str, score: f32, role: TokenType) -> Result<(), Error> {
        let parts = self.parts;
        let added = parts.added.binary_search_by_key(&self.next, |a| a.id).ok().map(|at| &parts.added[at]);
        self.next += 1;
        match added {
            Some(added) if added.special => {
                self.builder.token(added.content.as_bytes(), score, TokenType::Control)
            }
            // Text has spaces where the content has U+2581, so that it is only met through merges.
            Some(added) if self.builder.kind() != Kind::ByteBpe && added.content.contains('▁') => {
                self.builder.token(added.content.as_bytes(), score, TokenType::Normal)
            }
            Some(added) => self.builder.token(added.content.as_bytes(), score, TokenType::UserDefined),
            None => self.builder.token(text.as_bytes(), score, role),
        }
    }
}

impl Sink for Fill<'_> {
    fn token(&mut self, text: &str, id: Option<u32>, score: f32) -> Result<(), Error> {
        self.fill_to(id.unwrap_or(self.next))?;
        let byte = self.byte_fallback && text.len() == 6 && text.starts_with("<0x") && text.ends_with('>');
        let unknown = self.builder.kind() != Kind::ByteBpe && self.builder.unknown() == Some(self.next);
        let role = match () {
            () if byte => TokenType::Byte,
            () if unknown => TokenType::Unknown,
            () => TokenType::Normal,
        };
        self.put(text, score, role)
    }

    fn merge(&mut self, left: &str, right: Option<&str>) -> Result<(), Error> {
        match right {
            Some(right) => self.builder.merge_pair(left.as_bytes(), right.as_bytes()),
            None => self.builder.merge(left.as_bytes()),
        }
    }

    fn parts(&mut self) -> Option<&mut Parts> {
        None
    }
}

/// Streams the file into a sink.
fn walk(file: impl Read, sink: &mut dyn Sink) -> Result<(), Error> {
    let mut failure = None;
    let allowance = Allowance::free();
    let mut json = serde_json::Deserializer::from_reader(Guard::new(file, LONGEST, &allowance));
    let result = Walk { place: Place::File, sink, failure: &mut failure, allowance: &allowance }
        .deserialize(&mut json);
    match failure {
        Some(error) => Err(error),
        None => Ok(result?),
    }
}

/// Where in the file a value stands.
#[derive(Clone, Copy)]
enum Place {
    File,
    Model,
    Vocab,
    Scored,
    Merges,
    Pair,
}

/// A reader of one value, of its place's kind.
struct Walk<'s> {
    place: Place,
    sink: &'s mut dyn Sink,
    /// The sink's own error, which JSON's cannot carry.
    failure: &'s mut Option<Error>,
    /// What may be held of the value at hand.
    allowance: &'s Allowance,
}

impl Walk<'_> {
    fn at(&mut self, place: Place) -> Walk<'_> {
        Walk { place, sink: self.sink, failure: self.failure, allowance: self.allowance }
    }

    fn done<E: serde::de::Error>(&mut self, result: Result<(), Error>) -> Result<(), E> {
        result.map_err(|error| {
            *self.failure = Some(error);
            E::custom("refused")
        })
    }

    /// A value of the whole file.
    fn file_key<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        if key == "model" {
            return map.next_value_seed(self.at(Place::Model));
        }
        let Some(parts) = self.sink.parts() else {
            map.next_value::<IgnoredAny>()?;
            return Ok(());
        };
        let part = match key {
            "added_tokens" => {
                parts.added = self.allowance.within(ADDED, || map.next_value())?;
                return Ok(());
            }
            "normalizer" => &mut parts.normalizer,
            "pre_tokenizer" => &mut parts.pre_tokenizer,
            "post_processor" => &mut parts.post_processor,
            _ => {
                map.next_value::<IgnoredAny>()?;
                return Ok(());
            }
        };
        *part = self.allowance.within(PART, || map.next_value())?;
        Ok(())
    }

    /// A value of the model.
    fn model_key<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "vocab" => return map.next_value_seed(self.at(Place::Vocab)),
            "merges" => return map.next_value_seed(self.at(Place::Merges)),
            _ => {}
        }
        match (key, self.sink.parts().map(|parts| &mut parts.model)) {
            ("type", Some(model)) => model.kind = map.next_value()?,
            ("unk_token", Some(model)) => model.unknown_token = map.next_value()?,
            ("unk_id", Some(model)) => model.unknown_id = map.next_value()?,
            ("fuse_unk", Some(model)) => {
                model.fuse_unknown = map.next_value::<Option<bool>>()?.unwrap_or(false)
            }
            ("byte_fallback", Some(model)) => {
                model.byte_fallback = map.next_value::<Option<bool>>()?.unwrap_or(false)
            }
            ("ignore_merges", Some(model)) => {
                model.ignore_merges = map.next_value::<Option<bool>>()?.unwrap_or(false)
            }
            ("continuing_subword_prefix", Some(model)) => model.prefix = map.next_value()?,
            ("end_of_word_suffix", Some(model)) => model.suffix = map.next_value()?,
            ("max_input_chars_per_word", Some(model)) => model.longest_word = map.next_value()?,
            _ => drop(map.next_value::<IgnoredAny>()?),
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.place {
            Place::File => "a tokenizer",
            Place::Model => "a model",
            Place::Vocab => "tokens with ids or scores",
            Place::Scored => "a token and its score",
            Place::Merges => "merges",
            Place::Pair => "the two parts of a merge",
        })
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        if matches!(self.place, Place::Vocab) {
            let mut text = String::new();
            while map.next_key_seed(Text(&mut text))?.is_some() {
                let id: u32 = map.next_value()?;
                let result = self.sink.token(&text, Some(id), 0.0);
                self.done(result)?;
            }
            return Ok(());
        }
        while let Some(key) = map.next_key::<String>()? {
            match self.place {
                Place::File => self.file_key(&key, &mut map)?,
                Place::Model => self.model_key(&key, &mut map)?,
                _ => return Err(A::Error::custom("an object in the wrong place")),
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        let (mut left, mut right) = (String::new(), String::new());
        let result = match self.place {
            Place::Vocab => {
                while list.next_element_seed(self.at(Place::Scored))?.is_some() {}
                Ok(())
            }
            Place::Merges => {
                while list.next_element_seed(self.at(Place::Pair))?.is_some() {}
                Ok(())
            }
            Place::Scored => {
                let text = list.next_element_seed(Text(&mut left))?;
                let (Some(()), Some(score)) = (text, list.next_element::<f32>()?) else {
                    return Err(A::Error::custom("a token without a score"));
                };
                self.sink.token(&left, None, score)
            }
            Place::Pair => {
                let both =
                    (list.next_element_seed(Text(&mut left))?, list.next_element_seed(Text(&mut right))?);
                if both != (Some(()), Some(())) {
                    return Err(A::Error::custom("half a merge"));
                }
                self.sink.merge(&left, Some(&right))
            }
            Place::File | Place::Model => return Err(A::Error::custom("a list in the wrong place")),
        };
        self.done(result)
    }

    fn visit_str<E: serde::de::Error>(mut self, line: &str) -> Result<(), E> {
        if !matches!(self.place, Place::Pair) {
            return Err(E::custom("a string in the wrong place"));
        }
        let result = self.sink.merge(line, None);
        self.done(result)
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        Ok(())
    }
}

/// Reads a string into one that is there already.
struct Text<'s>(&'s mut String);

impl<'de> DeserializeSeed<'de> for Text<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_str(self)
    }
}

impl Visitor<'_> for Text<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        self.0.clear();
        self.0.push_str(text);
        Ok(())
    }
}
