//! A head in bands makes what it makes whole, to the bit, whatever its windows, margins and branches.
//!
//! What it is: small networks by the operators' definitions, cut wherever they may be, in bands of every height. What it is not: kernels,
//! see `crates/engine/tests/bands.rs`.

use pintpot_graph::array::{
    Along, Array, Binary, BinaryKind, Conv, Join, Pool, PoolKind, Restride, Unary, UnaryKind, Windows,
    evaluate,
};
use pintpot_graph::bands::Head;
use pintpot_graph::{ArrayType, Bounds, Data, Elem, Extents, Graph, Op, Plan, ValueId};
use std::collections::HashMap;

fn kind(extents: &[usize]) -> ArrayType {
    ArrayType { elem: Elem::F32, extents: Extents::new(extents).unwrap() }
}

/// Numbers that are not round.
fn numbers(count: usize, seed: u32) -> Box<[u8]> {
    let mut state = seed;
    let next = (0..count).flat_map(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        ((state >> 8) as f32 / 8_388_608.0 - 1.0).to_le_bytes()
    });
    next.collect()
}

fn square(kernel: usize, stride: usize, [before, behind]: [usize; 2]) -> Windows {
    Windows {
        kernel: vec![kernel; 2],
        strides: vec![stride; 2],
        dilations: vec![1; 2],
        before: vec![before; 2],
        behind: vec![behind; 2],
    }
}

struct Net(Graph);

impl Net {
    fn conv(&mut self, x: ValueId, maps: usize, windows: Windows, groups: usize) -> ValueId {
        let channels = self.0.value_of(x).dims.known().unwrap()[1] / groups;
        let w = kind(&[maps, channels, windows.kernel[0], windows.kernel[1]]);
        let seed = self.0.values.len() as u32;
        let w = self.0.constant(w, Data::Here(numbers(w.extents.elements(), seed)));
        let op = Conv { windows, groups, scales: false, bounds: Some([-1.0, 6.0]), then: None, tiles: None };
        self.0.push_array(op, &[x, w]).unwrap()[0]
    }

    fn one(&mut self, op: impl Into<pintpot_graph::ArrayOp>, inputs: &[ValueId]) -> ValueId {
        self.0.push_array(op, inputs).unwrap()[0]
    }
}

fn run(graph: &Graph) -> Array {
    let mut values: HashMap<ValueId, Array> = HashMap::new();
    for &id in &graph.inputs {
        let kind = kind(&graph.value_of(id).dims.known().unwrap());
        values.insert(id, Array { kind, bytes: numbers(kind.extents.elements(), 7) });
    }
    for constant in &graph.constants {
        let kind = kind(&graph.value_of(constant.value).dims.known().unwrap());
        let Data::Here(bytes) = &constant.data else { panic!("a constant that is at hand") };
        values.insert(constant.value, Array { kind, bytes: bytes.clone() });
    }
    for node in &graph.nodes {
        let Op::Array(op) = &node.op else { panic!("an operator on arrays") };
        let inputs: Vec<&Array> = node.inputs.iter().map(|id| &values[id]).collect();
        let made = evaluate(op, &inputs).unwrap();
        values.extend(node.outputs().zip(made));
    }
    values[&graph.outputs[0]].clone()
}

/// How many ways to cut there were; all of them make the same.
fn check(net: Graph) -> usize {
    pintpot_graph::verify(&net).unwrap();
    let expected = run(&net);
    let mut ways = 0;
    for head in Head::all(&net) {
        for rows in 1..head.rows {
            let Some(banded) = head.in_bands(&net, rows) else { continue };
            pintpot_graph::verify(&banded).unwrap();
            assert_eq!(run(&banded).bytes, expected.bytes, "{rows} rows of {:?}", head.cut);
            ways += 1;
        }
    }
    ways
}

