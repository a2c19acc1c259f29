//! Makes one node of the functions that exports take apart: `x (1 + erf(x / sqrt 2)) / 2` is Gelu (arXiv 1606.08415), `x sigmoid(x)` is
//! Swish (arXiv 1710.05941), and with a hard sigmoid a hard one (arXiv 1905.02244).
//!
//! Only where nobody else reads what comes between. A result may differ in its last bits from that of the graph as it was.

use super::made::{Made, number};
use crate::array::{ArrayOp, Binary, BinaryKind, Unary, UnaryKind};
use crate::{Elem, Error, Graph, Node, Op, ValueId};
use std::f32::consts::FRAC_1_SQRT_2;

/// Recognises functions of elements.
pub fn recognise_activations(graph: &mut Graph) -> Result<(), Error> {
    let nodes = std::mem::take(&mut graph.nodes);
    let made = Made::new(graph, &nodes);
    for node in &nodes {
        let found = gelu(&made, graph, node).or_else(|| swish(&made, graph, node));
        graph.nodes.push(match found {
            Some((kind, x)) => Node::new(Op::Array(Unary { kind }.into()), vec![x], node.output),
            None => node.clone(),
        });
    }
    Ok(())
}

/// What `node` multiplies.
fn factors(graph: &Graph, node: &Node) -> Option<[ValueId; 2]> {
    let Op::Array(ArrayOp::Binary(Binary { kind: BinaryKind::Mul })) = node.op else { return None };
    (graph.value_of(node.output).elem == Elem::F32).then(|| [node.inputs[0], node.inputs[1]])
}

fn is_near(x: f32, y: f32) -> bool {
    (x - y).abs() < 1e-4
}

/// Three factors in any order: half, an element, and one more than an error function of it.
fn gelu(made: &Made<'_>, graph: &Graph, node: &Node) -> Option<(UnaryKind, ValueId)> {
    let [a, b] = factors(graph, node)?;
    let three = [(a, b), (b, a)]
        .into_iter()
        .flat_map(|(pair, other)| made.joined(pair, BinaryKind::Mul).map(|[a, b]| [a, b, other]));
    for [a, b, c] in three {
        for [half, x, rest] in [[a, b, c], [a, c, b], [b, a, c], [b, c, a], [c, a, b], [c, b, a]] {
            let is_half = number(graph, half).is_some_and(|half| is_near(half, 0.5));
            if is_half && erf_of(made, graph, rest) == Some(x) && alike(graph, x, node.output) {
                return Some((UnaryKind::Gelu, x));
            }
        }
    }
    None
}

/// What `1 + erf(x / sqrt 2)` is made of.
fn erf_of(made: &Made<'_>, graph: &Graph, id: ValueId) -> Option<ValueId> {
    let [a, b] = made.joined(id, BinaryKind::Add)?;
    let erf = match (number(graph, a), number(graph, b)) {
        (_, Some(1.0)) => a,
        (Some(1.0), _) => b,
        _ => return None,
    };
    let (ArrayOp::Unary(Unary { kind: UnaryKind::Erf }), &[inside]) = made.own(erf)? else { return None };
    made.own(inside)?;
    let (x, scale) = made.scaled(graph, inside, 1.0)?;
    is_near(scale, FRAC_1_SQRT_2).then_some(x)
}

fn swish(made: &Made<'_>, graph: &Graph, node: &Node) -> Option<(UnaryKind, ValueId)> {
    let [a, b] = factors(graph, node)?;
    [(a, b), (b, a)].into_iter().find_map(|(x, gate)| match made.own(gate)? {
        (ArrayOp::Unary(Unary { kind: UnaryKind::Sigmoid }), &[of])
            if of == x && alike(graph, x, node.output) =>
        {
            Some((UnaryKind::Swish { alpha: 1.0 }, x))
        }
        (ArrayOp::Unary(Unary { kind: UnaryKind::HardSigmoid { alpha, beta } }), &[of])
            if of == x && alike(graph, x, node.output) && is_near(*alpha, 1.0 / 6.0) && *beta == 0.5 =>
        {
            Some((UnaryKind::HardSwish, x))
        }
        _ => None,
    })
}

fn alike(graph: &Graph, a: ValueId, b: ValueId) -> bool {
    graph.value_of(a) == graph.value_of(b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ArrayType, Data, Dims, Extents};

    fn constant(graph: &mut Graph, x: f32) -> ValueId {
        let kind = ArrayType { elem: Elem::F32, extents: Extents::new(&[]).unwrap() };
        graph.constant(kind, Data::Here(x.to_le_bytes().into()))
    }

    fn binary(graph: &mut Graph, kind: BinaryKind, a: ValueId, b: ValueId) -> ValueId {
        graph.push_array(Binary { kind }, &[a, b]).unwrap()[0]
    }

    #[test]
    fn gelu_and_swish_are_one_node_each() {
        let mut graph = Graph::new();
        let x = graph.input(Dims::from(Extents::new(&[2, 3]).unwrap()), Elem::F32);
        let [root, one, half] = [2f32.sqrt(), 1.0, 0.5].map(|x| constant(&mut graph, x));
        let y = binary(&mut graph, BinaryKind::Div, x, root);
        let y = graph.push_array(Unary { kind: UnaryKind::Erf }, &[y]).unwrap()[0];
        let y = binary(&mut graph, BinaryKind::Add, y, one);
        let y = binary(&mut graph, BinaryKind::Mul, x, y);
        let y = binary(&mut graph, BinaryKind::Mul, y, half);
        let gate = graph.push_array(Unary { kind: UnaryKind::Sigmoid }, &[y]).unwrap()[0];
        let z = binary(&mut graph, BinaryKind::Mul, y, gate);
        let hard = UnaryKind::HardSigmoid { alpha: 1.0 / 6.0, beta: 0.5 };
        let gate = graph.push_array(Unary { kind: hard }, &[z]).unwrap()[0];
        let z = binary(&mut graph, BinaryKind::Mul, gate, z);
        graph.outputs.push(z);
        recognise_activations(&mut graph).unwrap();
        crate::pass::remove_dead(&mut graph).unwrap();
        crate::verify(&graph).unwrap();
        let kinds: Vec<_> = graph.nodes.iter().map(|node| node.op.clone()).collect();
        let unary = |kind| Op::Array(Unary { kind }.into());
        assert_eq!(
            kinds,
            [UnaryKind::Gelu, UnaryKind::Swish { alpha: 1.0 }, UnaryKind::HardSwish].map(unary)
        );
    }
}
