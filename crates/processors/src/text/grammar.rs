//! What an answer may say: a JSON schema, a pattern, a grammar or a few texts, followed byte by byte.
//!
//! What it is: the way from what a stranger writes to a [`Guide`], which tells what tokens may come next (Brzozowski's
//! derivatives for words, Earley's parser above them; the `llguidance` crate). What it is not: a sampler. The one design choice:
//! the parser knows bytes only, as if the vocabulary were they, and [`TokenIndex`] walks the tokens; so a parser is small,
//! whatever the vocabulary, and a grammar is followed whichever tokens spell it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use llguidance::api::{GrammarInit, ParserLimits, TopLevelGrammar};
use llguidance::earley::perf::ParserPerfCounters;
use llguidance::earley::{BiasComputer, Parser, ParserRecognizer};
use llguidance::toktrie::{INVALID_TOKEN, Recognizer, SimpleVob, TokEnv, TokRxInfo, TokTrie, TokenizerEnv};
use llguidance::{JsonCompileOptions, Logger};
use serde_json::{Map, Value};

use super::gbnf;
use super::token_index::{PLAIN, TokenIndex};
use super::tokenizer::Tokenizer;
use crate::Error;

/// How long it may take to read a grammar; a large one takes some milliseconds.
const TIME: Duration = Duration::from_secs(3);
/// What may stand between the words of JSON: what people and programs write, and not spaces without end.
const SPACE: &str = r"( |\n[ \t]{0,16})";
/// Digits in a row outside of strings of JSON, after which no more are taken where something else can follow: more than any
/// number of a program holds, and a model that cannot end would never come to its end.
const DIGITS: u32 = 17;
/// A number that no token has.
const NO_TOKEN: u32 = 256;
/// Bounds of the parser: what reading a grammar may take, and what one step may.
const LIMITS: ParserLimits = ParserLimits {
    max_items_in_row: 2000,
    initial_lexer_fuel: 1_000_000,
    step_lexer_fuel: 200_000,
    step_max_items: 50_000,
    max_lexer_states: 20_000,
    max_grammar_size: 100_000,
    precompute_large_lexemes: false,
    verbose_errors: false,
};

/// What an answer may say, as it was asked for; nothing of it is read yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grammar {
    /// One of these texts.
    Choice(Vec<String>),
    /// One of several values of JSON between texts.
    Framed(Vec<Frame>),
    /// An object of JSON, whichever.
    JsonObject,
    /// JSON that a schema, given as its text, allows.
    JsonSchema(String),
    /// A text that a pattern matches from end to end.
    Regex(String),
    /// A text of a grammar: GBNF, as llama.cpp has it, or Lark, as llguidance has it.
    Rules(String),
}

/// JSON that a schema allows, and the texts around it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What comes before.
    pub before: String,
    /// The schema as JSON.
    pub schema: String,
    /// What comes after.
    pub after: String,
}

impl Grammar {
    /// Reads the grammar in a fenced room: `heap` bytes at most, and a few seconds.
    ///
    /// # Errors
    /// [`Error::Grammar`] says what is wrong with it; [`Error::GrammarBounds`] that it takes too much. In the latter case up to
    /// `heap` bytes may be lost, which the caller must not count as free.
    pub fn guide(self, heap: u64) -> Result<Guide, Error> {
        let json = matches!(self, Grammar::Framed(_) | Grammar::JsonObject | Grammar::JsonSchema(_))
            .then(Json::default);
        let read = move || catch_unwind(AssertUnwindSafe(|| self.parser()));
        let (read, grown) =
            host::bounded(heap, TIME, || host::metered(read)).map_err(Error::GrammarBounds)?;
        let failed = || Err(Error::Grammar { reason: "it cannot be read".into() });
        let parser = read.unwrap_or_else(|_| failed())?;
        let bytes = u64::try_from(grown).unwrap_or(0);
        Ok(Guide { parser, allowed: Allowed(SimpleVob::new()), bytes, limit: heap, ended: false, json })
    }

    fn parser(self) -> Result<Parser, Error> {
        let env = byte_env();
        let mut logger = Logger::new(0, 0);
        let plain = PLAIN.map(str::to_string).to_vec();
        let init = GrammarInit::Serialized(self.rules()?);
        let read = init.to_cgrammar(Some(Arc::clone(&env)), &mut logger, LIMITS, plain).map_err(wrong)?;
        let spec = read.lexer_spec();
        if !spec.token_range_lexemes(&spec.all_lexemes()).is_empty() {
            return Err(Error::Grammar { reason: "tokens cannot be named in it, only texts".into() });
        }
        Parser::new(env, read, LIMITS, Arc::new(ParserPerfCounters::default())).map_err(wrong)
    }

