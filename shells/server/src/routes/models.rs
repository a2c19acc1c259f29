//! `GET /v1/models` and `/v1/models/NAME`: what is served.

use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use super::Route;
use crate::app::{App, unix};
use crate::reply;

pub(super) const LIST: Route = Route {
    path: "/v1/models",
    run: |app, _| {
        let list = json!({ "object": "list", "data": [model(&app)] });
        Box::pin(async move { Ok(reply::json(StatusCode::OK, &list)) })
    },
    ..ONE
};

pub(super) const ONE: Route = Route {
    method: Method::GET,
    path: "/v1/models/",
    open: false,
    run: |app, request| {
        Box::pin(async move {
            let name = request.uri().path().trim_start_matches("/v1/models/");
            app.check_model(&name.replace("%2F", "/").replace("%3A", ":"))?;
            Ok(reply::json(StatusCode::OK, &model(&app)))
        })
    },
};

fn model(app: &App) -> Value {
    json!({
        "id": app.served.name,
        "object": "model",
        "created": unix(app.started),
        "owned_by": "pintpot",
        "max_model_len": app.facts.context,
        "meta": {
            "architecture": app.facts.architecture,
            "n_params": app.facts.parameters,
            "quantization": app.facts.quantization,
            "size": app.facts.file_bytes,
        },
    })
}
