//! `POST /api/embed` and `/api/embeddings`: vectors of texts, in Ollama's words, the newer and the older way.
//!
//! Not the vectors' making. The one design choice: texts are cut where they are too long, as Ollama does unless it is told
//! otherwise; a request that wants to be refused then is refused at once, because nobody here counts first.

use std::fmt::Write;
use std::rc::Rc;
use std::time::Instant;

use hyper::{Method, StatusCode};
use pintpot::tasks::{OwnedText, TextAsked};
use serde::de::MapAccess;
use serde_json::json;

use super::Route;
use super::embeddings::{Texts, list};
use crate::app::App;
use crate::limits::Limits;
use crate::refusal::Refusal;
use crate::reply::{self, Reply};
use crate::request::{self, Fields, Taken, harmless, value};

pub(super) const EMBED: Route = Route {
    method: Method::POST,
    path: "/api/embed",
    says: "vectors of texts in Ollama's words",
    body: "model:string! input:any! truncate:boolean dimensions:integer options:object keep_alive:any",
    open: false,
    run: |app, request| {
        Box::pin(async move {
            let (asked, permit) = request::take(&app, request, Asked::default()).await?;
            let reply = answer(&app, asked, false).await;
            drop(permit);
            reply
        })
    },
};

pub(super) const EMBEDDINGS: Route = Route {
    path: "/api/embeddings",
    says: "the vector of a text in Ollama's older words",
    body: "model:string! prompt:string! options:object keep_alive:any",
    run: |app, request| {
        Box::pin(async move {
            let (asked, permit) = request::take(&app, request, Asked::default()).await?;
            let reply = answer(&app, asked, true).await;
            drop(permit);
            reply
        })
    },
    ..EMBED
};

async fn answer(app: &Rc<App>, asked: Asked, is_old: bool) -> Result<Reply, Refusal> {
    let begun = Instant::now();
    let Asked { model, input, prompt, truncate, dimensions } = asked;
    let missing = |name: &str| Refusal::field(name, "missing_field", format!("the field {name} is missing"));
    let model = model.ok_or_else(|| missing("model"))?;
    let texts = match is_old {
        true => vec![OwnedText::Text(prompt.ok_or_else(|| missing("prompt"))?)],
        false => input.ok_or_else(|| missing("input"))?.0,
    };
    let encoder = &app.encoders[app.encoder(Some(&model), false)?];
    let width = encoder.width();
    if truncate == Some(false) {
        let message = "texts that are too long are cut here; leave truncate out";
        return Err(Refusal::field("truncate", "unsupported_parameter", message));
    }
    if let Some(other) = dimensions.filter(|other| *other != width as u64) {
        let message = format!("vectors of this model have {width} numbers, not {other}");
        return Err(Refusal::field("dimensions", "unsupported_parameter", message));
    }
    let count = texts.len();
    let (said, permit) = encoder.ask(TextAsked::Vectors(texts), count, 0).await?;
    let mut body = String::from("{");
    if is_old {
        body.push_str("\"embedding\":");
        list(&said.numbers, &mut body);
    } else {
        let _ = write!(body, "\"model\":{},\"embeddings\":[", json!(model));
        for (index, vector) in said.numbers.chunks_exact(width.max(1)).enumerate() {
            body.push_str(if index == 0 { "" } else { "," });
            list(vector, &mut body);
        }
        let (spent, tokens) = (begun.elapsed().as_nanos() as u64, said.tokens);
        let _ =
            write!(body, "],\"total_duration\":{spent},\"load_duration\":0,\"prompt_eval_count\":{tokens}");
    }
    body.push('}');
    let mut reply = reply::text(StatusCode::OK, "application/json", body);
    reply.body_mut().holds = Some(permit);
    Ok(reply)
}

/// What may be asked.
#[derive(Default)]
struct Asked {
    model: Option<String>,
    input: Option<Texts>,
    prompt: Option<String>,
    truncate: Option<bool>,
    dimensions: Option<u64>,
}

impl Fields for Asked {
    fn most(limits: &Limits) -> u64 {
        limits.texts.max(limits.body)
    }

    fn take<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<Taken, A::Error> {
        match key {
            "dimensions" => self.dimensions = value(map)?,
            "input" => self.input = value(map)?,
            "keep_alive" | "options" => return harmless(map),
            "model" => self.model = value(map)?,
            "prompt" => self.prompt = value(map)?,
            "truncate" => self.truncate = value(map)?,
            _ => return Ok(Taken::Unknown),
        }
        Ok(Taken::Yes)
    }

    fn warn(&mut self, _warning: String) {}
}
