//! `POST /api/chat` and `/api/generate`: the next turn, or a text that goes on, in Ollama's words.
//!
//! What it is: objects, a line each while an answer is being made, or one at its end. What it is not: who is loaded when, which
//! the engine knows. The one design choice: what is not said is what Ollama's documentation says it is.

use hyper::{Method, StatusCode};
use pintpot::{Completion, Finish, Message, Prompt, ToolCall};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::{Value, json};
use std::fmt;
use std::rc::Rc;
use std::time::{Duration, SystemTime};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::Route;
use super::messages::{self, Turns};
use crate::Keep;
use crate::app::{App, rfc3339};
use crate::dialect::Dialect;
use crate::refusal::Refusal;
use crate::reply::{self, Reply, Writer};
use crate::request::{self, Fields, Taken, harmless, refused, value};
use crate::sampling::Shared;
use crate::talk::{Event, Talk};
use crate::tools;

pub(super) const CHAT: Route = Route {
    method: Method::POST,
    path: "/api/chat",
    says: "the next turn in Ollama's words",
    body: "model:string! messages:array stream:boolean format:any tools:array options:object keep_alive:any",
    open: false,
    run: |app, request| {
        Box::pin(async move {
            let (asked, permit) = request::take(&app, request, Asked::of(Kind::Chat)).await?;
            let Asked { mut shared, messages, .. } = asked;
            shared.find_model(&app)?;
            if messages.as_ref().is_none_or(Turns::is_empty) {
                return load(&app, Kind::Chat, shared).await;
            }
            let messages = messages::checked(messages, app.limits.messages)?;
            shared.options(&app)?; // whether its parts go together
            let prompt = Prompt::Chat(shared.chat(&app, messages)?);
            say(&app, Kind::Chat, shared, prompt, permit).await
        })
    },
};

pub(super) const GENERATE: Route = Route {
    path: "/api/generate",
    says: "a text that goes on in Ollama's words, or a model that is loaded or unloaded",
    body: "model:string! prompt:string system:string raw:boolean stream:boolean format:any options:object keep_alive:any",
    run: |app, request| {
        Box::pin(async move {
            let (asked, permit) = request::take(&app, request, Asked::of(Kind::Generate)).await?;
            let Asked { mut shared, system, prompt, raw, .. } = asked;
            shared.find_model(&app)?;
            let prompt = match (prompt.filter(|prompt| !prompt.is_empty()), raw) {
                (None, _) => return load(&app, Kind::Generate, shared).await,
                (Some(prompt), true) => Prompt::Text(prompt),
                (Some(prompt), false) => {
                    let system = system.filter(|system| !system.is_empty());
                    let system = system.map(|system| Message::new("system", system));
                    let turns: Vec<Message> =
                        system.into_iter().chain([Message::new("user", prompt)]).collect();
                    Prompt::Chat(turns.into())
                }
            };
            say(&app, Kind::Generate, shared, prompt, permit).await
        })
    },
    ..CHAT
};

/// Who asks for nothing wants the model to be here, or to go.
async fn load(app: &Rc<App>, kind: Kind, shared: Shared) -> Result<Reply, Refusal> {
    let goes = shared.keep == Some(Some(Duration::ZERO));
    let (tell, told) = oneshot::channel();
    let tell = move |done| {
        let _ = tell.send(done); // whoever asked may have gone
    };
    let asked = match goes {
        true => app.service.unload(shared.place, tell),
        false => app.service.load(shared.place, shared.keep, tell),
    };
    asked.map_err(|error| Refusal::of(&error))?;
    let done = told.await.map_err(|_| Refusal::unavailable("the server is closing"))?;
    done.map_err(|error| Refusal::of(&error))?;
    let mut line = Line::new(app, kind, shared).line("");
    (line["done"], line["done_reason"]) = (true.into(), if goes { "unload" } else { "load" }.into());
    Ok(reply::json(StatusCode::OK, &line))
}

/// Says an answer, whole or line by line.
async fn say(
    app: &Rc<App>,
    kind: Kind,
    shared: Shared,
    prompt: Prompt,
    permit: OwnedSemaphorePermit,
) -> Result<Reply, Refusal> {
    let mut talk = Talk::begin(&app.service, &shared, prompt, shared.options(app)?, 1, Some(permit))?;
    let stream = shared.stream;
    let line = Line::new(app, kind, shared);
    if !stream {
        let answers = talk.all().await?;
        let (answer, _) = &answers[0];
        return Ok(reply::json(StatusCode::OK, &line.end(&answer.text, &answer.calls, answer)));
    }
    let first = talk.first().await?;
    Ok(reply::stream("application/x-ndjson", first, talk, Box::new(line)))
}

