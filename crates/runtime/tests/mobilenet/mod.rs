//! MobileNetV2 as its paper has it (arXiv 1801.04381, table 2) at 224 x 224, with numbers that look random.
//!
//! Not the trained one. The one design choice: weights are at hand or in a file, as a test wants them.

use graph::array::{Binary, BinaryKind, Conv, Pool, PoolKind, Windows};
use graph::{ArrayType, Data, Elem, Extents, Graph, ValueId};

/// Expansion, maps, how often, and the stride of the first.
const BLOCKS: [[usize; 4]; 7] = [
    [1, 16, 1, 1],
    [6, 24, 2, 2],
    [6, 32, 3, 2],
    [6, 64, 4, 2],
    [6, 96, 3, 1],
    [6, 160, 3, 2],
    [6, 320, 1, 1],
];

fn kind(extents: &[usize]) -> ArrayType {
    ArrayType { elem: Elem::F32, extents: Extents::new(extents).unwrap() }
}

/// Numbers between `-far` and `far`.
pub fn numbers(count: usize, seed: u32, far: f32) -> Box<[u8]> {
    let mut state = seed;
    let next = (0..count).flat_map(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (((state >> 8) as f32 / 8_388_608.0 - 1.0) * far).to_le_bytes()
    });
    next.collect()
}

fn square(size: usize, stride: usize, margin: usize) -> Windows {
    Windows {
        kernel: vec![size; 2],
        strides: vec![stride; 2],
        dilations: vec![1; 2],
        before: vec![margin; 2],
        behind: vec![margin; 2],
    }
}

fn conv(graph: &mut Graph, x: ValueId, [maps, size, stride, groups]: [usize; 4], most: f32) -> ValueId {
    let channels = graph.value_of(x).dims.known().unwrap()[1] / groups;
    let w = kind(&[maps, channels, size, size]);
    let far = 2.0 / ((channels * size * size) as f32).sqrt();
    let seed = graph.values.len() as u32;
    let w = graph.constant(w, Data::Here(numbers(w.extents.elements(), seed, far)));
    let bias = graph.constant(kind(&[maps]), Data::Here(numbers(maps, seed + 1, 0.5)));
    let windows = square(size, stride, size / 2);
    let op =
        Conv { windows, groups, scales: false, bounds: Some([0.0 - most, most]), then: None, tiles: None };
    graph.push_array(op, &[x, w, bias]).unwrap()[0]
}

/// The network, its weights at hand.
pub fn mobilenet() -> Graph {
    let mut graph = Graph::new();
    let x = graph.input(kind(&[1, 3, 224, 224]).extents.into(), Elem::F32);
    let mut x = conv(&mut graph, x, [32, 3, 2, 1], 6.0);
    for [expansion, maps, times, first] in BLOCKS {
        for number in 0..times {
            let channels = graph.value_of(x).dims.known().unwrap()[1];
            let (wide, stride) = (channels * expansion, if number == 0 { first } else { 1 });
            let expanded = if expansion > 1 { conv(&mut graph, x, [wide, 1, 1, 1], 6.0) } else { x };
            let deep = conv(&mut graph, expanded, [wide, 3, stride, wide], 6.0);
            let made = conv(&mut graph, deep, [maps, 1, 1, 1], f32::MAX);
            let add = Binary { kind: BinaryKind::Add };
            x = if number > 0 { graph.push_array(add, &[made, x]).unwrap()[0] } else { made };
        }
    }
    let x = conv(&mut graph, x, [1280, 1, 1, 1], 6.0);
    let mean = Pool { kind: PoolKind::Average { margins: false }, windows: square(7, 1, 0), ceil: false };
    let mean = graph.push_array(mean, &[x]).unwrap()[0];
    let classes = conv(&mut graph, mean, [1000, 1, 1, 1], f32::MAX);
    graph.outputs.push(classes);
    graph
}
