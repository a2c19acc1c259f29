//! Small networks in TFLite, and what LiteRT's reference kernels make of them in three runs: `tests/networks/litert`.
//!
//! Whole numbers must be the same, but where a comment says that they may be a step apart.

use formats::tflite::Model;
use formats::{Contents, Limits};
use graph::array::Array;
use graph::{ArrayType, Bounds, Elem, Plan};
use host::{Ledger, Pool, ReadAt};
use kernels::Cpu;
use models::network::{Given, Item, Network, Port};
use pintpot_runtime::{ArrayExecutor, ArrayParts};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Runs of a case.
const RUNS: usize = 3;
/// By how much floats may be apart, by the largest of them.
const APART: f64 = 2e-6;
/// Cases that TFLite does in fixed point and we as fractions, rounded once.
const A_STEP_APART: &[&str] = &["hard_swish_i8", "lstm_i8", "resize_i8"];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/networks/litert")
}

fn model(path: &Path) -> (Box<Model>, Vec<u8>) {
    let contents = formats::examine(path, Limits::default()).expect("a network");
    let Contents::Tflite(model) = contents else { panic!("{}: not a TFLite model", path.display()) };
    (model, std::fs::read(path).expect("a file"))
}

fn executor(network: Network, file: &dyn ReadAt) -> ArrayExecutor {
    let ledger = Ledger::new(64 << 20);
    let graph = Arc::new(network.graph);
    let plan = Plan::new(&graph, Bounds { rows: 1, logit_rows: 1 });
    let cpu = Cpu::new(kernels::best(), Pool::new(&ledger, 2).unwrap(), &ledger).unwrap();
    let parts = ArrayParts { graph: Arc::clone(&graph), plan, dynamic: network.dynamic, cpu, passing: None };
    let read = |weight: usize, _: u64, bytes: &mut [u8]| {
        let place = &network.weights[graph.weights[weight].tensor];
        place.read(file, bytes).map_err(|source| {
            let (tensor, offset) = (graph.weights[weight].name.clone(), place.range.start);
            memory::Error::Read { tensor, offset, source }
        })
    };
    ArrayExecutor::new(&ledger, parts, read).unwrap()
}

/// Values of ports, and what they are.
fn kinds(network: &Network, ports: &[Port]) -> Vec<(graph::ValueId, ArrayType)> {
    let kind = |port: &Port| {
        let Item::Value(id) = port.item else { panic!("{} is no array", port.name) };
        let value = network.graph.value_of(id);
        (id, ArrayType { elem: value.elem, extents: value.dims.known().unwrap() })
    };
    ports.iter().map(kind).collect()
}

/// How far apart two arrays are: in steps, or by the largest number.
fn apart(found: &Array, expected: &Array) -> f64 {
    let (a, b) = (found.fractions(), expected.fractions());
    let far = a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    if found.kind.elem.is_float() { far / b.iter().fold(1e-6, |most, x| x.abs().max(most)) } else { far }
}

fn case(path: &Path) -> Result<(), String> {
    let name = path.file_stem().unwrap().to_str().unwrap();
    let (model, file) = model(path);
    let network =
        models::tflite::build(&model, &[&file as &dyn ReadAt], &[]).map_err(|e| format!("{name}: {e}"))?;
    let (inputs, outputs) = (kinds(&network, &network.inputs), kinds(&network, &network.outputs));
    let mut executor = executor(network, &file);
    let (fed, made) = (path.with_extension("in"), path.with_extension("out"));
    let (fed, made) = (std::fs::read(fed).unwrap(), std::fs::read(made).unwrap());
    let (mut fed, mut made) = (&fed[..], &made[..]);
    for run in 0..RUNS {
        let mut feeds = Vec::new();
        for (id, kind) in &inputs {
            let (bytes, rest) = fed.split_at(kind.bytes());
            feeds.push((*id, bytes));
            fed = rest;
        }
        executor.run(feeds).map_err(|e| format!("{name}: {e}"))?;
        for (number, (id, kind)) in outputs.iter().enumerate() {
            let (bytes, rest) = made.split_at(kind.bytes());
            made = rest;
            let (found, bytes_found) = executor.value(*id).unwrap();
            if found != *kind {
                return Err(format!("{name}, output {number}: {found}, expected {kind}"));
            }
            let found = Array { kind: *kind, bytes: bytes_found.into() };
            let far = apart(&found, &Array { kind: *kind, bytes: bytes.into() });
            let step = if A_STEP_APART.contains(&name) { 1.0 } else { 0.0 };
            let most = if kind.elem.is_float() { APART } else { step };
            if far.is_nan() || far > most {
                return Err(format!("{name}, run {run}, output {number}: {far} apart"));
            }
        }
    }
    assert!(fed.is_empty() && made.is_empty(), "{name}: all of the reference is used");
    Ok(())
}