    fn rules(self) -> Result<TopLevelGrammar, Error> {
        let json = |reason: serde_json::Error| Error::Grammar { reason: format!("not JSON: {reason}") };
        match self {
            Grammar::Choice(texts) if texts.is_empty() => {
                Err(Error::Grammar { reason: "there is nothing to choose from".into() })
            }
            Grammar::Choice(texts) => {
                let texts: Result<Vec<String>, _> = texts.iter().map(serde_json::to_string).collect();
                Ok(TopLevelGrammar::from_lark(format!("start: {}", texts.map_err(json)?.join(" | "))))
            }
            Grammar::Framed(frames) => framed(frames),
            Grammar::JsonObject => {
                let object = Value::Object(Map::from_iter([("type".into(), "object".into())]));
                Ok(TopLevelGrammar::from_json_schema(schema(object)?))
            }
            Grammar::JsonSchema(text) => {
                let text = serde_json::from_str(&text).map_err(json)?;
                Ok(TopLevelGrammar::from_json_schema(schema(text)?))
            }
            Grammar::Regex(pattern) => Ok(TopLevelGrammar::from_regex(&pattern)),
            Grammar::Rules(rules) if gbnf::is_gbnf(&rules) => {
                let lark = gbnf::to_lark(&rules).map_err(|reason| Error::Grammar { reason })?;
                Ok(TopLevelGrammar::from_lark(lark))
            }
            Grammar::Rules(rules) => Ok(TopLevelGrammar::from_lark(rules)),
        }
    }
}

/// A schema with our settings, whatever it says itself.
fn schema(schema: Value) -> Result<Value, Error> {
    let mut schema = match schema {
        Value::Bool(true) => Value::Object(Map::new()),
        Value::Object(_) => schema,
        _ => return Err(Error::Grammar { reason: "a schema is an object".into() }),
    };
    let options = JsonCompileOptions {
        whitespace_pattern: Some(SPACE.to_string()),
        item_separator: ",".into(),
        key_separator: ":".into(),
        ..JsonCompileOptions::default()
    };
    options.apply_to(&mut schema);
    Ok(schema)
}

/// Rules for JSON between texts. Each schema is a root of its own, so that what it refers to is found.
fn framed(frames: Vec<Frame>) -> Result<TopLevelGrammar, Error> {
    let (mut start, mut rules) = (Vec::new(), String::new());
    for (n, Frame { before, schema: text, after }) in frames.into_iter().enumerate() {
        let schema = schema(serde_json::from_str(&text).map_err(wrong)?)?;
        let [before, after] = [before, after].map(|text| match text.is_empty() {
            true => String::new(),
            false => Value::from(text).to_string(),
        });
        start.push(format!("{before} json{n} {after}"));
        rules += &format!("json{n}: %json {schema}\n");
    }
    Ok(TopLevelGrammar::from_lark(format!("start: {}\n{rules}", start.join(" | "))))
}

fn wrong(error: impl std::fmt::Display) -> Error {
    const LONGEST: usize = 300;
    Error::Grammar { reason: error.to_string().chars().take(LONGEST).collect() }
}

/// Follows a grammar while an answer is being given.
pub struct Guide {
    parser: Parser,
    allowed: Allowed,
    /// Heap that it holds.
    bytes: u64,
    /// Heap that it may hold.
    limit: u64,
    ended: bool,
    /// Where in JSON it is, if that is what it follows.
    json: Option<Json>,
}

/// What of JSON decides whether digits are taken.
#[derive(Clone, Copy, Default)]
struct Json {
    in_string: bool,
    escaped: bool,
    digits: u32,
}

impl Json {
    fn push(&mut self, byte: u8) {
        let quote = byte == b'"' && !self.escaped;
        self.escaped = self.in_string && byte == b'\\' && !self.escaped;
        self.in_string ^= quote;
        self.digits = if byte.is_ascii_digit() && !self.in_string { self.digits + 1 } else { 0 };
    }
}

/// The tokens that may come next.
pub struct Allowed(SimpleVob);

impl Allowed {
    /// Whether a token may come next.
    #[inline]
    pub fn has(&self, id: u32) -> bool {
        self.0.is_allowed(id)
    }
}

impl FromIterator<u32> for Allowed {
    fn from_iter<I: IntoIterator<Item = u32>>(ids: I) -> Allowed {
        let ids: Vec<u32> = ids.into_iter().collect();
        let mut set = SimpleVob::alloc(ids.iter().max().map_or(0, |most| *most as usize + 1));
        ids.iter().for_each(|id| set.allow_token(*id));
        Allowed(set)
    }
}

