//! Networks that hear sounds window by window, as a user has them.
//!
//! What it is: the program on words of a synthetic voice, in memory cgroups where they can be made. What it is not: whether what is
//! heard is right, see `crates/engine/tests/sounds.rs`. The one design choice: network and sound lie in `tests/speech`, so that nothing
//! is fetched.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use host::cgroup::Limits;
use pintpot_tests::{Program, can_cap, root, skip};
use serde_json::Value;

/// A group pays only for pages that nobody holds already: one run of the program at a time.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The network and the sound.
fn files() -> [String; 2] {
    ["kws_ref_model_small.tflite", "words.wav"]
        .map(|name| root().join("tests/speech").join(name).display().to_string())
}

#[test]
fn words_are_heard_in_the_smallest_budget() {
    let _turn = turn();
    let [network, sound] = files();
    let program = Program::built();
    let plan = ["plan", &network, "--audio", &sound, "--json", "--memory", "1TiB"];
    let smallest = program.run(&plan).json()["smallest_budget_bytes"].as_u64().unwrap();
    let run = |budget: u64, limits: &Limits| {
        let args = ["run", &network, "--audio", &sound, "--json", "--memory", &budget.to_string()];
        match can_cap() {
            true => program.run_capped(&args, Path::new(&network), limits).unwrap(),
            false => program.run(&args),
        }
    };
    assert_eq!(run(smallest - 4096, &Limits::default()).code, Some(3));
    let free = run(smallest, &Limits::default());
    assert_eq!(free.code, Some(0), "{}", free.err);
    let told = free.json();
    let windows = told["windows"].as_array().unwrap();
    let words: Vec<&Value> = windows.iter().step_by(2).map(|window| &window["classes"][0]["label"]).collect();
    assert_eq!(words, ["yes", "no", "left"]);
    assert_eq!((windows.len(), told["seconds"].as_f64()), (5, Some(3.0)));
    if !can_cap() {
        return skip("sounds", "no memory cgroup can be made here; run as root, or in a delegated cgroup");
    }
    println!("smallest budget {smallest}, peak {:?}", free.report.peak);
    assert!(free.report.peak.is_some_and(|peak| peak <= smallest), "{:?} of {smallest}", free.report);
    let limited = run(smallest, &Limits { memory: Some(smallest), ..Limits::default() });
    assert_eq!((limited.code, limited.report.limit_hits), (Some(0), Some(0)), "{}", limited.err);
    assert_eq!(limited.json()["windows"], told["windows"]);
}

#[test]
fn what_is_done_with_a_sound_is_the_models_or_the_pipelines_choice() {
    let _turn = turn();
    let [network, sound] = files();
    let program = Program::built();
    let run = |args: &[&str]| program.run(&[&["run"], args].concat());
    // Windows that begin in the middle of a word are less sure than that.
    let heard = run(&[&network, "--audio", &sound, "--threshold", "0.97"]);
    assert_eq!(heard.code, Some(0), "{}", heard.err);
    let lines: Vec<&str> = heard.out.lines().collect();
    assert_eq!(lines.len(), 3, "{}", heard.out);
    for (line, (start, word)) in lines.iter().zip([("00:00", "yes"), ("00:01", "no"), ("00:02", "left")]) {
        assert!(line.starts_with(&format!("[{start}.000")) && line.ends_with(word), "{}", heard.out);
    }
    let folder = tempfile::tempdir().unwrap();
    let stranger = folder.path().join("stranger.tflite");
    std::fs::copy(&network, &stranger).unwrap();
    let stranger = stranger.to_str().unwrap();
    let answer = run(&[stranger, "--audio", &sound]);
    assert_eq!(answer.code, Some(2), "{}", answer.err);
    assert!(answer.err.contains("--pipeline") && answer.err.contains("keyword-spotting"), "{}", answer.err);
    assert!(!answer.err.contains("mobilenetv2"), "{}", answer.err);
    let answer =
        run(&[stranger, "--audio", &sound, "--pipeline", "keyword-spotting", "--top", "2", "--json"]);
    assert_eq!(answer.json()["windows"][0]["classes"].as_array().map(Vec::len), Some(2), "{}", answer.err);
    let answer = run(&[&network, "--audio", &network]);
    assert_eq!(answer.code, Some(5), "{}", answer.err);
    assert!(answer.err.contains("WAV"), "{}", answer.err);
    let answer = run(&[&network, "--audio", &sound, "--pipeline", "mobilenetv2"]);
    assert_eq!(answer.code, Some(2), "{}", answer.err);
}
