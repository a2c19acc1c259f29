//! The server as clients see it: answers, streams, refusals, and what the rude get.
//!
//! What it is: a real model behind a real socket. What it is not: the promise about bytes, which `serving` in the tests of the
//! whole proves, nor OpenAI's own client, which `tests/clients` runs. The one design choice: a refusal is a row of a table.

mod kit;

use std::io::{Read, Write};
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use kit::{Running, read, request};
use pintpot_tests::{skip, tiny, trained};
use serde_json::{Value, json};

fn tiny_server() -> Running {
    Running::start(&tiny("llama-q4.gguf").0, 192, |_, _| {})
}

fn chat(text: &str, tokens: u32) -> Value {
    json!({
        "model": "m", "messages": [{ "role": "user", "content": text }], "max_tokens": tokens,
        "temperature": 0, "seed": 7, "ignore_eos": true,
    })
}

fn with(mut body: Value, fields: Value) -> Value {
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    body
}

#[test]
fn an_answer_is_the_same_whole_and_as_a_stream() {
    let server = tiny_server();
    let body = chat("hello world", 12);
    let whole = server.post("/v1/chat/completions", &body);
    assert_eq!(whole.status, 200, "{whole:?}");
    let whole = whole.json();
    assert_eq!((&whole["object"], &whole["model"]), (&json!("chat.completion"), &json!("m")));
    let choice = &whole["choices"][0];
    assert_eq!(
        (&choice["finish_reason"], &choice["message"]["role"]),
        (&json!("length"), &json!("assistant"))
    );
    let usage = &whole["usage"];
    assert_eq!(usage["completion_tokens"], 12);
    assert_eq!(
        usage["total_tokens"].as_u64().unwrap(),
        usage["prompt_tokens"].as_u64().unwrap() + 12,
        "{usage}"
    );
    let stream = with(body, json!({ "stream": true, "stream_options": { "include_usage": true } }));
    let reply = server.post("/v1/chat/completions", &stream);
    assert_eq!(reply.status, 200);
    assert!(reply.head.to_ascii_lowercase().contains("content-type: text/event-stream"), "{}", reply.head);
    let events = reply.events();
    assert!(
        events
            .iter()
            .all(|event| event["object"] == "chat.completion.chunk" && event["id"] == events[0]["id"])
    );
    assert_eq!(events[0]["choices"][0]["delta"], json!({ "role": "assistant", "content": "" }));
    let (usage, rest) = events.split_last().unwrap();
    assert_eq!(usage["choices"], json!([]));
    assert_eq!(usage["usage"]["completion_tokens"], 12);
    let cached = &usage["usage"]["prompt_tokens_details"]["cached_tokens"];
    assert!(cached.as_u64() > Some(0), "the same prompt again: {usage}");
    let (end, pieces) = rest.split_last().unwrap();
    assert_eq!(end["choices"][0]["finish_reason"], "length");
    assert_eq!(end["choices"][0]["delta"], json!({}));
    assert!(
        pieces.iter().all(|piece| piece["choices"][0]["finish_reason"].is_null() && piece["usage"].is_null())
    );
    let text: String = pieces.iter().map(|p| p["choices"][0]["delta"]["content"].as_str().unwrap()).collect();
    assert_eq!(text, choice["message"]["content"].as_str().unwrap());
    assert_eq!(end["choices"][0]["logits_digest"], choice["logits_digest"]);
}

#[test]
fn texts_go_on_and_there_may_be_several_answers() {
    let server = tiny_server();
    let body = json!({ "model": "m", "prompt": "a text", "n": 3, "max_tokens": 6, "seed": 1, "user": "me" });
    let whole = server.post("/v1/completions", &body).json();
    assert_eq!(whole["object"], "text_completion");
    assert_eq!(whole["choices"].as_array().unwrap().len(), 3, "{whole}");
    assert_eq!(whole["warnings"], json!(["user is not honoured"]));
    let reply = server.post("/v1/completions", &with(body.clone(), json!({ "stream": true })));
    for index in 0..3 {
        let events = reply.events();
        let pieces = events.iter().filter(|event| event["choices"][0]["index"] == index);
        let text: String = pieces.map(|event| event["choices"][0]["text"].as_str().unwrap()).collect();
        assert_eq!(text, whole["choices"][index]["text"].as_str().unwrap());
    }
    // The second choice is what the next seed says.
    let next = with(body, json!({ "n": 1, "seed": 2 }));
    assert_eq!(
        server.post("/v1/completions", &next).json()["choices"][0]["text"],
        whole["choices"][1]["text"]
    );
    let ids = json!({ "model": "m", "prompt": [1, 2, 3] });
    let answer = server.post("/v1/completions", &ids).json();
    assert_eq!(answer["usage"]["prompt_tokens"], 3, "{answer}");
    assert!(answer["usage"]["completion_tokens"].as_u64() <= Some(16));
}

