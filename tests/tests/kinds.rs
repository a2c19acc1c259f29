//! One server for a model of language, an encoder and a model of speech: one budget, and each answers as it does alone.
//!
//! What it is: the program in a memory group, in the smallest budget that it names for all three and in more. What it is not: a
//! test of their routes, which the server's own are. The one design choice: what each says alone comes from the verbs `embed`
//! and `transcribe` and from a server of the model of language alone.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use host::cgroup::{Cap, Limits, evict};
use pintpot_tests::served::{Served, hear};
use pintpot_tests::{Program, absent, can_cap, skip};
use serde_json::{Value, json};

const TEXT: &str = "A fox crosses the frozen river at night.";
const EDGE: &str = "7f3a9c";

/// The folder of test models, if it holds all that are wanted here.
fn folder() -> Option<PathBuf> {
    let folder = PathBuf::from(std::env::var_os("PINTPOT_TEST_MODELS")?);
    let wanted = ["smollm2.gguf", "minilm", "whisper-tiny.en", "librivox/0890.wav"];
    wanted.iter().all(|name| folder.join(name).exists()).then_some(folder)
}

fn chat(address: &str) -> Value {
    let messages = json!([{ "role": "user", "content": "What is the capital of France?" }]);
    let body = json!({ "model": "smollm2", "messages": messages, "max_tokens": 24, "temperature": 0 });
    let heard = hear(address, "/v1/chat/completions", &body, usize::MAX).unwrap();
    assert_eq!(heard.status, 200, "{}", heard.last);
    heard.last["choices"][0]["logits_digest"].clone()
}

fn vector(address: &str) -> Vec<f32> {
    let heard =
        hear(address, "/v1/embeddings", &json!({ "model": "minilm", "input": TEXT }), usize::MAX).unwrap();
    assert_eq!(heard.status, 200, "{}", heard.last);
    numbers(&heard.last["data"][0]["embedding"])
}

fn numbers(list: &Value) -> Vec<f32> {
    list.as_array().unwrap().iter().map(|number| number.as_f64().unwrap() as f32).collect()
}

/// What is written down of a clip.
fn text(address: &str, clip: &Path) -> String {
    let sound = std::fs::read(clip).unwrap();
    let part = |name: &str| format!("--{EDGE}\r\nContent-Disposition: form-data; name=\"{name}\"");
    let mut body = format!("{}\r\n\r\nwhisper-tiny.en\r\n", part("model")).into_bytes();
    body.extend(format!("{}; filename=\"a.wav\"\r\n\r\n", part("file")).into_bytes());
    body.extend(sound);
    body.extend(format!("\r\n--{EDGE}--\r\n").into_bytes());
    let head = format!(
        "POST /v1/audio/transcriptions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n\
         Content-Type: multipart/form-data; boundary={EDGE}\r\n\r\n",
        body.len()
    );
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(600))).unwrap();
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body)).unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    let (head, said) = reply.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(" 200 "), "{reply}");
    serde_json::from_str::<Value>(said).unwrap()["text"].as_str().unwrap().to_string()
}

#[test]
fn three_kinds_of_model_share_a_server_and_its_budget() {
    let Some(folder) = folder() else {
        return absent("smollm2, minilm, whisper-tiny.en");
    };
    if !can_cap() {
        return skip("kinds", "no memory cgroup can be made here; run as root, or in a delegated cgroup");
    }
    let (program, clip) = (Program::built(), folder.join("librivox/0890.wav"));
    let place = |name: &str| folder.join(name).to_str().unwrap().to_string();
    let paths = ["smollm2.gguf", "minilm", "whisper-tiny.en"].map(place);
    let models = paths.each_ref().map(String::as_str);
    let free = || Cap::new(&Limits::default()).unwrap();
    let alone = {
        let cap = free();
        let served = Served::start(&program, &models[..1], &["-c", "512"], &cap);
        chat(&served.address)
    };
    let embedded = program.run(&["embed", models[1], TEXT, "--json"]).json();
    let embedded = numbers(&embedded["embeddings"][0]);
    let written = program.run(&["transcribe", models[2], clip.to_str().unwrap(), "--format", "json"]).json();

    let refused = program.run(&[&["serve", "--memory", "1M", "-c", "512"], &models[..]].concat());
    assert_eq!(refused.code, Some(3), "{}", refused.err);
    let least = refused.err.lines().find_map(|line| line.trim().strip_prefix("smallest budget: --memory "));
    let least = least.unwrap_or_else(|| panic!("{}", refused.err));
    for budget in [least, "320MiB"] {
        let bytes = budget.parse::<host::Memory>().unwrap().resolve().unwrap().bytes;
        for limit in [None, Some(bytes)] {
            for file in ["minilm/model.safetensors", "whisper-tiny.en/model.bin"] {
                evict(&folder.join(file)).unwrap();
            }
            let cap = Cap::new(&Limits { memory: limit, ..Limits::default() }).unwrap();
            let mut served = Served::start(&program, &models, &["-c", "512", "--memory", budget], &cap);
            let address = &served.address;
            let (_, port) = address.split_once(':').unwrap();
            let listed = program.run(&["ps", "--port", port]).out;
            for name in ["smollm2 ", "minilm ", "whisper-tiny.en "] {
                assert!(listed.lines().any(|line| line.starts_with(name)), "{listed}");
            }
            std::thread::scope(|scope| {
                for _ in 0..2 {
                    scope.spawn(|| assert_eq!(chat(address), alone, "in {budget}"));
                    scope.spawn(|| assert_eq!(vector(address), embedded, "in {budget}"));
                    scope.spawn(|| assert_eq!(text(address, &clip), written["text"], "in {budget}"));
                }
            });
            assert_eq!(served.end(), Some(0));
            let report = cap.report();
            println!(
                "{budget}, limit {limit:?}: peak {:?} of {bytes}, met {:?}",
                report.peak, report.limit_hits
            );
            assert!(report.peak.is_some_and(|peak| peak <= bytes), "{budget}: {report:?}");
            assert_eq!(report.limit_hits, Some(0), "{budget}: {report:?}");
        }
    }
}
