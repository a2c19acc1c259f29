//! `POST /v1/responses`: the next turn in the words of OpenAI's newer API, whole or as named events.
//!
//! What it is: texts and calls of functions. What it is not: a memory of conversations, or tools that a server would run, which
//! are refused by name. The one design choice: events are written from the same items as the whole, as they fill.

use hyper::{Method, StatusCode};
use pintpot::{Completion, Finish, Prompt, Timing, ToolCall, ToolChoice};
use serde::de::MapAccess;
use serde_json::{Map, Value, json};

use super::Route;
use super::items::Items;
use crate::app::unix;
use crate::refusal::Refusal;
use crate::reply::{self, Writer};
use crate::request::{self, Fields, Taken, is_given, refused, value};
use crate::sampling::Shared;
use crate::talk::{Event, Talk};
use crate::tools;

pub(super) const ROUTE: Route = Route {
    method: Method::POST,
    path: "/v1/responses",
    says: "the next turn in the words of OpenAI's newer API",
    body: "model:string! input:any! instructions:string max_output_tokens:integer tools:array tool_choice:any \
           parallel_tool_calls:boolean text:object stream:boolean temperature:number top_p:number top_k:integer min_p:number \
           seed:integer stop:any metadata:object store:boolean",
    open: false,
    run: |app, request| {
        Box::pin(async move {
            let (asked, permit) = request::take(&app, request, Asked::default()).await?;
            let Asked { mut shared, input, instructions } = asked;
            shared.find_model(&app)?;
            let mut items = input.unwrap_or_default();
            shared.warnings.append(&mut items.warnings);
            let turns = items.checked(instructions.clone(), app.limits.messages)?;
            let options = shared.options(&app)?;
            let echo = echo(&shared, instructions);
            let chat = shared.chat(&app, turns)?;
            let mut talk = Talk::begin(&app.service, &shared, Prompt::Chat(chat), options, 1, Some(permit))?;
            let head = Head {
                number: app.number(),
                created: unix(std::time::SystemTime::now()),
                model: app.models[shared.place].name.clone(),
                echo,
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

/// What may be asked.
#[derive(Default)]
struct Asked {
    shared: Shared,
    input: Option<Items>,
    instructions: Option<String>,
}

impl Fields for Asked {
    fn take<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<Taken, A::Error> {
        let later = "this server does not do that yet";
        match key {
            "input" => self.input = value(map)?,
            "instructions" => self.instructions = value(map)?,
            "max_output_tokens" => self.shared.max_tokens = value(map)?,
            "tools" | "tool_choice" | "parallel_tool_calls" => return self.shared.tools.take(key, map),
            "text" => return self.shared.format.take(key, map),
            "truncation" => match value::<A, String>(map)? {
                Some(how) if how != "disabled" => return Ok(Taken::Refused(later.into())),
                _ => {}
            },
            "background" | "top_logprobs" => match value::<A, Value>(map)? {
                Some(on) if on != false && on != 0 => return Ok(Taken::Refused(later.into())),
                _ => {}
            },
            "include" => match value::<A, Vec<Value>>(map)? {
                Some(some) if !some.is_empty() => return Ok(Taken::Refused(later.into())),
                _ => {}
            },
            "previous_response_id" | "conversation" => {
                return refused(map, "nothing is kept here; send the whole conversation as input");
            }
            "prompt" | "reasoning" | "context_management" => return refused(map, later),
            "max_tool_calls" | "stream_options" => {
                return Ok(if is_given(map)? { Taken::Harmless } else { Taken::Yes });
            }
            // Fields of the older API that would mean the same.
            "n" | "max_tokens" | "max_completion_tokens" | "response_format" => return Ok(Taken::Unknown),
            _ => return self.shared.take(key, map),
        }
        Ok(Taken::Yes)
    }

    fn warn(&mut self, warning: String) {
        self.shared.warnings.push(warning);
    }
}

/// What is said back of the request.
fn echo(shared: &Shared, instructions: Option<String>) -> Map<String, Value> {
    let tools = &shared.tools;
    let tool = |tool: &pintpot::Tool| {
        let parameters: Value = tool
            .parameters
            .as_deref()
            .and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or(Value::Null);
        json!({ "type": "function", "name": tool.name, "parameters": parameters, "strict": false })
    };
    let choice = match &tools.choice {
        ToolChoice::Auto => "auto".into(),
        ToolChoice::None => "none".into(),
        ToolChoice::Required => "required".into(),
        ToolChoice::Named(name) => json!({ "type": "function", "name": name }),
    };
    let fields = [
        ("instructions", json!(instructions)),
        ("max_output_tokens", json!(shared.max_tokens)),
        ("parallel_tool_calls", json!(!tools.one_call)),
        ("temperature", json!(shared.temperature.unwrap_or(1.0))),
        ("top_p", json!(shared.top_p.unwrap_or(1.0))),
        ("tool_choice", choice),
        ("tools", tools.tools.iter().map(tool).collect()),
    ];
    fields.into_iter().map(|(name, value)| (name.to_string(), value)).collect()
}

/// What is the same in all that is said to one request.
struct Head {
    number: u64,
    created: u64,
    model: String,
    echo: Map<String, Value>,
    warnings: Vec<String>,
}

impl Head {
    fn response(&self, status: &str, output: Vec<Value>) -> Value {
        let mut response = json!({
            "id": format!("resp_{:016x}", self.number),
            "object": "response",
            "created_at": self.created,
            "status": status,
            "error": null,
            "incomplete_details": null,
            "model": self.model,
            "output": output,
            "previous_response_id": null,
            "store": false,
            "truncation": "disabled",
            "usage": null,
            "metadata": {},
        });
        if let Value::Object(fields) = &mut response {
            fields.extend(self.echo.clone());
            if !self.warnings.is_empty() {
                fields.insert("warnings".into(), json!(self.warnings));
            }
        }
        response
    }

    /// The response at its end.
    fn ended(&self, answer: &Completion, output: Vec<Value>) -> Value {
        let cut = answer.finish != Finish::Stop;
        let mut response = self.response(if cut { "incomplete" } else { "completed" }, output);
        if cut {
            response["incomplete_details"] = json!({ "reason": "max_output_tokens" });
        }
        response["usage"] = usage(&answer.timing);
        response["logits_digest"] = answer.digest.to_string().into();
        response
    }

    /// The whole answer.
    fn whole(&self, answer: &Completion) -> Value {
        let cut = if answer.finish == Finish::Stop { "completed" } else { "incomplete" };
        let mut output = Vec::new();
        if !answer.text.is_empty() || answer.calls.is_empty() {
            output.push(self.message(cut, Some(&answer.text)));
        }
        output.extend(answer.calls.iter().enumerate().map(|(n, call)| self.call(n, call, "completed")));
        self.ended(answer, output)
    }

    fn message(&self, status: &str, text: Option<&str>) -> Value {
        let content: Vec<Value> = text.into_iter().map(part).collect();
        let id = format!("msg_{:016x}", self.number);
        json!({ "type": "message", "id": id, "status": status, "role": "assistant", "content": content })
    }

    fn call(&self, n: usize, call: &ToolCall, status: &str) -> Value {
        let id = tools::call_id(self.number, 0, n);
        json!({
            "type": "function_call", "id": format!("fc_{id}"), "call_id": format!("call_{id}"),
            "name": call.name, "arguments": call.arguments, "status": status,
        })
    }
}

/// A part of a message.
fn part(text: &str) -> Value {
    json!({ "type": "output_text", "text": text, "annotations": [], "logprobs": [] })
}

fn usage(timing: &Timing) -> Value {
    json!({
        "input_tokens": timing.prompt_tokens,
        "input_tokens_details": { "cached_tokens": timing.cached_tokens },
        "output_tokens": timing.answer_tokens,
        "output_tokens_details": { "reasoning_tokens": 0 },
        "total_tokens": timing.prompt_tokens + timing.answer_tokens,
    })
}

/// Writes a stream of named events.
struct Events {
    head: Head,
    /// Events so far.
    number: u64,
    /// Items that are complete.
    output: Vec<Value>,
    /// The text of the message that goes on.
    text: Option<String>,
    calls: usize,
}

impl Events {
    fn new(head: Head) -> Events {
        Events { head, number: 0, output: Vec::new(), text: None, calls: 0 }
    }

    fn event(&mut self, kind: &str, mut fields: Value) -> String {
        fields["type"] = kind.into();
        fields["sequence_number"] = self.number.into();
        self.number += 1;
        format!("event: {kind}\ndata: {fields}\n\n")
    }

    /// What opens a response, if nothing has.
    fn start(&mut self) -> String {
        if self.number > 0 {
            return String::new();
        }
        let response = self.head.response("in_progress", Vec::new());
        self.event("response.created", json!({ "response": response }))
            + &self.event("response.in_progress", json!({ "response": response }))
    }

    /// An event of the message that goes on.
    fn of_message(&mut self, kind: &str, mut fields: Value) -> String {
        fields["item_id"] = self.head.message("", None)["id"].take();
        fields["output_index"] = self.output.len().into();
        fields["content_index"] = 0.into();
        self.event(kind, fields)
    }

    fn piece(&mut self, piece: &str) -> String {
        let mut said = String::new();
        if self.text.is_none() {
            self.text = Some(String::new());
            let (item, at) = (self.head.message("in_progress", None), self.output.len());
            said += &self.event("response.output_item.added", json!({ "output_index": at, "item": item }));
            said += &self.of_message("response.content_part.added", json!({ "part": part("") }));
        }
        if let Some(text) = self.text.as_mut().filter(|_| !piece.is_empty()) {
            text.push_str(piece);
            said += &self.of_message("response.output_text.delta", json!({ "delta": piece, "logprobs": [] }));
        }
        said
    }

    /// The end of the message that went on.
    fn end_message(&mut self, status: &str) -> String {
        let Some(text) = self.text.take() else { return String::new() };
        let mut said = self.of_message("response.output_text.done", json!({ "text": text, "logprobs": [] }));
        said += &self.of_message("response.content_part.done", json!({ "part": part(&text) }));
        let (item, at) = (self.head.message(status, Some(&text)), self.output.len());
        said += &self.event("response.output_item.done", json!({ "output_index": at, "item": item }));
        self.output.push(item);
        said
    }

    fn call(&mut self, call: &ToolCall) -> String {
        let mut said = self.end_message("completed");
        let (at, arguments) = (self.output.len(), &call.arguments);
        let item = self.head.call(self.calls, call, "completed");
        self.calls += 1;
        let mut opening = item.clone();
        (opening["arguments"], opening["status"]) = ("".into(), "in_progress".into());
        said += &self.event("response.output_item.added", json!({ "output_index": at, "item": opening }));
        let fields = json!({ "item_id": item["id"], "output_index": at, "delta": arguments });
        said += &self.event("response.function_call_arguments.delta", fields);
        let fields =
            json!({ "item_id": item["id"], "output_index": at, "name": call.name, "arguments": arguments });
        said += &self.event("response.function_call_arguments.done", fields);
        said += &self.event("response.output_item.done", json!({ "output_index": at, "item": item }));
        self.output.push(item);
        said
    }
}

impl Writer for Events {
    fn write(&mut self, said: Event) -> String {
        let opening = self.start();
        opening
            + &match said {
                Event::Begun { .. } => String::new(),
                Event::Text { text, .. } => self.piece(&text),
                Event::Calls { calls, .. } => calls.iter().map(|call| self.call(call)).collect(),
                Event::Done { result: Ok(answer), .. } => {
                    let cut = answer.finish != Finish::Stop;
                    let (kind, status) = if cut {
                        ("response.incomplete", "incomplete")
                    } else {
                        ("response.completed", "completed")
                    };
                    let empty = self.output.is_empty() && self.text.is_none();
                    let message = if empty { self.piece("") } else { String::new() };
                    let ended = self.end_message(status);
                    let response = self.head.ended(&answer, std::mem::take(&mut self.output));
                    message + &ended + &self.event(kind, json!({ "response": response }))
                }
                Event::Done { result: Err(error), .. } => {
                    let Refusal { message, param, code, .. } = Refusal::of(&error);
                    self.event("error", json!({ "code": code, "message": message, "param": param }))
                }
            }
    }

    fn alive(&self) -> &'static str {
        ": alive\n\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_bodies_are_refused_or_read() {
        let body = r#"{"model":"m","input":[{"role":"user","content":[{"type":"input_text","text":"hi"}]},
            {"type":"function_call","call_id":"1","name":"f","arguments":"{}"},
            {"type":"function_call_output","call_id":"1","output":"x"}],"instructions":"i","max_output_tokens":5,
            "tools":[{"type":"function","name":"f","parameters":{},"strict":true}],"tool_choice":{"type":"function","name":"f"},
            "text":{"format":{"type":"json_schema","name":"n","schema":{},"strict":true}},"stream":true,"truncation":"disabled"}"#;
        assert!(request::parse(body.as_bytes(), Asked::default()).is_ok());
        request::testing::damage(body, |bytes| drop(request::parse(bytes, Asked::default())));
    }
}
