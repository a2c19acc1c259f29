//! `GET /health`, `/livez`, `/readyz`: whether the server is there, and whether it can answer.
//!
//! The one design choice: ready means that the last step worked, not that a port is open.

use hyper::{Method, StatusCode};
use serde_json::json;

use super::Route;
use crate::refusal::Refusal;
use crate::reply;

pub(super) const HEALTH: Route = Route { path: "/health", says: "whether it can answer", body: "", ..READYZ };

pub(super) const LIVEZ: Route = Route {
    path: "/livez",
    says: "whether the process is there",
    body: "",
    run: |_, _| Box::pin(async { Ok(reply::json(StatusCode::OK, &json!({ "status": "ok" }))) }),
    ..READYZ
};

pub(super) const READYZ: Route = Route {
    method: Method::GET,
    path: "/readyz",
    says: "whether it can answer",
    body: "",
    open: true,
    run: |app, _| {
        Box::pin(async move {
            match app.service.failure() {
                None => Ok(reply::json(StatusCode::OK, &json!({ "status": "ok" }))),
                Some(why) => Err(Refusal::unavailable(format!("the last step failed: {why}"))),
            }
        })
    },
};
