//! `GET /v1/models` and `/v1/models/NAME`: what is served.

use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use super::Route;
use crate::app::{App, unix};
use crate::reply;

pub(super) const LIST: Route = Route {
    path: "/v1/models",
    says: "what is served, and whether it is loaded",
    body: "",
    run: |app, _| {
        let all = (0..app.models.len()).map(|at| model(&app, at)).collect::<Vec<_>>();
        let list = json!({ "object": "list", "data": all });
        Box::pin(async move { Ok(reply::json(StatusCode::OK, &list)) })
    },
    ..ONE
};

pub(super) const ONE: Route = Route {
    method: Method::GET,
    path: "/v1/models/",
    says: "one model",
    body: "",
    open: false,
    run: |app, request| {
        Box::pin(async move {
            let name = request.uri().path().trim_start_matches("/v1/models/");
            let at = app.model(&name.replace("%2F", "/").replace("%3A", ":"))?;
            Ok(reply::json(StatusCode::OK, &model(&app, at)))
        })
    },
};

fn model(app: &App, at: usize) -> Value {
    let facts = &app.models[at];
    json!({
        "id": facts.name,
        "object": "model",
        "created": unix(app.started),
        "owned_by": "pintpot",
        "max_model_len": facts.context,
        "loaded": app.service.seats()[at].bytes > 0,
        "meta": {
            "architecture": facts.architecture,
            "n_params": facts.parameters,
            "quantization": facts.quantization,
            "size": facts.file_bytes,
        },
    })
}
