//! Takes what follows a convolution into it: a factor and a number for each map (a batch norm, mostly), bounds, and a function
//! of each element.
//!
//! Only where nobody else reads what comes between, and where factors are constants at hand: what is left is one pass over
//! the result instead of four. Numbers that are added one after another become one, so a result may differ in its last bits
//! from that of the graph as it was.

use crate::array::{Array, ArrayOp, Binary, BinaryKind, Conv, Unary, UnaryKind};
use crate::{ArrayType, Data, Elem, Error, Extents, Graph, Node, Op, ValueId};
use std::collections::HashMap;

/// Fuses convolutions with what follows them.
pub fn fuse_convolutions(graph: &mut Graph) -> Result<(), Error> {
    let mut uses: HashMap<ValueId, usize> = HashMap::new();
    let mut readers: HashMap<ValueId, usize> = HashMap::new();
    for (index, node) in graph.nodes.iter().enumerate() {
        for id in &node.inputs {
            *uses.entry(*id).or_default() += 1;
            readers.insert(*id, index);
        }
    }
    graph.outputs.iter().for_each(|id| *uses.entry(*id).or_default() += 2);
    let mut gone = vec![false; graph.nodes.len()];
    for index in 0..graph.nodes.len() {
        let mut at = index;
        while let Some(next) = readers.get(&graph.nodes[at].output).copied() {
            if uses.get(&graph.nodes[at].output) != Some(&1) {
                break;
            }
            let Some(fused) = fused(graph, &graph.nodes[at].clone(), &graph.nodes[next].clone()) else {
                break;
            };
            graph.nodes[next] = fused;
            gone[at] = true;
            at = next;
        }
    }
    let mut gone = gone.into_iter();
    graph.nodes.retain(|_| !gone.next().unwrap_or(false));
    Ok(())
}

/// A convolution and what follows it as one node, if they can be.
fn fused(graph: &mut Graph, first: &Node, then: &Node) -> Option<Node> {
    let Op::Array(ArrayOp::Conv(conv)) = &first.op else { return None };
    let made = *graph.value_of(first.output);
    if made.elem != Elem::F32 || graph.value_of(then.output) != &made {
        return None;
    }
    let (mut conv, mut inputs) = (conv.clone(), first.inputs.clone());
    if conv.then.is_some() {
        return None;
    }
    match &then.op {
        Op::Array(ArrayOp::Unary(Unary { kind: UnaryKind::Relu })) => bound(&mut conv, 0.0, f32::INFINITY),
        Op::Array(ArrayOp::Unary(Unary { kind })) if is_activation(*kind) => conv.then = Some(*kind),
        Op::Array(ArrayOp::Binary(Binary { kind })) => {
            let other = *then.inputs.iter().find(|id| **id != first.output)?;
            let turned = then.inputs[0] == other;
            let numbers = numbers(graph, other)?;
            match (kind, &numbers[..]) {
                (BinaryKind::Max, [least]) => bound(&mut conv, *least, f32::INFINITY),
                (BinaryKind::Min, [most]) => bound(&mut conv, f32::NEG_INFINITY, *most),
                (BinaryKind::Add | BinaryKind::Mul | BinaryKind::Sub, _) if conv.bounds.is_none() => {
                    let maps = made.dims.known()?[1];
                    let rank = made.dims.as_slice().len();
                    if !is_of_maps(graph, other, rank) || !matches!(numbers.len(), 1) && numbers.len() != maps
                    {
                        return None;
                    }
                    let each = |map: usize| numbers[if numbers.len() == 1 { 0 } else { map }];
                    let by_map: Vec<f32> = (0..maps).map(each).collect();
                    inputs = change(graph, &mut conv, &inputs, (*kind, turned), &by_map)?;
                }
                _ => return None,
            }
        }
        _ => return None,
    }
    Some(Node { op: Op::Array(conv.into()), inputs, output: then.output, more: Vec::new() })
}

/// Functions that kernels apply to what they have just written.
pub(super) fn is_activation(kind: UnaryKind) -> bool {
    use UnaryKind::{Gelu, HardSigmoid, HardSwish, LeakyRelu, Sigmoid, Swish, Tanh};
    matches!(
        kind,
        Gelu | HardSigmoid { .. } | HardSwish | LeakyRelu { .. } | Sigmoid | Swish { alpha: 1.0 } | Tanh
    )
}

fn bound(conv: &mut Conv, least: f32, most: f32) {
    let [old_least, old_most] = conv.bounds.unwrap_or([f32::NEG_INFINITY, f32::INFINITY]);
    // The new bounds are applied to what the old ones have left.
    conv.bounds = Some([old_least.max(least).min(most), old_most.max(least).min(most)]);
}

/// The inputs of a convolution that adds or multiplies besides.
fn change(
    graph: &mut Graph,
    conv: &mut Conv,
    inputs: &[ValueId],
    (kind, turned): (BinaryKind, bool),
    by_map: &[f32],
) -> Option<Vec<ValueId>> {
    let more = inputs.get(2..)?;
    let (scale, bias) = if conv.scales { (more.first(), more.get(1)) } else { (None, more.first()) };
    let read = |id: Option<&ValueId>| match id {
        Some(id) => numbers(graph, *id).map(Some),
        None => Some(None),
    };
    let (mut scale, mut bias) = (read(scale)?, read(bias)?);
    let both = |list: Option<Vec<f32>>, empty: f32, f: fn(f32, f32) -> f32| -> Vec<f32> {
        let list = list.unwrap_or_else(|| vec![empty; by_map.len()]);
        list.iter().zip(by_map).map(|(a, b)| f(*a, *b)).collect()
    };
    match kind {
        BinaryKind::Add => bias = Some(both(bias, 0.0, |a, b| a + b)),
        BinaryKind::Sub if !turned => bias = Some(both(bias, 0.0, |a, b| a - b)),
        BinaryKind::Mul => {
            scale = Some(both(scale, 1.0, |a, b| a * b));
            bias = bias.map(|bias| both(Some(bias), 0.0, |a, b| a * b));
        }
        _ => return None,
    }
    conv.scales = scale.is_some();
    let mut changed = inputs[..2].to_vec();
    for list in [scale, bias].into_iter().flatten() {
        let kind = ArrayType { elem: Elem::F32, extents: Extents::new(&[list.len()])? };
        let bytes = list.iter().flat_map(|x| x.to_le_bytes()).collect();
        changed.push(graph.constant(kind, Data::Here(bytes)));
    }
    Some(changed)
}

