//! The account over HTTP: it is told as it is, and the budget changes while answers are given.
//!
//! What it is: `/v1/pintpot/...` and the page's files as clients see them. What it is not: the page in a browser, which
//! `tests/page` clicks through. The one design choice: answers under a budget that moves are compared with `==`.

mod kit;

use kit::Running;
use pintpot_tests::tiny;
use serde_json::{Value, json};

fn chat(tokens: u32) -> Value {
    json!({
        "model": "m", "messages": [{ "role": "user", "content": "hello world" }], "max_tokens": tokens,
        "temperature": 0, "ignore_eos": true,
    })
}

fn digest(server: &Running, tokens: u32) -> Value {
    let reply = server.post("/v1/chat/completions", &chat(tokens));
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()["choices"][0]["logits_digest"].clone()
}

fn bytes(status: &Value, name: &str) -> u64 {
    status[name].as_u64().unwrap_or_else(|| panic!("{name}: {status}"))
}

#[test]
fn the_budget_changes_while_answers_are_given() {
    let server = Running::start(&tiny("llama-q4.gguf").0, 192, |_, _| {});
    let alone = digest(&server, 150);
    let before = server.get("/v1/pintpot/status").json();
    let parts = before["ledger"].as_array().unwrap();
    let sum: u64 = parts.iter().map(|part| bytes(part, "bytes")).sum();
    assert_eq!((bytes(&before, "budget_bytes"), bytes(&before, "held_bytes")), (1 << 30, sum), "{before}");
    assert!(bytes(&before["so_far"], "answer_tokens") >= 149, "{before}");
    let (least, most) = (bytes(&before, "smallest_budget_bytes"), bytes(&before, "useful_budget_bytes"));
    assert!(least < most && most < 1 << 30, "{before}");

    std::thread::scope(|scope| {
        let talkers: Vec<_> = (0..3).map(|_| scope.spawn(|| digest(&server, 150))).collect();
        for n in 0..12 {
            let asked = if n % 2 == 0 { json!(least + 65536) } else { json!("900MiB") };
            let changed = server.post("/v1/pintpot/memory", &json!({ "memory": asked }));
            // Those who are being answered may hold more than a plan for one.
            assert!(matches!(changed.status, 200 | 400), "{changed:?}");
            let now = server.get("/v1/pintpot/status").json();
            assert!(bytes(&now, "held_bytes") <= bytes(&now, "budget_bytes"), "{now}");
        }
        talkers.into_iter().for_each(|talker| assert_eq!(talker.join().unwrap(), alone));
    });

    let small = server.post("/v1/pintpot/memory", &json!({ "memory": least }));
    assert_eq!((small.status, bytes(&small.json(), "budget_bytes")), (200, least), "{small:?}");
    assert_eq!(digest(&server, 150), alone);
    let refused = server.post("/v1/pintpot/memory", &json!({ "memory": least - 1 }));
    let error = &refused.json()["error"];
    assert_eq!((refused.status, &error["code"]), (400, &json!("memory_budget_exceeded")), "{refused:?}");
    assert_eq!((bytes(error, "smallest_budget_bytes"), bytes(error, "budget_bytes")), (least, least - 1));
    for (body, code) in [
        (json!({ "memory": "1000TiB" }), "invalid_value"),
        (json!({ "memory": "a lot" }), "unsupported_parameter"),
        (json!({ "memory": -5 }), "invalid_type"),
        (json!({}), "missing_field"),
        (json!({ "memori": 5 }), "unknown_parameter"),
    ] {
        let reply = server.post("/v1/pintpot/memory", &body);
        assert_eq!((reply.status, &reply.json()["error"]["code"]), (400, &json!(code)), "{reply:?}");
    }
    assert_eq!(bytes(&server.get("/v1/pintpot/status").json(), "budget_bytes"), least);
}

#[test]
fn the_page_is_there_for_all_and_the_account_for_those_with_a_key() {
    let model = tiny("llama-q4.gguf").0;
    let server = Running::start(&model, 64, |served, _| served.api_keys = vec!["secret".into()]);
    assert_eq!(server.get("/").body, "pintpot is running\n");
    let page = server.send("GET", "/", "Accept: text/html,*/*;q=0.8\r\n", "");
    let head = page.head.to_ascii_lowercase();
    assert!(page.status == 200 && head.contains("default-src 'none'; script-src 'self'"), "{head}");
    let mut met = vec![page.body];
    let mut seen = Vec::new();
    // Whatever a file names is there, too.
    while let Some(text) = met.pop() {
        for quoted in
            text.split(['"', '\'']).filter(|name| name.ends_with(".js") || name.starts_with("/page/"))
        {
            let name = format!("/page/{}", quoted.trim_start_matches("./").trim_start_matches("/page/"));
            if !seen.contains(&name) {
                let file = server.get(&name);
                assert_eq!(file.status, 200, "{name}");
                seen.push(name);
                met.push(file.body);
            }
        }
    }
    assert!(seen.len() >= 6, "{seen:?}");
    assert_eq!(server.get("/page/../Cargo.toml").status, 404);
    assert_eq!(server.get("/v1/pintpot/status").status, 401);
    assert_eq!(server.post("/v1/pintpot/memory", &json!({ "memory": "1GiB" })).status, 401);
    let key = "Authorization: Bearer secret\r\n";
    assert_eq!(server.send("GET", "/v1/pintpot/status", key, "").status, 200);

    // Where strangers may ask, they may not change what belongs to all.
    let open = Running::start(&model, 64, |served, _| served.host = "0.0.0.0".into());
    let mut local = open;
    local.address.set_ip([127, 0, 0, 1].into());
    assert_eq!(local.get("/v1/pintpot/status").status, 200);
    let reply = local.post("/v1/pintpot/memory", &json!({ "memory": "900MiB" }));
    assert_eq!((reply.status, &reply.json()["error"]["code"]), (403, &json!("forbidden")));
}
