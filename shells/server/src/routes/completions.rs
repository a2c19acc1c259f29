//! `POST /v1/completions`: a text that goes on, whole or as a stream.

use std::fmt;

use hyper::Method;
use pintpot::{Asked, GenerateOptions, Prompt};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::json;

use super::Route;
use super::completion::{Shape, say, whole};
use crate::app::App;
use crate::likelihood;
use crate::refusal::Refusal;
use crate::request::{self, Fields, Taken, refused, value};
use crate::sampling::{Shared, wrong};

/// Of the likeliest tokens, so many are told at most.
const MOST: usize = 5;
/// Tokens of an answer if a request does not say, as OpenAI's documentation has it.
const TOKENS: i64 = 16;

pub(super) const ROUTE: Route = Route {
    method: Method::POST,
    path: "/v1/completions",
    says: "a text that goes on",
    body: concat!("model:string! prompt:any! echo:boolean best_of:integer logprobs:integer ", shared!()),
    open: false,
    run: |app, request| {
        Box::pin(async move {
            let (fields, permit) = request::take(&app, request, Text::default()).await?;
            let (shared, asked) = fields.asked(&app)?;
            say(&app, &SHAPE, &shared, asked, permit).await
        })
    },
};

/// As the route, for a body that is here and an answer that is no stream.
pub(super) fn asked(app: &App, body: &str) -> Result<Asked, Refusal> {
    let (shared, asked) = request::parse(body.as_bytes(), Text::default())?.asked(app)?;
    whole(app, &SHAPE, &shared, asked)
}

static SHAPE: Shape = Shape {
    id: "cmpl",
    objects: ["text_completion", "text_completion"],
    whole: |text, _| json!({ "text": text }),
    piece: |text| json!({ "text": text.unwrap_or_default() }),
    likelihoods: likelihood::completions,
    opening: None,
};

/// What may be asked.
#[derive(Default)]
struct Text {
    shared: Shared,
    prompt: Option<One>,
    echo: bool,
    best_of: Option<u64>,
}

impl Text {
    /// What the engine is asked.
    fn asked(self, app: &App) -> Result<(Shared, (Prompt, GenerateOptions)), Refusal> {
        let Text { mut shared, prompt, echo, best_of } = self;
        shared.find_model(app)?;
        shared.max_tokens = shared.max_tokens.or(Some(TOKENS));
        let missing = || Refusal::field("prompt", "missing_field", "the field prompt is missing");
        let prompt = prompt.ok_or_else(missing)?.0;
        if let Some(best) = best_of.filter(|best| *best != shared.choices.unwrap_or(1)) {
            return Err(wrong("best_of", best, "what n is"));
        }
        if let Some(most) = shared.logprobs.filter(|most| *most > MOST) {
            return Err(wrong("logprobs", most, "5 at most"));
        }
        match (&prompt, echo, shared.logprobs) {
            (_, false, _) => {}
            (Prompt::Text(text), true, None) => shared.echo.clone_from(text),
            _ => {
                return Err(wrong(
                    "echo",
                    true,
                    "with a text and without logprobs, which are those of the answer",
                ));
            }
        }
        let options = shared.options(app)?;
        Ok((shared, (prompt, options)))
    }
}

impl Fields for Text {
    fn take<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<Taken, A::Error> {
        let later = "this server does not do that yet";
        match key {
            "prompt" => {
                self.prompt = value(map)?;
                Ok(Taken::Yes)
            }
            "suffix" => refused(map, later),
            "best_of" => {
                self.best_of = value(map)?;
                Ok(Taken::Yes)
            }
            "logprobs" => {
                self.shared.logprobs = value(map)?;
                Ok(Taken::Yes)
            }
            "echo" => {
                self.echo = value(map)?.unwrap_or(false);
                Ok(Taken::Yes)
            }
            _ => self.shared.take(key, map),
        }
    }

    fn warn(&mut self, warning: String) {
        self.shared.warnings.push(warning);
    }
}

/// One prompt: a text, a list of one text, or ids.
struct One(Prompt);

impl<'de> Deserialize<'de> for One {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<One, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Item {
            Id(u32),
            Text(String),
        }
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = One;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("one text, or ids of tokens")
            }

            fn visit_str<E>(self, text: &str) -> Result<One, E> {
                Ok(One(Prompt::Text(text.to_string())))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<One, A::Error> {
                let mut ids = Vec::new();
                match items.next_element()? {
                    Some(Item::Text(text)) => {
                        let more = items.next_element::<String>()?.is_some();
                        let several =
                            || A::Error::custom("several prompts in one request are not known here");
                        return if more { Err(several()) } else { Ok(One(Prompt::Text(text))) };
                    }
                    Some(Item::Id(id)) => ids.push(id),
                    None => {}
                }
                while let Some(id) = items.next_element()? {
                    ids.push(id);
                }
                Ok(One(Prompt::Ids(ids)))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Option<Prompt> {
        request::parse(body.as_bytes(), Text::default()).ok()?.prompt.map(|one| one.0)
    }

    #[test]
    fn a_prompt_is_a_text_a_list_of_one_or_ids() {
        let text = |text: &str| Some(Prompt::Text(text.to_string()));
        for (body, want) in [
            (r#"{"prompt":"a"}"#, text("a")),
            (r#"{"prompt":["a"]}"#, text("a")),
            (r#"{"prompt":[1,2]}"#, Some(Prompt::Ids(vec![1, 2]))),
            (r#"{"prompt":["a","b"]}"#, None),
            (r#"{"prompt":[1,"b"]}"#, None),
            (r#"{"prompt":[-1]}"#, None),
            (r#"{"prompt":{}}"#, None),
        ] {
            assert_eq!(read(body), want, "{body}");
        }
        request::testing::damage(r#"{"prompt":["a\n"],"echo":false,"max_tokens":3}"#, |bytes| {
            drop(request::parse(bytes, Text::default()));
        });
    }
}
