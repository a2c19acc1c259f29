//! What an answer may say, in the words of those who ask for it: OpenAI, vLLM, llama.cpp, Anthropic and Ollama.
//!
//! What it is: the names of fields, and the engine's [`Grammar`] of each. What it is not: the grammar's meaning. The one design
//! choice: a schema stays the text that it came as, so that it takes no more memory than the body, and is read where
//! memory and time end.

use pintpot::Grammar;
use serde::Deserialize;
use serde::de::{Error, MapAccess};
use serde_json::value::RawValue;

use crate::request::{Taken, value};

/// Texts to choose from.
const CHOICES: usize = 1024;

/// OpenAI's `response_format`, and Anthropic's `output_format`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Format {
    #[serde(rename = "type")]
    kind: String,
    json_schema: Option<Named>,
    /// As llama.cpp's, Anthropic's and OpenAI's newer clients have it.
    schema: Option<Box<RawValue>>,
    #[serde(rename = "name")]
    _name: Option<String>,
    #[serde(rename = "description")]
    _description: Option<String>,
    /// What is asked for is always kept to.
    #[serde(rename = "strict")]
    _strict: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    schema: Option<Box<RawValue>>,
    #[serde(rename = "name")]
    _name: Option<String>,
    #[serde(rename = "description")]
    _description: Option<String>,
    /// What is asked for is always kept to.
    #[serde(rename = "strict")]
    _strict: Option<bool>,
}

/// vLLM's `structured_outputs`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Structured {
    json: Option<Box<RawValue>>,
    regex: Option<String>,
    choice: Option<Vec<String>>,
    grammar: Option<String>,
    json_object: Option<bool>,
}

/// Anthropic's `output_config`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Output {
    format: Option<Format>,
}

/// `text` of OpenAI's newer API.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    format: Option<Format>,
    verbosity: Option<String>,
}

/// What an answer may say, as far as it was said.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked(pub Option<Grammar>);

impl Asked {
    /// Takes a field that says what an answer may say.
    pub fn take<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<Taken, A::Error> {
        let grammar = match key {
            "response_format" | "output_format" => {
                value::<A, Format>(map)?.map(Format::grammar).transpose().map_err(A::Error::custom)?.flatten()
            }
            "output_config" => {
                let format = value::<A, Output>(map)?.and_then(|output| output.format);
                format.map(Format::grammar).transpose().map_err(A::Error::custom)?.flatten()
            }
            "text" => {
                let Some(Text { format, verbosity }) = value::<A, Text>(map)? else { return Ok(Taken::Yes) };
                if verbosity.is_some() {
                    return Ok(Taken::Refused("verbosity is not done here".into()));
                }
                format.map(Format::grammar).transpose().map_err(A::Error::custom)?.flatten()
            }
            "json_schema" | "guided_json" => value::<A, Box<RawValue>>(map)?.map(|raw| schema(&raw)),
            "guided_regex" => value(map)?.map(Grammar::Regex),
            "guided_choice" => value(map)?.map(choice).transpose().map_err(A::Error::custom)?,
            "grammar" | "guided_grammar" => {
                value(map)?.filter(|rules: &String| !rules.is_empty()).map(Grammar::Rules)
            }
            "structured_outputs" => {
                let asked = value::<A, Structured>(map)?.map(Structured::grammar);
                asked.transpose().map_err(A::Error::custom)?.flatten()
            }
            "format" => value::<A, Box<RawValue>>(map)?
                .map(|raw| ollama(&raw))
                .transpose()
                .map_err(A::Error::custom)?
                .flatten(),
            _ => return Ok(Taken::Unknown),
        };
        match (&self.0, grammar) {
            (_, None) => Ok(Taken::Yes),
            (None, grammar) => {
                self.0 = grammar;
                Ok(Taken::Yes)
            }
            (Some(_), Some(_)) => {
                Ok(Taken::Refused(format!("{key} goes with no other field that says what may be answered")))
            }
        }
    }
}

impl Format {
    fn grammar(self) -> Result<Option<Grammar>, String> {
        let Format { kind, json_schema, schema: plain, .. } = self;
        let given = json_schema.and_then(|named| named.schema).or(plain);
        match (kind.as_str(), given) {
            ("text", None) => Ok(None),
            ("json_object", None) => Ok(Some(Grammar::JsonObject)),
            ("json_object" | "json_schema", Some(given)) => Ok(Some(schema(&given))),
            ("json_schema", None) => Err("the schema is missing".to_string()),
            _ => Err(format!("the type {kind:?} is not known here; text, json_object and json_schema are")),
        }
    }
}

impl Structured {
    fn grammar(self) -> Result<Option<Grammar>, String> {
        let mut asked = [
            self.json.as_deref().map(schema),
            self.regex.map(Grammar::Regex),
            self.choice.map(choice).transpose()?,
            self.grammar.map(Grammar::Rules),
            self.json_object.filter(|on| *on).map(|_| Grammar::JsonObject),
        ]
        .into_iter()
        .flatten();
        let first = asked.next();
        if asked.next().is_some() { Err("one of them at a time".to_string()) } else { Ok(first) }
    }
}

/// A schema, as an object or as the text of one.
fn schema(raw: &RawValue) -> Grammar {
    let text = serde_json::from_str::<String>(raw.get());
    Grammar::JsonSchema(text.unwrap_or_else(|_| raw.get().to_string()))
}

fn choice(texts: Vec<String>) -> Result<Grammar, String> {
    if texts.len() > CHOICES {
        return Err(format!("there may be {CHOICES} texts at most"));
    }
    Ok(Grammar::Choice(texts))
}

/// Ollama's: `"json"`, a schema, or an empty text for neither.
fn ollama(raw: &RawValue) -> Result<Option<Grammar>, String> {
    match serde_json::from_str::<String>(raw.get()).as_deref() {
        Ok("") => Ok(None),
        Ok("json") => Ok(Some(Grammar::JsonObject)),
        Ok(other) => Err(format!("the format {other:?} is not known here; \"json\" and schemas are")),
        Err(_) => Ok(Some(Grammar::JsonSchema(raw.get().to_string()))),
    }
}
