//! `pintpot profile` as a user meets it: figures of a tiny mixture, and clear words for who asks it of something else.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

/// Runs `pintpot profile` on a tiny model; gives its code, and what it printed.
fn profile(model: &str, more: &[&str]) -> (Option<i32>, String, String) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_pintpot"));
    command.arg("profile").arg(root.join("tests/golden/tiny").join(model)).args(more);
    command.env_clear().env("HOME", home.path()).stdin(Stdio::null()).current_dir(root);
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn figures_of_a_mixture() {
    let (code, out, err) = profile("qwen3moe-q4.gguf", &["--text", "README.md", "-c", "128", "--json"]);
    assert_eq!(code, Some(0), "{err}");
    let value: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((value["tokens"].as_u64(), value["layers"].as_array().unwrap().len()), (Some(128), 2));
    let found: Vec<f64> =
        value["kept"].as_array().unwrap().iter().map(|kept| kept["found"].as_f64().unwrap()).collect();
    assert!(found.is_sorted() && found.iter().all(|share| (0.0..=1.0).contains(share)), "{found:?}");
    let (code, out, _) = profile("qwen3moe-q4.gguf", &["--text", "README.md"]);
    assert_eq!(code, Some(0));
    assert!(out.contains("experts kept") && out.contains("suit a budget"), "{out}");
}

#[test]
fn who_names_no_text_or_a_dense_model_is_told() {
    let (code, out, err) = profile("qwen3moe-q4.gguf", &["-c", "64"]);
    assert!(code == Some(0) && out.contains("64 tokens") && out.contains("--text"), "{out}{err}");
    let (code, _, err) = profile("llama-q4.gguf", &["--text", "README.md"]);
    assert!(code == Some(2) && err.contains("no experts"), "{err}");
    let (code, _, err) = profile("qwen3moe-q4.gguf", &["--text", "no-such-file"]);
    assert!(code == Some(1) && err.contains("no-such-file"), "{err}");
}

#[test]
fn plan_knows_what_was_profiled() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let home = tempfile::tempdir().unwrap();
    let run = |verb: &str, model: &str, more: &[&str]| -> Value {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pintpot"));
        command.arg(verb).arg(root.join("tests/golden/tiny").join(model)).arg("--json").args(more);
        let output = command.env_clear().env("HOME", home.path()).stdin(Stdio::null()).output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let known = |model| run("plan", model, &["--sweep", "--budgets", "1GiB"])["experts_profiled"].as_bool();
    assert_eq!((known("qwen3moe-q4.gguf"), known("llama-q4.gguf")), (Some(false), None));
    assert_eq!(run("profile", "qwen3moe-q4.gguf", &["-c", "48", "-n", "16"])["tokens"], 48);
    assert_eq!(known("qwen3moe-q4.gguf"), Some(true));
}
