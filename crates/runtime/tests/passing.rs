//! MobileNetV2 with weights that are read in every run makes what it makes with all of them in memory, to the bit.
//!
//! What it is: weights in a file, where they lie at odd places, and the planner's choices in less and less. What it is not: the
//! trained one under a limit, see `tests/tests/networks.rs`.

mod mobilenet;

use graph::{Bounds, Data, Graph, Plan, Weight};
use host::{FlashFile, Ledger, Pool, ReadAt, StreamOptions};
use kernels::Cpu;
use mobilenet::{mobilenet, numbers};
use pintpot_runtime::{ArrayExecutor, ArrayParts, PassingWeights};
use planner::Fixed;
use planner::network::{InFiles, NetworkPlacement, NetworkRequest, place};
use std::sync::Arc;
use tensor::{DType, Shape};

/// Bytes beyond which a constant goes to the file.
const LARGE: usize = 8 << 10;

/// The network, and the bytes of its file: by weight from where on they are its own.
fn in_file() -> (Graph, Vec<u8>, Vec<u64>) {
    let mut graph = mobilenet();
    let (mut file, mut starts) = (vec![7; 3], Vec::new());
    for at in 0..graph.constants.len() {
        let Data::Here(bytes) = graph.constants[at].data.clone() else { panic!("a constant at hand") };
        if bytes.len() > LARGE {
            let shape = Shape::new(&[1, bytes.len() as u64 / 4]).unwrap();
            let (name, tensor) = (at.to_string(), starts.len());
            let weight = graph.weight(Weight { name, tensor, dtype: DType::F32, shape, offset: 0.0 });
            starts.push(file.len() as u64);
            file.extend(bytes);
            graph.constants[at].data = Data::InFile(weight);
        }
    }
    (graph, file, starts)
}

/// What it makes in two runs in a row, and the bytes that the second read.
fn run(placed: NetworkPlacement, file: &Arc<FlashFile>, starts: &[u64]) -> (Vec<u8>, u64) {
    let ledger = Ledger::new(1 << 30);
    let cpu = Cpu::new(kernels::best(), Pool::new(&ledger, 2).unwrap(), &ledger).unwrap();
    let passing = placed.streamed.map(|streamed| PassingWeights {
        files: vec![Arc::clone(file)],
        extents: streamed.extents,
        window_bytes: streamed.window_bytes,
        options: streamed.options,
    });
    let graph = placed.graph;
    let parts =
        ArrayParts { graph: Arc::clone(&graph), plan: placed.plan, dynamic: Vec::new(), cpu, passing };
    let read = |weight: usize, from: u64, bytes: &mut [u8]| {
        file.read_exact_at(starts[weight] + from, bytes).unwrap();
        Ok(())
    };
    let mut executor = ArrayExecutor::new(&ledger, parts, read).unwrap();
    let image = numbers(3 * 224 * 224, 1, 2.0);
    let made = |executor: &mut ArrayExecutor| {
        executor.run([(graph.inputs[0], &*image)]).unwrap();
        executor.value(graph.outputs[0]).unwrap().1.to_vec()
    };
    let first = made(&mut executor);
    let before = file.bytes_read();
    assert!(made(&mut executor) == first, "the second run");
    (first, file.bytes_read() - before)
}

#[test]
fn weights_that_are_read_in_every_run_are_the_same() {
    let (graph, bytes, starts) = in_file();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights");
    std::fs::write(&path, &bytes).unwrap();
    let file = Arc::new(FlashFile::open(&path).unwrap());
    let graph = Arc::new(graph);
    let plan = Plan::new(&graph, Bounds { rows: 1, logit_rows: 1 });
    let place_of = |data: &Data| {
        let (weight, from) = data.in_file()?;
        let end = starts.get(weight.0 as usize + 1).copied().unwrap_or(bytes.len() as u64);
        let offset = starts[weight.0 as usize] + from;
        Some((0, offset, end - offset))
    };
    let options = StreamOptions { max_runs: 16, max_extents: 16, ..StreamOptions::default() };
    let files = Some(InFiles { place_of: &place_of, align: file.align(), options });
    let weights = ArrayExecutor::weight_bytes(&graph);
    let placed = |budget: u64| {
        let heap_of = &|_: &Graph| 0;
        let (graph, plan, copies, whole, fixed) = (&graph, &plan, 0, false, Fixed::default());
        place(&NetworkRequest { graph, plan, weights, heap_of, copies, whole, files, budget, fixed })
    };
    let whole = placed(u64::MAX).unwrap();
    assert!(whole.streamed.is_none());
    let most = whole.peak();
    let smallest = placed(0).unwrap_err().needed;
    println!("{smallest} of {most}");
    assert!(smallest * 4 < most, "{smallest} of {most}");
    let (expected, _) = run(whole, &file, &starts);
    let mut before = u64::MAX;
    for eighths in 0..4 {
        let way = placed(smallest + (most - smallest) * eighths / 8).unwrap();
        let streamed = way.streamed.as_ref().unwrap().bytes();
        assert!(streamed < before, "more memory keeps more");
        before = streamed;
        let (made, read) = run(way, &file, &starts);
        assert!(made == expected, "{eighths} eighths");
        // What was read ahead was counted before.
        assert!(2 * read >= streamed && read <= 2 * streamed, "{read} of {streamed} bytes");
    }
}
