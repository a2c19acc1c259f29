//! `pintpot bench` as a user meets it, on a model so small that its figures mean nothing.
//!
//! What it is: a test of what is printed. What it is not: a test of speed; no second is compared with another. The one
//! design choice: JSON is read by its keys, which are llama-bench's, as readers of that program do.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

fn tiny() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/tiny/llama-q4.gguf");
    path.to_str().unwrap().to_string()
}

/// Runs `pintpot` with an empty home and `path` to search for programs; gives its code, and what it printed.
fn pintpot(line: &[&str], path: &str) -> (Option<i32>, String, String) {
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_pintpot"));
    command.args(line).env_clear().env("HOME", home.path()).env("PATH", path).stdin(Stdio::null());
    let output = command.current_dir(home.path()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn printed(line: &[&str]) -> String {
    let (code, out, err) = pintpot(line, "");
    assert_eq!(code, Some(0), "{line:?}: {err}");
    out
}

#[test]
fn a_model_is_timed_in_three_formats() {
    let tiny = tiny();
    let tests =
        ["bench", &tiny, "-p", "32", "-n", "2", "-d", "0,8", "-r", "2", "-t", "1,2", "--memory", "1G"];
    let json: Value = serde_json::from_str(&printed(&[&tests[..], &["-o", "json"]].concat())).unwrap();
    let rows = json.as_array().unwrap();
    let of = |key: &str| rows.iter().map(|row| row[key].clone()).collect::<Vec<_>>();
    let names = ["pp32", "tg2", "pp32 @ d8", "tg2 @ d8"];
    assert_eq!(of("test"), [names, names].concat());
    assert_eq!(of("n_threads"), [1, 1, 1, 1, 2, 2, 2, 2]);
    for row in rows {
        assert_eq!(row["model_filename"], tiny.as_str());
        assert_eq!(row["samples_ts"].as_array().unwrap().len(), 2);
        assert_eq!(row["budget_bytes"], 1 << 30);
        let positive = [
            "model_size",
            "model_n_params",
            "avg_ts",
            "avg_ns",
            "touched_bytes_per_token",
            "bandwidth_share",
        ];
        assert!(positive.iter().all(|key| row[key].as_f64() > Some(0.0)), "{row}");
    }

    let csv = printed(&[&tests[..], &["-o", "csv"]].concat());
    let lines: Vec<_> = csv.lines().collect();
    assert!(lines[0].starts_with("model_filename,model_type,model_size,"), "{csv}");
    assert!(lines.len() == 9 && lines[1..].iter().all(|line| line.starts_with('"')), "{csv}");

    let md = printed(&["bench", &tiny, "-p", "16", "-n", "0", "-r", "1", "-t", "1"]);
    let lines: Vec<_> = md.lines().collect();
    let cells = |line: &str| line.split('|').map(|cell| cell.trim().to_string()).collect::<Vec<_>>();
    assert_eq!(cells(lines[0])[1..8], ["model", "size", "params", "backend", "threads", "test", "t/s"]);
    assert_eq!((lines.len(), cells(lines[2])[6].as_str()), (3, "pp16"));
    assert!(lines.iter().all(|line| line.chars().count() == lines[0].chars().count()), "{md}");
}

#[test]
fn kernels_are_timed_and_one_is_marked() {
    let line =
        ["bench", "kernels", "32,256", "--type", "q4_0,f16", "--type", "q6_k", "-t", "1", "--isa", "scalar"];
    let rows: Value = serde_json::from_str(&printed(&[&line[..], &["-o", "json"]].concat())).unwrap();
    let rows = rows.as_array().unwrap();
    let taken: Vec<_> = rows.iter().filter(|row| row["is_chosen"] == true).collect();
    let types: Vec<_> = taken.iter().map(|row| row["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["Q4_0", "F16", "Q6_K"]);
    assert!(taken.iter().all(|row| row["isa"] == "scalar" && row["shape"] == "32,256,1"));
    assert!(rows.iter().all(|row| row["macs_per_second"].as_f64() > Some(0.0)));
    let md = printed(&["bench", "kernels", "16,64,2", "-t", "1"]);
    assert_eq!(md.lines().filter(|line| line.contains("<- taken")).count(), 1, "{md}");
}

#[test]
fn a_peer_is_run_in_turns_and_what_it_prints_is_compared() {
    let (folder, script) = scripts();
    let log = folder.path().join("log");
    let rows =
        r#"[{"n_prompt": 24, "n_gen": 0, "avg_ts": 0.25}, {"n_prompt": 0, "n_gen": 3, "avg_ts": 0.5}]"#;
    let bench = script("llama-bench", &format!("echo \"$@\" >> '{}'\necho '{rows}'", log.display()));
    let perf = "prompt eval time = 1.00 ms / 2 tokens ( 0.50 ms per token, 2000.00 tokens per second)";
    let cli = script("llama-cli", &format!("echo '{perf}' >&2\necho '{}' >&2", perf.replace("prompt ", "")));
    let broken = script("broken-bench", "echo 'it cannot be' >&2\nexit 3");
    let silent = script("silent-bench", "echo hello");
    let tiny = tiny();
    let line = |more: &[&str]| {
        let tests = ["bench", "peers", &tiny, "-p", "24", "-n", "3", "-r", "2", "-t", "1"];
        pintpot(&[&tests[..], more].concat(), folder.path().to_str().unwrap())
    };
    let (code, out, err) = line(&["-o", "json", "--memory", "1G"]);
    assert_eq!(code, Some(0), "{err}");
    let rows: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&rows[0]["test"], &rows[1]["test"]), (&"pp24".into(), &"tg3".into()));
    assert_eq!(rows[0]["peer"], bench.as_str());
    assert_eq!(
        (&rows[0]["theirs_median_ts"], rows[1]["ours_ts"].as_array().unwrap().len()),
        (&0.25.into(), 2)
    );
    let ratio = rows[1]["ours_median_ts"].as_f64().unwrap() / 0.5;
    assert!((rows[1]["ratio"].as_f64().unwrap() / ratio - 1.0).abs() < 1e-9);
    let log = std::fs::read_to_string(log).unwrap();
    assert_eq!(log.lines().count(), 2);
    assert!(log.contains(&format!("-m {tiny} -t 1 -p 24 -n 3")), "{log}");
    let (code, out, _) = line(&["--llama", &cli]);
    assert!(code == Some(0) && out.contains("2000.00 (2000.00 to 2000.00)"), "{out}");
    for (program, said) in
        [(&broken, "it cannot be"), (&silent, "llama-bench's JSON"), (&tiny, "cannot be started")]
    {
        let (code, _, err) = line(&["--llama", program]);
        assert!(code == Some(1) && err.contains(said), "{err}");
    }
    let (code, _, err) = pintpot(&["bench", "peers", &tiny], "");
    assert!(code == Some(4) && err.contains("no llama-bench"), "{code:?} {err}");
}

#[test]
fn a_report_is_one_page_that_needs_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("page.html");
    let tiny = tiny();
    let out = file.to_str().unwrap();
    let budgets = ["--budgets", "1GiB"];
    let line = ["bench", "report", &tiny, &tiny, "-p", "16", "-n", "2", "-r", "1", "-t", "1", "--out", out];
    assert_eq!(printed(&[&line[..], &budgets].concat()).trim(), out);
    let page = std::fs::read_to_string(&file).unwrap();
    assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"));
    for part in [
        "Roofline",
        "Speed against memory",
        "Time per phase",
        "foretold",
        "pp16",
        "tg2",
        "llama-q4",
        "prefers-color-scheme",
    ] {
        assert!(page.contains(part), "{part}");
    }
    for foreign in ["http", "<script", "src=", "@import", "NaN", "inf"] {
        assert!(!page.contains(foreign), "{foreign}");
    }
    let count = |text: String| page.matches(&text).count();
    for tag in ["svg", "text", "table", "tr", "td", "title", "circle", "div"] {
        let opened = count(format!("<{tag}>")) + count(format!("<{tag} "));
        assert!(opened > 0 && opened == count(format!("</{tag}>")), "{tag}");
    }
    let (code, _, err) = pintpot(&["bench", "report"], "");
    assert!(code == Some(4) && err.contains("pintpot pull smollm2"), "{err}");
}

/// A folder, and a way to put scripts that stand for programs into it.
fn scripts() -> (tempfile::TempDir, impl Fn(&str, &str) -> String) {
    let folder = tempfile::tempdir().unwrap();
    let within = folder.path().to_path_buf();
    let script = move |name: &str, body: &str| {
        let path = within.join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
        let mut rights = std::fs::metadata(&path).unwrap().permissions();
        rights.set_mode(0o755);
        std::fs::set_permissions(&path, rights).unwrap();
        path.to_str().unwrap().to_string()
    };
    (folder, script)
}

#[test]
fn a_sweep_has_a_row_for_every_budget() {
    let tiny = tiny();
    let line = ["bench", "sweep", &tiny, "--budgets", "1GiB,1%", "-p", "8", "-n", "3", "-r", "2", "-t", "1"];
    let (folder, script) = scripts();
    // It makes do without a second copy of the weights, and only then has enough memory.
    let words = "for word; do case $last in -p) prompt=$word;; --repack) frugal=1;; esac; last=$word; done";
    let row = |prompt: &str, answer, rate| {
        format!(r#"{{\"n_prompt\": {prompt}, \"n_gen\": {answer}, \"avg_ts\": {rate}}}"#)
    };
    let rows = format!("[{}, {}]", row("$prompt", 0, 0.25), row("0", 3, 0.5));
    let frugal = format!("{words}\n[ \"$frugal\" ] || exit 9\necho \"{rows}\"");
    let bench = script("llama-bench", &frugal);
    let broken = script("broken-bench", "echo 'it cannot be' >&2\nexit 3");
    let swept = |more: &[&str]| {
        let path = folder.path().to_str().unwrap();
        let (code, out, err) = pintpot(&[&line[..], more].concat(), path);
        assert_eq!(code, Some(0), "{err}");
        out
    };
    let rows: Value = serde_json::from_str(&swept(&["-o", "json"])).unwrap();
    let rows = rows.as_array().unwrap();
    assert_eq!(rows.len(), 3, "{rows:?}");
    assert_eq!((&rows[0]["budget_bytes"], &rows[0]["peer"]), (&(1 << 30).into(), &bench.as_str().into()));
    for row in &rows[..2] {
        assert_eq!(row["ours_ts"].as_array().unwrap().len(), 2);
        assert_eq!(row["theirs_ts"], serde_json::json!([0.5, 0.5]));
        assert_eq!(row["logits_digest"], rows[0]["logits_digest"]);
        for key in
            ["ours_median_ts", "foretold_ts", "bound_ts", "ours_median_prompt_ts", "disk_bytes_per_second"]
        {
            assert!(row[key].as_f64() > Some(0.0), "{key}: {row}");
        }
    }
    assert_eq!(rows[1]["budget_bytes"], rows[1]["smallest_budget_bytes"]);
    assert!(
        rows[2]["remark"].as_str().unwrap().starts_with("refused: the smallest budget is"),
        "{}",
        rows[2]
    );
    assert!(rows[2]["ours_median_ts"].is_null());
    let md = swept(&["--llama", &broken]);
    assert_eq!(md.lines().filter(|line| line.contains("it cannot be")).count(), 2, "{md}");
    assert!(swept(&["-o", "csv"]).lines().nth(1).unwrap().contains(&tiny));
}

#[test]
fn a_plan_foretells_many_budgets() {
    let tiny = tiny();
    let line = ["plan", &tiny, "--sweep", "--budgets", "100MiB,1%", "-p", "8", "-n", "4", "-t", "1"];
    let json: Value = serde_json::from_str(&printed(&[&line[..], &["--json"]].concat())).unwrap();
    let rows = json["table"].as_array().unwrap();
    assert_eq!((rows.len(), &rows[0]["fits"], &rows[2]["fits"]), (3, &true.into(), &false.into()));
    assert_eq!(rows[1]["budget_bytes"], json["smallest_budget_bytes"]);
    assert_eq!((&rows[0]["context"], &rows[0]["prompt_tokens"]), (&12.into(), &8.into()));
    assert!(json["disk_bytes_per_second"].as_f64() > Some(0.0) && rows[0]["file_share"].as_f64() > Some(1.0));
    let text = printed(&["plan", &tiny, "--sweep"]);
    let refused = text.lines().filter(|line| line.contains("refused: the smallest budget is")).count();
    assert!(refused > 0 && text.contains("a prompt of 512 tokens and an answer of 128"), "{text}");
}

#[test]
fn what_cannot_be_timed_is_said() {
    let tiny = tiny();
    let cases: &[(&[&str], i32, &str)] = &[
        (&["bench", &tiny, "-p", "x"], 2, "--n-prompt is \"x\""),
        (&["bench", &tiny, "-p", "0", "-n", "0"], 2, "at least one of them more than 0"),
        (&["bench", &tiny, "-r", "0"], 2, "at least 1"),
        (&["bench", &tiny, "-d", "100000"], 2, "-d is 100000"),
        (&["bench", &tiny, "-o", "xml"], 2, "md, json or csv"),
        (&["bench", &tiny, "--memory", "1M"], 3, "needs at least"),
        (&["bench"], 2, "no model is named"),
        (&["bench", "kernels"], 2, "\"\" is no shape"),
        (&["bench", "kernels", "1,2,3,4"], 2, "is no shape"),
        (&["bench", "kernels", "16,33"], 2, "whole blocks"),
        (&["bench", "kernels", "16,32", "--type", "q9"], 2, "--type is q9"),
        (&["bench", "sweep", &tiny, "--budgets", "most"], 2, "--budgets is 'most'"),
        (&["bench", "sweep", &tiny, "-n", "1"], 2, "-n is 1"),
        (&["bench", "sweep", &tiny, "-n", "2,3"], 2, "one number of tokens"),
        (&["bench", "sweep", &tiny, "--throttle", "fast"], 2, "such as 100MB/s"),
        (&["bench", "sweep", &tiny, "--llama", "nowhere"], 4, "no llama-bench"),
        (&["plan", &tiny, "--sweep", "--budgets", "0%"], 2, "--budgets is '0%'"),
        (&["bench", "kernels", "--help"], 0, "--type"),
        (&["bench", "--help"], 0, "--n-depth"),
    ];
    for (line, code, said) in cases {
        let (got, out, err) = pintpot(line, "");
        assert!(got == Some(*code) && format!("{out}{err}").contains(said), "{line:?}: {got:?} {out}{err}");
    }
}
