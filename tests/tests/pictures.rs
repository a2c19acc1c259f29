//! Pictures as a user has them: what networks see on them beside what onnxruntime and RapidOCR see, and what that takes.
//!
//! What it is: the program on pictures of scikit-image, in memory cgroups where they can be made. What it is not: the arithmetic of
//! pictures, see `crates/processors/tests/pictures.rs`. The one design choice: the references are in `tests/pictures/seen.json`,
//! which its `seen.py` wrote.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use host::cgroup::Limits;
use pintpot_tests::{Program, absent, can_cap, root, skip};
use serde_json::{Value, json};

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
            return absent(case);
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
fn networks_of_whole_numbers_see_what_they_see_in_litert() {
    let _turn = turn();
    let small = std::fs::read_to_string(root().join("tests/pictures/small.json")).unwrap();
    let small: Value = serde_json::from_str(&small).unwrap();
    for (case, expected) in small.as_object().unwrap() {
        let (model, picture) = case.split_once(' ').unwrap();
        let files = [format!("mltk/{model}.tflite"), format!("scikit-image/{picture}")];
        let Some([network, image]) = fetched([&files[0], &files[1]]) else {
            return absent(case);
        };
        let run = ["run", &network, "--image", &image, "--top", "2"];
        // One of them in the smallest budget, the other two as it comes.
        let seen = match &*files[1] {
            "scikit-image/astronaut.png" => hold(&run, &["plan", &network, "--image", &image], &network),
            _ => Program::built().run(&[&run[..], &["--json"]].concat()).json(),
        };
        let classes = seen["classes"].as_array().unwrap();
        let told: Vec<Value> = classes.iter().map(|class| json!([class["index"], class["score"]])).collect();
        near(case, &Value::from(told), expected, 1e-6);
    }
}

#[test]
fn noise_becomes_what_it_becomes_in_onnxruntime() {
    let _turn = turn();
    let name = "terrain-unet/terrain_consistency_unet_difficulty100.onnx";
    let Some([network]) = fetched([name]) else { return absent(name) };
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("map.png");
    let out = out.to_str().unwrap();
    // The least and the most of the heights that onnxruntime makes of the same noise.
    for (seed, difficulty, extremes) in
        [("0", "0.5", [-0.946136, 0.040183]), ("3", "1", [-0.944866, 0.294856])]
    {
        let difficulty = format!("difficulty={difficulty}");
        let said = ["--input", &difficulty];
        let run = [&["run", &network, "--seed", seed, "--out", out][..], &said].concat();
        let painted = hold(&run, &[&["plan", &network][..], &said].concat(), &network);
        for (name, expected) in ["least", "most"].into_iter().zip(extremes) {
            near(name, &painted[name], &json!(expected), 2e-5);
        }
    }
    let source = pintpot::image::Source::open(out.as_ref()).unwrap();
    assert_eq!((source.width(), source.height()), (128, 128));
}

#[test]
fn a_page_says_what_rapidocr_reads_in_the_smallest_budget() {
    let _turn = turn();
    let Some([detector, image]) = fetched(["ppocr-v5/ppocrv5_det.onnx", "scikit-image/page.png"]) else {
        return absent("ppocr-v5");
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
        return absent("mobilenetv2");
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

/// Pairs of numbers that are at most so far apart.
fn near(what: &str, found: &Value, expected: &Value, most: f64) {
    match (found.as_array(), expected.as_array()) {
        (Some(found), Some(expected)) => {
            assert!(found.len() >= expected.len(), "{what}: {found:?} is not {expected:?}");
            found.iter().zip(expected).for_each(|(found, expected)| near(what, found, expected, most));
        }
        _ => {
            let apart = found.as_f64().unwrap() - expected.as_f64().unwrap();
            assert!(apart.abs() <= most, "{what}: {found} is not {expected}");
        }
    }
}

#[test]
fn faces_people_and_masks_are_those_of_mediapipe() {
    let names = [
        "mediapipe/face_landmark.tflite",
        "mediapipe/pose_landmark_full.tflite",
        "scikit-image/astronaut.png",
    ];
    let Some([marker, _, image]) = fetched(names) else {
        return absent("mediapipe");
    };
    let _turn = turn();
    let folder = Path::new(&marker).parent().unwrap();
    let expected = std::fs::read_to_string(root().join("tests/pictures/followed.json")).unwrap();
    let expected: Value = serde_json::from_str(&expected).unwrap();
    let program = Program::built();
    let look = |name: &str| {
        let network = folder.join(format!("{name}.tflite"));
        let answer = program.run(&["run", network.to_str().unwrap(), "--image", &image, "--json"]);
        assert_eq!(answer.code, Some(0), "{name}: {}", answer.err);
        answer.json()
    };
    for (name, most) in [("face_detection_short_range", 0.05), ("face_detection_full_range_sparse", 0.2)] {
        let (face, expected) = (&look(name)["objects"][0], &expected[name]);
        near(name, &face["score"], &expected["score"], 1e-3);
        near(name, &face["corners"], &expected["corners"], most);
        near(name, &face["points"], &expected["points"], most);
    }
    near("selfie", &look("selfie_segmentation")["mean_share"], &expected["selfie_segmentation"], 1e-3);
    for (kind, every, values, most) in [("face", 12, 3, 0.1), ("pose", 1, 2, 1.0)] {
        let folder = folder.to_str().unwrap();
        let answer = program.run(&["landmarks", kind, &image, &image, "--models", folder, "--json"]);
        let lines: Vec<Value> = answer.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(
            lines.iter().map(|line| line["anew"].as_bool()).collect::<Vec<_>>(),
            [Some(true), Some(false)]
        );
        let points = lines[0]["found"][0]["points"].as_array().unwrap().iter().step_by(every);
        let expected = expected[kind].as_array().unwrap();
        assert_eq!(points.len(), expected.len(), "{kind}");
        for (point, expected) in points.zip(expected) {
            let [point, expected] = [point, expected].map(|point| point.as_array().unwrap());
            // The last number of a person's point is how likely it can be seen; what cannot be seen is a guess.
            let is_seen = values == 3 || expected[2].as_f64().unwrap() > 0.9;
            let [point, expected] = [point, expected].map(|point| Value::from(&point[..values]));
            if is_seen {
                near(kind, &point, &expected, most);
            }
        }
    }
}
