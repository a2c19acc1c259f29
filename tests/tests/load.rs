//! Sixty-four at once: a server in the smallest budget, in a larger one and in a large one, for as long as one likes.
//!
//! What it is: clients of mixed lengths who ask all the while, some of whom leave, and every answer compared with the same request's
//! alone, to the byte. What it is not: a measure of the machine; it prints how long people waited. The one design choice: without
//! `PINTPOT_TEST_SECONDS`, seconds for each budget, a small model is asked for a moment, which is what a test has time for; with
//! it, SmolLM2.

use std::time::{Duration, Instant};

use host::cgroup::{Cap, Limits};
use pintpot_tests::served::{Heard, Served, figure, hear, smallest};
use pintpot_tests::{Program, can_cap, skip, tiny, trained};
use serde_json::{Value, json};

const CLIENTS: usize = 64;
const FLAGS: [&str; 10] =
    ["-c", "512", "--contexts", "1", "--parallel", "16", "--queue", "64", "--connections", "80"];
/// Different requests.
const KINDS: usize = 24;

/// One of the requests: prompts of five to three hundred tokens, answers of two to two hundred.
fn ask(kind: usize, stream: bool) -> Value {
    let text = ["Tell me about a fox. ", "What is iron? ", "The sea and the sky. "][kind % 3];
    let tokens = [2, 30, 7, 60, 15, 200, 3, 100][kind % 8];
    json!({
        "model": "model", "seed": kind, "temperature": kind % 2, "stream": stream, "ignore_eos": kind.is_multiple_of(5),
        "max_tokens": tokens,
        "messages": [{ "role": "user", "content": text.repeat(1 + [0, 2, 19, 1, 7][kind % 5]) }],
    })
}

/// What is the same for a request in any company.
#[derive(Debug, PartialEq)]
struct Same {
    text: String,
    digest: Value,
    finish: Value,
}

fn same(heard: &Heard, stream: bool) -> Same {
    assert_eq!(heard.status, 200, "{}", heard.last);
    let choice = &heard.last["choices"][0];
    let whole = choice["message"]["content"].as_str().unwrap_or_default().to_string();
    assert!(!stream || heard.done, "a stream that was cut: {heard:?}");
    let text = if stream { heard.text.clone() } else { whole };
    assert!(choice["logits_digest"].is_string(), "{}", heard.last);
    Same { text, digest: choice["logits_digest"].clone(), finish: choice["finish_reason"].clone() }
}

/// What the clients lived to see.
#[derive(Default)]
struct Seen {
    /// Seconds until the first piece, and between two.
    first: Vec<f64>,
    between: Vec<f64>,
    answers: usize,
    tokens: usize,
    left: usize,
    refused: usize,
}

/// A client that asks until `end`, and once at least.
fn client(address: &str, number: usize, end: Instant, alone: &[Same]) -> Seen {
    let mut seen = Seen::default();
    for turn in 0.. {
        let (kind, stream) = ((number * 5 + turn * 7) % KINDS, !(number + turn).is_multiple_of(4));
        // One in nine hears the beginning and goes.
        let leaves = stream && (number + turn) % 9 == 8;
        let heard =
            hear(address, "/v1/chat/completions", &ask(kind, stream), if leaves { 1 } else { usize::MAX });
        let heard = heard.unwrap_or_else(|error| panic!("client {number}, request {kind}: {error}"));
        match heard.status {
            429 => {
                seen.refused += 1;
                std::thread::sleep(Duration::from_millis(200));
            }
            _ if leaves && !heard.done => seen.left += 1,
            _ => {
                assert_eq!(same(&heard, stream), alone[kind], "client {number}, request {kind}");
                seen.answers += 1;
                seen.tokens += heard.last["timings"]["predicted_n"].as_u64().unwrap_or(0) as usize;
                let seconds: Vec<f64> = heard.pieces.iter().map(Duration::as_secs_f64).collect();
                seen.first.extend(seconds.first());
                seen.between.extend(seconds.windows(2).map(|two| two[1] - two[0]));
            }
        }
        if Instant::now() >= end {
            break;
        }
    }
    seen
}

