//! `/v1/responses` as its clients see it, and `/openapi.json` against the routes that it lists.
//!
//! What it is: events to the letter, and fields that are there. What it is not: OpenAI's own client, which `tests/clients` runs.

mod kit;

use kit::Running;
use pintpot_tests::tiny;
use serde_json::{Value, json};

fn server() -> Running {
    Running::start(&tiny("llama-q4.gguf").0, 192, |_, _| {})
}

/// The events of a stream: each under the name of its type, numbered from 0.
fn events(body: &str) -> Vec<Value> {
    let events = body.split("\n\n").filter(|event| !event.is_empty() && !event.starts_with(':'));
    let read = |(n, event): (usize, &str)| {
        let (name, data) = event.split_once('\n').unwrap();
        let data: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(
            (name.strip_prefix("event: "), &data["sequence_number"]),
            (data["type"].as_str(), &json!(n))
        );
        data
    };
    events.enumerate().map(read).collect()
}

#[test]
fn a_response_is_the_same_whole_and_as_events() {
    let server = server();
    let ask = json!({
        "model": "m", "input": "hello world", "instructions": "be brief", "max_output_tokens": 12, "temperature": 0,
        "ignore_eos": true, "metadata": { "a": "b" },
    });
    let reply = server.post("/v1/responses", &ask);
    assert_eq!(reply.status, 200, "{reply:?}");
    let whole = reply.json();
    assert_eq!((&whole["object"], &whole["status"]), (&json!("response"), &json!("incomplete")));
    assert_eq!(whole["incomplete_details"]["reason"], "max_output_tokens");
    assert_eq!(whole["usage"]["output_tokens"], 12);
    assert_eq!(
        (&whole["instructions"], &whole["warnings"][0]),
        (&json!("be brief"), &json!("metadata is not honoured"))
    );
    let text = whole["output"][0]["content"][0]["text"].as_str().unwrap();

    let mut stream = ask.clone();
    stream["stream"] = true.into();
    let events = events(&server.post("/v1/responses", &stream).body);
    let kinds: Vec<&str> = events.iter().filter_map(|event| event["type"].as_str()).collect();
    let (first, last) = (&kinds[..4], &kinds[kinds.len() - 4..]);
    assert_eq!(
        first,
        [
            "response.created",
            "response.in_progress",
            "response.output_item.added",
            "response.content_part.added"
        ]
    );
    assert_eq!(
        last,
        [
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.incomplete"
        ]
    );
    let pieces = events.iter().filter(|event| event["type"] == "response.output_text.delta");
    let said: String = pieces.filter_map(|event| event["delta"].as_str()).collect();
    assert_eq!(said, text);
    let end = &events.last().unwrap()["response"];
    assert_eq!(
        (&end["output"][0]["content"], &end["status"]),
        (&whole["output"][0]["content"], &whole["status"])
    );
    assert_eq!(end["logits_digest"], whole["logits_digest"]);
    assert_eq!(end["id"], events[0]["response"]["id"]);

    // The same conversation in the older words, and what came back as the next turn's input.
    let older = json!({
        "model": "m", "max_tokens": 12, "temperature": 0, "ignore_eos": true,
        "messages": [{ "role": "system", "content": "be brief" }, { "role": "user", "content": "hello world" }],
    });
    let older = server.post("/v1/chat/completions", &older).json();
    assert_eq!(older["choices"][0]["logits_digest"], whole["logits_digest"]);
    let mut items = vec![json!({ "role": "user", "content": "hello world" })];
    items.extend(whole["output"].as_array().unwrap().clone());
    items.push(json!({ "role": "user", "content": [{ "type": "input_text", "text": "and?" }] }));
    let mut next = ask.clone();
    next["input"] = items.into();
    let reply = server.post("/v1/responses", &next);
    assert_eq!(reply.status, 200, "{reply:?}");
}

#[test]
fn what_a_response_cannot_have_is_refused_by_name() {
    let server = server();
    let ask = json!({ "model": "m", "input": "hello world", "max_output_tokens": 2 });
    for (field, value, code) in [
        ("input", json!([]), "missing_field"),
        ("input", json!([{ "type": "input_image" }]), "unsupported_parameter"),
        ("previous_response_id", json!("resp_1"), "unsupported_parameter"),
        ("tools", json!([{ "type": "web_search" }]), "unsupported_parameter"),
        ("text", json!({ "format": { "type": "xml" } }), "invalid_type"),
        ("messages", json!([]), "unknown_parameter"),
        ("n", json!(2), "unknown_parameter"),
    ] {
        let mut bad = ask.clone();
        bad[field] = value;
        let reply = server.post("/v1/responses", &bad);
        let error = &reply.json()["error"];
        assert_eq!(
            (reply.status, &error["code"], &error["param"]),
            (400, &json!(code), &json!(field)),
            "{reply:?}"
        );
    }
}

#[test]
fn the_list_of_routes_is_true() {
    let server = server();
    let list = server.get("/openapi.json").json();
    assert_eq!(list["openapi"], "3.1.0");
    let paths = list["paths"].as_object().unwrap();
    assert!(paths.len() >= 22, "{:?}", paths.keys());
    for (path, methods) in paths {
        for (method, operation) in methods.as_object().unwrap() {
            assert!(operation["summary"].as_str().is_some_and(|text| !text.is_empty()), "{path}");
            let content = operation["requestBody"]["content"].as_object();
            let (kind, schema) = content.and_then(|content| content.iter().next()).map_or_else(
                || (String::new(), Value::Null),
                |(kind, body)| (kind.clone(), body["schema"].clone()),
            );
            let reply = match method.as_str() {
                "get" => server.get(&path.replace("{name}", "m")),
                // Fields of a form have tests of their own.
                _ if kind == "multipart/form-data" => server.post(path, &json!({})),
                _ => {
                    // A field that is null is as if it were not there, and one that is not known is refused by its name.
                    let names = schema["properties"].as_object().unwrap().keys();
                    let body: Value = names
                        .map(|name| (name.clone(), Value::Null))
                        .collect::<serde_json::Map<_, _>>()
                        .into();
                    server.post(path, &body)
                }
            };
            assert!(!matches!(reply.status, 405 | 500), "{path}: {reply:?}");
            assert!(
                !reply.body.contains("unknown_parameter") && !reply.body.contains("there is no field"),
                "{path}: {reply:?}"
            );
            for required in schema["required"].as_array().into_iter().flatten() {
                assert!(schema["properties"][required.as_str().unwrap()].is_object(), "{path}: {required}");
            }
        }
    }
}