/// The numbers of a constant at hand.
pub(super) fn numbers(graph: &Graph, id: ValueId) -> Option<Vec<f32>> {
    let Some(Data::Here(bytes)) = graph.constant_of(id) else { return None };
    let value = graph.value_of(id);
    let kind = ArrayType { elem: value.elem, extents: value.dims.known()? };
    (kind.elem == Elem::F32).then(|| {
        let array = Array { kind, bytes: bytes.clone() };
        array.fractions().into_iter().map(|x| x as f32).collect()
    })
}

/// Whether an array beside one of `rank` axes differs along the second of them alone.
fn is_of_maps(graph: &Graph, id: ValueId, rank: usize) -> bool {
    let Some(extents) = graph.value_of(id).dims.known() else { return false };
    let shift = rank.checked_sub(extents.len());
    shift.is_some_and(|shift| {
        extents.iter().enumerate().all(|(axis, extent)| *extent == 1 || axis + shift == 1)
    })
}

/// What a graph of operators makes of `x`, its first output: for tests.
#[cfg(test)]
pub(super) fn run(graph: &Graph, x: &[f32]) -> Vec<f32> {
    use crate::Value;
    use crate::array::{View, ViewMut};
    let bytes = |numbers: &[f32]| numbers.iter().flat_map(|x| x.to_le_bytes()).collect::<Box<[u8]>>();
    let mut values: HashMap<ValueId, Array> = HashMap::new();
    let kind = |id: ValueId| {
        let Value { dims, elem } = *graph.value_of(id);
        ArrayType { elem, extents: dims.known().unwrap() }
    };
    values.insert(graph.inputs[0], Array { kind: kind(graph.inputs[0]), bytes: bytes(x) });
    for constant in &graph.constants {
        let Data::Here(bytes) = &constant.data else { panic!() };
        values.insert(constant.value, Array { kind: kind(constant.value), bytes: bytes.clone() });
    }
    for node in &graph.nodes {
        let Op::Array(op) = &node.op else { panic!() };
        let inputs: Vec<View<'_>> = (node.inputs.iter().map(|id| &values[id]))
            .map(|array| View { kind: array.kind, bytes: Some(&array.bytes) })
            .collect();
        let mut made = vec![0; kind(node.output).bytes()];
        let out = ViewMut { kind: kind(node.output), bytes: &mut made };
        op.evaluate(&inputs, &mut [out], &mut []).unwrap();
        values.insert(node.output, Array { kind: kind(node.output), bytes: made.into() });
    }
    values[&graph.outputs[0]].fractions().into_iter().map(|x| x as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Dims;
    use crate::array::Windows;

    fn constant(graph: &mut Graph, extents: &[usize], numbers: &[f32]) -> ValueId {
        let kind = ArrayType { elem: Elem::F32, extents: Extents::new(extents).unwrap() };
        graph.constant(kind, Data::Here(numbers.iter().flat_map(|x| x.to_le_bytes()).collect()))
    }

    #[test]
    fn a_batch_norm_bounds_and_a_function_go_into_the_convolution() {
        let mut graph = Graph::new();
        let extents = Extents::new(&[1, 2, 3, 3]).unwrap();
        let x = graph.input(Dims::from(extents), Elem::F32);
        let w = constant(&mut graph, &[2, 2, 1, 1], &[1.0, -2.0, 0.5, 3.0]);
        let b = constant(&mut graph, &[2], &[1.0, -1.0]);
        let [one, none] = [vec![1; 2], vec![0; 2]];
        let (strides, dilations, before) = (one.clone(), one.clone(), none.clone());
        let windows = Windows { kernel: one, strides, dilations, before, behind: none };
        let conv = Conv { windows, groups: 1, scales: false, bounds: None, then: None, tiles: None };
        let mut y = graph.push_array(conv, &[x, w, b]).unwrap()[0];
        let per_map = constant(&mut graph, &[2, 1, 1], &[2.0, -0.5]);
        let more = constant(&mut graph, &[1, 2, 1, 1], &[0.25, 4.0]);
        let six = constant(&mut graph, &[], &[6.0]);
        for (kind, other) in [(BinaryKind::Mul, per_map), (BinaryKind::Add, more)] {
            y = graph.push_array(Binary { kind }, &[y, other]).unwrap()[0];
        }
        y = graph.push_array(Unary { kind: UnaryKind::Relu }, &[y]).unwrap()[0];
        y = graph.push_array(Binary { kind: BinaryKind::Min }, &[y, six]).unwrap()[0];
        y = graph.push_array(Unary { kind: UnaryKind::Sigmoid }, &[y]).unwrap()[0];
        graph.outputs.push(y);
        let numbers: Vec<f32> = (0..18).map(|i| i as f32 - 9.0).collect();
        let before = run(&graph, &numbers);
        fuse_convolutions(&mut graph).unwrap();
        crate::verify(&graph).unwrap();
        assert_eq!(graph.nodes.len(), 1);
        assert_eq!(run(&graph, &numbers), before);
    }
}