/// Sixty-four clients for so long.
fn crowd(address: &str, time: Duration, alone: &[Same]) -> Seen {
    let (end, mut all) = (Instant::now() + time, Seen::default());
    std::thread::scope(|scope| {
        let clients: Vec<_> =
            (0..CLIENTS).map(|n| scope.spawn(move || client(address, n, end, alone))).collect();
        for seen in clients.into_iter().map(|thread| thread.join().unwrap()) {
            all.first.extend(seen.first);
            all.between.extend(seen.between);
            all.answers += seen.answers;
            all.tokens += seen.tokens;
            all.left += seen.left;
            all.refused += seen.refused;
        }
    });
    all
}

/// The middle, and what all but one in twenty and one in a hundred are below, in milliseconds.
fn shares(seconds: &mut [f64]) -> String {
    seconds.sort_unstable_by(f64::total_cmp);
    let share = |n: usize| seconds.get(seconds.len() * n / 100).map_or(0.0, |s| s * 1000.0);
    format!("{:.0} / {:.0} / {:.0} ms", share(50), share(95), share(99))
}

#[test]
fn sixty_four_at_once_are_answered_as_one_and_the_limit_is_never_met() {
    if !can_cap() {
        return skip("load", "no memory cgroup can be made here; run as root, or in a delegated cgroup");
    }
    let seconds = std::env::var("PINTPOT_TEST_SECONDS").ok().map(|text| text.parse::<u64>().unwrap());
    let (path, larger) = match seconds {
        None => (tiny("llama-q4.gguf").0, ["32MiB", "64MiB"]),
        Some(_) => match trained("smollm2") {
            Some(run) => (run.model.canonicalize().unwrap(), ["64MiB", "192MiB"]),
            None => return skip("smollm2", "PINTPOT_TEST_MODELS names no folder that holds it"),
        },
    };
    let time = Duration::from_secs(seconds.unwrap_or(2));
    // A model is called as its file is.
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("model.gguf");
    std::fs::copy(path, &model).unwrap();
    let (program, model) = (Program::built(), model.to_str().unwrap());
    let least = smallest(&program, model, &FLAGS);
    let alone: Vec<Same> = {
        let cap = Cap::new(&Limits::default()).unwrap();
        let served = Served::start(&program, &[model], &[&FLAGS[..], &["--memory", "512MiB"]].concat(), &cap);
        let one =
            |kind| same(&hear(&served.address, "/v1/chat/completions", &ask(kind, false), 1).unwrap(), false);
        (0..KINDS).map(one).collect()
    };
    for budget in [least.as_str(), larger[0], larger[1]] {
        let bytes = budget.parse::<host::Memory>().unwrap().resolve().unwrap().bytes;
        let cap = Cap::new(&Limits { memory: Some(bytes), ..Limits::default() }).unwrap();
        let mut served =
            Served::start(&program, &[model], &[&FLAGS[..], &["--memory", budget]].concat(), &cap);
        let start = Instant::now();
        let mut seen = crowd(&served.address, time, &alone);
        let rate = seen.tokens as f64 / start.elapsed().as_secs_f64();
        let taken = figure(&served.address, "num_preemptions_total");
        assert_eq!(served.end(), Some(0), "in {budget}");
        let report = cap.report();
        println!(
            "{budget}: {} answers, {rate:.1} tokens/s, {} left, {} refused, {taken} turns taken; first token {}, between {} \
             (half, 95%, 99%); peak {:?} of {bytes}",
            seen.answers,
            seen.left,
            seen.refused,
            shares(&mut seen.first),
            shares(&mut seen.between),
            report.peak,
        );
        assert!(report.peak.is_some_and(|peak| peak <= bytes), "{budget}: {report:?}");
        assert_eq!(report.limit_hits, Some(0), "{budget}: {report:?}");
    }
}
