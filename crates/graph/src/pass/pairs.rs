//! Makes one node of a pointwise convolution and the depthwise one that alone reads its maps.
//!
//! What is between them, often the largest value of a network, is then never there whole. Not where few windows are other
//! chains of sums, nor where the first reads so much for each map that a few maps at a time would read it too often.

use super::made::Made;
use crate::array::{ArrayOp, Conv, ConvDepthwise};
use crate::{Elem, Error, Extents, Graph, Node, Op, ValueId};

/// Channels that the first may always read.
const FEW: usize = 64;
/// Elements that it may read in all where they are more: what stays in a core's second cache.
const NEAR: usize = 64 << 10;
/// Elements of the rows that a window of the second looks at, at most.
const ROWS: usize = 8 << 10;

/// Pairs convolutions with the depthwise ones behind them.
pub fn pair_convolutions(graph: &mut Graph) -> Result<(), Error> {
    let nodes = std::mem::take(&mut graph.nodes);
    let made = Made::new(graph, &nodes);
    for node in &nodes {
        graph.nodes.push(paired(&made, graph, node).unwrap_or_else(|| node.clone()));
    }
    Ok(())
}

/// A depthwise convolution with the pointwise one before it.
fn paired(made: &Made<'_>, graph: &Graph, node: &Node) -> Option<Node> {
    let Op::Array(ArrayOp::Conv(second)) = &node.op else { return None };
    let (&between, factors) = node.inputs.split_first()?;
    let (ArrayOp::Conv(first), inputs) = made.own(between)? else { return None };
    let of = |id: ValueId| graph.value_of(id).dims.known();
    let (x, maps, weights) = (of(*inputs.first()?)?, of(between)?, of(*factors.first()?)?);
    let floats = graph.value_of(between).elem == Elem::F32;
    let fits = floats
        && node.more.is_empty()
        && is_pointwise(first)
        && weights.get(..2) == Some(&[maps[1], 1])
        && second.groups == maps[1]
        && is_small(second, &maps)
        && maps[2..].iter().product::<usize>() > Conv::NARROW
        && (x[1] <= FEW || x[1..].iter().product::<usize>() <= NEAR);
    fits.then(|| {
        let (first, second) = (Box::new(first.clone()), Box::new(Conv { groups: 1, ..second.clone() }));
        let op = ConvDepthwise { first, second, inputs: inputs.len() };
        let inputs = [inputs, factors].concat();
        Node::new(Op::Array(op.into()), inputs, node.output)
    })
}

fn is_pointwise(conv: &Conv) -> bool {
    let windows = &conv.windows;
    let all = |list: &[usize], number| list.iter().all(|x| *x == number);
    conv.groups == 1
        && all(&windows.kernel, 1)
        && all(&windows.strides, 1)
        && all(&windows.before, 0)
        && all(&windows.behind, 0)
}

/// Whether kernels have room for rows of such windows.
fn is_small(conv: &Conv, maps: &Extents) -> bool {
    let windows = &conv.windows;
    maps.len() == 4
        && windows.strides.iter().all(|stride| *stride <= 2)
        && windows.reach(0).max(windows.reach(1)).saturating_add(1).saturating_mul(maps[3]) <= ROWS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::array::{Array, Unary, UnaryKind, Windows, evaluate};
    use crate::{ArrayType, Dims};
    use std::collections::HashMap;

    fn numbers(kind: ArrayType, seed: u32) -> Array {
        let mut state = seed;
        let next = (0..kind.extents.elements()).flat_map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            ((state >> 8) as f32 / 8_388_608.0 - 1.0).to_le_bytes()
        });
        Array { kind, bytes: next.collect() }
    }

    fn run(graph: &Graph) -> Vec<Array> {
        let mut values: HashMap<ValueId, Array> = HashMap::new();
        for (seed, &id) in graph.inputs.iter().enumerate() {
            let value = graph.value_of(id);
            let kind = ArrayType { elem: value.elem, extents: value.dims.known().unwrap() };
            values.insert(id, numbers(kind, seed as u32));
        }
        for node in &graph.nodes {
            let Op::Array(op) = &node.op else { panic!() };
            let inputs: Vec<&Array> = node.inputs.iter().map(|id| &values[id]).collect();
            let made = evaluate(op, &inputs).unwrap();
            values.extend(node.outputs().zip(made));
        }
        graph.outputs.iter().map(|id| values[id].clone()).collect()
    }

    fn square(kernel: usize, stride: usize, margin: usize) -> Windows {
        let [size, steps, margins] = [kernel, stride, margin].map(|x| vec![x; 2]);
        Windows {
            kernel: size,
            strides: steps,
            dilations: vec![1; 2],
            before: margins.clone(),
            behind: margins,
        }
    }

    /// Two blocks, of which somebody else reads what is between the second's.
    fn blocks(stride: usize) -> Graph {
        let mut graph = Graph::new();
        let mut input =
            |extents: &[usize]| graph.input(Dims::from(Extents::new(extents).unwrap()), Elem::F32);
        let (x, w, scale, bias) =
            (input(&[2, 3, 9, 7]), input(&[5, 3, 1, 1]), input(&[5]), input(&[1, 5, 1, 1]));
        let (deep, back) = (input(&[5, 1, 3, 3]), input(&[3, 5, 1, 1]));
        let conv = |windows, groups, scales| Conv {
            windows,
            groups,
            scales,
            bounds: Some([-0.5, 0.75]),
            then: Some(UnaryKind::HardSwish),
        };
        let mut y = x;
        for number in 0..2 {
            let stride = if number == 0 { stride } else { 1 };
            let wide = graph.push_array(conv(square(1, 1, 0), 1, true), &[y, w, scale, bias]).unwrap()[0];
            let made =
                graph.push_array(conv(square(3, stride, 1), 5, false), &[wide, deep, bias]).unwrap()[0];
            y = graph.push_array(conv(square(1, 1, 0), 1, false), &[made, back]).unwrap()[0];
            if number == 1 {
                let other = graph.push_array(Unary { kind: UnaryKind::Abs }, &[wide]).unwrap()[0];
                graph.outputs.push(other);
            }
        }
        graph.outputs.push(y);
        graph
    }

    #[test]
    fn what_nobody_else_reads_is_never_there_and_the_numbers_are_the_same() {
        for stride in [1, 2] {
            let mut graph = blocks(stride);
            let (expected, nodes) = (run(&graph), graph.nodes.len());
            pair_convolutions(&mut graph).unwrap();
            crate::pass::remove_dead(&mut graph).unwrap();
            crate::verify(&graph).unwrap();
            assert_eq!(graph.nodes.len(), nodes - 1);
            assert_eq!(run(&graph), expected);
        }
    }
}