/// Which of the two routes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Chat,
    Generate,
}

/// What may be asked.
struct Asked {
    kind: Kind,
    shared: Shared,
    messages: Option<Turns>,
    prompt: Option<String>,
    system: Option<String>,
    raw: bool,
}

impl Asked {
    /// Nothing yet: what Ollama does if nothing is said.
    fn of(kind: Kind) -> Asked {
        let shared = Shared {
            stream: true,
            temperature: Some(0.8),
            top_k: Some(40),
            top_p: Some(0.9),
            repetition_penalty: Some(1.1),
            ..Shared::default()
        };
        Asked { kind, shared, messages: None, prompt: None, system: None, raw: false }
    }
}

impl Fields for Asked {
    fn take<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<Taken, A::Error> {
        let later = "this server does not do that yet";
        match (self.kind, key) {
            (_, "model") => self.shared.model = value(map)?,
            (_, "stream") => self.shared.stream = value(map)?.unwrap_or(true),
            (Kind::Chat, "messages") => self.messages = value(map)?,
            (Kind::Generate, "prompt") => self.prompt = value(map)?,
            (Kind::Generate, "system") => self.system = value(map)?,
            (Kind::Generate, "raw") => self.raw = value(map)?.unwrap_or(false),
            (_, "options") => match value::<A, Options>(map)? {
                Some(Options { refused: Some(why), .. }) => return Ok(Taken::Refused(why)),
                Some(Options { shared, .. }) => self.shared = shared.over(&self.shared),
                None => {}
            },
            (_, "format") => return self.shared.format.take(key, map),
            (_, "think" | "logprobs") => match value::<A, Value>(map)? {
                Some(on) if on != false => return Ok(Taken::Refused(later.into())),
                _ => {}
            },
            (Kind::Chat, "tools") => return self.shared.tools.take(key, map),
            (_, "images") => match value::<A, Vec<Value>>(map)? {
                Some(some) if !some.is_empty() => return Ok(Taken::Refused(later.into())),
                _ => {}
            },
            (Kind::Generate, "suffix" | "template") => match value::<A, String>(map)? {
                Some(text) if !text.is_empty() => return Ok(Taken::Refused(later.into())),
                _ => {}
            },
            (Kind::Generate, "context") | (_, "top_logprobs") => return refused(map, later),
            (_, "keep_alive") => self.shared.keep = value::<A, Keep>(map)?.map(|keep| keep.0),
            _ => return Ok(Taken::Unknown),
        }
        Ok(Taken::Yes)
    }

    fn warn(&mut self, warning: String) {
        self.shared.warnings.push(warning);
    }
}

/// What stands in `options`.
#[derive(Default)]
struct Options {
    shared: Shared,
    refused: Option<String>,
}

impl<'de> Deserialize<'de> for Options {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Options;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of options")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let (mut shared, mut refused) = (Shared::default(), None);
                while let Some(key) = map.next_key::<String>()? {
                    let taken = match key.as_str() {
                        // All that there is room for, in its words.
                        "num_predict" => {
                            shared.max_tokens = value::<A, i64>(&mut map)?.filter(|n| *n != -1 && *n != -2);
                            Taken::Yes
                        }
                        "num_ctx" | "num_batch" | "num_thread" | "num_gpu" | "main_gpu" | "use_mmap"
                        | "numa" | "num_keep" | "repeat_last_n" | "low_vram" | "f16_kv" => {
                            harmless(&mut map)?
                        }
                        "temperature" | "top_k" | "top_p" | "min_p" | "seed" | "stop" | "repeat_penalty"
                        | "presence_penalty" | "frequency_penalty" => shared.take(&key, &mut map)?,
                        _ => {
                            map.next_value::<serde::de::IgnoredAny>()?;
                            Taken::Refused(format!("there is no option {key:?} here"))
                        }
                    };
                    match taken {
                        Taken::Yes => {}
                        Taken::Harmless => shared.warnings.push(format!("{key} is not honoured")),
                        Taken::Refused(why) => refused = Some(why),
                        Taken::Unknown => return Err(A::Error::custom(format!("{key}: not known"))),
                    }
                }
                Ok(Options { shared, refused })
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// Writes lines.
struct Line {
    kind: Kind,
    model: String,
    warnings: Vec<String>,
}

impl Line {
    fn new(app: &App, kind: Kind, shared: Shared) -> Line {
        Line { kind, model: app.models[shared.place].name.clone(), warnings: shared.warnings }
    }

