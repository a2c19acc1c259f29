//! The promise under load: a server stays in its budget, connections and all, and gives everybody the answer he gets alone.
//!
//! What it is: the program in a memory group, cold, while many talk to it and some are rude. What it is not: the library's own
//! account. The one design choice: as in `budget`, two proofs: the peak of a group without a limit, then a limit that must never
//! be met.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use host::cgroup::{Cap, Limits};
use pintpot_tests::served::{self, Served};
use pintpot_tests::{Program, can_cap, skip, trained};
use serde_json::{Value, json};

const CLIENTS: usize = 8;
const REQUESTS: usize = 2;
const CONTEXT: &str = "512";

/// The smallest budget that the program names when it refuses, as it has to be typed.
fn smallest(program: &Program, model: &str) -> String {
    served::smallest(program, model, &["-c", CONTEXT])
}

fn serve(program: &Program, models: &[&str], budget: &str, cap: &Cap) -> Served {
    Served::start(program, models, &["-c", CONTEXT, "--memory", budget, "--contexts", "1"], cap)
}

/// Status and body of what is asked for.
fn send(address: &str, line: &str, headers: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(300))).unwrap();
    let head = format!("{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n\r\n{body}");
    let mut reply = String::new();
    stream.write_all(head.as_bytes()).and_then(|()| stream.read_to_string(&mut reply)).unwrap();
    let status = reply.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    (status, reply.split_once("\r\n\r\n").map_or(String::new(), |(_, body)| body.to_string()))
}

fn post_to(address: &str, path: &str, body: &Value) -> (u16, Value) {
    let body = body.to_string();
    let headers = format!("Content-Type: application/json\r\nContent-Length: {}", body.len());
    let (status, reply) = send(address, &format!("POST {path}"), &headers, &body);
    (status, serde_json::from_str(&reply).unwrap_or_default())
}

fn post(address: &str, body: &Value) -> (u16, Value) {
    post_to(address, "/v1/chat/completions", body)
}

/// Somebody looks at the page and at the account all the while, and asks for too little and for what there is.
fn watch(address: &str) {
    for file in ["", "page/account.js", "page/markdown.js", "page/page.css", "page/page.js"] {
        let (status, text) = send(address, &format!("GET /{file}"), "Accept: text/html", "");
        assert!(status == 200 && text.len() > 1000, "{file}: {text}");
        let (status, text) = send(address, "GET /v1/pintpot/status", "Accept: */*", "");
        let account: Value = serde_json::from_str(&text).unwrap_or_default();
        let bytes = |name: &str| account[name].as_u64().unwrap_or_else(|| panic!("{name}: {status} {text}"));
        assert!(bytes("held_bytes") <= bytes("budget_bytes"), "{account}");
        for (memory, status) in [(1 << 20, 400), (bytes("budget_bytes"), 200)] {
            let reply = post_to(address, "/v1/pintpot/memory", &json!({ "memory": memory }));
            assert_eq!(reply.0, status, "{}", reply.1);
        }
        std::thread::sleep(Duration::from_millis(300));
    }
}

fn ask(client: usize, request: usize) -> Value {
    let (tokens, top_k) = ([4, 16, 48][(client + request) % 3], [0, 40][client % 2]);
    let text = format!("Tell me about {}. ", ["a fox", "the sea", "iron", "bread"][client % 4]);
    json!({
        "model": "smollm2", "seed": client * 100 + request, "temperature": request % 2, "top_k": top_k,
        "max_tokens": tokens,
        "messages": [{ "role": "user", "content": text.repeat(1 + client % 3 * 8) }],
    })
}

