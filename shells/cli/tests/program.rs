//! The program as a user meets it: exit codes and the line that says why.
//!
//! What it is: a table of command lines that need no network. With `PINTPOT_TEST_MODELS`, a folder that holds
//! `smollm2.gguf`, also those that need a model. What it is not: a test of answers. The one design choice: folders of
//! its own, so that nothing of the user's is seen or touched.

use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Runs the program with an empty home.
fn pintpot(home: &Path, line: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_pintpot"))
        .args(line)
        .env_clear()
        .env("HOME", home)
        .env("HF_HUB_OFFLINE", "1")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn check(home: &Path, cases: &[(&[&str], i32, &str)]) {
    for (line, code, said) in cases {
        let output = pintpot(home, line);
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        assert_eq!(output.status.code(), Some(*code), "{line:?}: {text}");
        assert!(text.contains(said), "{line:?}: {text}");
    }
}

#[test]
fn codes_and_words() {
    let home = tempfile::tempdir().unwrap();
    let junk = home.path().join("junk.gguf");
    std::fs::write(&junk, "no model at all").unwrap();
    let cut = home.path().join("cut.gguf");
    std::fs::write(&cut, b"GGUF\x03\0\0\0\xff\xff\xff").unwrap();
    let (junk, cut) = (junk.to_str().unwrap(), cut.to_str().unwrap());
    check(
        home.path(),
        &[
            (&[], 0, "usage: pintpot VERB"),
            (&["--version"], 0, "pintpot "),
            (&["run", "--help"], 0, "--memory SIZE"),
            (&["frob"], 2, "there is no verb"),
            (&["run"], 2, "no model is named"),
            (&["run", "smollm2", "hi", "--frob"], 2, "there is no flag --frob"),
            (&["run", "smollm2", "hi", "--temp", "warm"], 2, "it must be a number"),
            (&["run", "smollm2", "hi", "--memory", "much"], 2, "not an amount of memory"),
            (&["run", "smollm2", "hi", "--kv", "q2"], 2, "f16 or q8_0"),
            (&["run", "smollm2", ""], 2, "the prompt is empty"),
            (&["run", "hf:one", "hi"], 2, "a repository is ORG/NAME"),
            (&["run", "smollm9", "hi"], 4, "the catalog has"),
            (&["run", "./none.gguf", "hi"], 4, "there is no file"),
            (&["run", "smollm2", "hi", "--memory", "64MiB"], 4, "fetch it first: pintpot pull smollm2"),
            (&["run", "smollm2", "hi"], 6, "HF_HUB_OFFLINE"),
            (&["pull", "hf:org/name"], 6, "HF_HUB_OFFLINE"),
            (&["plan", "hf:org/name"], 6, "HF_HUB_OFFLINE"),
            (&["run", junk, "hi"], 4, "not a model file"),
            (&["run", cut, "hi"], 5, "cut.gguf"),
            (&["ls"], 0, "no models yet"),
            (&["ls", "--json"], 0, "[]"),
            (&["rm", "smollm2"], 4, "is not on this machine"),
            (&["rm", "-m", "smollm2"], 2, "there is no flag -m here"),
            (&["run", "-m", "smollm2", "one", "two"], 2, "one word too many"),
            (&["rm", junk], 1, "remove the file yourself"),
        ],
    );
}

#[test]
fn typed_wins_over_environment_wins_over_file() {
    let home = tempfile::tempdir().unwrap();
    let config = home.path().join(".config/pintpot");
    std::fs::create_dir_all(&config).unwrap();
    std::fs::write(config.join("config.toml"), "kv = \"file\"\n").unwrap();
    for (environment, typed, wins) in
        [(None, None, "file"), (Some("env"), None, "env"), (Some("env"), Some("typed"), "typed")]
    {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pintpot"));
        command.args(["run", "smollm2", "hi"]).env_clear().env("HOME", home.path()).stdin(Stdio::null());
        command.args(typed.map(|value| format!("--kv={value}")));
        command.envs(environment.map(|value| ("PINTPOT_KV", value)));
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(text.contains(&format!("--kv is \"{wins}\"")), "{text}");
    }
}

#[test]
fn with_a_model() {
    let Some(models) = std::env::var_os("PINTPOT_TEST_MODELS") else {
        eprintln!("skipped: PINTPOT_TEST_MODELS is not set");
        return;
    };
    let home = tempfile::tempdir().unwrap();
    let model = Path::new(&models).join("smollm2.gguf");
    let model = model.to_str().unwrap();
    // The program of a test build is large itself.
    let limits = ["-c", "300", "--memory", "96MiB"];
    let answer = |more: &[&str]| {
        let output = pintpot(
            home.path(),
            &[&["run", model, "Name a colour.", "-n", "4", "--json"], &limits[..], more].concat(),
        );
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        (value["text"].to_string(), value["logits_digest"].to_string())
    };
    let plain = answer(&[]);
    assert_eq!(plain, answer(&["-t", "1", "--isa", "scalar"]));
    assert_ne!(plain, answer(&["--system", "Shout."]));
    check(
        home.path(),
        &[
            (&["show", model], 0, "llama"),
            (&["plan", model, "-c", "300", "--memory", "64MiB"], 0, "smallest budget: --memory"),
            (&["plan", model, "--memory", "10MiB", "--json"], 3, "\"fits\":false"),
            (&["run", model, "hi", "--memory", "10MiB"], 3, "smallest budget: --memory"),
            (&["run", model, "hi", "-c", "1000000"], 2, "was made for"),
            (
                &["run", model, "a long prompt that is too long", "-c", "4", "--memory", "64MiB"],
                2,
                "the context holds 4",
            ),
            (&["eval", model], 2, "--text FILE"),
        ],
    );
}