    fn line(&self, text: &str) -> Value {
        let mut line = json!({ "model": self.model, "created_at": rfc3339(SystemTime::now()) });
        match self.kind {
            Kind::Chat => line["message"] = json!({ "role": "assistant", "content": text }),
            Kind::Generate => line["response"] = text.into(),
        }
        line["done"] = false.into();
        line
    }

    /// Adds calls of tools, if there are some.
    fn add(&self, line: &mut Value, calls: &[ToolCall]) {
        if !calls.is_empty() {
            let call = |call: &ToolCall| json!({ "function": { "name": call.name, "arguments": tools::object(call) } });
            line["message"]["tool_calls"] = calls.iter().map(call).collect();
        }
    }

    /// The last line.
    fn end(&self, text: &str, calls: &[ToolCall], answer: &Completion) -> Value {
        let (mut line, timing) = (self.line(text), &answer.timing);
        self.add(&mut line, calls);
        let nanos = |seconds: f64| (seconds * 1e9) as u64;
        let seconds = timing.queue_seconds + timing.prompt_seconds + timing.answer_seconds;
        let fields = json!({
            "done": true,
            "done_reason": if answer.finish == Finish::Stop { "stop" } else { "length" },
            "total_duration": nanos(seconds),
            "load_duration": nanos(timing.queue_seconds),
            "prompt_eval_count": timing.prompt_tokens,
            "prompt_eval_duration": nanos(timing.prompt_seconds),
            "eval_count": timing.answer_tokens,
            "eval_duration": nanos(timing.answer_seconds),
            "logits_digest": answer.digest.to_string(),
        });
        if let (Value::Object(line), Value::Object(fields)) = (&mut line, fields) {
            line.extend(fields);
        }
        if !self.warnings.is_empty() {
            line["warnings"] = json!(self.warnings);
        }
        line
    }
}

impl Writer for Line {
    fn write(&mut self, event: Event) -> String {
        let line = match event {
            Event::Begun { .. } => return String::new(),
            Event::Text { text, .. } => self.line(&text),
            Event::Calls { calls, .. } => {
                let mut line = self.line("");
                self.add(&mut line, &calls);
                line
            }
            Event::Done { result: Ok(answer), .. } => self.end("", &[], &answer),
            Event::Done { result: Err(error), .. } => Dialect::Ollama.refusal(&Refusal::of(&error)),
        };
        format!("{line}\n")
    }

    fn alive(&self) -> &'static str {
        "" // a line that is no object would be an error there
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_is_what_ollama_says() {
        let body = r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"keep_alive":"5m",
            "options":{"temperature":0.1,"num_predict":-1,"num_ctx":512,"stop":["x"]}}"#;
        let Asked { shared, .. } = request::parse(body.as_bytes(), Asked::of(Kind::Chat)).ok().unwrap();
        assert_eq!((shared.temperature, shared.top_k, shared.max_tokens), (Some(0.1), Some(40), None));
        assert!(shared.stream && shared.stop.0 == ["x"]);
        assert_eq!(shared.warnings, ["num_ctx is not honoured"]);
        assert_eq!(shared.keep, Some(Some(Duration::from_secs(300))));
        let refused =
            |body: &str| request::parse(body.as_bytes(), Asked::of(Kind::Chat)).err().unwrap().param;
        assert_eq!(refused(r#"{"options":{"mirostat":1}}"#).as_deref(), Some("options"));
        assert_eq!(refused(r#"{"format":"xml"}"#).as_deref(), Some("format"));
        assert_eq!(refused(r#"{"prompt":"x"}"#).as_deref(), Some("prompt"));
    }

    #[test]
    fn damaged_bodies_are_refused_or_read() {
        let body = r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"stream":false,"think":false,
            "options":{"temperature":0.1,"num_predict":5,"seed":3,"stop":"x"},"tools":[{"type":"function","function":{"name":"f"}}],"format":{"type":"object"}}"#;
        assert!(request::parse(body.as_bytes(), Asked::of(Kind::Chat)).is_ok());
        request::testing::damage(body, |bytes| drop(request::parse(bytes, Asked::of(Kind::Chat))));
    }
}
