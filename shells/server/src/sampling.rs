//! Fields that several routes share: how tokens are chosen, how many answers there are, when they end.
//!
//! What it is: the names that OpenAI, vLLM and llama.cpp give them, as the engine's values. What it is not: their bounds,
//! which the engine knows. The one design choice: what is not said is what OpenAI's documentation says it is, not what suits
//! us.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use pintpot::{Chat, GenerateOptions, Message, Sampling};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};

use crate::app::App;
use crate::format::Asked;
use crate::refusal::Refusal;
use crate::request::{Taken, harmless, value};
use crate::tools::Tools;

/// Texts that may end an answer, and the longest of them in bytes.
const STOPS: usize = 16;
const LONGEST_STOP: usize = 1 << 10;
/// Figures of how likely tokens were in a reply that is no stream.
const FIGURES: usize = 2048;
/// Tokens whose logits may be biased.
const BIASES: usize = 1024;

/// One text or several.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Texts(pub Vec<String>);

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Texts, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Texts;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a list of texts")
            }

            fn visit_str<E>(self, text: &str) -> Result<Texts, E> {
                Ok(Texts(vec![text.to_string()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Texts, A::Error> {
                let mut texts = Vec::new();
                while let Some(text) = items.next_element::<String>()? {
                    if texts.len() > STOPS {
                        return Err(serde::de::Error::custom(format!("there may be {STOPS} texts at most")));
                    }
                    texts.push(text);
                }
                Ok(Texts(texts))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// What several routes share.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shared {
    pub model: Option<String>,
    /// Its number, once it was looked for.
    pub place: usize,
    /// How long the model stays loaded afterwards, if that is said.
    pub keep: Option<Option<Duration>>,
    pub stream: bool,
    pub include_usage: bool,
    pub choices: Option<u64>,
    pub stop: Texts,
    pub max_tokens: Option<i64>,
    pub seed: Option<i64>,
    pub temperature: Option<f32>,
    pub top_p: Option<f32>,
    pub top_k: Option<i64>,
    pub min_p: Option<f32>,
    pub presence_penalty: Option<f32>,
    pub frequency_penalty: Option<f32>,
    pub repetition_penalty: Option<f32>,
    pub logit_bias: BTreeMap<String, f32>,
    pub ignore_eos: bool,
    /// How many of the likeliest tokens are told with each token, if it is told how likely they were.
    pub logprobs: Option<usize>,
    /// What stands before an answer.
    pub echo: String,
    /// What an answer may say.
    pub format: Asked,
    /// What may be called.
    pub tools: Tools,
    pub warnings: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StreamOptions {
    include_usage: Option<bool>,
    /// Padding against those who count bytes on the wire: never sent.
    #[serde(rename = "include_obfuscation")]
    _include_obfuscation: Option<bool>,
}

impl Shared {
    /// Takes a field that several routes share.
    pub fn take<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<Taken, A::Error> {
        match key {
            "model" => self.model = value(map)?,
            "stream" => self.stream = value(map)?.unwrap_or(false),
            "stream_options" => {
                let options: Option<StreamOptions> = value(map)?;
                self.include_usage = options.and_then(|options| options.include_usage).unwrap_or(false);
            }
            "n" => self.choices = value(map)?,
            "stop" => self.stop = value(map)?.unwrap_or_default(),
            "max_tokens" | "max_completion_tokens" => self.max_tokens = value(map)?.or(self.max_tokens),
            "seed" => self.seed = value(map)?,
            "temperature" => self.temperature = value(map)?,
            "top_p" => self.top_p = value(map)?,
            "top_k" => self.top_k = value(map)?,
            "min_p" => self.min_p = value(map)?,
            "presence_penalty" => self.presence_penalty = value(map)?,
            "frequency_penalty" => self.frequency_penalty = value(map)?,
            "repetition_penalty" | "repeat_penalty" => self.repetition_penalty = value(map)?,
            "logit_bias" => self.logit_bias = value(map)?.unwrap_or_default(),
            "ignore_eos" => self.ignore_eos = value(map)?.unwrap_or(false),
            "grammar" | "guided_choice" | "guided_grammar" | "guided_json" | "guided_regex"
            | "json_schema" | "response_format" | "structured_outputs" => return self.format.take(key, map),
            "user"
            | "metadata"
            | "store"
            | "service_tier"
            | "safety_identifier"
            | "prompt_cache_key"
            | "prompt_cache_retention" => return harmless(map),
            _ => return Ok(Taken::Unknown),
        }
        Ok(Taken::Yes)
    }

    /// These choices of tokens, and `others` where these say nothing.
    pub fn over(self, others: &Shared) -> Shared {
        let mut warnings = others.warnings.clone();
        warnings.extend(self.warnings);
        Shared {
            stop: if self.stop.0.is_empty() { others.stop.clone() } else { self.stop },
            max_tokens: self.max_tokens.or(others.max_tokens),
            seed: self.seed.or(others.seed),
            temperature: self.temperature.or(others.temperature),
            top_p: self.top_p.or(others.top_p),
            top_k: self.top_k.or(others.top_k),
            min_p: self.min_p.or(others.min_p),
            presence_penalty: self.presence_penalty.or(others.presence_penalty),
            frequency_penalty: self.frequency_penalty.or(others.frequency_penalty),
            repetition_penalty: self.repetition_penalty.or(others.repetition_penalty),
            warnings,
            ..others.clone()
        }
    }

    /// How many answers are wanted.
    pub fn choices(&self, app: &App) -> Result<usize, Refusal> {
        let most = app.limits.choices.min(app.served.queue as usize);
        match self.choices.unwrap_or(1) {
            n if n >= 1 && n <= most as u64 => Ok(n as usize),
            n => Err(wrong("n", n, &format!("from 1 to {most}"))),
        }
    }

    /// The conversation with what may be called in it; what a tool asks for and does not get is warned about.
    pub fn chat(&mut self, app: &App, messages: Vec<Message>) -> Result<Chat, Refusal> {
        let tools = std::mem::take(&mut self.tools);
        self.warnings.extend(tools.warning());
        tools.chat(app, messages)
    }

    /// Looks for the model.
    pub fn find_model(&mut self, app: &App) -> Result<(), Refusal> {
        let missing = || Refusal::field("model", "missing_field", "the field model is missing");
        self.place = app.model(self.model.as_ref().ok_or_else(missing)?)?;
        Ok(())
    }

    /// The engine's value of all this.
    pub fn options(&self, app: &App) -> Result<GenerateOptions, Refusal> {
        if self.format.0.is_some() && self.tools.are_shown() {
            let message = "what an answer may say goes with tools only where tool_choice is none";
            return Err(Refusal::field("tools", "unsupported_parameter", message));
        }
        if self.stop.0.len() > STOPS || self.stop.0.iter().any(|stop| stop.len() > LONGEST_STOP) {
            let message =
                format!("stop has more than {STOPS} texts, or one of more than {LONGEST_STOP} bytes");
            return Err(Refusal::field("stop", "invalid_value", message));
        }
        if self.logit_bias.len() > BIASES {
            return Err(wrong("logit_bias", self.logit_bias.len(), &format!("of {BIASES} tokens at most")));
        }
        let bias = |(id, bias): (&String, &f32)| {
            id.parse().map(|id| (id, *bias)).map_err(|_| wrong("logit_bias", id, "by ids of tokens"))
        };
        let temperature = self.temperature.unwrap_or(1.0);
        let top_k = match self.top_k.unwrap_or(0) {
            -1 => 0, // vLLM's word for all
            k => usize::try_from(k).map_err(|_| wrong("top_k", k, "0 or more, or -1 for all"))?,
        };
        let sampling = Sampling {
            temperature,
            top_k,
            top_p: self.top_p.unwrap_or(1.0),
            min_p: self.min_p.unwrap_or(0.0),
            repetition_penalty: self.repetition_penalty.unwrap_or(1.0),
            presence_penalty: self.presence_penalty.unwrap_or(0.0),
            frequency_penalty: self.frequency_penalty.unwrap_or(0.0),
            logit_bias: self.logit_bias.iter().map(bias).collect::<Result<_, _>>()?,
            seed: self.seed.map_or_else(|| app.number(), i64::cast_unsigned),
            ..Sampling::default()
        };
        let asked = match self.max_tokens {
            None => None,
            Some(n) => Some(
                u32::try_from(n)
                    .ok()
                    .filter(|n| *n > 0)
                    .ok_or_else(|| wrong("max_tokens", n, "1 or more"))?,
            ),
        };
        let most = app.served.max_tokens;
        let context = app.models[self.place].context;
        let tokens = asked.or(most).unwrap_or(context).min(context);
        if let Some(top) = self.logprobs.filter(|top| !self.stream && (top + 1) * tokens as usize > FIGURES) {
            let message = format!(
                "logprobs of {tokens} tokens with {top} others each are too many for one reply; stream it, or ask for {} tokens \
                 at most",
                FIGURES / (top + 1)
            );
            return Err(Refusal::field("logprobs", "invalid_value", message));
        }
        Ok(GenerateOptions {
            max_tokens: asked.map(|asked| most.map_or(asked, |most| asked.min(most))).or(most),
            sampling,
            grammar: self.format.0.clone(),
            logprobs: self.logprobs,
            stop: self.stop.0.clone(),
            ignore_end: self.ignore_eos,
            time: Some(app.limits.answer),
            ..GenerateOptions::default()
        })
    }
}

/// The value of a field is out of its range.
pub(crate) fn wrong(field: &str, value: impl fmt::Display, expected: &str) -> Refusal {
    Refusal::field(field, "invalid_value", format!("{field} is {value}; it must be {expected}"))
}
