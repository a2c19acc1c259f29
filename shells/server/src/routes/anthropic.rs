//! `POST /v1/messages` and `/v1/messages/count_tokens`: the next turn of a conversation in Anthropic's words.
//!
//! What it is: texts in and out, whole or as a stream of named events. What it is not: images or thinking, which are
//! refused by name. The one design choice: the system's words are a turn like others, put first.

use hyper::{Method, StatusCode};
use pintpot::{Completion, Finish, Message, Prompt, ToolCall};
use serde::Deserialize;
use serde::de::MapAccess;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::Route;
use super::messages::{self, Content, Turns};
use crate::app::App;
use crate::dialect::Dialect;
use crate::refusal::Refusal;
use crate::reply::{self, Writer};
use crate::request::{self, Fields, Taken, harmless, refused, value};
use crate::sampling::Shared;
use crate::talk::{Event, Talk};
use crate::tools;

pub(super) const MESSAGES: Route = Route {
    method: Method::POST,
    path: "/v1/messages",
    says: "the next turn in Anthropic's words",
    body: "model:string! messages:array! max_tokens:integer! system:any stop_sequences:array stream:boolean temperature:number \
           top_k:integer top_p:number seed:integer tools:array tool_choice:object output_config:object metadata:object",
    open: false,
    run: |app, request| {
        Box::pin(async move {
            let (mut asked, permit) = request::take(&app, request, Asked::default()).await?;
            asked.shared.find_model(&app)?;
            if asked.shared.max_tokens.is_none() {
                return Err(Refusal::field("max_tokens", "missing_field", "the field max_tokens is missing"));
            }
            let (shared, prompt) = asked.prompt(&app)?;
            let mut talk =
                Talk::begin(&app.service, &shared, prompt, shared.options(&app)?, 1, Some(permit))?;
            let number = app.number();
            let head = Head {
                number,
                id: format!("msg_{number:016x}"),
                model: app.models[shared.place].name.clone(),
                warnings: shared.warnings,
            };
            if !shared.stream {
                let answers = talk.all().await?;
                return Ok(reply::json(StatusCode::OK, &head.whole(&answers[0].0)));
            }
            let first = talk.first().await?;
            Ok(reply::stream("text/event-stream", first, talk, Box::new(Events::new(head))))
        })
    },
};

pub(super) const COUNT_TOKENS: Route = Route {
    path: "/v1/messages/count_tokens",
    says: "how many tokens it takes to ask",
    body: "model:string! messages:array! system:any tools:array tool_choice:object",
    run: |app, request| {
        Box::pin(async move {
            let (mut asked, permit) = request::take(&app, request, Asked::default()).await?;
            asked.shared.find_model(&app)?;
            let (shared, prompt) = asked.prompt(&app)?;
            let (tell, told) = oneshot::channel();
            let count = move |count| {
                drop(permit);
                let _ = tell.send(count); // whoever asked may have gone
            };
            app.service.count(shared.place, prompt, count).map_err(|error| Refusal::of(&error))?;
            let count = told.await.map_err(|_| Refusal::unavailable("the server is closing"))?;
            let count = count.map_err(|error| Refusal::of(&error))?;
            Ok(reply::json(StatusCode::OK, &json!({ "input_tokens": count })))
        })
    },
    ..MESSAGES
};

/// What may be asked.
#[derive(Default)]
struct Asked {
    shared: Shared,
    system: Option<Content>,
    messages: Option<Turns>,
}

#[derive(Deserialize)]
struct Thinking {
    #[serde(rename = "type")]
    kind: String,
}

impl Asked {
    /// The conversation, and all else.
    fn prompt(self, app: &App) -> Result<(Shared, Prompt), Refusal> {
        let Asked { mut shared, system, messages } = self;
        shared.options(app)?; // whether its parts go together
        let mut turns = messages::checked(messages, app.limits.messages)?;
        if let Some(system) = system {
            let text =
                system.checked().map_err(|wrong| Refusal::field("system", "unsupported_parameter", wrong))?;
            turns.insert(0, Message::new("system", text));
        }
        let chat = shared.chat(app, turns)?;
        Ok((shared, Prompt::Chat(chat)))
    }
}

