//! MobileNetV2 with its head in bands makes what it makes whole, to the bit, on every instruction set, in a quarter of the arena.
//!
//! What it is: the network with numbers that look random, placed by the planner in less and less. What it is not: the trained one under
//! a limit, see `tests/tests/networks.rs`.

mod mobilenet;

use graph::{Bounds, Graph, Plan};
use host::{Ledger, Pool};
use kernels::{Cpu, KernelSet};
use mobilenet::{mobilenet, numbers};
use pintpot_runtime::{ArrayExecutor, ArrayParts};
use planner::Fixed;
use planner::network::{NetworkPlacement, NetworkRequest, place};
use std::sync::Arc;

/// What a network makes on a kernel set.
fn run(kernels: &'static KernelSet, graph: &Arc<Graph>, plan: &Plan) -> Vec<u8> {
    let ledger = Ledger::new(1 << 30);
    let cpu = Cpu::new(kernels, Pool::new(&ledger, 2).unwrap(), &ledger).unwrap();
    let parts =
        ArrayParts { graph: Arc::clone(graph), plan: plan.clone(), dynamic: Vec::new(), cpu, passing: None };
    let mut executor = ArrayExecutor::new(&ledger, parts, |_, _, _| Ok(())).unwrap();
    let image = numbers(3 * 224 * 224, 1, 2.0);
    executor.run([(graph.inputs[0], &*image)]).unwrap();
    executor.value(graph.outputs[0]).unwrap().1.to_vec()
}

fn placed(graph: &Arc<Graph>, plan: &Plan, budget: u64) -> Result<NetworkPlacement, u64> {
    let heap_of = &|_: &Graph| 0;
    let (copies, whole, files, fixed) = (0, false, None, Fixed::default());
    let request = NetworkRequest { graph, plan, weights: 0, heap_of, copies, whole, files, budget, fixed };
    place(&request).map_err(|refused| refused.needed)
}

#[test]
fn a_head_in_bands_is_the_same_in_a_quarter_of_the_arena() {
    let graph = Arc::new(mobilenet());
    let plan = Plan::new(&graph, Bounds { rows: 1, logit_rows: 1 });
    let whole = placed(&graph, &plan, u64::MAX).unwrap();
    assert!(whole.bands.is_none());
    let smallest = placed(&graph, &plan, 0).unwrap_err();
    let mut ways: Vec<NetworkPlacement> = Vec::new();
    for quarters in 0..4 {
        let budget = smallest + (whole.peak() - smallest) * quarters / 4;
        ways.push(placed(&graph, &plan, budget).unwrap());
    }
    let least = &ways[0];
    let recompute = least.bands.unwrap().recompute;
    println!("arena {} of {}, {recompute} times the head", least.plan.arena_bytes, plan.arena_bytes);
    assert!(4 * least.plan.arena_bytes <= plan.arena_bytes, "an arena of {}", least.plan.arena_bytes);
    assert!(recompute < 1.5, "{recompute} times the multiply-adds");
    for kernels in kernels::available() {
        let expected = run(kernels, &whole.graph, &whole.plan);
        for way in &ways {
            assert!(way.bands.is_some());
            assert!(run(kernels, &way.graph, &way.plan) == expected, "{:?} on {}", way.bands, kernels.name());
        }
    }
}
