//! `GET /v1/models` and `/v1/models/NAME`: what is served.

use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use super::Route;
use crate::Facts;
use crate::app::{ANSWERS, App, unix};
use crate::reply;

pub(super) const LIST: Route = Route {
    path: "/v1/models",
    says: "what is served, and whether it is loaded",
    body: "",
    run: |app, _| {
        let seats = app.service.seats();
        let models =
            app.models.iter().zip(seats).map(|(facts, seat)| model(&app, facts, ANSWERS, seat.bytes > 0));
        let whole = app.whole().map(|(facts, gives)| model(&app, facts, gives, true));
        let all = models.chain(whole).collect::<Vec<_>>();
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
            let name = name.replace("%2F", "/").replace("%3A", ":");
            let found = match app.whole().find(|(facts, _)| facts.name == name) {
                Some((facts, gives)) => model(&app, facts, gives, true),
                None => {
                    let at = app.model(&name)?;
                    model(&app, &app.models[at], ANSWERS, app.service.seats()[at].bytes > 0)
                }
            };
            Ok(reply::json(StatusCode::OK, &found))
        })
    },
};

fn model(app: &App, facts: &Facts, gives: &str, loaded: bool) -> Value {
    json!({
        "id": facts.name,
        "object": "model",
        "created": unix(app.started),
        "owned_by": "pintpot",
        "max_model_len": facts.context,
        "loaded": loaded,
        "gives": gives,
        "meta": {
            "architecture": facts.architecture,
            "n_params": facts.parameters,
            "quantization": facts.quantization,
            "size": facts.file_bytes,
        },
    })
}
