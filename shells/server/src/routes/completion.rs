//! What the two ways to complete have in common: identity, usage, and a stream of chunks.
//!
//! What it is: OpenAI's shapes but for what is in a choice. What it is not: a route. The one design choice: the whole answer and
//! the stream are written from the same values by the same function, so they cannot differ.

use hyper::StatusCode;
use pintpot::{Asked, Chosen, Completion, Finish, GenerateOptions, Prompt, Timing};
use serde_json::{Map, Value, json};
use tokio::sync::OwnedSemaphorePermit;

use crate::app::{App, unix};
use crate::refusal::Refusal;
use crate::reply::{self, Reply, Writer};
use crate::sampling::Shared;
use crate::talk::{Event, Talk};
use crate::tools;

/// How a choice of a route looks.
pub(super) struct Shape {
    /// The first part of an id.
    pub id: &'static str,
    /// The object, whole and in pieces.
    pub objects: [&'static str; 2],
    /// A choice of a whole answer, without index and reason.
    pub whole: fn(&str, Option<Value>) -> Value,
    /// What a piece adds; `None` is the end.
    pub piece: fn(Option<&str>) -> Value,
    /// How likely tokens were.
    pub likelihoods: fn(&[Chosen], &mut usize) -> Value,
    /// What opens a choice of a stream.
    pub opening: Option<fn() -> Value>,
}

/// Asks for answers to `prompt`, and says them whole or as a stream.
pub(super) async fn say(
    app: &App,
    shape: &'static Shape,
    shared: &Shared,
    (prompt, options): (Prompt, GenerateOptions),
    permit: OwnedSemaphorePermit,
) -> Result<Reply, Refusal> {
    let choices = shared.choices(app)?;
    let head = Head::new(app, shape, shared);
    let mut talk = Talk::begin(&app.service, shared, prompt, options, choices, Some(permit))?;
    if !shared.stream {
        return Ok(reply::json(StatusCode::OK, &head.whole(&talk.all().await?)));
    }
    let first = talk.first().await?;
    let chunks = Chunks::new(head, shared.include_usage, choices);
    Ok(reply::stream("text/event-stream", first, talk, Box::new(chunks)))
}

/// What a batch asks of the engine, and how its answer is written.
pub(super) fn whole(
    app: &App,
    shape: &'static Shape,
    shared: &Shared,
    (prompt, options): (Prompt, GenerateOptions),
) -> Result<Asked, Refusal> {
    if shared.stream {
        return Err(Refusal::field("stream", "unsupported_parameter", "an answer in a file is no stream"));
    }
    let (choices, head) = (shared.choices(app)?, Head::new(app, shape, shared));
    // Nobody waits at the other end.
    let options = GenerateOptions { time: None, ..options };
    Ok(Asked { prompt, options, choices, write: Box::new(move |answers| head.whole(answers).to_string()) })
}

/// What is the same in all that is said to one request.
#[derive(Clone)]
struct Head {
    shape: &'static Shape,
    id: String,
    number: u64,
    created: u64,
    model: String,
    warnings: Vec<String>,
    /// Whether it is told how likely tokens were.
    likely: bool,
    /// What stands before an answer.
    echo: String,
}

impl Head {
    /// Where an answer begins, in characters.
    fn begin(&self) -> usize {
        self.echo.chars().count()
    }

    /// How likely tokens were, if that was asked for.
    fn likelihoods(&self, tokens: &[Chosen], at: &mut usize) -> Value {
        if self.likely { (self.shape.likelihoods)(tokens, at) } else { Value::Null }
    }

    fn new(app: &App, shape: &'static Shape, shared: &Shared) -> Head {
        let number = app.number();
        Head {
            shape,
            id: format!("{}-{number:016x}", shape.id),
            number,
            created: unix(std::time::SystemTime::now()),
            model: app.models[shared.place].name.clone(),
            warnings: shared.warnings.clone(),
            likely: shared.logprobs.is_some(),
            echo: shared.echo.clone(),
        }
    }

    fn object(&self, kind: &str, choices: Vec<Value>) -> Map<String, Value> {
        let mut object = Map::new();
        object.insert("id".into(), self.id.as_str().into());
        object.insert("object".into(), kind.into());
        object.insert("created".into(), self.created.into());
        object.insert("model".into(), self.model.as_str().into());
        object.insert("system_fingerprint".into(), concat!("pintpot-", env!("CARGO_PKG_VERSION")).into());
        object.insert("choices".into(), choices.into());
        object
    }

    /// The whole answer.
    fn whole(&self, answers: &[(Completion, Vec<Chosen>)]) -> Value {
        let choices = answers.iter().enumerate().map(|(index, (answer, tokens))| {
            let calls = tools::openai(&answer.calls, (self.number, index), None);
            let calls = (!answer.calls.is_empty()).then_some(calls);
            let text = format!("{}{}", self.echo, answer.text);
            let choice = (self.shape.whole)(&text, calls);
            choice_of(index, choice, Some(answer), self.likelihoods(tokens, &mut self.begin()))
        });
        let mut object = self.object(self.shape.objects[0], choices.collect());
        object.insert("usage".into(), usage(answers.iter().map(|(answer, _)| &answer.timing)));
        if let [(answer, _)] = answers {
            object.insert("timings".into(), timings(&answer.timing));
        }
        self.warn(&mut object);
        Value::Object(object)
    }

