//! Products with constants in pieces make what they make whole, to the bit.

use pintpot_graph::array::{Array, Conv, MatMul, Reshape, Windows, evaluate};
use pintpot_graph::pieces::in_pieces;
use pintpot_graph::{ArrayType, Data, Elem, Extents, Graph, Op, ValueId, Weight};
use std::collections::HashMap;
use tensor::{DType, Shape};

fn kind(extents: &[usize]) -> ArrayType {
    ArrayType { elem: Elem::F32, extents: Extents::new(extents).unwrap() }
}

/// Numbers that are not round, from a place on.
fn numbers(start: usize, count: usize) -> Box<[u8]> {
    let number = |at: usize| ((at * 7919 % 1013) as f32 / 311.0 - 1.5).to_le_bytes();
    (start..start + count).flat_map(number).collect()
}

fn in_file(graph: &mut Graph, extents: &[usize]) -> ValueId {
    let kind = kind(extents);
    let shape = Shape::new(&[1, kind.extents.elements() as u64]).unwrap();
    let tensor = graph.weights.len();
    let weight = Weight { name: tensor.to_string(), tensor, dtype: DType::F32, shape, offset: 0.0 };
    let weight = graph.weight(weight);
    graph.constant(kind, Data::InFile(weight))
}

fn run(graph: &Graph) -> Array {
    let mut values: HashMap<ValueId, Array> = HashMap::new();
    let at_hand = graph.inputs.iter().map(|&id| (id, 5, None));
    let constants = graph.constants.iter().map(|constant| match &constant.data {
        Data::Here(bytes) => (constant.value, 0, Some(bytes.clone())),
        data => {
            let (weight, start) = data.in_file().unwrap();
            (constant.value, weight.0 as usize * 100_000 + start as usize / 4, None)
        }
    });
    for (id, start, bytes) in at_hand.chain(constants) {
        let kind = kind(&graph.value_of(id).dims.known().unwrap());
        let bytes = bytes.unwrap_or_else(|| numbers(start, kind.extents.elements()));
        values.insert(id, Array { kind, bytes });
    }
    for node in &graph.nodes {
        let Op::Array(op) = &node.op else { panic!("an operator on arrays") };
        let inputs: Vec<&Array> = node.inputs.iter().map(|id| &values[id]).collect();
        let made = evaluate(op, &inputs).unwrap();
        values.extend(node.outputs().zip(made));
    }
    values[&graph.outputs[0]].clone()
}

#[test]
fn constants_in_pieces_make_the_same() {
    let mut graph = Graph::new();
    let x = graph.input(kind(&[1, 6, 5, 4]).extents.into(), Elem::F32);
    let windows = Windows {
        kernel: vec![3; 2],
        strides: vec![1; 2],
        dilations: vec![1; 2],
        before: vec![1; 2],
        behind: vec![1; 2],
    };
    let w = in_file(&mut graph, &[37, 6, 3, 3]);
    let scale = graph.constant(kind(&[37, 1, 1]), Data::Here(numbers(3, 37)));
    let bias = in_file(&mut graph, &[37]);
    let op = Conv { windows, groups: 1, scales: true, bounds: Some([-9.0, 9.0]), then: None, tiles: None };
    let made = graph.push_array(op, &[x, w, scale, bias]).unwrap()[0];
    let rows = graph.push_array(Reshape { extents: vec![Some(37), Some(20)] }, &[made]).unwrap()[0];
    let columns = in_file(&mut graph, &[53, 20]);
    let op = MatMul { b_is_transposed: true, widens: false };
    let made = graph.push_array(op, &[rows, columns]).unwrap()[0];
    graph.outputs.push(made);
    pintpot_graph::verify(&graph).unwrap();
    let expected = run(&graph);
    for most in [100, 500, 1 << 10, 3 << 10] {
        let pieces = in_pieces(&graph, most, &|_| true).unwrap();
        pintpot_graph::verify(&pieces).unwrap();
        assert!(pieces.nodes.len() > graph.nodes.len());
        assert!(run(&pieces) == expected, "pieces of {most} bytes");
    }
    assert_eq!(in_pieces(&graph, 100, &|_| false).unwrap().nodes.len(), graph.nodes.len());
}
