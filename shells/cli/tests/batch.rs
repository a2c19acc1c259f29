//! `pintpot batch` as a user meets it, on a model so small that its answers mean nothing.
//!
//! What it is: a test of lines and exit codes, and of what a kill leaves behind. What it is not: a test of answers but that they
//! are the same. The one design choice: digests are compared, so what was answered after a kill is what would have been.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

fn tiny() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/tiny/llama-q4.gguf");
    path.to_str().unwrap().to_string()
}

/// A place for the files of a batch.
struct Place(tempfile::TempDir);

impl Place {
    fn new(lines: &[String]) -> Place {
        let place = Place(tempfile::tempdir().unwrap());
        std::fs::write(place.file("in.jsonl"), lines.join("\n") + "\n").unwrap();
        place
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn start(&self, output: &str, flags: &[&str]) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pintpot"));
        command.args(["batch", "in.jsonl", output]).args(flags).env_clear().env("HOME", self.0.path());
        command.current_dir(self.0.path()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    }

    /// Runs it to its end; gives the code and what it said.
    fn run(&self, output: &str, flags: &[&str]) -> (i32, String) {
        let ended = self.start(output, flags).wait_with_output().unwrap();
        let said = String::from_utf8([ended.stdout, ended.stderr].concat()).unwrap();
        (ended.status.code().unwrap(), said)
    }

    fn text(&self, output: &str) -> String {
        std::fs::read_to_string(self.file(output)).unwrap_or_default()
    }

    fn lines(&self, output: &str) -> Vec<Value> {
        self.text(output).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn asks(name: &str, url: &str, body: Value) -> String {
    json!({ "custom_id": name, "method": "POST", "url": url, "body": body }).to_string()
}

fn chat(name: &str, text: &str, tokens: u32) -> String {
    let messages = json!([{ "role": "user", "content": text }]);
    let body = json!({ "model": tiny(), "messages": messages, "max_tokens": tokens, "temperature": 0.8, "seed": 7,
        "ignore_eos": true });
    asks(name, "/v1/chat/completions", body)
}

/// Digests of all choices, by name.
fn digests(lines: &[Value]) -> BTreeMap<String, Vec<String>> {
    let of = |line: &Value| {
        assert_eq!((&line["response"]["status_code"], &line["error"]), (&json!(200), &Value::Null), "{line}");
        let choices = line["response"]["body"]["choices"].as_array().unwrap();
        let digests = choices.iter().map(|choice| choice["logits_digest"].as_str().unwrap().to_string());
        (line["custom_id"].as_str().unwrap().to_string(), digests.collect())
    };
    let digests: BTreeMap<_, _> = lines.iter().map(of).collect();
    assert_eq!(digests.len(), lines.len(), "a line is there twice");
    digests
}

#[test]
fn every_line_is_answered_once_and_alike_however_many_at_once() {
    let mut lines: Vec<String> =
        (0..12).map(|n| chat(&format!("chat {n}"), &format!("number {n}"), 3 + n % 5)).collect();
    let text = json!({ "model": tiny(), "prompt": "once upon", "n": 3, "seed": 1, "temperature": 1.0 });
    lines.push(asks("text", "/v1/completions", text));
    lines.insert(3, String::new());
    let place = Place::new(&lines);
    let (code, said) = place.run("alone.jsonl", &["--parallel", "1", "-c", "256", "-t", "1", "--json"]);
    assert_eq!(code, 0, "{said}");
    let last: Value = serde_json::from_str(said.lines().find(|line| line.starts_with('{')).unwrap()).unwrap();
    assert_eq!((&last["lines"], &last["added"], &last["failed"]), (&json!(13), &json!(13), &json!(0)));
    let (code, said) = place.run("crowd.jsonl", &["--parallel", "8", "-c", "256", "-t", "1"]);
    assert_eq!(code, 0, "{said}");
    let alone = digests(&place.lines("alone.jsonl"));
    assert_eq!((alone.len(), alone["text"].len()), (13, 3));
    assert_eq!(digests(&place.lines("crowd.jsonl")), alone);
    let before = place.text("crowd.jsonl");
    let (code, said) = place.run("crowd.jsonl", &["-c", "256", "-t", "1"]);
    assert!(code == 0 && said.contains("13 of 13 lines done, 0 now"), "{said}");
    assert_eq!(place.text("crowd.jsonl"), before);
}

#[test]
fn a_batch_that_was_killed_goes_on() {
    let lines: Vec<String> = (0..24).map(|n| chat(&format!("{n}"), "tell me", 150)).collect();
    let place = Place::new(&lines);
    let flags = ["--parallel", "3", "-c", "256", "-t", "1"];
    let (code, said) = place.run("whole.jsonl", &flags);
    assert_eq!(code, 0, "{said}");
    let mut kills = 0;
    for wanted in [1, 6, 12] {
        let mut child = place.start("out.jsonl", &flags);
        while place.text("out.jsonl").lines().count() < wanted && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(2));
        }
        kills += u32::from(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
        // What a write that was cut off would leave.
        let torn = place.text("whole.jsonl").chars().take(20 * wanted).collect::<String>();
        std::fs::write(place.file("out.jsonl"), place.text("out.jsonl") + &torn).unwrap();
    }
    assert!(kills > 0, "it was never killed in the middle");
    let (code, said) = place.run("out.jsonl", &flags);
    assert_eq!(code, 0, "{said}");
    assert_eq!(digests(&place.lines("out.jsonl")), digests(&place.lines("whole.jsonl")));
}

#[test]
fn what_is_wrong_is_said_line_by_line() {
    let model = |body: Value| asks("m", "/v1/completions", body);
    let lines = [
        chat("good", "hello", 2),
        "nonsense".to_string(),
        chat("good", "hello again", 2),
        asks("where", "/v1/nowhere", json!({})),
        asks("stream", "/v1/completions", json!({ "model": tiny(), "prompt": "a", "stream": true })),
        r#"{"custom_id":"get","method":"GET","url":"/v1/completions","body":{}}"#.to_string(),
        model(json!({ "model": "another", "prompt": "a" })),
        chat("long", &"much ".repeat(1000), 2),
        chat("longer", &"x".repeat(200_000), 2),
    ];
    let place = Place::new(&lines);
    let (code, said) = place.run("out.jsonl", &["-c", "256", "-t", "1"]);
    assert!(code == 1 && said.contains("8 of 9 lines failed"), "{code}: {said}");
    let by_name = |name: &str| -> Vec<Value> {
        place.lines("out.jsonl").into_iter().filter(|line| line["custom_id"] == name).collect()
    };
    let wrong: BTreeMap<u64, Value> = place
        .lines("out.jsonl")
        .into_iter()
        .filter(|line| line["response"].is_null())
        .map(|line| (line["error"]["line"].as_u64().unwrap(), line["error"]["code"].clone()))
        .collect();
    let codes = ["invalid_line", "duplicate_custom_id", "invalid_method", "line_too_long"];
    assert_eq!(
        wrong.into_iter().collect::<Vec<_>>(),
        [2, 3, 6, 9].into_iter().zip(codes.map(Value::from)).collect::<Vec<_>>()
    );
    for (name, status, code) in [
        ("where", 404, "unknown_url"),
        ("stream", 400, "unsupported_parameter"),
        ("m", 404, "model_not_found"),
        ("long", 400, "context_length_exceeded"),
    ] {
        let [line] = &by_name(name)[..] else { panic!("{name}") };
        assert_eq!(line["response"]["status_code"], status, "{line}");
        assert_eq!(line["response"]["body"]["error"]["code"], code, "{line}");
    }
    let good: Vec<u16> = by_name("good")
        .iter()
        .filter_map(|line| Some(line["response"]["status_code"].as_u64()? as u16))
        .collect();
    assert_eq!(good, [200]);
    // Nothing of it is done, or said, twice.
    let before = place.text("out.jsonl");
    assert_eq!(place.run("out.jsonl", &["-c", "256", "-t", "1"]).0, 1);
    assert_eq!(place.text("out.jsonl"), before);
}

#[test]
fn files_that_are_no_batch_are_left_alone() {
    let place = Place::new(&[chat("a", "hello", 2)]);
    for (name, content) in
        [("notes", "dear diary"), ("table", "a,b\n1,2\n"), ("in2", &(chat("a", "b", 1) + "\n"))]
    {
        std::fs::write(place.file(name), content).unwrap();
        let (code, said) = place.run(name, &["-c", "64", "-t", "1"]);
        assert!(code == 2 && said.contains("line 1"), "{code}: {said}");
        assert_eq!(place.text(name), content);
    }
    assert_eq!(place.run("in.jsonl", &[]).0, 2);
    let (code, said) = place.run("out.jsonl", &["--memory", "3MiB"]);
    assert!(code == 3 && said.contains("smallest budget"), "{code}: {said}");
    std::fs::write(place.file("in.jsonl"), "{}\n").unwrap();
    let (code, said) = place.run("out.jsonl", &[]);
    assert!(code == 2 && said.contains("names a model"), "{code}: {said}");
    std::fs::remove_file(place.file("in.jsonl")).unwrap();
    assert_eq!(place.run("out.jsonl", &[]).0, 1);
}