#[test]
fn stop_texts_end_an_answer_and_are_not_part_of_it() {
    let server = tiny_server();
    let body = chat("hello", 24);
    let whole = server.post("/v1/chat/completions", &body).json();
    let text = whole["choices"][0]["message"]["content"].as_str().unwrap().to_string();
    let middle = text.chars().count() / 2;
    let stop: String = text.chars().skip(middle).take(2).collect();
    let reply = server.post("/v1/chat/completions", &with(body, json!({ "stop": [stop] }))).json();
    let choice = &reply["choices"][0];
    assert_eq!(choice["finish_reason"], "stop");
    assert_eq!(choice["message"]["content"].as_str().unwrap(), text.split(stop.as_str()).next().unwrap());
}

/// A request by method, path and body, and its refusal by status, field and code.
type Refused<'a> = (&'a str, &'a str, Value, u16, &'a str, &'a str);

fn refusals(server: &Running, rows: &[Refused<'_>]) {
    for (method, path, body, status, param, code) in rows {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let reply = server.send(method, path, "", &body);
        let error = &reply.json()["error"];
        assert_eq!(reply.status, *status, "{method} {path} {body}: {reply:?}");
        let found = (error["param"].as_str().unwrap_or(""), error["code"].as_str().unwrap_or(""));
        assert_eq!(found, (*param, *code), "{error}");
    }
}

#[test]
fn fields_that_cannot_be_honoured_are_refused_by_name() {
    let server = tiny_server();
    let long = "word ".repeat(400);
    let image = json!([{ "role": "user", "content": [{ "type": "image_url" }] }]);
    let rows = [
        (json!({ "model": "other" }), 404, "model", "model_not_found"),
        (json!({ "messages": [] }), 400, "messages", "missing_field"),
        (json!({ "messages": image }), 400, "messages", "unsupported_parameter"),
        (
            json!({ "messages": [{ "role": "user", "content": "a", "images": ["AAAA"] }] }),
            400,
            "messages",
            "unsupported_parameter",
        ),
        (chat(&long, 2), 400, "messages", "context_length_exceeded"),
        (json!({ "temperature": -1 }), 400, "temperature", "invalid_value"),
        (json!({ "top_p": 0 }), 400, "top_p", "invalid_value"),
        (json!({ "max_tokens": 0 }), 400, "max_tokens", "invalid_value"),
        (json!({ "n": 17 }), 400, "n", "invalid_value"),
        (json!({ "tools": [{ "type": "web_search" }] }), 400, "tools", "unsupported_parameter"),
        (
            json!({ "tools": [{ "type": "function", "function": { "name": "f" } }] }),
            400,
            "tools",
            "unsupported_parameter",
        ),
        (json!({ "tool_choice": "required" }), 400, "tool_choice", "invalid_value"),
        (json!({ "top_logprobs": 2 }), 400, "top_logprobs", "invalid_value"),
        (json!({ "response_format": { "type": "xml" } }), 400, "response_format", "invalid_type"),
        (json!({ "guided_regex": "(" }), 400, "", "invalid_request"),
        (json!({ "nonsense": 1 }), 400, "nonsense", "unknown_parameter"),
    ];
    let rows = rows.map(|(fields, status, param, code)| {
        ("POST", "/v1/chat/completions", with(chat("hi", 2), fields), status, param, code)
    });
    refusals(&server, &rows);
    let facts = server.post("/v1/chat/completions", &chat(&long, 2)).json();
    assert_eq!(facts["error"]["n_ctx"], 192);
    assert!(facts["error"]["n_prompt_tokens"].as_u64() > Some(192));
}

#[test]
fn what_is_not_answered_is_refused_with_a_reason() {
    let server = tiny_server();
    let text = |prompt: Value| json!({ "model": "m", "prompt": prompt });
    let rows = [
        ("POST", "/v1/completions", json!({ "model": "m" }), 400, "prompt", "missing_field"),
        ("POST", "/v1/completions", text(json!([999_999])), 400, "a token of the prompt", "invalid_value"),
        ("POST", "/v1/completions", text(json!("")), 400, "", "invalid_request"),
        ("GET", "/v1/chat/completions", Value::Null, 405, "", "method_not_allowed"),
        ("GET", "/nothing", Value::Null, 404, "", "unknown_url"),
        ("GET", "/v1/models/other", Value::Null, 404, "model", "model_not_found"),
        ("GET", "/../../etc/passwd", Value::Null, 404, "", "unknown_url"),
    ];
    refusals(&server, &rows);
    let plain = b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
        Content-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}";
    assert_eq!(server.raw(plain).status, 415);
    let untold = b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 13\r\n\r\n{\"model\":\"m\"}";
    assert_eq!(server.raw(untold).status, 200); // what Ollama's clients do not say is JSON
    let good = chat("hi", 2).to_string();
    let page = server.send("POST", "/v1/chat/completions", "Origin: http://evil.example\r\n", &good);
    assert_eq!(page.status, 403);
    assert!(server.metric("num_requests_running") == 0.0);
}

#[test]
fn keys_are_asked_for_and_health_is_not() {
    let server = Running::start(&tiny("llama-q4.gguf").0, 64, |served, _| {
        served.api_keys = vec!["secret".into()];
    });
    assert_eq!(server.get("/v1/models").status, 401);
    assert_eq!(server.get("/metrics").status, 401);
    assert_eq!(server.send("GET", "/v1/models", "Authorization: Bearer wrong\r\n", "").status, 401);
    let list = server.send("GET", "/v1/models", "Authorization: Bearer secret\r\n", "");
    assert_eq!((list.status, &list.json()["data"][0]["id"]), (200, &json!("m")));
    for path in ["/health", "/livez", "/readyz"] {
        let reply = server.get(path);
        assert_eq!((reply.status, reply.json()), (200, json!({ "status": "ok" })), "{path}");
    }
    assert_eq!(server.send("HEAD", "/health", "", "").status, 200);
}

#[test]
fn answers_are_the_same_alone_and_in_a_crowd() {
    let Some(run) = trained("smollm2") else {
        return skip("smollm2", "PINTPOT_TEST_MODELS names no folder that holds it");
    };
    let server = Running::start(&run.model, 256, |_, crowd| crowd.contexts = 2);
    let asks: Vec<Value> = (0..10)
        .map(|n| {
            let text = format!("Tell me {} facts about {}.", n + 2, ["cats", "the sea", "iron"][n % 3]);
            with(chat(&text, [3, 12, 30][n % 3]), json!({ "temperature": n % 2, "seed": n }))
        })
        .collect();
    let digest = |ask: &Value| {
        let reply = server.post("/v1/chat/completions", ask);
        assert_eq!(reply.status, 200, "{reply:?}");
        let choice = reply.json()["choices"][0].clone();
        (choice["logits_digest"].clone(), choice["message"]["content"].clone())
    };
    let alone: Vec<_> = asks.iter().map(digest).collect();
    assert!(alone.iter().all(|(digest, _)| digest.is_string()));
    std::thread::scope(|scope| {
        let crowd: Vec<_> = asks.iter().map(|ask| scope.spawn(|| digest(ask))).collect();
        for (thread, alone) in crowd.into_iter().zip(&alone) {
            assert_eq!(thread.join().unwrap(), *alone);
        }
    });
}

#[test]
fn a_full_queue_is_said_and_who_leaves_is_forgotten_at_once() {
    let Some(run) = trained("smollm2") else {
        return skip("smollm2", "PINTPOT_TEST_MODELS names no folder that holds it");
    };
    let server = Running::start(&run.model, 4096, |_, crowd| {
        (crowd.answers, crowd.queue, crowd.contexts) = (1, 1, 1);
    });
    let long = with(chat("hello", 4000), json!({ "stream": true })).to_string();
    let begin = |body: &str| {
        let mut stream = server.connect();
        stream.write_all(request("POST", "/v1/chat/completions", "", body).as_bytes()).unwrap();
        stream
    };
    let mut first = begin(&long);
    let mut some = [0; 64];
    first.read_exact(&mut some).unwrap();
    let second = begin(&long);
    server.until("num_requests_waiting", 1.0);
    let third = server.post("/v1/chat/completions", &chat("hello", 2));
    assert_eq!((third.status, &third.json()["error"]["code"]), (429, &json!("rate_limit_exceeded")));
    assert!(third.head.to_ascii_lowercase().contains("retry-after: "), "{}", third.head);
    drop(second);
    server.until("num_requests_waiting", 0.0);
    assert_eq!(server.metric("num_requests_running"), 1.0);
    drop(first);
    server.until("num_requests_running", 0.0);
    assert_eq!(server.post("/v1/chat/completions", &chat("hello", 2)).status, 200);
}

#[test]
fn who_reads_slowly_holds_up_nobody() {
    let server = Running::start(&tiny("llama-q4.gguf").0, 512, |_, crowd| {
        (crowd.answers, crowd.contexts) = (8, 8);
    });
    let mut slow = server.connect();
    let body = with(chat("hello", 480), json!({ "stream": true, "n": 7 })).to_string();
    slow.write_all(request("POST", "/v1/chat/completions", "", &body).as_bytes()).unwrap();
    server.until("num_requests_running", 7.0);
    let mut steps = -1.0;
    while steps != server.metric("engine_steps_total") {
        steps = server.metric("engine_steps_total");
        std::thread::sleep(Duration::from_millis(300));
    }
    assert!(server.metric("num_requests_running") > 0.0, "nobody waits for the reader");
    for _ in 0..3 {
        assert_eq!(server.post("/v1/chat/completions", &chat("hi", 4)).status, 200);
    }
    let reply = read(&mut slow);
    assert_eq!(reply.events().last().unwrap()["choices"][0]["finish_reason"], "length");
}

#[test]
fn the_rude_are_refused_and_the_rest_are_served() {
    let server = tiny_server();
    let head = |length: usize| {
        format!(
            "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        )
    };
    let large = server.raw(&[head(100 << 20).as_bytes(), &vec![b' '; 1 << 20]].concat());
    assert_eq!(large.status, 413);
    let mut chunked = b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    (0..64).for_each(|_| chunked.extend([b"4000\r\n", &[b' '; 0x4000][..], b"\r\n"].concat()));
    assert_eq!(server.raw(&chunked).status, 413);
    let deep = format!("{{\"prompt\":{}", "[".repeat(100_000));
    for body in [
        &b"\xff\xfe{}"[..],
        b"{\"prompt\":\"\xc3\x28\"}",
        b"{\"model\":\"m\",\"prompt\":\"\\ud800\"}",
        deep.as_bytes(),
    ] {
        let close = head(body.len()).replace("Host: ", "Connection: close\r\nHost: ");
        assert_eq!(server.raw(&[close.as_bytes(), body].concat()).status, 400);
    }
    let fields = (0..200).map(|n| format!("X-{n}: y\r\n")).collect::<String>();
    assert_eq!(server.send("GET", "/health", &fields, "").status, 431);
    assert_eq!(server.send("GET", "/health", &format!("X: {}\r\n", "y".repeat(100_000)), "").status, 431);
    assert_eq!(server.raw(b"nonsense\r\n\r\n").status, 400);
    // Many more half-open connections than there may be connections.
    let half: Vec<_> = (0..200)
        .map(|_| {
            let mut stream = server.connect();
            stream.write_all(b"POST /v1/chat").unwrap();
            stream
        })
        .collect();
    let start = Instant::now();
    assert_eq!(server.post("/v1/chat/completions", &chat("hi", 4)).status, 200);
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    assert!(server.metric("connections") <= 32.0);
    drop(half);
    let text = server.get("/metrics").body;
    for name in [
        "time_to_first_token_seconds_bucket",
        "memory_used_bytes",
        "weights_read_bytes_total",
        "request_refusals_total",
    ] {
        assert!(text.contains(&format!("pintpot_{name}{{model_name=\"m\"")), "{name}: {text}");
    }
}

/// The next reply on a connection that goes on.
fn next(stream: &mut std::net::TcpStream) -> String {
    let (mut reply, mut byte) = (Vec::new(), [0]);
    while !reply.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        reply.push(byte[0]);
    }
    let head = String::from_utf8(reply).unwrap().to_ascii_lowercase();
    let length =
        head.split_once("content-length: ").unwrap().1.split("\r\n").next().unwrap().parse().unwrap();
    stream.read_exact(&mut vec![0; length]).unwrap();
    head
}

#[test]
fn who_is_refused_before_the_body_came_may_ask_again() {
    let server = tiny_server();
    let mut stream = server.connect();
    let body = chat("hi", 4).to_string();
    for _ in 0..3 {
        let ask = request("POST", "/nowhere", "", &body).replace("Connection: close\r\n", "");
        let (head, body) = ask.split_at(ask.find("\r\n\r\n").unwrap() + 4);
        stream.write_all(head.as_bytes()).unwrap();
        std::thread::sleep(Duration::from_millis(50));
        stream.write_all(body.as_bytes()).unwrap();
        let head = next(&mut stream);
        assert!(head.contains(" 404 ") && !head.contains("connection: close"), "{head}");
    }
    // Nobody waits for what is large.
    let large = "POST /nowhere HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000000\r\n\r\n";
    stream.write_all(large.as_bytes()).unwrap();
    assert!(next(&mut stream).contains("connection: close"));
}

#[test]
fn more_clients_than_connections_are_all_answered() {
    let server = Running::start(&tiny("llama-q4.gguf").0, 64, |served, crowd| {
        (served.limits.connections, crowd.queue) = (4, 64);
    });
    std::thread::scope(|scope| {
        for n in 0..32 {
            let server = &server;
            scope.spawn(move || {
                let reply = server.post("/v1/chat/completions", &chat(&format!("client {n}"), 3));
                assert_eq!(reply.status, 200, "{reply:?}");
            });
        }
    });
}

#[test]
fn who_is_being_answered_hears_the_end_when_the_server_ends() {
    let Some(run) = trained("smollm2") else {
        return skip("smollm2", "PINTPOT_TEST_MODELS names no folder that holds it");
    };
    let mut server = Running::start(&run.model, 256, |_, _| {});
    let mut stream = server.connect();
    let body = with(chat("hello", 100), json!({ "stream": true })).to_string();
    stream.write_all(request("POST", "/v1/chat/completions", "", &body).as_bytes()).unwrap();
    server.until("num_requests_running", 1.0);
    server.stop.store(true, Relaxed);
    let reply = read(&mut stream);
    assert_eq!(reply.events().last().unwrap()["choices"][0]["finish_reason"], "length");
    server.end();
    assert!(std::net::TcpStream::connect(server.address).is_err());
}

/// Names and values of a stream of named events.
fn named(body: &str) -> Vec<(String, Value)> {
    let split = |event: &str| {
        let (name, data) = event.split_once('\n')?;
        let data = serde_json::from_str(data.strip_prefix("data: ")?).ok()?;
        Some((name.strip_prefix("event: ")?.to_string(), data))
    };
    body.split_terminator("\n\n").map(|event| split(event).unwrap_or_else(|| panic!("{event}"))).collect()
}

#[test]
fn messages_are_answered_in_anthropic_s_words() {
    let server = tiny_server();
    let body = json!({
        "model": "m", "max_tokens": 12, "system": "be brief", "temperature": 0, "ignore_eos": true,
        "messages": [{ "role": "user", "content": [{ "type": "text", "text": "hello world" }] }],
    });
    let whole = server.post("/v1/messages", &body);
    assert_eq!(whole.status, 200, "{whole:?}");
    let whole = whole.json();
    assert_eq!((&whole["type"], &whole["role"]), (&json!("message"), &json!("assistant")));
    assert_eq!((&whole["stop_reason"], &whole["stop_sequence"]), (&json!("max_tokens"), &Value::Null));
    assert_eq!(whole["usage"]["output_tokens"], 12);
    let text = whole["content"][0]["text"].as_str().unwrap();
    let of_prompt = |usage: &Value| {
        usage["input_tokens"].as_u64().unwrap() + usage["cache_read_input_tokens"].as_u64().unwrap()
    };
    let counted = server.post("/v1/messages/count_tokens", &body).json();
    assert_eq!(counted["input_tokens"].as_u64(), Some(of_prompt(&whole["usage"])), "{counted}");

    let stream = json!({ "stream": true, "metadata": { "user_id": "me" } });
    let reply = server.post("/v1/messages", &with(body.clone(), stream));
    let events = named(&reply.body);
    let names: Vec<&str> = events.iter().map(|(name, _)| &**name).filter(|name| *name != "ping").collect();
    assert_eq!(names[..2], ["message_start", "content_block_start"]);
    assert_eq!(names[names.len() - 3..], ["content_block_stop", "message_delta", "message_stop"]);
    assert!(events.iter().all(|(name, data)| data["type"] == name.as_str()));
    assert_eq!(of_prompt(&events[0].1["message"]["usage"]), of_prompt(&whole["usage"]));
    assert!(events[0].1["message"]["usage"]["cache_read_input_tokens"].as_u64() > Some(0));
    let pieces = events.iter().filter(|(name, _)| name == "content_block_delta");
    let said: String = pieces.map(|(_, data)| data["delta"]["text"].as_str().unwrap()).collect();
    assert_eq!(said, text);
    let (_, end) = events.iter().find(|(name, _)| name == "message_delta").unwrap();
    assert_eq!(
        (&end["delta"]["stop_reason"], &end["usage"]["output_tokens"]),
        (&json!("max_tokens"), &json!(12))
    );
    assert_eq!(end["logits_digest"], whole["logits_digest"]);
    assert_eq!(end["warnings"], json!(["metadata is not honoured"]));

    let stop: String = text.chars().skip(text.chars().count() / 2).take(2).collect();
    let ended = server.post("/v1/messages", &with(body.clone(), json!({ "stop_sequences": [stop] }))).json();
    assert_eq!((&ended["stop_reason"], &ended["stop_sequence"]), (&json!("stop_sequence"), &json!(stop)));

    for (fields, status, kind) in [
        (json!({ "model": "other" }), 404, "not_found_error"),
        (json!({ "max_tokens": null }), 400, "invalid_request_error"),
        (json!({ "tools": [{ "name": "t" }] }), 400, "invalid_request_error"),
        (json!({ "thinking": { "type": "enabled", "budget_tokens": 9 } }), 400, "invalid_request_error"),
        (
            json!({ "messages": [{ "role": "user", "content": "word ".repeat(400) }] }),
            400,
            "invalid_request_error",
        ),
    ] {
        let reply = server.post("/v1/messages", &with(body.clone(), fields.clone()));
        let error = reply.json();
        assert_eq!((reply.status, &error["type"]), (status, &json!("error")), "{fields}: {reply:?}");
        assert_eq!(error["error"]["type"], kind);
    }
}

#[test]
fn ollama_s_clients_find_what_they_ask_for() {
    let server = tiny_server();
    assert_eq!(server.get("/").status, 200);
    assert!(server.get("/api/version").json()["version"].is_string());
    assert_eq!(server.get("/api/tags").json()["models"][0]["model"], "m");
    assert_eq!(server.get("/api/ps").json()["models"][0]["context_length"], 192);
    let show = server.post("/api/show", &json!({ "model": "m:latest" })).json();
    assert_eq!(show["capabilities"], json!(["completion"]), "{show}");
    let options = json!({ "num_predict": 8, "seed": 3, "temperature": 0 });
    let chat =
        json!({ "model": "m", "messages": [{ "role": "user", "content": "hello" }], "options": options });
    let lines = |reply: kit::Reply| -> Vec<Value> {
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.body.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let whole = lines(server.post("/api/chat", &with(chat.clone(), json!({ "stream": false })))).remove(0);
    assert_eq!((&whole["done"], whole["eval_count"].as_u64() <= Some(8)), (&json!(true), true), "{whole}");
    let pieces = lines(server.post("/api/chat", &with(chat.clone(), json!({ "keep_alive": "5m" }))));
    assert_eq!(pieces.last().unwrap()["warnings"], Value::Null);
    let said: String = pieces.iter().map(|line| line["message"]["content"].as_str().unwrap()).collect();
    assert_eq!(said, whole["message"]["content"].as_str().unwrap());
    let (end, pieces) = pieces.split_last().unwrap();
    assert!(pieces.iter().all(|line| line["done"] == false) && end["done"] == true);
    assert_eq!(
        (&end["done_reason"], &end["logits_digest"]),
        (&whole["done_reason"], &whole["logits_digest"])
    );

    let text = json!({ "model": "m", "prompt": "hello", "raw": true, "stream": false, "options": options });
    let raw = lines(server.post("/api/generate", &text)).remove(0);
    assert!(raw["response"].is_string() && raw["done"] == true, "{raw}");
    let load = lines(server.post("/api/generate", &json!({ "model": "m" }))).remove(0);
    assert_eq!(load["done_reason"], "load");
    for (path, fields, status) in [
        ("/api/chat", json!({ "model": "other" }), 404),
        ("/api/chat", json!({ "format": "xml" }), 400),
        ("/api/chat", json!({ "options": { "mirostat": 2 } }), 400),
        ("/api/nothing", json!({}), 404),
    ] {
        let reply = server.post(path, &with(chat.clone(), fields.clone()));
        assert_eq!(reply.status, status, "{path} {fields}: {reply:?}");
        assert!(reply.json()["error"].is_string(), "{reply:?}");
    }
}
