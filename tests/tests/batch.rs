//! A batch within its budget, as the kernel sees it, and the same answers in any.
//!
//! What it is: the program in memory cgroups, cold, with a file of requests. What it is not: a test of the format, which is
//! beside the verb. The one design choice: the smallest budget is taken at its word, that of the refusal.

use std::collections::BTreeMap;
use std::fs;

use host::cgroup::Limits;
use pintpot_tests::{Program, can_cap, skip, trained};
use serde_json::{Value, json};

/// Requests of the batch.
const REQUESTS: usize = 24;

fn requests(model: &str) -> String {
    let line = |n: usize| {
        let text = format!("{} What is {n} and {n}?", "The river rose in the night. ".repeat(n % 5 * 6));
        let body = json!({ "model": model, "messages": [{ "role": "user", "content": text }], "max_tokens": 4 + n % 12,
            "seed": n, "temperature": 0.7 });
        let line = json!({ "custom_id": n.to_string(), "method": "POST", "url": "/v1/chat/completions", "body": body });
        format!("{line}\n")
    };
    (0..REQUESTS).map(line).collect()
}

/// Digests by name.
fn digests(text: &str) -> BTreeMap<String, Value> {
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let of = |line: Value| {
        let digest = line["response"]["body"]["choices"][0]["logits_digest"].clone();
        assert!(digest.is_string(), "{line}");
        (line["custom_id"].as_str().unwrap().to_string(), digest)
    };
    lines.map(of).collect()
}

#[test]
fn a_batch_stays_in_its_smallest_budget_and_answers_alike() {
    if !can_cap() {
        return skip("batch", "no memory cgroup can be made here; run as root, or in a delegated cgroup");
    }
    let Some(run) = trained("smollm2") else {
        return skip("smollm2", "PINTPOT_TEST_MODELS names no folder that holds it");
    };
    let (program, folder) = (Program::built(), tempfile::tempdir().unwrap());
    let (model, input) = (run.model.canonicalize().unwrap(), folder.path().join("in.jsonl"));
    fs::write(&input, requests(model.to_str().unwrap())).unwrap();
    let words = |output: &str, budget: &str| {
        let output = folder.path().join(output);
        let words = ["batch", input.to_str().unwrap(), output.to_str().unwrap(), "--json", "-c", "512"];
        words
            .iter()
            .chain(&["--parallel", "4", "--memory", budget])
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    };
    let run = |output: &str, budget: &str, limits: &Limits| {
        let words = words(output, budget);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        program.run_capped(&words, &model, limits).unwrap()
    };
    let refused = run("refused.jsonl", "4MiB", &Limits::default());
    assert_eq!(refused.code, Some(3), "{}", refused.err);
    let smallest = refused.json()["smallest_budget_bytes"].as_u64().unwrap();
    let mut known = None;
    for (n, bytes) in [smallest, 256 << 20].into_iter().enumerate() {
        for memory in [None, Some(bytes)] {
            let output = format!("{n}{}.jsonl", memory.is_some());
            let answer = run(&output, &bytes.to_string(), &Limits { memory, ..Limits::default() });
            assert_eq!(answer.code, Some(0), "{}", answer.err);
            let (peak, hits) = (answer.report.peak.unwrap(), answer.report.limit_hits);
            println!("batch in {bytes}, limit {memory:?}: peak {peak}, limit met {hits:?} times");
            assert!(peak <= bytes && (memory.is_none() || hits == Some(0)), "{:?}", answer.report);
            let digests = digests(&fs::read_to_string(folder.path().join(output)).unwrap());
            assert_eq!(digests.len(), REQUESTS);
            assert_eq!(*known.get_or_insert_with(|| digests.clone()), digests, "in {bytes}");
        }
    }
}
