//! Makes one node of the norm that exports take apart: rows less their means, by the roots of their mean squares, times a factor and plus
//! a number (arXiv 1607.06450).
//!
//! Only where nobody else reads what comes between. A result may differ in its last bits from that of the graph as it was.

use super::made::{Made, number};
use crate::array::{ArrayOp, Binary, BinaryKind, Norm, Reduce, ReduceKind, Unary, UnaryKind};
use crate::{Elem, Error, Graph, Node, Op, ValueId};

/// Recognises norms of rows.
pub fn recognise_norms(graph: &mut Graph) -> Result<(), Error> {
    let nodes = std::mem::take(&mut graph.nodes);
    let made = Made::new(graph, &nodes);
    for node in &nodes {
        graph.nodes.push(match norm(&made, graph, node) {
            Some((norm, inputs)) => Node::new(Op::Array(norm.into()), inputs, node.output),
            None => node.clone(),
        });
    }
    Ok(())
}

/// A norm that ends with adding a number to each element of a row.
fn norm(made: &Made<'_>, graph: &Graph, node: &Node) -> Option<(Norm, Vec<ValueId>)> {
    let Op::Array(ArrayOp::Binary(Binary { kind: BinaryKind::Add })) = node.op else { return None };
    let out = graph.value_of(node.output);
    let last = *out.dims.known()?.last()?;
    // A constant, one for each element of a row.
    let is_row = |id: ValueId| {
        let value = graph.value_of(id);
        let extents = value.dims.known().filter(|extents| extents.elements() == last && extents.len() == 1);
        graph.constant_of(id).is_some() && extents.is_some() && value.elem == Elem::F32
    };
    let split = |[a, b]: [ValueId; 2]| match (is_row(a), is_row(b)) {
        (false, true) => Some((a, b)),
        (true, false) => Some((b, a)),
        _ => None,
    };
    let (scaled, bias) = split([node.inputs[0], node.inputs[1]])?;
    let (even, scale) = split(made.joined(scaled, BinaryKind::Mul)?)?;
    let [centred, root] = made.joined(even, BinaryKind::Div)?;
    let (x, epsilon) = (centre(made, graph, centred)?, variance(made, graph, root, centred)?);
    let axis = out.dims.known()?.len() - 1;
    let is_kept = graph.value_of(x) == out && out.elem == Elem::F32;
    is_kept.then(|| (Norm { axis, epsilon, centers: true, moments: None }, vec![x, scale, bias]))
}

/// Of what rows without their means are made.
fn centre(made: &Made<'_>, graph: &Graph, id: ValueId) -> Option<ValueId> {
    let (ArrayOp::Binary(Binary { kind: BinaryKind::Sub }), &[x, mean]) = made.maker(id)? else {
        return None;
    };
    (mean_of(made, graph, mean)? == x).then_some(x)
}

/// What means of rows are made of.
fn mean_of(made: &Made<'_>, graph: &Graph, id: ValueId) -> Option<ValueId> {
    let (ArrayOp::Reduce(Reduce { kind: ReduceKind::Mean, axes, keeps: true }), &[x]) = made.maker(id)?
    else {
        return None;
    };
    let rank = graph.value_of(x).dims.known()?.len();
    (axes[..] == [rank.checked_sub(1)?]).then_some(x)
}

/// What is added to the mean square of such rows before its root is taken.
fn variance(made: &Made<'_>, graph: &Graph, root: ValueId, centred: ValueId) -> Option<f32> {
    let (ArrayOp::Unary(Unary { kind: UnaryKind::Sqrt }), &[sum]) = made.own(root)? else { return None };
    let [a, b] = made.joined(sum, BinaryKind::Add)?;
    let (mean, epsilon) = match (number(graph, a), number(graph, b)) {
        (_, Some(epsilon)) => (a, epsilon),
        (Some(epsilon), _) => (b, epsilon),
        _ => return None,
    };
    made.own(mean)?;
    let squares = mean_of(made, graph, mean)?;
    let (ArrayOp::Binary(Binary { kind }), &[a, b]) = made.own(squares)? else { return None };
    let is_square = match kind {
        BinaryKind::Mul => a == b,
        BinaryKind::Pow => number(graph, b) == Some(2.0),
        _ => false,
    };
    // Some exports take the means away twice.
    let is_same =
        a == centred || centre(made, graph, a).is_some_and(|x| centre(made, graph, centred) == Some(x));
    (is_square && is_same).then_some(epsilon)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ArrayType, Data, Dims, Extents};

    #[test]
    fn a_norm_is_one_node() {
        let mut graph = Graph::new();
        let constant = |graph: &mut Graph, extents: &[usize], x: f32| {
            let kind = ArrayType { elem: Elem::F32, extents: Extents::new(extents).unwrap() };
            let bytes = x.to_le_bytes().repeat(kind.extents.elements());
            graph.constant(kind, Data::Here(bytes.into()))
        };
        let x = graph.input(Dims::from(Extents::new(&[2, 3]).unwrap()), Elem::F32);
        let two = constant(&mut graph, &[], 2.0);
        let epsilon = constant(&mut graph, &[], 1e-5);
        let [scale, bias] = [3.0, 4.0].map(|x| constant(&mut graph, &[3], x));
        let mean = |graph: &mut Graph, x| {
            let mean = Reduce { kind: ReduceKind::Mean, axes: vec![1], keeps: true };
            graph.push_array(mean, &[x]).unwrap()[0]
        };
        let binary = |graph: &mut Graph, kind, a, b| graph.push_array(Binary { kind }, &[a, b]).unwrap()[0];
        let of = mean(&mut graph, x);
        let centred = binary(&mut graph, BinaryKind::Sub, x, of);
        let squares = binary(&mut graph, BinaryKind::Pow, centred, two);
        let squares = mean(&mut graph, squares);
        let squares = binary(&mut graph, BinaryKind::Add, squares, epsilon);
        let root = graph.push_array(Unary { kind: UnaryKind::Sqrt }, &[squares]).unwrap()[0];
        let y = binary(&mut graph, BinaryKind::Div, centred, root);
        let y = binary(&mut graph, BinaryKind::Mul, y, scale);
        let y = binary(&mut graph, BinaryKind::Add, bias, y);
        graph.outputs.push(y);
        recognise_norms(&mut graph).unwrap();
        crate::pass::remove_dead(&mut graph).unwrap();
        crate::verify(&graph).unwrap();
        assert_eq!(graph.nodes.len(), 1);
        assert_eq!(graph.nodes[0].op.name(), "Norm");
        assert_eq!(graph.nodes[0].inputs, [x, scale, bias]);
    }
}
