//! Networks as a user has them: arrays in, arrays out, in the smallest budget that `plan` names.
//!
//! What it is: `run` in memory cgroups, cold, with outputs printed and with outputs in files. What it is not: whether the numbers
//! are right, see `crates/engine/tests`. The one design choice: every network is asked for its own inputs and gets ones.

use std::path::Path;

use host::cgroup::Limits;
use pintpot_tests::{Program, absent, can_cap, skip};
use serde_json::Value;

/// Networks of a few KiB and of many MiB, and the extents that they leave open.
const NETWORKS: [(&str, &[&str]); 4] = [
    ("mobilenetv2/mobilenetv2.onnx", &[]),
    ("mltk/visual_wake_words.tflite", &[]),
    ("ppocr-v5/ppocrv5_det.onnx", &["x=1x3x320x320"]),
    ("paraphrase-minilm/paraphrase-MiniLM-L3-v2.onnx", &["input_ids=1x64", "attention_mask=1x64"]),
];

/// What 14 MB of weights are run in. The start of a process takes most of it, with all of the program's file: who adds much code
/// finds out here.
const MOBILENET_IN: u64 = 12 << 20;

/// Ones of a kind as `plan` writes it, such as `F32[1, 3, 224, 224]`, in a file of NumPy's.
fn write_ones(path: &Path, kind: &str) {
    let (elem, extents) = kind.strip_suffix(']').unwrap().split_once('[').unwrap();
    let one: (&str, &[u8]) = match elem {
        "F32" => ("<f4", &[0, 0, 128, 63]),
        "I64" => ("<i8", &[1, 0, 0, 0, 0, 0, 0, 0]),
        "I8" => ("|i1", &[1]),
        other => panic!("no ones of {other}"),
    };
    let extents: Vec<usize> = extents.split(", ").map(|extent| extent.parse().unwrap()).collect();
    let list: String = extents.iter().map(|extent| format!("{extent},")).collect();
    let mut head = format!("{{'descr': '{}', 'fortran_order': False, 'shape': ({list})}}", one.0);
    head += &" ".repeat(63 - (head.len() + 10) % 64);
    head += "\n";
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((head.len() as u16).to_le_bytes());
    bytes.extend(head.as_bytes());
    bytes.extend(one.1.repeat(extents.iter().product()));
    std::fs::write(path, bytes).unwrap();
}

/// What is written of a network's outputs, after it has run in its smallest budget and below it.
fn hold(network: &str, shapes: &[&str]) {
    let program = Program::built();
    let shapes: Vec<&str> = shapes.iter().flat_map(|shape| ["--shape", shape]).collect();
    let plan = program.run(&[&["plan", network, "--json", "--memory", "1TiB"], &shapes[..]].concat());
    assert_eq!(plan.code, Some(0), "{network}: {}", plan.err);
    let plan = plan.json();
    let smallest = plan["smallest_budget_bytes"].as_u64().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut inputs = Vec::new();
    for (number, input) in plan["inputs"].as_array().unwrap().iter().enumerate() {
        let path = folder.path().join(format!("{number}.npy"));
        write_ones(&path, input["type"].as_str().unwrap());
        inputs.push(format!("{}={}", input["name"].as_str().unwrap(), path.display()));
    }
    let inputs: Vec<&str> = inputs.iter().flat_map(|input| ["--input", input]).collect();
    let written = folder.path().join("written");
    let written = written.to_str().unwrap();
    let run = |budget: u64, limits: &Limits, more: &[&str]| {
        let budget = budget.to_string();
        let args = [&["run", network, "--json", "--memory", &budget], &inputs[..], more].concat();
        match can_cap() {
            true => program.run_capped(&args, Path::new(network), limits).unwrap(),
            false => program.run(&args),
        }
    };
    let below = run(smallest - 4096, &Limits::default(), &[]);
    assert_eq!(below.code, Some(3), "{network} below {smallest}: {}", below.err);
    let mut told: Option<Value> = None;
    for more in [&[][..], &["--out-dir", written]] {
        let free = run(smallest, &Limits::default(), more);
        assert_eq!(free.code, Some(0), "{network} in {smallest}: {}", free.err);
        if !can_cap() {
            skip("networks", "no memory cgroup can be made here; run as root, or in a delegated cgroup");
            continue;
        }
        println!("{network} {more:?}: smallest budget {smallest}, peak {:?}", free.report.peak);
        assert!(free.report.peak.is_some_and(|peak| peak <= smallest), "{network}: {:?}", free.report);
        let limits = Limits { memory: Some(smallest), ..Limits::default() };
        let limited = run(smallest, &limits, more);
        let met = (limited.code, limited.report.limit_hits);
        assert_eq!(met, (Some(0), Some(0)), "{network}: {}", limited.err);
        if more.is_empty() {
            let outputs = told.insert(free.json()["outputs"].clone());
            assert_eq!(limited.json()["outputs"], *outputs, "{network}");
        }
    }
    if let Some(outputs) = told {
        let whole = run(1 << 40, &Limits::default(), &[]);
        assert_eq!(whole.json()["outputs"], outputs, "{network} with all the memory there is");
        for output in outputs.as_array().unwrap() {
            let name = output["name"].as_str().unwrap().replace('/', "_");
            let length = std::fs::metadata(format!("{written}/{name}.npy")).unwrap().len();
            let elements: u64 =
                output["shape"].as_array().unwrap().iter().filter_map(Value::as_u64).product();
            assert!(length > elements, "{name}: {length} bytes of {elements} elements");
        }
    }
}

#[test]
fn networks_run_in_their_smallest_budgets() {
    for (network, shapes) in NETWORKS {
        let found = std::env::var_os("PINTPOT_TEST_MODELS").map(|folder| Path::new(&folder).join(network));
        match found.filter(|path| path.exists()) {
            Some(path) => hold(path.to_str().unwrap(), shapes),
            None => absent(network),
        }
    }
}

#[test]
fn mobilenet_makes_its_head_in_bands_where_memory_is_scarce() {
    let network = NETWORKS[0].0;
    let found = std::env::var_os("PINTPOT_TEST_MODELS").map(|folder| Path::new(&folder).join(network));
    let Some(path) = found.filter(|path| path.exists()) else { return absent(network) };
    let program = Program::built();
    let plan =
        |budget: &str| program.run(&["plan", path.to_str().unwrap(), "--json", "--memory", budget]).json();
    let whole = plan("1TiB");
    assert!(whole["bands"].is_null());
    let smallest = whole["smallest_budget_bytes"].as_u64().unwrap();
    assert!(smallest <= MOBILENET_IN, "{smallest} bytes are needed");
    let small = plan(&whole["smallest_budget_bytes"].to_string());
    let (arena, before) = (small["arena_bytes"].as_u64().unwrap(), whole["arena_bytes"].as_u64().unwrap());
    assert!(4 * arena <= before, "{arena} of {before}");
    let recompute = small["bands"]["recompute"].as_f64().unwrap();
    assert!((1.0..1.5).contains(&recompute), "{recompute}");
}