/// Blocks as MobileNetV2 has them, from an image that lies with its channels last.
fn blocks() -> Graph {
    let mut net = Net(Graph::new());
    let x = net.0.input(kind(&[1, 37, 29, 3]).extents.into(), Elem::F32);
    let x = net.one(Restride::transpose(&[0, 3, 1, 2]), &[x]);
    let mut x = net.conv(x, 8, square(3, 2, [1, 1]), 1);
    for (maps, stride) in [(4, 1), (6, 2), (6, 1), (8, 2)] {
        let wide = net.conv(x, 32, square(1, 1, [0, 0]), 1);
        let deep = net.conv(wide, 32, square(3, stride, [1, 1]), 32);
        let made = net.conv(deep, maps, square(1, 1, [0, 0]), 1);
        let same = net.0.value_of(x).dims == net.0.value_of(made).dims;
        x = if same { net.one(Binary { kind: BinaryKind::Add }, &[made, x]) } else { made };
    }
    let out = net.one(Unary { kind: UnaryKind::HardSwish }, &[x]);
    net.0.outputs.push(out);
    net.0
}

#[test]
fn blocks_in_bands_are_the_same_and_smaller() {
    let net = blocks();
    assert!(check(net.clone()) >= 6);
    let bounds = Bounds { rows: 1, logit_rows: 1 };
    let arena = |graph: &Graph| Plan::new(graph, bounds).arena_bytes;
    let heads = Head::all(&net);
    let banded = heads.iter().flat_map(|head| (1..head.rows).filter_map(|rows| head.in_bands(&net, rows)));
    let least = banded.map(|graph| arena(&graph)).min().unwrap();
    assert!(least * 2 < arena(&net), "{least} of {}", arena(&net));
}

#[test]
fn pools_branches_and_uneven_margins_are_the_same() {
    let mut net = Net(Graph::new());
    let x = net.0.input(kind(&[2, 4, 41, 23]).extents.into(), Elem::F32);
    let wide = net.conv(x, 12, square(5, 1, [2, 2]), 2);
    let most = Pool {
        kind: PoolKind::Max { place: false, columns_first: false },
        windows: square(3, 2, [0, 1]),
        ceil: true,
    };
    let mean = Pool { kind: PoolKind::Average { margins: false }, windows: square(2, 2, [0, 0]), ceil: true };
    let counted =
        Pool { kind: PoolKind::Average { margins: true }, windows: square(3, 2, [1, 1]), ceil: false };
    let made: Vec<ValueId> = [most, mean, counted].map(|pool| net.one(pool, &[wide])).into();
    let made = net.one(Join { axis: 1 }, &made);
    // Every row has a number of its own.
    let own = kind(&[1, 1, 21, 1]);
    let own = net.0.constant(own, Data::Here(numbers(21, 3)));
    let scaled = net.one(Binary { kind: BinaryKind::Mul }, &[own, made]);
    let wide = net.conv(scaled, 6, Windows { dilations: vec![2, 1], ..square(3, 1, [1, 2]) }, 3);
    let few = net.conv(wide, 2, square(4, 3, [0, 3]), 1);
    net.0.outputs.push(few);
    assert!(check(net.0) >= 3);
}

#[test]
fn what_needs_all_rows_is_not_cut() {
    let mut net = Net(Graph::new());
    let x = net.0.input(kind(&[1, 2, 32, 32]).extents.into(), Elem::F32);
    let wide = net.conv(x, 8, square(3, 1, [1, 1]), 1);
    let axes = [0, 1, 3, 2].map(|axis| Along::Axis { axis, len: None, start: 0, step: 1 });
    let turned = net.one(Restride { axes: axes.into(), at: vec![0; 4] }, &[wide]);
    let both = net.one(Binary { kind: BinaryKind::Add }, &[wide, turned]);
    let few = net.conv(both, 2, square(4, 4, [0, 0]), 1);
    net.0.outputs.push(few);
    assert_eq!(check(net.0), 0);
}
