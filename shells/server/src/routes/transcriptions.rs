//! `POST /v1/audio/transcriptions` and `/v1/audio/translations`: what is said in a sound, in OpenAI's words.
//!
//! What it is: the fields of the form, and the reply in each of its formats. What it is not: the hearing. The one design choice: a
//! passage becomes text as soon as it is heard, and waits for nothing but its place in the reply.

use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use hyper::{Method, Request, StatusCode};
use pintpot::Error;
use pintpot::tasks::{Passage, SpeechAsked, TranscribeOptions, Transcript};
use processors::Error as Damaged;
use serde_json::{Value, json};
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::Route;
use crate::app::App;
use crate::arriving::Arriving;
use crate::multipart;
use crate::refusal::Refusal;
use crate::reply::{self, Reply};
use crate::scribe::{Ear, Held, Told};

/// Bytes of a field that is no file.
const FIELD: usize = 64 << 10;

pub(super) const ROUTE: Route = Route {
    method: Method::POST,
    path: "/v1/audio/transcriptions",
    says: "what is said in a sound",
    body: "multipart/form-data file:file! model:string language:string prompt:string response_format:string \
           temperature:number timestamp_granularities[]:array stream:boolean",
    open: false,
    run: |app, request| Box::pin(async move { answer(&app, request, false).await }),
};

pub(super) const TRANSLATIONS: Route = Route {
    path: "/v1/audio/translations",
    says: "what is said in a sound, in English",
    body: "multipart/form-data file:file! model:string prompt:string response_format:string temperature:number",
    run: |app, request| Box::pin(async move { answer(&app, request, true).await }),
    ..ROUTE
};

async fn answer(app: &Rc<App>, request: Request<Arriving>, translate: bool) -> Result<Reply, Refusal> {
    let Some(boundary) = multipart::boundary(request.headers()) else {
        let message = "the body must be a form, with Content-Type: multipart/form-data; boundary=...";
        return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", message));
    };
    if app.scribes.all.is_empty() {
        return Err(app.not_served("whisper", "speech"));
    }
    let (bytes, permit) = app.scribes.read(app, request).await?;
    let Asked { model, file, form, stream, options } = Asked::read(&bytes, &boundary, translate)?;
    let scribe = app.scribe(model.as_deref())?;
    let permit = Arc::new(permit);
    let sound = Box::new(Held::new(bytes, file, Arc::clone(&permit)));
    let (tell, hear) = unbounded_channel();
    let asked = SpeechAsked { sound, options };
    scribe.service.ask(asked, Box::new(Ear(tell))).map_err(|error| refusal(&error))?;
    if stream {
        return flow(hear, permit).await;
    }
    let mut reply = whole(hear, Writer { form, translate, text: String::new(), count: 0 }).await?;
    // The sound is gone, and what it paid for is in the reply.
    reply.body_mut().holds = Arc::into_inner(permit);
    Ok(reply)
}

/// How a reply is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Json,
    Srt,
    Text,
    VerboseJson,
    Vtt,
}

/// What may be asked.
#[derive(Debug)]
struct Asked {
    model: Option<String>,
    /// Where the sound lies in the body.
    file: Range<usize>,
    form: Form,
    stream: bool,
    options: TranscribeOptions,
}

impl Asked {
    fn read(body: &[u8], boundary: &str, translate: bool) -> Result<Asked, Refusal> {
        let parts = multipart::parts(body, boundary)
            .map_err(|wrong| Refusal::bad(format!("the body is no form: {wrong}")))?;
        let mut asked = Asked {
            model: None,
            file: 0..0,
            form: Form::Json,
            stream: false,
            options: TranscribeOptions { translate, ..TranscribeOptions::default() },
        };
        let mut seen: Vec<&str> = Vec::new();
        for part in &parts {
            let name = part.name.as_str();
            let refused = |code, message: &str| Err(Refusal::field(name, code, message));
            if seen.contains(&name) && !name.ends_with("[]") {
                return refused("invalid_value", "the field is there twice");
            }
            seen.push(name);
            if name == "file" {
                asked.file = part.content.clone();
                continue;
            }
            let value = body.get(part.content.clone()).filter(|value| value.len() <= FIELD);
            let Some(value) = value.and_then(|value| std::str::from_utf8(value).ok()) else {
                return refused("invalid_value", "a field is a text of at most 64 KiB, in UTF-8");
            };
            asked.take(name, value)?;
        }
        if !seen.contains(&"file") {
            return Err(Refusal::field(
                "file",
                "missing_field",
                "the field file is missing: a sound, in WAV",
            ));
        }
        if asked.stream && !matches!(asked.form, Form::Json | Form::Text) {
            let message = "a stream is of events with text; leave response_format out, or stream";
            return Err(Refusal::field("stream", "unsupported_parameter", message));
        }
        Ok(asked)
    }

