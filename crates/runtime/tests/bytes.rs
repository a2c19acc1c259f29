//! Weights of bytes that a network widens: products that take them as they lie make what the network as it was makes, to the bit, also
//! with weights that are read in every run.
//!
//! What it is: layers with weights in a file, placed by the planner in less and less. What it is not: a trained network, see
//! `tests/tests/networks.rs`.

use graph::array::{Binary, BinaryKind, Cast, MatMul, Quantize, Unary, UnaryKind};
use graph::{ArrayType, Bounds, Data, Dims, Elem, Extents, Graph, Plan, ValueId, Weight};
use host::{FlashFile, Ledger, Pool, ReadAt, StreamOptions};
use pintpot_runtime::{ArrayExecutor, ArrayParts, PassingWeights};
use planner::Fixed;
use planner::network::{InFiles, NetworkPlacement, NetworkRequest, place};
use std::sync::Arc;
use tensor::{DType, Shape};

const WIDTH: usize = 640;
const ROWS: usize = 24;
const LAYERS: usize = 9;

fn kind(elem: Elem, list: &[usize]) -> ArrayType {
    ArrayType { elem, extents: Extents::new(list).unwrap() }
}

fn numbers(count: usize, seed: usize) -> Vec<u8> {
    (0..count).flat_map(|i| (((i * 31 + seed * 17) % 101) as f32 / 1000.0 - 0.05).to_le_bytes()).collect()
}

/// Layers of weights in a file, cast and scaled or less what counts as zero; and that file.
fn layers() -> (Graph, Vec<u8>) {
    let (mut graph, mut file) = (Graph::new(), Vec::new());
    let mut x = graph.input(Dims::from(Extents::new(&[1, ROWS, WIDTH]).unwrap()), Elem::F32);
    for layer in 0..LAYERS {
        let shape = Shape::new(&[WIDTH as u64, WIDTH as u64]).unwrap();
        let weight = Weight { name: layer.to_string(), tensor: layer, dtype: DType::F32, shape, offset: 0.0 };
        let data = Data::InFile(graph.weight(weight));
        file.extend((0..WIDTH * WIDTH).map(|i| (i * 7 + i / 13 + layer) as u8));
        let elem = if layer % 2 == 0 { Elem::I8 } else { Elem::U8 };
        let bytes = graph.constant(kind(elem, &[WIDTH, WIDTH]), data);
        let extents = if layer % 3 == 0 { [WIDTH, 1] } else { [1, WIDTH] };
        let scale = graph.constant(kind(Elem::F32, &extents), Data::Here(numbers(WIDTH, layer).into()));
        let wide = if layer < 3 {
            let wide = graph.push_array(Cast { to: Elem::F32 }, &[bytes]).unwrap()[0];
            graph.push_array(Binary { kind: BinaryKind::Mul }, &[wide, scale]).unwrap()[0]
        } else {
            let zeros = Data::Here((0..WIDTH).map(|i| (i % 9) as u8).collect());
            let zeros = graph.constant(kind(elem, &extents), zeros);
            let meant = Quantize { to: Elem::F32, back: true, away: false };
            graph.push_array(meant, &[bytes, scale, zeros]).unwrap()[0]
        };
        let product = MatMul { b_is_transposed: false, widens: false };
        x = graph.push_array(product, &[x, wide]).unwrap()[0];
        let bias = graph.constant(kind(Elem::F32, &[WIDTH]), Data::Here(numbers(WIDTH, layer + 40).into()));
        x = graph.push_array(Binary { kind: BinaryKind::Add }, &[bias, x]).unwrap()[0];
        let then = if layer % 2 == 0 { UnaryKind::Tanh } else { UnaryKind::Relu };
        x = graph.push_array(Unary { kind: then }, &[x]).unwrap()[0];
    }
    graph.outputs.push(x);
    (graph, file)
}

/// Where a weight lies in the file.
fn start(weight: u32) -> u64 {
    u64::from(weight) * (WIDTH * WIDTH) as u64
}

/// What it makes.
fn run(graph: Arc<Graph>, plan: Plan, passing: Option<PassingWeights>, file: &FlashFile) -> Vec<u8> {
    let ledger = Ledger::new(1 << 30);
    let cpu = kernels::Cpu::new(kernels::best(), Pool::new(&ledger, 2).unwrap(), &ledger).unwrap();
    let parts = ArrayParts { graph: Arc::clone(&graph), plan, dynamic: Vec::new(), cpu, passing };
    let read = |weight: usize, from: u64, bytes: &mut [u8]| {
        file.read_exact_at(start(weight as u32) + from, bytes).unwrap();
        Ok(())
    };
    let mut executor = ArrayExecutor::new(&ledger, parts, read).unwrap();
    let x = numbers(ROWS * WIDTH, 99);
    executor.run([(graph.inputs[0], &*x)]).unwrap();
    executor.value(graph.outputs[0]).unwrap().1.to_vec()
}

fn planned(graph: &Graph) -> Plan {
    Plan::new(graph, Bounds { rows: 1, logit_rows: 1 })
}

#[test]
fn bytes_are_widened_as_they_are_multiplied() {
    let (apart, bytes) = layers();
    let mut graph = apart.clone();
    graph::pass::network(&mut graph).unwrap();
    assert!(graph.nodes.iter().all(|node| node.op.name() == "Dense"), "a layer is a node");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights");
    std::fs::write(&path, &bytes).unwrap();
    let file = Arc::new(FlashFile::open(&path).unwrap());
    let (plan, before) = (planned(&graph), planned(&apart));
    // No weight is ever there as floats.
    let floats = (WIDTH * WIDTH * 4) as u64;
    assert!(before.arena_bytes > floats && plan.arena_bytes < floats / 4);
    let expected = run(Arc::new(apart), before, None, &file);
    let graph = Arc::new(graph);
    assert!(run(Arc::clone(&graph), plan.clone(), None, &file) == expected, "with all weights in memory");

    let of_file = |id: ValueId| match graph.constant_of(id) {
        Some(Data::InFile(weight)) => Some(weight.0),
        _ => None,
    };
    assert_eq!(graph.nodes.iter().filter_map(|node| of_file(node.inputs[1])).count(), LAYERS);
    let place_of = |data: &Data| {
        let (weight, from) = data.in_file()?;
        Some((0, start(weight.0) + from, (WIDTH * WIDTH) as u64 - from))
    };
    let options = StreamOptions { max_runs: 16, max_extents: 16, ..StreamOptions::default() };
    let files = Some(InFiles { place_of: &place_of, align: file.align(), options });
    let weights = ArrayExecutor::weight_bytes(&graph);
    let placed = |budget: u64| {
        let heap_of = &|_: &Graph| 0;
        let (graph, plan, copies, whole, fixed) = (&graph, &plan, 0, false, Fixed::default());
        place(&NetworkRequest { graph, plan, weights, heap_of, copies, whole, files, budget, fixed })
    };
    let smallest = placed(0).unwrap_err().needed;
    let NetworkPlacement { graph, plan, streamed, .. } = placed(smallest).unwrap();
    let streamed = streamed.unwrap();
    assert_eq!(streamed.bytes(), bytes.len() as u64, "every weight passes");
    let passing = PassingWeights {
        files: vec![Arc::clone(&file)],
        extents: streamed.extents,
        window_bytes: streamed.window_bytes,
        options: streamed.options,
    };
    assert!(run(graph, plan, Some(passing), &file) == expected, "with weights that pass");
}