fn cases() -> Vec<PathBuf> {
    let files =
        std::fs::read_dir(folder()).expect("the cases are checked in").map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        files.filter(|path| path.extension().is_some_and(|end| end == "tflite")).collect();
    files.sort();
    files
}

#[test]
fn networks_make_what_litert_makes() {
    let cases = cases();
    assert!(cases.len() > 30, "only {} cases", cases.len());
    let wrong: Vec<String> = cases.iter().filter_map(|path| case(path).err()).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// What whole numbers of a tensor stand for; `None` if they are no fractions.
fn meant(model: &Model, number: u32, file: &dyn ReadAt, kind: &ArrayType, bytes: &[u8]) -> Option<Vec<f32>> {
    let quantization = model.subgraphs[0].tensors[number as usize].quantization.as_ref()?;
    let scale = quantization.scale.f32s(file).next()?.unwrap();
    let zero = quantization.zero_point.numbers::<i64>(file).next().map_or(0, |zero| zero.unwrap());
    let array = Array { kind: *kind, bytes: bytes.into() };
    Some(array.fractions().iter().map(|x| (x - zero as f64) as f32 * scale).collect())
}

/// Whether what counts as zero in a tensor is a number of its type.
fn has_zero(model: &Model, number: u32, file: &dyn ReadAt, elem: Elem) -> bool {
    let quantization = model.subgraphs[0].tensors[number as usize].quantization.as_ref();
    let zero = quantization.and_then(|told| told.zero_point.numbers::<i64>(file).next());
    let zero = zero.map_or(0, |zero| zero.unwrap());
    Array::number(elem, zero as f64).fractions() == [zero as f64]
}

/// Whoever gives fractions to a network of whole numbers gets fractions: those that LiteRT's whole numbers stand for.
#[test]
fn whole_numbers_are_given_and_taken_as_fractions() {
    let mut compared = 0;
    for path in cases() {
        let (name, (model, file)) = (path.file_stem().unwrap().to_str().unwrap(), model(&path));
        let (graph, sources) = (&model.subgraphs[0], [&file as &dyn ReadAt]);
        let whole = models::tflite::build(&model, &sources, &[]).unwrap();
        let (inputs, outputs) = (kinds(&whole, &whole.inputs), kinds(&whole, &whole.outputs));
        let is_narrow = |(_, kind): &(_, ArrayType)| matches!(kind.elem, Elem::I8 | Elem::U8 | Elem::I16);
        // A zero that its own type does not have is none of TFLite's.
        let numbers = graph.inputs.iter().chain(&graph.outputs);
        let kinds_of = inputs.iter().chain(&outputs).map(|(_, kind)| kind.elem);
        let fits = numbers.zip(kinds_of).all(|(number, elem)| has_zero(&model, *number, &file, elem));
        if !fits || !inputs.iter().chain(&outputs).all(is_narrow) || A_STEP_APART.contains(&name) {
            continue;
        }
        let of =
            |kind: &ArrayType| Given::Array { kind: ArrayType { elem: Elem::F32, ..*kind }, bytes: None };
        let names = whole.inputs.iter().map(|port| port.name.to_string()).collect::<Vec<_>>();
        let given: Vec<(&str, Given<'_>)> =
            names.iter().zip(&inputs).map(|(name, (_, kind))| (&**name, of(kind))).collect();
        // What is told apart by its numbers has no scale.
        let Ok(network) = models::tflite::build(&model, &sources, &given) else { continue };
        let (taken, gives) = (kinds(&network, &network.inputs), kinds(&network, &network.outputs));
        let mut executor = executor(network, &file);
        let (fed, made) = (path.with_extension("in"), path.with_extension("out"));
        let (fed, made) = (std::fs::read(fed).unwrap(), std::fs::read(made).unwrap());
        let bytes_of = |ports: &[(_, ArrayType)]| ports.iter().map(|(_, kind)| kind.bytes()).sum::<usize>();
        for (fed, made) in fed.chunks(bytes_of(&inputs)).zip(made.chunks(bytes_of(&outputs))) {
            let (mut fed, mut made) = (fed, made);
            let mut feeds = Vec::new();
            for ((number, (_, kind)), (id, _)) in graph.inputs.iter().zip(&inputs).zip(&taken) {
                let (bytes, rest) = fed.split_at(kind.bytes());
                fed = rest;
                feeds.push((*id, meant(&model, *number, &file, kind, bytes).unwrap()));
            }
            executor.run(feeds.iter().map(|(id, numbers)| (*id, host::as_bytes(numbers)))).unwrap();
            for ((number, (_, kind)), (id, gives)) in graph.outputs.iter().zip(&outputs).zip(&gives) {
                let (bytes, rest) = made.split_at(kind.bytes());
                made = rest;
                assert_eq!(gives.elem, Elem::F32, "{name}");
                let expected = meant(&model, *number, &file, kind, bytes).unwrap();
                assert_eq!(host::cast::<f32>(executor.value(*id).unwrap().1).unwrap(), expected, "{name}");
                compared += 1;
            }
        }
    }
    assert!(compared > 30, "only {compared} compared");
}

/// What a stream keeps is forgotten on request.
#[test]
fn a_stream_begins_anew() {
    let path = folder().join("variable_i8.tflite");
    let (model, file) = model(&path);
    let network = models::tflite::build(&model, &[&file as &dyn ReadAt], &[]).unwrap();
    let (inputs, outputs) = (kinds(&network, &network.inputs), kinds(&network, &network.outputs));
    let mut executor = executor(network, &file);
    let run = |executor: &mut ArrayExecutor, bytes: &[u8]| {
        executor.run([(inputs[0].0, bytes)]).unwrap();
        executor.value(outputs[0].0).unwrap().1.to_vec()
    };
    let zero = 250; // -6
    assert_eq!(run(&mut executor, &[1, 2]), [zero, zero, zero, zero, zero, zero, 1, 2]);
    assert_eq!(run(&mut executor, &[3, 4]), [zero, zero, zero, zero, 1, 2, 3, 4]);
    executor.reset();
    assert_eq!(run(&mut executor, &[5, 6]), [zero, zero, zero, zero, zero, zero, 5, 6]);
}

/// Files with any byte changed are networks or refused; neither building nor running them panics.
#[test]
fn damage_is_refused_or_runs() {
    let mut dice = 0x9E37_79B9_7F4A_7C15u64;
    let mut roll = |most: usize| {
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        (dice % most as u64) as usize
    };
    let (mut built, mut ran) = (0, 0);
    for path in cases() {
        let whole = std::fs::read(&path).unwrap();
        for _ in 0..40 {
            let mut file = whole.clone();
            for _ in 0..=roll(3) {
                let at = roll(file.len());
                file[at] = [0, 1, 2, 127, 128, 255, roll(256) as u8][roll(7)];
            }
            let Ok(model) = formats::tflite::read(&file, Limits::default()) else { continue };
            let Ok(network) = models::tflite::build(&model, &[&file as &dyn ReadAt], &[]) else { continue };
            built += 1;
            let bytes: usize = network.graph.values.iter().map(size).sum();
            if bytes > 1 << 16 {
                continue;
            }
            let inputs = kinds(&network, &network.inputs);
            let zeros = vec![0; 1 << 16];
            let feeds: Vec<_> = inputs.iter().map(|(id, kind)| (*id, &zeros[..kind.bytes()])).collect();
            ran += usize::from(executor(network, &file).run(feeds).is_ok());
        }
    }
    assert!(built > 200 && ran > 100, "{built} built, {ran} ran");
}

fn size(value: &graph::Value) -> usize {
    let kind = value.dims.known().map(|extents| ArrayType { elem: value.elem, extents });
    kind.map_or(0, |kind| kind.bytes()).max(Elem::F32.bytes())
}