    fn take(&mut self, name: &str, value: &str) -> Result<(), Refusal> {
        let refused = |code, message: String| Err(Refusal::field(name, code, message));
        let other =
            |expected: &str| refused("invalid_value", format!("{name} is {value:?}; it must be {expected}"));
        match (name, value) {
            ("model", _) => self.model = Some(value.to_string()),
            ("language", _) if !self.options.translate => self.options.language = Some(value.to_string()),
            ("prompt", _) => self.options.prompt = Some(value.to_string()),
            ("response_format", "json") => self.form = Form::Json,
            ("response_format", "srt") => self.form = Form::Srt,
            ("response_format", "text") => self.form = Form::Text,
            ("response_format", "verbose_json") => self.form = Form::VerboseJson,
            ("response_format", "vtt") => self.form = Form::Vtt,
            ("response_format", _) => return other("json, text, srt, verbose_json or vtt"),
            ("stream", "true" | "false") if !self.options.translate => self.stream = value == "true",
            ("stream", _) if !self.options.translate => return other("true or false"),
            ("temperature", _) => match value.trim().parse::<f64>() {
                Ok(0.0) => {}
                Ok(_) => {
                    let message = "nothing is drawn at random here; leave temperature out, or set it to 0";
                    return refused("unsupported_parameter", message.to_string());
                }
                Err(_) => return other("a number"),
            },
            ("timestamp_granularities[]" | "timestamp_granularities", "segment") => {}
            ("timestamp_granularities[]" | "timestamp_granularities", "word") => {
                let message = "times of single words are not known here; ask for segment";
                return refused("unsupported_parameter", message.to_string());
            }
            ("timestamp_granularities[]" | "timestamp_granularities", _) => return other("segment"),
            (
                "include[]"
                | "include"
                | "chunking_strategy"
                | "known_speaker_names[]"
                | "known_speaker_references[]",
                _,
            ) => {
                return refused(
                    "unsupported_parameter",
                    format!("{name} is not honoured here; leave it out"),
                );
            }
            _ => return refused("unknown_parameter", format!("there is no field {name:?} here")),
        }
        Ok(())
    }
}

/// Makes the text of a reply.
struct Writer {
    form: Form,
    translate: bool,
    /// The reply's text, or its segments.
    text: String,
    count: usize,
}

impl Writer {
    fn take(&mut self, passage: &Passage, all: &mut String) {
        self.count += 1;
        all.push_str(&passage.text);
        match self.form {
            Form::Json | Form::Text => {}
            Form::Srt => self.text += &passage.srt(self.count),
            Form::Vtt => self.text += &passage.vtt(),
            Form::VerboseJson => {
                let comma = if self.count > 1 { "," } else { "" };
                self.text += &format!("{comma}{}", segment(self.count - 1, passage));
            }
        }
    }

    fn reply(self, said: &Transcript, all: &str) -> Reply {
        let (text, plain) = (all.trim(), "text/plain; charset=utf-8");
        let usage = json!({ "type": "duration", "seconds": said.seconds.ceil() });
        let (kind, body) = match self.form {
            Form::Json => ("application/json", json!({ "text": text, "usage": usage }).to_string()),
            Form::Text => (plain, format!("{text}\n")),
            Form::Srt => (plain, self.text),
            Form::Vtt => (plain, format!("WEBVTT\n\n{}", self.text)),
            Form::VerboseJson => {
                let task = if self.translate { "translate" } else { "transcribe" };
                let (task, text, language) =
                    (json!(task), json!(text), json!(said.language.as_deref().unwrap_or("en")));
                let (seconds, segments) = (said.seconds, &self.text);
                let body = format!(
                    "{{\"task\":{task},\"language\":{language},\"duration\":{seconds},\"text\":{text},\"segments\":[{segments}],\
                     \"usage\":{usage}}}"
                );
                ("application/json", body)
            }
        };
        reply::text(StatusCode::OK, kind, body)
    }
}

/// A piece, as OpenAI's program tells it; how well it can be packed is not measured.
fn segment(id: usize, passage: &Passage) -> Value {
    let hundredths = |seconds: f64| (seconds * 100.0).round() / 100.0;
    json!({
        "id": id,
        "seek": (passage.look * 100.0).round() as u64,
        "start": hundredths(passage.start),
        "end": hundredths(passage.end),
        "text": passage.text,
        "tokens": passage.tokens,
        "temperature": 0.0,
        "avg_logprob": passage.likelihood,
        "compression_ratio": null,
        "no_speech_prob": passage.silence,
    })
}