    fn warn(&self, object: &mut Map<String, Value>) {
        if !self.warnings.is_empty() {
            object.insert("warnings".into(), json!(self.warnings));
        }
    }
}

/// A choice with its index, and its end if it has come to it.
fn choice_of(index: usize, fields: Value, end: Option<&Completion>, likelihoods: Value) -> Value {
    let mut choice = json!({ "index": index });
    if let (Value::Object(choice), Value::Object(fields)) = (&mut choice, fields) {
        choice.extend(fields);
        choice.insert("logprobs".into(), likelihoods);
        let reason = |answer: &Completion| match answer.finish {
            Finish::Stop if !answer.calls.is_empty() => "tool_calls",
            finish => reason(finish),
        };
        choice.insert("finish_reason".into(), end.map(reason).into());
        if let Some(answer) = end {
            choice.insert("logits_digest".into(), answer.digest.to_string().into());
        }
    }
    choice
}

/// Why an answer ended, in OpenAI's words: time is a length, too.
pub(super) fn reason(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop => "stop",
        Finish::Length | Finish::Cancelled | Finish::Time => "length",
    }
}

/// Tokens of all choices; the prompt counts once.
fn usage<'a>(timings: impl Iterator<Item = &'a Timing>) -> Value {
    let (mut prompt, mut cached, mut answer) = (0, None, 0);
    for timing in timings {
        prompt = timing.prompt_tokens;
        cached = Some(cached.unwrap_or(timing.cached_tokens).min(timing.cached_tokens));
        answer += timing.answer_tokens;
    }
    json!({
        "prompt_tokens": prompt,
        "completion_tokens": answer,
        "total_tokens": prompt + answer,
        "prompt_tokens_details": { "cached_tokens": cached.unwrap_or(0) },
    })
}

/// As llama.cpp's server has them.
fn timings(timing: &Timing) -> Value {
    let read = timing.prompt_tokens - timing.cached_tokens;
    json!({
        "cache_n": timing.cached_tokens,
        "prompt_n": read,
        "prompt_ms": timing.prompt_seconds * 1e3,
        "prompt_per_second": timing.prompt_rate(),
        "predicted_n": timing.answer_tokens,
        "predicted_ms": timing.answer_seconds * 1e3,
        "predicted_per_second": timing.answer_rate(),
        "queue_ms": timing.queue_seconds * 1e3,
    })
}

/// Writes a stream of chunks.
struct Chunks {
    head: Head,
    include_usage: bool,
    /// Choices that have not ended.
    open: usize,
    ended: Vec<Timing>,
    warned: bool,
    /// Calls so far, of every choice.
    calls: Vec<usize>,
    /// Where the next token begins, of every choice.
    at: Vec<usize>,
}

impl Chunks {
    fn new(head: Head, include_usage: bool, choices: usize) -> Chunks {
        let at = vec![head.begin(); choices];
        let (ended, calls) = (Vec::new(), vec![0; choices]);
        Chunks { head, include_usage, open: choices, ended, warned: false, calls, at }
    }

    fn chunk(&mut self, choices: Vec<Value>, usage: Value) -> String {
        let is_empty = choices.is_empty();
        let mut object = self.head.object(self.head.shape.objects[1], choices);
        if self.include_usage {
            object.insert("usage".into(), usage);
        }
        if let ([timing], [_], false) = (&*self.ended, &*self.at, is_empty) {
            object.insert("timings".into(), timings(timing));
        }
        if !self.warned {
            self.head.warn(&mut object);
            self.warned = true;
        }
        data(&Value::Object(object))
    }
}

impl Writer for Chunks {
    fn write(&mut self, event: Event) -> String {
        let shape = self.head.shape;
        match event {
            Event::Begun { index, .. } => match shape.opening {
                None if self.head.echo.is_empty() => String::new(),
                None => {
                    let echo = (shape.piece)(Some(&self.head.echo));
                    self.chunk(vec![choice_of(index, echo, None, Value::Null)], Value::Null)
                }
                Some(opening) => {
                    self.chunk(vec![choice_of(index, opening(), None, Value::Null)], Value::Null)
                }
            },
            Event::Text { index, text, tokens } => {
                let piece = (shape.piece)(Some(&text));
                let Some(at) = self.at.get_mut(index) else { return String::new() };
                let likelihoods = self.head.likelihoods(&tokens, at);
                self.chunk(vec![choice_of(index, piece, None, likelihoods)], Value::Null)
            }
            Event::Calls { index, calls } => {
                let Some(before) = self.calls.get_mut(index) else { return String::new() };
                let said = tools::openai(&calls, (self.head.number, index), Some(*before));
                *before += calls.len();
                let delta = json!({ "delta": { "tool_calls": said } });
                self.chunk(vec![choice_of(index, delta, None, Value::Null)], Value::Null)
            }
            Event::Done { index, result: Ok(answer) } => {
                let end = choice_of(index, (shape.piece)(None), Some(&answer), Value::Null);
                self.ended.push(answer.timing);
                let mut text = self.chunk(vec![end], Value::Null);
                self.open = self.open.saturating_sub(1);
                if self.open == 0 {
                    if self.include_usage {
                        let usage = usage(self.ended.iter());
                        text += &self.chunk(Vec::new(), usage);
                    }
                    text += "data: [DONE]\n\n";
                }
                text
            }
            Event::Done { result: Err(error), .. } => data(&Refusal::of(&error).json()),
        }
    }

    fn alive(&self) -> &'static str {
        ": alive\n\n"
    }
}

/// A line of a stream of events.
fn data(value: &Value) -> String {
    format!("data: {value}\n\n")
}