impl Fields for Asked {
    fn take<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<Taken, A::Error> {
        let later = "this server does not do that yet";
        match key {
            "messages" => self.messages = value(map)?,
            "system" => self.system = value(map)?,
            "stop_sequences" => self.shared.stop = value(map)?.unwrap_or_default(),
            "thinking" => match value::<A, Thinking>(map)? {
                Some(thinking) if thinking.kind != "disabled" => return Ok(Taken::Refused(later.into())),
                _ => {}
            },
            "tool_choice" | "tools" => return self.shared.tools.take(key, map),
            "output_config" | "output_format" => return self.shared.format.take(key, map),
            "container" | "context_management" | "mcp_servers" => {
                return refused(map, later);
            }
            "cache_control" | "diagnostics" | "inference_geo" | "speed" | "user_profile_id"
            | "workspace_id" => {
                return harmless(map);
            }
            "model" | "max_tokens" | "metadata" | "service_tier" | "stream" | "temperature" | "top_k"
            | "top_p" | "seed" | "ignore_eos" => return self.shared.take(key, map),
            _ => return Ok(Taken::Unknown),
        }
        Ok(Taken::Yes)
    }

    fn warn(&mut self, warning: String) {
        self.shared.warnings.push(warning);
    }
}

/// What is the same in all that is said to one request.
struct Head {
    id: String,
    number: u64,
    model: String,
    warnings: Vec<String>,
}

/// Why an answer ended, and the text that ended it.
fn reason(answer: &Completion) -> (&'static str, Option<&str>) {
    let reason = match (answer.finish, &answer.stop) {
        (Finish::Stop, _) if !answer.calls.is_empty() => "tool_use",
        (Finish::Stop, Some(_)) => "stop_sequence",
        (Finish::Stop, None) => "end_turn",
        _ => "max_tokens",
    };
    (reason, answer.stop.as_deref())
}

/// What was read, with what was remembered counted apart, and what was said.
fn usage(prompt: usize, cached: usize, answer: usize) -> Value {
    json!({
        "input_tokens": prompt - cached,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": cached,
        "output_tokens": answer,
    })
}

impl Head {
    fn message(&self, content: Value, (reason, stop): (Option<&str>, Option<&str>), usage: Value) -> Value {
        json!({
            "id": self.id,
            "type": "message",
            "role": "assistant",
            "model": self.model,
            "content": content,
            "stop_reason": reason,
            "stop_sequence": stop,
            "usage": usage,
        })
    }

    /// The whole answer.
    fn whole(&self, answer: &Completion) -> Value {
        let (reason, stop) = reason(answer);
        let timing = &answer.timing;
        let usage = usage(timing.prompt_tokens, timing.cached_tokens, timing.answer_tokens);
        let mut content = Vec::new();
        if !answer.text.is_empty() || answer.calls.is_empty() {
            content.push(json!({ "type": "text", "text": answer.text }));
        }
        content
            .extend(answer.calls.iter().enumerate().map(|(n, call)| self.call(n, call, tools::object(call))));
        let mut message = self.message(content.into(), (Some(reason), stop), usage);
        self.sign(&mut message, answer);
        message
    }

    /// A call of a tool.
    fn call(&self, n: usize, call: &ToolCall, input: Value) -> Value {
        let id = format!("toolu_{}", tools::call_id(self.number, 0, n));
        json!({ "type": "tool_use", "id": id, "name": call.name, "input": input })
    }

    /// What Anthropic's objects do not have.
    fn sign(&self, object: &mut Value, answer: &Completion) {
        object["logits_digest"] = answer.digest.to_string().into();
        if !self.warnings.is_empty() {
            object["warnings"] = json!(self.warnings);
        }
    }
}