/// Why a sound is not heard: what is wrong with it is the request's fault.
fn refusal(error: &Error) -> Refusal {
    match error {
        Error::Text(Damaged::NotWav | Damaged::Sound(_) | Damaged::Wav { .. }) => {
            Refusal::field("file", "invalid_value", error.to_string())
        }
        _ => Refusal::of(error),
    }
}

/// The reply when all is heard.
async fn whole(mut hear: UnboundedReceiver<Told>, mut writer: Writer) -> Result<Reply, Refusal> {
    let mut all = String::new();
    loop {
        match hear.recv().await {
            Some(Told::Passage(passage)) => writer.take(&passage, &mut all),
            Some(Told::Done(said)) => {
                return Ok(writer.reply(&said.map_err(|error| refusal(&error))?, &all));
            }
            None => return Err(Refusal::unavailable("the server is closing")),
        }
    }
}

/// A reply that goes on while the sound is heard, once something was.
async fn flow(
    mut hear: UnboundedReceiver<Told>,
    permit: Arc<OwnedSemaphorePermit>,
) -> Result<Reply, Refusal> {
    let mut first = match hear.recv().await {
        Some(Told::Done(Err(error))) => return Err(refusal(&error)),
        Some(told) => Some(told),
        None => return Err(Refusal::unavailable("the server is closing")),
    };
    let mut all = String::new();
    let pour = move |context: &mut std::task::Context<'_>| {
        let _held = &permit;
        let told = match first.take() {
            Some(told) => Poll::Ready(Some(told)),
            None => hear.poll_recv(context),
        };
        told.map(|told| told.map(|told| Bytes::from(event(told, &mut all))))
    };
    Ok(reply::pour("text/event-stream", Box::new(pour)))
}

/// What the engine tells as an event.
fn event(told: Told, all: &mut String) -> String {
    let value = match told {
        Told::Passage(passage) => {
            let first = all.is_empty();
            let text = if first { passage.text.trim_start() } else { &passage.text };
            all.push_str(text);
            json!({ "type": "transcript.text.delta", "delta": text })
        }
        Told::Done(Ok(said)) => {
            let usage = json!({ "type": "duration", "seconds": said.seconds.ceil() });
            let done = json!({ "type": "transcript.text.done", "text": all.trim(), "usage": usage });
            return format!("data: {done}\n\ndata: [DONE]\n\n");
        }
        Told::Done(Err(error)) => refusal(&error).json(),
    };
    format!("data: {value}\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(fields: &[(&str, &str)]) -> Result<Asked, Refusal> {
        let part = |(name, value): &(&str, &str)| {
            format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
        };
        let body = format!("{}--b--", fields.iter().map(part).collect::<String>());
        Asked::read(body.as_bytes(), "b", false)
    }

    #[test]
    fn fields_are_honoured_or_refused() {
        let file = ("file", "RIFF");
        let asked = read(&[
            file,
            ("model", "w"),
            ("language", "de"),
            ("prompt", "Beckett"),
            ("response_format", "verbose_json"),
            ("temperature", "0.0"),
            ("timestamp_granularities[]", "segment"),
        ])
        .unwrap();
        let options = &asked.options;
        assert_eq!((asked.model.as_deref(), options.language.as_deref()), (Some("w"), Some("de")));
        assert_eq!((options.prompt.as_deref(), asked.form), (Some("Beckett"), Form::VerboseJson));
        assert!(read(&[file, ("stream", "true"), ("response_format", "text")]).unwrap().stream);
        for (name, value, code) in [
            ("temperature", "0.5", "unsupported_parameter"),
            ("temperature", "warm", "invalid_value"),
            ("timestamp_granularities[]", "word", "unsupported_parameter"),
            ("include[]", "logprobs", "unsupported_parameter"),
            ("response_format", "docx", "invalid_value"),
            ("stream", "yes", "invalid_value"),
            ("mood", "good", "unknown_parameter"),
            ("file", "RIFF", "invalid_value"),
        ] {
            let refusal = read(&[file, (name, value)]).unwrap_err();
            assert_eq!((refusal.code, refusal.param.as_deref()), (code, Some(name)), "{refusal:?}");
        }
        assert_eq!(read(&[("model", "w")]).unwrap_err().code, "missing_field");
        assert_eq!(
            read(&[file, ("stream", "true"), ("response_format", "srt")]).unwrap_err().code,
            "unsupported_parameter"
        );
    }
}