impl Guide {
    /// Heap that it holds, bytes; 0 in a program that does not count its heap.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The tokens that may come next, those that end the answer included.
    ///
    /// # Errors
    /// [`Error::GrammarDeadEnd`] if there is none, [`Error::Grammar`] and [`Error::GrammarTooLarge`] if it takes too much.
    pub fn allowed(&mut self, index: &TokenIndex, tokenizer: &Tokenizer) -> Result<&Allowed, Error> {
        let env = byte_env();
        let walk = Walk { index, tokenizer, trie: env.tok_trie() };
        self.metered(|guide| {
            guide.allowed.0 = guide.parser.compute_bias(&walk, &[]);
            if guide.may_end() {
                tokenizer.ends().iter().for_each(|id| guide.allowed.0.allow_token(*id));
            }
            if guide.json.is_some_and(|json| json.digits >= DIGITS) {
                guide.take_no_digits(tokenizer);
            }
        })?;
        if self.allowed.0.is_zero() { Err(Error::GrammarDeadEnd) } else { Ok(&self.allowed) }
    }

    /// Whether a token may come next, without asking for all that may. Where digits have run on for too long it is not said
    /// of one that begins with a digit: what else there is decides.
    ///
    /// # Errors
    /// As for [`Guide::allowed`].
    pub fn allows(&mut self, id: u32, tokenizer: &Tokenizer) -> Result<bool, Error> {
        if tokenizer.is_end(id) {
            return Ok(self.may_end());
        }
        let bytes = tokenizer.bytes(id);
        let digit = bytes.first().is_some_and(u8::is_ascii_digit);
        if tokenizer.is_special(id)
            || bytes.is_empty()
            || (digit && self.json.is_some_and(|json| json.digits >= DIGITS))
        {
            return Ok(false);
        }
        let env = byte_env();
        self.metered(|guide| !guide.parser.compute_bias(&Probe { trie: env.tok_trie() }, bytes).is_zero())
    }

    /// Goes on after a token that was allowed; gives whether the answer is complete and nothing may follow.
    ///
    /// # Errors
    /// [`Error::Grammar`] if the token was not allowed, or following it takes too much.
    pub fn push(&mut self, bytes: &[u8]) -> Result<bool, Error> {
        self.metered(|guide| guide.parser.apply_token(bytes, NO_TOKEN).map(drop))?.map_err(wrong)?;
        if let Some(json) = &mut self.json {
            bytes.iter().for_each(|byte| json.push(*byte));
        }
        self.ended = !self.parser.can_advance() && self.may_end();
        Ok(self.ended)
    }

    /// Whether the answer may end here.
    pub fn may_end(&mut self) -> bool {
        self.ended || self.parser.is_accepting()
    }

    /// Leaves out the tokens that begin with a digit, if there are others.
    fn take_no_digits(&mut self, tokenizer: &Tokenizer) {
        let mut others = self.allowed.0.clone();
        for id in
            self.allowed.0.iter().filter(|id| tokenizer.bytes(*id).first().is_some_and(u8::is_ascii_digit))
        {
            others.disallow_token(id);
        }
        if !others.is_zero() {
            self.allowed.0 = others;
        }
    }

    /// Counts what a step takes, and ends one that took too much.
    fn metered<T>(&mut self, step: impl FnOnce(&mut Guide) -> T) -> Result<T, Error> {
        let (value, grown) = host::metered(|| catch_unwind(AssertUnwindSafe(|| step(self))));
        self.bytes = self.bytes.saturating_add_signed(grown);
        if self.bytes > self.limit {
            return Err(Error::GrammarTooLarge { limit: self.limit });
        }
        if let Some(error) = self.parser.get_error() {
            return Err(wrong(error.message()));
        }
        value.map_err(|_| Error::Grammar { reason: "it cannot be followed".into() })
    }
}

/// The walk over the vocabulary, as the parser asks for it.
struct Walk<'a> {
    index: &'a TokenIndex,
    tokenizer: &'a Tokenizer,
    trie: &'a TokTrie,
}

impl BiasComputer for Walk<'_> {
    fn compute_bias(&self, parser: &mut ParserRecognizer<'_>, _start: &[u8]) -> SimpleVob {
        self.index.walk(self.tokenizer, parser)
    }

    fn trie(&self) -> &TokTrie {
        self.trie
    }
}

/// One text instead of a vocabulary: what it starts with is all that it asks for.
struct Probe<'a> {
    trie: &'a TokTrie,
}

