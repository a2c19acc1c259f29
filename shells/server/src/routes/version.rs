//! `GET /version`.

use hyper::{Method, StatusCode};
use serde_json::json;

use super::Route;
use crate::reply;

pub(super) const ROUTE: Route = Route {
    method: Method::GET,
    path: "/version",
    says: "which it is",
    body: "",
    open: true,
    run: |_, _| {
        let version = json!({ "version": env!("CARGO_PKG_VERSION") });
        Box::pin(async move { Ok(reply::json(StatusCode::OK, &version)) })
    },
};