/// What every client hears, in order.
fn crowd(address: &str) -> Vec<Vec<(u16, Value)>> {
    // Connections that say nothing, and bodies that never come.
    let rude: Vec<TcpStream> = (0..64).filter_map(|_| TcpStream::connect(address).ok()).collect();
    for mut stream in &rude {
        let _ = stream.write_all(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nX: ");
        let _ = stream.write_all(&[b'x'; 8 << 10]);
    }
    std::thread::scope(|scope| {
        scope.spawn(|| watch(address));
        let client = |client: usize| (0..REQUESTS).map(|n| post(address, &ask(client, n))).collect();
        let clients: Vec<_> = (0..CLIENTS).map(|n| scope.spawn(move || client(n))).collect();
        clients.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// Requests whose answers must be JSON that a schema allows, at once; at the smallest budget they may be refused for want of room.
fn held_to_a_schema(address: &str, may_be_refused: bool) {
    let schema = json!({
        "type": "object", "required": ["a", "b"], "additionalProperties": false,
        "properties": { "a": { "enum": ["x", "yy"] }, "b": { "type": "integer", "minimum": 0, "maximum": 99 } },
    });
    let ask = |n: usize| {
        let mut body = ask(n, 1);
        body["max_tokens"] = 60.into();
        body["response_format"] =
            json!({ "type": "json_schema", "json_schema": { "name": "s", "schema": schema } });
        post(address, &body)
    };
    std::thread::scope(|scope| {
        let asked: Vec<_> = (0..4).map(|n| scope.spawn(move || ask(n))).collect();
        for (status, reply) in asked.into_iter().map(|thread| thread.join().unwrap()) {
            if may_be_refused && status == 503 {
                assert_eq!(reply["error"]["code"], "memory_budget_exceeded", "{reply}");
                continue;
            }
            assert_eq!(status, 200, "{reply}");
            let text = reply["choices"][0]["message"]["content"].as_str().unwrap_or_default();
            let said: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {reply}"));
            assert!(said["b"].as_u64().is_some_and(|b| b <= 99), "{said}");
        }
    });
}

fn digest(reply: &(u16, Value)) -> &Value {
    &reply.1["choices"][0]["logits_digest"]
}

#[test]
fn a_server_stays_in_its_budget_and_answers_everybody_as_one() {
    let Some(run) = trained("smollm2") else {
        return skip("smollm2", "PINTPOT_TEST_MODELS names no folder that holds it");
    };
    if !can_cap() {
        return skip("serving", "no memory cgroup can be made here; run as root, or in a delegated cgroup");
    }
    // The file itself, not a link to it; a model is named as its file is.
    let path = run.model.canonicalize().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("smollm2.gguf");
    std::fs::copy(&path, &model).unwrap();
    let (program, model) = (Program::built(), model.to_str().unwrap());
    let mut alone: Option<Vec<Vec<(u16, Value)>>> = None;
    for budget in [smallest(&program, model), "64MiB".to_string()] {
        let bytes = budget.parse::<host::Memory>().unwrap().resolve().unwrap().bytes;
        for limit in [None, Some(bytes)] {
            let cap = Cap::new(&Limits { memory: limit, ..Limits::default() }).unwrap();
            let mut served = serve(&program, &[model], &budget, &cap);
            let alone = alone.get_or_insert_with(|| {
                let each = |client| (0..REQUESTS).map(|n| post(&served.address, &ask(client, n))).collect();
                (0..CLIENTS).map(each).collect()
            });
            let heard = crowd(&served.address);
            for (client, (heard, alone)) in heard.iter().zip(alone.iter()).enumerate() {
                for (heard, alone) in heard.iter().zip(alone) {
                    assert_eq!((heard.0, alone.0), (200, 200), "client {client} in {budget}: {}", heard.1);
                    assert!(digest(heard).is_string());
                    assert_eq!(digest(heard), digest(alone), "client {client} in {budget}");
                }
            }
            held_to_a_schema(&served.address, budget != "64MiB");
            judge(&mut served, &cap, (&budget, bytes, limit));
        }
    }
}

/// Ends a server, and looks at what it had.
fn judge(served: &mut Served, cap: &Cap, (budget, bytes, limit): (&str, u64, Option<u64>)) {
    assert_eq!(served.end(), Some(0), "in {budget}");
    let report = cap.report();
    println!("{budget}, limit {limit:?}: peak {:?} of {bytes}, met {:?}", report.peak, report.limit_hits);
    assert!(report.peak.is_some_and(|peak| peak <= bytes), "{budget}: {report:?}");
    assert_eq!(report.limit_hits, Some(0), "{budget}: {report:?}");
}

#[test]
fn models_that_share_a_budget_stay_in_it_while_they_change_places() {
    let names = ["smollm2", "gemma3-270m"];
    let (Some(first), Some(second)) = (trained(names[0]), trained(names[1])) else {
        return skip("two models", "PINTPOT_TEST_MODELS names no folder that holds smollm2 and gemma3-270m");
    };
    if !can_cap() {
        return skip("serving", "no memory cgroup can be made here; run as root, or in a delegated cgroup");
    }
    let folder = tempfile::tempdir().unwrap();
    let runs = [first, second];
    let paths = runs.iter().zip(names).map(|(run, name)| {
        let path = folder.path().join(format!("{name}.gguf"));
        std::fs::copy(run.model.canonicalize().unwrap(), &path).unwrap();
        path.to_str().unwrap().to_string()
    });
    let (paths, program) = (paths.collect::<Vec<_>>(), Program::built());
    let ask = |n: usize| {
        let mut body = ask(n, n / 2);
        body["model"] = names[n % 2].into();
        body
    };
    let bytes_of = |budget: &str| budget.parse::<host::Memory>().unwrap().resolve().unwrap().bytes;
    let least =
        paths.iter().map(|path| smallest(&program, path)).max_by_key(|named| bytes_of(named)).unwrap();
    let mut alone: Option<Vec<(u16, Value)>> = None;
    for budget in [least, "200MiB".to_string()] {
        let bytes = bytes_of(&budget);
        for limit in [None, Some(bytes)] {
            let cap = Cap::new(&Limits { memory: limit, ..Limits::default() }).unwrap();
            let mut served = serve(&program, &[&paths[0], &paths[1]], &budget, &cap);
            let address = served.address.clone();
            // One after the other, so that every request finds the other model there.
            let one_by_one: Vec<_> = (0..6).map(|n| post(&address, &ask(n))).collect();
            let alone = alone.get_or_insert(one_by_one.clone());
            let crowd: Vec<_> = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..6)
                    .map(|n| {
                        scope.spawn({
                            let address = &address;
                            move || post(address, &ask(n))
                        })
                    })
                    .collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            for (n, heard) in one_by_one.iter().chain(&crowd).enumerate() {
                assert_eq!(heard.0, 200, "{n} in {budget}: {}", heard.1);
                assert_eq!(digest(heard), digest(&alone[n % 6]), "{n} in {budget}");
            }
            judge(&mut served, &cap, (&budget, bytes, limit));
        }
    }
}
