//! Pictures as a user has them: what networks see on them beside what onnxruntime and RapidOCR see, and what that takes.
//!
//! What it is: the program on pictures of scikit-image, in memory cgroups where they can be made. What it is not: the arithmetic of
//! pictures, see `crates/processors/tests/pictures.rs`. The one design choice: the references are in `tests/pictures/seen.json`,
//! which its `seen.py` wrote.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use host::cgroup::Limits;
use pintpot_tests::{Program, can_cap, root, skip};
use serde_json::Value;

/// A group pays only for pages that nobody holds already: one run of the program at a time.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Files of the folder of test models; `None` if one is missing.
fn fetched<const N: usize>(names: [&str; N]) -> Option<[String; N]> {
    let folder = PathBuf::from(std::env::var_os("PINTPOT_TEST_MODELS")?);
    let paths = names.map(|name| folder.join(name));
    paths.iter().all(|path| path.exists()).then(|| paths.map(|path| path.to_str().unwrap().to_string()))
}

fn reference() -> Value {
    serde_json::from_str(&std::fs::read_to_string(root().join("tests/pictures/seen.json")).unwrap()).unwrap()
}

/// Runs in the smallest budget, in a free group and in one that is limited to it, and below it; the answer without its times.
fn hold(args: &[&str], plan: &[&str], model: &str) -> Value {
    let program = Program::built();
    let planned = program.run(&[plan, &["--json", "--memory", "1TiB"]].concat());
    let smallest = planned.json()["smallest_budget_bytes"].as_u64();
    let smallest = smallest.unwrap_or_else(|| panic!("{plan:?}: no plan: {}", planned.err));
    let run = |budget: u64, limits: &Limits| {
        let budget = budget.to_string();
        let args = [args, &["--json", "--memory", &budget]].concat();
        match can_cap() {
            true => program.run_capped(&args, Path::new(model), limits).unwrap(),
            false => program.run(&args),
        }
    };
    let below = run(smallest - 4096, &Limits::default());
    assert_eq!(below.code, Some(3), "{args:?} below {smallest}: {}", below.err);
    let free = run(smallest, &Limits::default());
    assert_eq!(free.code, Some(0), "{args:?} in {smallest}: {}", free.err);
    println!("{args:?}: smallest budget {smallest}, peak {:?}", free.report.peak);
    let mut seen = free.json();
    if can_cap() {
        assert!(
            free.report.peak.is_some_and(|peak| peak <= smallest),
            "{args:?}: {:?} of {smallest}",
            free.report
        );
        let limited = run(smallest, &Limits { memory: Some(smallest), ..Limits::default() });
        assert_eq!(
            (limited.code, limited.report.limit_hits),
            (Some(0), Some(0)),
            "{args:?}: {}",
            limited.err
        );
        assert_eq!(limited.json()["classes"], seen["classes"]);
        assert_eq!(limited.json()["lines"], seen["lines"]);
    } else {
        skip("pictures", "no memory cgroup can be made here; run as root, or in a delegated cgroup");
    }
    seen["seconds"] = Value::Null;
    seen
}

#[test]
fn classes_are_those_of_onnxruntime_in_the_smallest_budget() {
    let _turn = turn();
    for (case, expected) in reference()["classes"].as_object().unwrap() {
        let (model, picture) = case.split_once(' ').unwrap();
        let files = [format!("{model}/{model}.onnx"), format!("scikit-image/{picture}")];
        let Some([network, image]) = fetched([&files[0], &files[1]]) else {
            return skip(case, "PINTPOT_TEST_MODELS names no folder that holds it");
        };
        let seen = hold(
            &["run", &network, "--image", &image, "--top", "3"],
            &["plan", &network, "--image", &image],
            &network,
        );
        let classes = seen["classes"].as_array().unwrap();
        assert_eq!(classes.len(), 3);
        for (class, expected) in classes.iter().zip(expected.as_array().unwrap()) {
            assert_eq!(class["index"], expected[0], "{case}");
            let apart = class["score"].as_f64().unwrap() - expected[1].as_f64().unwrap();
            assert!(apart.abs() < 1e-3, "{case}: {class} is not {expected}");
        }
    }
}

#[test]
fn a_page_says_what_rapidocr_reads_in_the_smallest_budget() {
    let _turn = turn();
    let Some([detector, image]) = fetched(["ppocr-v5/ppocrv5_det.onnx", "scikit-image/page.png"]) else {
        return skip("ppocr-v5", "PINTPOT_TEST_MODELS names no folder that holds it");
    };
    let folder = Path::new(&detector).parent().unwrap().to_str().unwrap();
    let args = ["ocr", &image, "--models", folder];
    let seen = hold(&args, &[&args[..], &["--plan"]].concat(), &detector);
    let expected = &reference()["lines"]["page.png"];
    let (seen, expected) = (seen["lines"].as_array().unwrap(), expected.as_array().unwrap());
    let text = |lines: &[Value]| {
        lines.iter().map(|line| line["text"].as_str().unwrap().to_string()).collect::<Vec<_>>()
    };
    assert_eq!(text(seen), text(expected));
    let number = |value: &Value| value.as_f64().unwrap();
    for (line, expected) in seen.iter().zip(expected) {
        let corners = |line: &Value| {
            line["corners"]
                .as_array()
                .unwrap()
                .iter()
                .flat_map(|c| [number(&c[0]), number(&c[1])])
                .collect::<Vec<_>>()
        };
        let apart =
            corners(line).iter().zip(corners(expected)).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(apart <= 2.0, "{line} is not {expected}");
    }
}

#[test]
fn what_is_no_picture_is_refused_and_an_unknown_network_says_what_to_do() {
    let Some([network, image]) = fetched(["mobilenetv2/mobilenetv2.onnx", "scikit-image/chelsea.png"]) else {
        return skip("mobilenetv2", "PINTPOT_TEST_MODELS names no folder that holds it");
    };
    let _turn = turn();
    let program = Program::built();
    let answer = program.run(&["run", &network, "--image", &network]);
    assert_eq!(answer.code, Some(4), "{}", answer.err);
    assert!(answer.err.contains("PNG"), "{}", answer.err);
    let folder = tempfile::tempdir().unwrap();
    let stranger = folder.path().join("stranger.onnx");
    std::fs::copy(&network, &stranger).unwrap();
    let stranger = stranger.to_str().unwrap();
    let answer = program.run(&["run", stranger, "--image", &image]);
    assert_eq!(answer.code, Some(2), "{}", answer.err);
    assert!(answer.err.contains("--pipeline"), "{}", answer.err);
    let pipeline = folder.path().join("own.toml");
    let own = "[input]\nwidth = 224\nheight = 224\n[output]\ntask = \"classify\"\nactivation = \"softmax\"\n";
    std::fs::write(&pipeline, own).unwrap();
    let answer = program.run(&[
        "run",
        stranger,
        "--image",
        &image,
        "--pipeline",
        pipeline.to_str().unwrap(),
        "--json",
    ]);
    assert_eq!(answer.json()["classes"].as_array().map(Vec::len), Some(5), "{}", answer.err);
}
