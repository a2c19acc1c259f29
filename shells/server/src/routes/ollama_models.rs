//! `GET /api/version`, `/api/tags`, `/api/ps` and `POST /api/show`: what Ollama's clients ask before they talk.

use hyper::{Method, StatusCode};
use serde::de::MapAccess;
use serde_json::{Value, json};

use super::Route;
use crate::app::{App, rfc3339};
use crate::refusal::Refusal;
use crate::reply;
use crate::request::{self, Fields, Taken, harmless, value};

pub(super) const VERSION: Route = Route {
    method: Method::GET,
    path: "/api/version",
    open: true,
    run: |_, _| {
        let version = json!({ "version": env!("CARGO_PKG_VERSION") });
        Box::pin(async move { Ok(reply::json(StatusCode::OK, &version)) })
    },
};

pub(super) const TAGS: Route = Route {
    path: "/api/tags",
    open: false,
    run: |app, _| {
        let list = json!({ "models": [model(&app)] });
        Box::pin(async move { Ok(reply::json(StatusCode::OK, &list)) })
    },
    ..VERSION
};

pub(super) const PS: Route = Route {
    path: "/api/ps",
    run: |app, _| {
        let mut model = model(&app);
        model["size_vram"] = 0.into();
        model["context_length"] = app.facts.context.into();
        let list = json!({ "models": [model] });
        Box::pin(async move { Ok(reply::json(StatusCode::OK, &list)) })
    },
    ..TAGS
};

pub(super) const SHOW: Route = Route {
    method: Method::POST,
    path: "/api/show",
    run: |app, request| {
        Box::pin(async move {
            let (Named { model }, _permit) = request::take(&app, request, Named::default()).await?;
            let missing = || Refusal::field("model", "missing_field", "the field model is missing");
            app.check_model(&model.ok_or_else(missing)?)?;
            let architecture = &app.facts.architecture;
            let info = json!({
                "general.architecture": architecture,
                "general.parameter_count": app.facts.parameters,
                format!("{architecture}.context_length"): app.facts.context,
            });
            let show = json!({
                "details": details(&app),
                "model_info": info,
                "capabilities": if app.facts.tools { vec!["completion", "tools"] } else { vec!["completion"] },
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

fn model(app: &App) -> Value {
    json!({
        "name": app.served.name,
        "model": app.served.name,
        "modified_at": rfc3339(app.started),
        "size": app.facts.file_bytes,
        "digest": "",
        "details": details(app),
    })
}

fn details(app: &App) -> Value {
    let (millions, family) = (app.facts.parameters as f64 / 1e6, &app.facts.architecture);
    let size = if millions >= 1e3 { format!("{:.1}B", millions / 1e3) } else { format!("{millions:.0}M") };
    json!({
        "parent_model": "",
        "format": "gguf",
        "family": family,
        "families": [family],
        "parameter_size": size,
        "quantization_level": app.facts.quantization,
    })
}
