//! Convolutions by tiles are their definition to the bit on every instruction set, whole and in bands, and close to windows.
//!
//! What it is: convolutions of sizes that leave rests everywhere, through the executor. What it is not: whether the definition's terms
//! are right, see `crates/graph/src/array/tiles.rs`.

use graph::array::{Array, Conv, UnaryKind, Windows, evaluate};
use graph::bands::Head;
use graph::{ArrayType, Bounds, Data, Elem, Extents, Graph, Plan};
use host::{Ledger, Pool};
use kernels::{Cpu, KernelSet};
use pintpot_runtime::{ArrayExecutor, ArrayParts};
use std::sync::Arc;

fn array(extents: &[usize], seed: u32) -> Array {
    let kind = ArrayType { elem: Elem::F32, extents: Extents::new(extents).unwrap() };
    let mut state = seed;
    let bytes = (0..kind.extents.elements()).flat_map(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        ((state >> 8) as f32 / 8_388_608.0 - 1.0).to_le_bytes()
    });
    Array { kind, bytes: bytes.collect() }
}

fn run(kernels: &'static KernelSet, graph: &Arc<Graph>, x: &Array) -> Vec<u8> {
    let ledger = Ledger::new(1 << 30);
    let cpu = Cpu::new(kernels, Pool::new(&ledger, 2).unwrap(), &ledger).unwrap();
    let plan = Plan::new(graph, Bounds { rows: 1, logit_rows: 1 });
    let parts = ArrayParts { graph: Arc::clone(graph), plan, dynamic: Vec::new(), cpu, passing: None };
    let mut executor = ArrayExecutor::new(&ledger, parts, |_, _, _| Ok(())).unwrap();
    executor.run([(graph.inputs[0], &*x.bytes)]).unwrap();
    executor.value(graph.outputs[0]).unwrap().1.to_vec()
}

/// What is convolved: images, channels, maps, rows and columns, and margins before and behind.
struct Case {
    images: usize,
    channels: usize,
    maps: usize,
    size: [usize; 2],
    margins: [usize; 2],
}

/// In how many ways in bands it was made.
fn check(case: &Case) -> usize {
    let mut ways = 0;
    let Case { images, channels, maps, size, margins } = *case;
    let [before, behind] = margins.map(|margin| vec![margin; 2]);
    let windows = Windows { kernel: vec![3; 2], strides: vec![1; 2], dilations: vec![1; 2], before, behind };
    let bounds = Some([-3.0, 5.0]);
    let conv =
        Conv { windows, groups: 1, scales: true, bounds, then: Some(UnaryKind::HardSwish), tiles: None };
    let x = array(&[images, channels, size[0], size[1]], 1);
    let given = [array(&[maps, channels, 3, 3], 2), array(&[maps], 3), array(&[maps], 4)];
    let inputs = [&x, &given[0], &given[1], &given[2]];
    for phase in [0, 1] {
        let mut graph = Graph::new();
        let input = graph.input(x.kind.extents.into(), Elem::F32);
        let mut ids = vec![input];
        ids.extend(given.iter().map(|array| graph.constant(array.kind, Data::Here(array.bytes.clone()))));
        let tiled = Conv { tiles: Some(phase), ..conv.clone() };
        let made = graph.push_array(tiled.clone(), &ids).unwrap()[0];
        // One map of all, so that there is a cut below it.
        let [one, none] = [vec![1; 2], vec![0; 2]];
        let windows = Windows {
            kernel: one.clone(),
            strides: one.clone(),
            dilations: one,
            before: none.clone(),
            behind: none,
        };
        let last = Conv { windows, groups: 1, scales: false, bounds: None, then: None, tiles: None };
        let mixed = array(&[1, maps, 1, 1], 5);
        let weights = graph.constant(mixed.kind, Data::Here(mixed.bytes.clone()));
        let out = graph.push_array(last.clone(), &[made, weights]).unwrap()[0];
        graph.outputs.push(out);
        let expected = evaluate(&tiled.into(), &inputs).unwrap().remove(0);
        let windows = evaluate(&conv.clone().into(), &inputs).unwrap().remove(0);
        // Sums reach 60 before they are held between bounds: they agree in six digits.
        for (a, b) in expected.fractions().iter().zip(windows.fractions()) {
            assert!((a - b).abs() <= 6e-5, "{a} beside {b}");
        }
        let expected = evaluate(&last.into(), &[&expected, &mixed]).unwrap().remove(0);
        let graph = Arc::new(graph);
        for kernels in kernels::available() {
            let name = kernels.name();
            assert!(run(kernels, &graph, &x) == *expected.bytes, "{channels} to {maps}, {size:?}, on {name}");
            for head in Head::all(&graph) {
                for rows in [1, 2, 5] {
                    let Some(banded) = head.in_bands(&graph, rows) else { continue };
                    assert!(
                        run(kernels, &Arc::new(banded), &x) == *expected.bytes,
                        "bands of {rows}, {name}"
                    );
                    ways += 1;
                }
            }
        }
    }
    ways
}

#[test]
fn tiles_are_their_definition() {
    let cases = [
        Case { images: 1, channels: 3, maps: 5, size: [7, 9], margins: [1, 1] },
        Case { images: 2, channels: 17, maps: 8, size: [12, 31], margins: [1, 0] },
        Case { images: 1, channels: 40, maps: 55, size: [19, 33], margins: [2, 1] },
        Case { images: 1, channels: 300, maps: 14, size: [18, 34], margins: [0, 2] },
        Case { images: 1, channels: 1, maps: 1, size: [1, 1], margins: [1, 1] },
        Case { images: 1, channels: 2, maps: 9, size: [3, 4], margins: [5, 4] },
    ];
    let ways: usize = cases.iter().map(check).sum();
    assert!(ways > 20, "{ways} ways in bands");
}
