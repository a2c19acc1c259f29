//! `GET /api/version`, `/api/tags`, `/api/ps` and `POST /api/show`: what Ollama's clients ask before they talk.

use std::time::{Duration, Instant, SystemTime};

use hyper::{Method, StatusCode};
use serde::de::MapAccess;
use serde_json::{Value, json};

use super::Route;
use crate::Facts;
use crate::app::{App, rfc3339};
use crate::refusal::Refusal;
use crate::reply;
use crate::request::{self, Fields, Taken, harmless, value};

/// As good as no end.
const ENDLESS: Duration = Duration::from_secs(100 * 365 * 86_400);

pub(super) const VERSION: Route = Route {
    method: Method::GET,
    path: "/api/version",
    says: "which Ollama's clients may expect",
    body: "",
    open: true,
    run: |_, _| {
        let version = json!({ "version": env!("CARGO_PKG_VERSION") });
        Box::pin(async move { Ok(reply::json(StatusCode::OK, &version)) })
    },
};

pub(super) const TAGS: Route = Route {
    path: "/api/tags",
    says: "what is served",
    body: "",
    open: false,
    run: |app, _| {
        let whole = app.whole().map(|(facts, _)| facts);
        let all = app.models.iter().chain(whole).map(|facts| model(&app, facts)).collect::<Vec<_>>();
        let list = json!({ "models": all });
        Box::pin(async move { Ok(reply::json(StatusCode::OK, &list)) })
    },
    ..VERSION
};

pub(super) const PS: Route = Route {
    path: "/api/ps",
    says: "what is loaded, and until when",
    body: "",
    run: |app, _| {
        let seats = app.service.seats();
        let here = seats.iter().enumerate().filter(|(_, seat)| seat.bytes > 0);
        let here = here.map(|(at, seat)| {
            let mut model = model(&app, &app.models[at]);
            model["size"] = seat.bytes.into();
            model["size_vram"] = 0.into();
            model["context_length"] = app.models[at].context.into();
            // What stays as long as there is room goes in a hundred years: clients want a date.
            let left = seat.until.map(|until| until.saturating_duration_since(Instant::now()));
            model["expires_at"] = rfc3339(SystemTime::now() + left.unwrap_or(ENDLESS)).into();
            model
        });
        let list = json!({ "models": here.collect::<Vec<_>>() });
        Box::pin(async move { Ok(reply::json(StatusCode::OK, &list)) })
    },
    ..TAGS
};

pub(super) const SHOW: Route = Route {
    method: Method::POST,
    path: "/api/show",
    says: "what a model is",
    body: "model:string!",
    run: |app, request| {
        Box::pin(async move {
            let (Named { model }, _permit) = request::take(&app, request, Named::default()).await?;
            let missing = || Refusal::field("model", "missing_field", "the field model is missing");
            let name = model.ok_or_else(missing)?;
            let whole = app.whole().find(|(facts, _)| facts.name == name);
            let facts = match whole {
                Some((facts, _)) => facts,
                None => &app.models[app.model(&name)?],
            };
            let capabilities = match (whole, facts.tools) {
                (Some((_, "speech")), _) => vec!["audio"],
                (Some(_), _) => vec!["embedding"],
                (None, true) => vec!["completion", "tools"],
                (None, false) => vec!["completion"],
            };
            let architecture = &facts.architecture;
            let info = json!({
                "general.architecture": architecture,
                "general.parameter_count": facts.parameters,
                format!("{architecture}.context_length"): facts.context,
            });
            let show = json!({
                "details": details(facts),
                "model_info": info,
                "capabilities": capabilities,
                "modified_at": rfc3339(app.started),
            });
            Ok(reply::json(StatusCode::OK, &show))
        })
    },
    ..TAGS
};

/// Which model is meant.
#[derive(Default)]
struct Named {
    model: Option<String>,
}

impl Fields for Named {
    fn take<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<Taken, A::Error> {
        match key {
            "model" | "name" => self.model = value(map)?.or(self.model.take()),
            "verbose" => return harmless(map),
            _ => return Ok(Taken::Unknown),
        }
        Ok(Taken::Yes)
    }

    fn warn(&mut self, _warning: String) {}
}

fn model(app: &App, facts: &Facts) -> Value {
    json!({
        "name": facts.name,
        "model": facts.name,
        "modified_at": rfc3339(app.started),
        "size": facts.file_bytes,
        "digest": "",
        "details": details(facts),
    })
}

fn details(facts: &Facts) -> Value {
    let (millions, family) = (facts.parameters as f64 / 1e6, &facts.architecture);
    let size = if millions >= 1e3 { format!("{:.1}B", millions / 1e3) } else { format!("{millions:.0}M") };
    json!({
        "parent_model": "",
        "format": "gguf",
        "family": family,
        "families": [family],
        "parameter_size": size,
        "quantization_level": facts.quantization,
    })
}