/// Writes a stream of named events.
struct Events {
    head: Head,
    /// Whether the message has been begun.
    open: bool,
    /// Blocks that were begun, and whether the last is a text that goes on.
    blocks: usize,
    in_text: bool,
    calls: usize,
}

impl Events {
    fn new(head: Head) -> Events {
        Events { head, open: false, blocks: 0, in_text: false, calls: 0 }
    }

    /// What opens a message, if nothing has.
    fn start(&mut self, prompt: usize, cached: usize) -> String {
        if std::mem::replace(&mut self.open, true) {
            return String::new();
        }
        let message = self.head.message(json!([]), (None, None), usage(prompt, cached, 1));
        event(json!({ "type": "message_start", "message": message })) + self.alive()
    }

    fn begin(&mut self, block: Value) -> String {
        let begun = json!({ "type": "content_block_start", "index": self.blocks, "content_block": block });
        self.blocks += 1;
        event(begun)
    }

    fn delta(&self, delta: Value) -> String {
        event(
            json!({ "type": "content_block_delta", "index": self.blocks.saturating_sub(1), "delta": delta }),
        )
    }

    fn stop(&self) -> String {
        event(json!({ "type": "content_block_stop", "index": self.blocks.saturating_sub(1) }))
    }

    /// A text block that goes on.
    fn text(&mut self) -> String {
        match std::mem::replace(&mut self.in_text, true) {
            true => String::new(),
            false => self.begin(json!({ "type": "text", "text": "" })),
        }
    }

    fn end_text(&mut self) -> String {
        if std::mem::replace(&mut self.in_text, false) { self.stop() } else { String::new() }
    }

    fn call(&mut self, call: &ToolCall) -> String {
        let block = self.head.call(self.calls, call, json!({}));
        self.calls += 1;
        let delta = json!({ "type": "input_json_delta", "partial_json": call.arguments });
        self.end_text() + &self.begin(block) + &self.delta(delta) + &self.stop()
    }
}

impl Writer for Events {
    fn write(&mut self, said: Event) -> String {
        match said {
            Event::Begun { prompt_tokens, cached_tokens, .. } => self.start(prompt_tokens, cached_tokens),
            Event::Text { text, .. } => {
                self.text() + &self.delta(json!({ "type": "text_delta", "text": text }))
            }
            Event::Calls { calls, .. } => calls.iter().map(|call| self.call(call)).collect(),
            Event::Done { result: Ok(answer), .. } => {
                let timing = &answer.timing;
                let opening = self.start(timing.prompt_tokens, timing.cached_tokens);
                let block = if self.blocks == 0 { self.text() } else { String::new() };
                let (reason, stop) = reason(&answer);
                let delta = json!({ "stop_reason": reason, "stop_sequence": stop });
                let mut end = json!({
                    "type": "message_delta",
                    "delta": delta,
                    "usage": { "output_tokens": timing.answer_tokens },
                });
                self.head.sign(&mut end, &answer);
                opening + &block + &self.end_text() + &event(end) + &event(json!({ "type": "message_stop" }))
            }
            Event::Done { result: Err(error), .. } => event(Dialect::Anthropic.refusal(&Refusal::of(&error))),
        }
    }

    fn alive(&self) -> &'static str {
        "event: ping\ndata: {\"type\":\"ping\"}\n\n"
    }
}

/// An event under the name of its type.
fn event(data: Value) -> String {
    format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap_or("error"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_bodies_are_refused_or_read() {
        let body = r#"{"model":"m","max_tokens":5,"system":[{"type":"text","text":"s"}],"stop_sequences":["a"],
            "messages":[{"role":"user","content":"hi"}],"thinking":{"type":"disabled"},"tools":[{"name":"f","input_schema":{}}],"tool_choice":{"type":"any"}}"#;
        assert!(request::parse(body.as_bytes(), Asked::default()).is_ok());
        request::testing::damage(body, |bytes| drop(request::parse(bytes, Asked::default())));
    }
}
