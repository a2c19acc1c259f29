//! `GET /openapi.json`: all routes, for programs that read such lists.
//!
//! What it is: the list of routes in OpenAPI's words. What it is not: prose, which is in the documentation, or a second list. The
//! one design choice: a body is a line of names and types beside its route, and a test asks the server for each of them.

use hyper::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::{ROUTES, Route};
use crate::reply;

pub(super) const ROUTE: Route = Route {
    method: Method::GET,
    path: "/openapi.json",
    says: "this list",
    body: "",
    open: true,
    run: |_, _| Box::pin(async { Ok(reply::json(StatusCode::OK, &document())) }),
};

fn document() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for route in ROUTES {
        // A path that stands for all below it has one name after it.
        let path = match route.path.strip_suffix('/') {
            Some(folder) if !folder.is_empty() => format!("{folder}/{{name}}"),
            _ => route.path.to_string(),
        };
        let entry = paths.entry(path).or_insert_with(|| json!({}));
        entry[route.method.as_str().to_ascii_lowercase()] = operation(route);
    }
    json!({
        "openapi": "3.1.0",
        "info": { "title": "pintpot", "version": env!("CARGO_PKG_VERSION") },
        "paths": paths,
        "components": {
            "securitySchemes": { "key": { "type": "http", "scheme": "bearer" } },
            "responses": {
                "Refusal": {
                    "description": "why not, in the words of whose route it is",
                    "content": { "application/json": { "schema": { "type": "object", "required": ["error"] } } },
                },
            },
        },
    })
}

fn operation(route: &Route) -> Value {
    let mut operation = json!({
        "summary": route.says,
        "operationId": format!("{}{}", route.method, route.path.replace(['/', '.'], "_")),
        "responses": {
            "200": { "description": "done" },
            "default": { "$ref": "#/components/responses/Refusal" },
        },
    });
    if !route.open {
        operation["security"] = json!([{ "key": [] }, {}]);
    }
    if route.path.len() > 1 && route.path.ends_with('/') {
        let name = json!({ "name": "name", "in": "path", "required": true, "schema": { "type": "string" } });
        operation["parameters"] = json!([name]);
    }
    if !route.body.is_empty() {
        let kind = route.body.split_whitespace().next().filter(|word| !word.contains(':'));
        let content = json!({ kind.unwrap_or("application/json"): { "schema": schema(route.body) } });
        operation["requestBody"] = json!({ "required": true, "content": content });
    }
    operation
}

/// The schema of a body.
fn schema(fields: &str) -> Value {
    let (mut properties, mut required) = (Map::new(), Vec::new());
    for (name, kind) in fields.split_whitespace().filter_map(|field| field.split_once(':')) {
        let plain = kind.trim_end_matches('!');
        let schema = match plain {
            "any" => json!({}),
            "file" => json!({ "type": "string", "format": "binary" }),
            plain => json!({ "type": plain }),
        };
        properties.insert(name.to_string(), schema);
        if plain != kind {
            required.push(name);
        }
    }
    json!({ "type": "object", "properties": properties, "required": required })
}
