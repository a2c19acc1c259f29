//! `POST /v1/chat/completions`: the next turn of a conversation, whole or as a stream.

use hyper::Method;
use pintpot::{Asked, GenerateOptions, Prompt};
use serde::de::MapAccess;
use serde_json::json;

use super::Route;
use super::completion::{Shape, say, whole};
use super::messages::{self, Turns};
use crate::app::App;
use crate::likelihood;
use crate::refusal::Refusal;
use crate::request::{self, Fields, Taken, refused, value};
use crate::sampling::{Shared, wrong};

pub(super) const ROUTE: Route = Route {
    method: Method::POST,
    path: "/v1/chat/completions",
    says: "the next turn of a conversation, whole or as a stream",
    body: concat!(
        "model:string! messages:array! tools:array tool_choice:any parallel_tool_calls:boolean logprobs:boolean \
            top_logprobs:integer ",
        shared!()
    ),
    open: false,
    run: |app, request| {
        Box::pin(async move {
            let (fields, permit) = request::take(&app, request, Chat::default()).await?;
            let (shared, asked) = fields.asked(&app)?;
            say(&app, &SHAPE, &shared, asked, permit).await
        })
    },
};

/// As the route, for a body that is here and an answer that is no stream.
pub(super) fn asked(app: &App, body: &str) -> Result<Asked, Refusal> {
    let (shared, asked) = request::parse(body.as_bytes(), Chat::default())?.asked(app)?;
    whole(app, &SHAPE, &shared, asked)
}

static SHAPE: Shape = Shape {
    id: "chatcmpl",
    objects: ["chat.completion", "chat.completion.chunk"],
    whole: |text, calls| match calls {
        None => json!({ "message": { "role": "assistant", "content": text, "refusal": null } }),
        Some(calls) => {
            let content = if text.is_empty() { None } else { Some(text) };
            json!({ "message": { "role": "assistant", "content": content, "refusal": null, "tool_calls": calls } })
        }
    },
    piece: |text| match text {
        Some(text) => json!({ "delta": { "content": text } }),
        None => json!({ "delta": {} }),
    },
    likelihoods: likelihood::chat,
    opening: Some(|| json!({ "delta": { "role": "assistant", "content": "" } })),
};

/// What may be asked.
#[derive(Default)]
struct Chat {
    shared: Shared,
    messages: Option<Turns>,
    logprobs: bool,
    top: Option<u64>,
}

impl Chat {
    /// What the engine is asked.
    fn asked(self, app: &App) -> Result<(Shared, (Prompt, GenerateOptions)), Refusal> {
        let likely = self.likely()?;
        let Chat { mut shared, messages, .. } = self;
        shared.logprobs = likely;
        shared.find_model(app)?;
        let messages = messages::checked(messages, app.limits.messages)?;
        let options = shared.options(app)?;
        let chat = shared.chat(app, messages)?;
        Ok((shared, (Prompt::Chat(chat), options)))
    }

    /// How many of the likeliest tokens are told.
    fn likely(&self) -> Result<Option<usize>, Refusal> {
        match (self.logprobs, self.top) {
            (false, None | Some(0)) => Ok(None),
            (true, top) if top.unwrap_or(0) <= MOST => Ok(Some(top.unwrap_or(0) as usize)),
            (false, Some(_)) => Err(wrong("top_logprobs", "given", "with logprobs")),
            (true, top) => Err(wrong("top_logprobs", top.unwrap_or(0), "20 at most")),
        }
    }
}

/// Of the likeliest tokens, so many are told at most.
const MOST: u64 = 20;

impl Fields for Chat {
    fn take<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<Taken, A::Error> {
        let later = "this server does not do that yet";
        match key {
            "messages" => {
                self.messages = value(map)?;
                Ok(Taken::Yes)
            }
            "logprobs" => {
                self.logprobs = value(map)?.unwrap_or(false);
                Ok(Taken::Yes)
            }
            "top_logprobs" => {
                self.top = value(map)?;
                Ok(Taken::Yes)
            }
            "tool_choice" | "tools" | "parallel_tool_calls" => self.shared.tools.take(key, map),
            "functions" | "function_call" | "audio" | "modalities" | "prediction" | "reasoning_effort"
            | "verbosity" | "web_search_options" => refused(map, later),
            _ => self.shared.take(key, map),
        }
    }

    fn warn(&mut self, warning: String) {
        self.shared.warnings.push(warning);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::StatusCode;

    fn refusal(body: &str) -> Refusal {
        request::parse(body.as_bytes(), Chat::default()).err().unwrap()
    }

    #[test]
    fn fields_are_taken_refused_or_warned_about_by_name() {
        let body = r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"user":"me","n":null,"stop":"x",
            "stream_options":{"include_usage":true},"response_format":{"type":"text"},"logprobs":false}"#;
        let chat = request::parse(body.as_bytes(), Chat::default()).ok().unwrap();
        assert_eq!(chat.shared.warnings, ["user is not honoured"]);
        assert_eq!(chat.shared.stop.0, ["x"]);
        assert!(chat.shared.include_usage && chat.shared.choices.is_none());
        for (body, param, code) in [
            (r#"{"tools":[{"type":"web_search"}]}"#, "tools", "unsupported_parameter"),
            (r#"{"logprobs":5}"#, "logprobs", "invalid_type"),
            (r#"{"response_format":{"type":"xml"}}"#, "response_format", "invalid_type"),
            (
                r#"{"guided_regex":"a","response_format":{"type":"json_object"}}"#,
                "response_format",
                "unsupported_parameter",
            ),
            (r#"{"temprature":1}"#, "temprature", "unknown_parameter"),
            (r#"{"temperature":"hot"}"#, "temperature", "invalid_type"),
            (r#"{"stop":{"a":1}}"#, "stop", "invalid_type"),
        ] {
            let refusal = refusal(body);
            assert_eq!((refusal.param.as_deref(), refusal.code), (Some(param), code), "{body}");
        }
        for body in ["", "[]", "{", "{}x", "nonsense"] {
            assert_eq!(refusal(body).status, StatusCode::BAD_REQUEST, "{body}");
        }
        let deep = format!(r#"{{"metadata":{}"#, "[".repeat(100_000));
        assert_eq!(refusal(&deep).param.as_deref(), Some("metadata"));
    }

    #[test]
    fn damaged_bodies_are_refused_or_read() {
        let body = r#"{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"h\u00e9"}]}],
            "stop":["a","b"],"logit_bias":{"5":-1.5},"n":2,"stream_options":{"include_usage":true},"seed":-9,
            "response_format":{"type":"json_schema","json_schema":{"name":"a","strict":true,"schema":{"type":"object"}}},
            "tools":[{"type":"function","function":{"name":"f","parameters":{}}}],"tool_choice":"auto"}"#;
        assert!(request::parse(body.as_bytes(), Chat::default()).is_ok());
        request::testing::damage(body, |bytes| drop(request::parse(bytes, Chat::default())));
    }
}