impl BiasComputer for Probe<'_> {
    fn compute_bias(&self, parser: &mut ParserRecognizer<'_>, start: &[u8]) -> SimpleVob {
        let mut set = self.trie.alloc_token_set();
        parser.trie_started("probe");
        let pushed = start.iter().take_while(|byte| parser.try_push_byte(**byte)).count();
        parser.pop_bytes(pushed);
        parser.trie_finished();
        if pushed == start.len() {
            set.allow_token(0);
        }
        set
    }

    fn trie(&self) -> &TokTrie {
        self.trie
    }
}

/// A vocabulary of bytes, for the parser. The byte that would begin a mark there, which is in no text, is left out.
struct Bytes(TokTrie);

impl TokenizerEnv for Bytes {
    fn tok_trie(&self) -> &TokTrie {
        &self.0
    }

    fn tokenize_bytes(&self, text: &[u8]) -> Vec<u32> {
        self.0.greedy_tokenize(text)
    }

    fn tokenize_is_canonical(&self) -> bool {
        false
    }
}

fn byte_env() -> TokEnv {
    static ENV: OnceLock<TokEnv> = OnceLock::new();
    let new = || -> TokEnv {
        let words: Vec<Vec<u8>> = (0..=u8::MAX).map(|byte| vec![byte; usize::from(byte != 0xff)]).collect();
        let info = TokRxInfo::new(words.len() as u32, INVALID_TOKEN);
        Arc::new(Bytes(TokTrie::from(&info, &words)))
    };
    Arc::clone(ENV.get_or_init(new))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn follows(grammar: Grammar, text: &str) -> Result<bool, Error> {
        let mut guide = grammar.guide(64 << 20)?;
        for byte in text.bytes() {
            guide.push(&[byte])?;
        }
        Ok(guide.may_end())
    }

    #[test]
    fn grammars_are_followed() {
        let schema = |text: &str| Grammar::JsonSchema(text.to_string());
        let point = r#"{"type":"object","properties":{"x":{"type":"integer"}},"required":["x"],
            "additionalProperties":false}"#;
        let frame = |before: &str, after: &str| Frame {
            before: before.into(),
            schema: point.into(),
            after: after.into(),
        };
        let frames = vec![frame("f", ">"), frame("g \"", "\n")];
        let rules = |text: &str| Grammar::Rules(text.to_string());
        for (grammar, good, bad) in [
            (schema(point), r#"{"x":5}"#, r#"{"y":5}"#),
            (schema(point), "{\n  \"x\": -5\n}", "{  \"x\": 5}"),
            (schema("true"), "[1,null]", "[1 null]"),
            (schema(r##"{"$ref":"#/$defs/a","$defs":{"a":{"enum":["b","c"]}}}"##), r#""b""#, r#""d""#),
            (Grammar::JsonObject, r#"{"a":{}}"#, "[]"),
            (Grammar::Regex("[0-9]{3}(-[a-z]+)?".into()), "123-ab", "12a"),
            (Grammar::Framed(frames), "f{\"x\":5}>", "f{\"x\":5}"),
            (Grammar::Choice(vec!["yes".into(), "n\"o".into()]), "n\"o", "no"),
            (rules("start: \"a\" b+\nb: /[xy]/ \"z\""), "axzyz", "az"),
            (rules("root ::= \"a\" b-c+ # so\nb-c ::= [xy] \"z\" |\n  \"\\n\""), "axz\n", "az"),
        ] {
            assert!(follows(grammar.clone(), good).unwrap(), "{grammar:?} {good}");
            assert!(!follows(grammar.clone(), bad).unwrap_or(false), "{grammar:?} {bad}");
        }
    }

    #[test]
    fn what_is_none_is_refused_and_bombs_end() {
        let deep = "[".repeat(200_000);
        for (grammar, want) in [
            (Grammar::JsonSchema("{".into()), "not JSON"),
            (Grammar::JsonSchema(deep), "not JSON"),
            (Grammar::JsonSchema("[]".into()), "object"),
            (Grammar::JsonSchema(r#"{"type":"strin"}"#.into()), "strin"),
            (Grammar::JsonSchema(r##"{"$ref":"https://example.com/x"}"##.into()), "ref"),
            (Grammar::JsonSchema(r#"{"type":"array","uniqueItems":true}"#.into()), "uniqueItems"),
            (Grammar::Regex("(".into()), "not one"),
            (Grammar::Rules("start: nonesuch".into()), "nonesuch"),
            (Grammar::Rules("start: <[5]>".into()), "only texts"),
            (Grammar::Choice(Vec::new()), "nothing"),
        ] {
            let name: String = format!("{grammar:?}").chars().take(80).collect();
            let message = grammar.guide(64 << 20).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(message.contains(want), "{name}: {message}");
        }
    }
}
