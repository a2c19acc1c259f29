//! Makes one node of a product of bytes and what makes numbers of its sums: as floats, times a scale, plus a bias.
//!
//! Only where nobody else reads what comes between. The result is the same to the bit: what is rounded is rounded as before.

use super::made::Made;
use crate::array::{ArrayOp, Binary, BinaryKind, Cast, MatMul, MatMulMeant, Quantize};
use crate::{Elem, Error, Graph, Node, Op, ValueId};

/// Recognises products of bytes that stand for numbers.
pub fn recognise_meant_products(graph: &mut Graph) -> Result<(), Error> {
    let nodes = std::mem::take(&mut graph.nodes);
    let made = Made::new(graph, &nodes);
    for node in &nodes {
        let inputs = with_bias(&made, graph, node).or_else(|| scaled(&made, graph, node));
        graph.nodes.push(match inputs {
            Some(inputs) => Node::new(Op::Array(MatMulMeant.into()), inputs, node.output),
            None => node.clone(),
        });
    }
    Ok(())
}

/// What a node adds to a product that it alone reads.
fn with_bias(made: &Made<'_>, graph: &Graph, node: &Node) -> Option<Vec<ValueId>> {
    let Op::Array(ArrayOp::Binary(Binary { kind: BinaryKind::Add })) = node.op else { return None };
    let &[a, b] = &node.inputs[..] else { return None };
    [(a, b), (b, a)].into_iter().find_map(|(product, bias)| {
        made.own(product)?;
        let mut inputs = scaled(made, graph, &made.nodes[*made.makers.get(&product)?])?;
        let alike = graph.value_of(product) == graph.value_of(node.output);
        let columns = columns(graph, node.output)?;
        (alike && of_columns(graph, bias, columns)).then(|| inputs.push(bias))?;
        Some(inputs)
    })
}

/// What a node makes of a product's sums by a scale.
fn scaled(made: &Made<'_>, graph: &Graph, node: &Node) -> Option<Vec<ValueId>> {
    let (sums, scale) = match (&node.op, &node.inputs[..]) {
        (Op::Array(ArrayOp::Quantize(Quantize { to: Elem::F32, back: true, .. })), &[sums, scale]) => {
            (sums, scale)
        }
        (Op::Array(ArrayOp::Binary(Binary { kind: BinaryKind::Mul })), &[a, b]) => {
            [(a, b), (b, a)].into_iter().find_map(|(x, scale)| match made.own(x)? {
                (ArrayOp::Cast(Cast { to: Elem::F32 }), &[sums]) => Some((sums, scale)),
                _ => None,
            })?
        }
        _ => return None,
    };
    let (ArrayOp::MatMul(MatMul { b_is_transposed: false, widens: true }), inputs) = made.own(sums)? else {
        return None;
    };
    let (made, meant) = (graph.value_of(sums), graph.value_of(node.output));
    let columns = columns(graph, sums)?;
    let one = graph.value_of(scale).dims.known()?.elements() == 1;
    let fits = made.dims == meant.dims
        && meant.elem == Elem::F32
        && graph.value_of(scale).elem == Elem::F32
        && inputs.len() == 4
        && (one || of_columns(graph, scale, columns));
    fits.then(|| [inputs, &[scale]].concat())
}

/// Columns of a product of matrices.
fn columns(graph: &Graph, id: ValueId) -> Option<usize> {
    let extents = graph.value_of(id).dims.known()?;
    if extents.len() < 2 { None } else { extents.last().copied() }
}

/// Whether an array has a number for each column and nothing else.
fn of_columns(graph: &Graph, id: ValueId, columns: usize) -> bool {
    let value = graph.value_of(id);
    let extents = value.dims.known();
    value.elem == Elem::F32
        && extents.is_some_and(|extents| extents.elements() == columns && extents.last() == Some(&columns))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ArrayType, Data, Dims, Extents};

    #[test]
    fn sums_scaled_and_moved_are_one_node() {
        let mut graph = Graph::new();
        let mut input =
            |extents: &[usize], elem| graph.input(Dims::from(Extents::new(extents).unwrap()), elem);
        let (a, b) = (input(&[1, 4, 8], Elem::U8), input(&[8, 3], Elem::I8));
        let (a_zero, b_zero) = (input(&[], Elem::U8), input(&[], Elem::I8));
        let (scale, other) = (input(&[], Elem::F32), input(&[1, 4, 3], Elem::F32));
        let kind = ArrayType { elem: Elem::F32, extents: Extents::new(&[3]).unwrap() };
        let bias = graph.constant(kind, Data::Here([0; 12].into()));
        let op = MatMul { b_is_transposed: false, widens: true };
        for added in [bias, other] {
            let sums = graph.push_array(op, &[a, b, a_zero, b_zero]).unwrap()[0];
            let floats = graph.push_array(Cast { to: Elem::F32 }, &[sums]).unwrap()[0];
            let scaled = graph.push_array(Binary { kind: BinaryKind::Mul }, &[floats, scale]).unwrap()[0];
            let y = graph.push_array(Binary { kind: BinaryKind::Add }, &[added, scaled]).unwrap()[0];
            graph.outputs.push(y);
        }
        recognise_meant_products(&mut graph).unwrap();
        crate::pass::remove_dead(&mut graph).unwrap();
        crate::verify(&graph).unwrap();
        let meant: Vec<usize> = (graph.nodes.iter())
            .map(|node| if node.op == Op::Array(MatMulMeant.into()) { node.inputs.len() } else { 0 })
            .collect();
        // What differs from row to row is added by a node of its own.
        assert_eq!(meant, [6, 5, 0]);
    }
}
