//! Products with large constants as products with some of their rows, joined: what must be there for a node is small then.
//!
//! Not a choice of what stays in memory. The one design choice: constants are cut along the rows of the result, so that each sum is as
//! it was.

use crate::array::{ArrayOp, Join};
use crate::pass::remove_dead;
use crate::{ArrayType, Data, Error, Extents, Graph, Node, Op, ValueId};
use std::ops::Range;

/// Pieces of a constant at most: as many as are joined at once.
const PIECES_MAX: usize = 32;

/// The same graph without constants in files of more than `most` bytes, where they can be cut and `may` says so.
///
/// # Errors
/// None that a graph which was built has.
pub fn in_pieces(graph: &Graph, most: usize, may: &dyn Fn(&Data) -> bool) -> Result<Graph, Error> {
    let mut to = graph.clone();
    to.nodes.clear();
    for node in &graph.nodes {
        if cut(graph, &mut to, node, (most, may))?.is_none() {
            to.nodes.push(node.clone());
        }
    }
    remove_dead(&mut to)?;
    Ok(to)
}

/// Pushes a node in pieces; `None` if it stays as it is.
fn cut(
    graph: &Graph,
    to: &mut Graph,
    node: &Node,
    (most, may): (usize, &dyn Fn(&Data) -> bool),
) -> Result<Option<()>, Error> {
    let (Op::Array(op), [x, w, factors @ ..]) = (&node.op, &node.inputs[..]) else { return Ok(None) };
    let Some((kind, rank)) =
        kind_of(graph, *w).zip(kind_of(graph, node.output).map(|made| made.extents.len()))
    else {
        return Ok(None);
    };
    let in_file =
        |id: ValueId| graph.constant_of(id).is_some_and(|data| data.in_file().is_some() && may(data));
    let axis = match op {
        ArrayOp::Conv(conv) if conv.groups == 1 && kind_of(graph, *x).is_some_and(|x| x.extents[0] == 1) => 1,
        ArrayOp::MatMul(op) if op.b_is_transposed && !op.widens && kind.extents.len() == 2 => rank - 1,
        _ => return Ok(None),
    };
    let listed = |id: &ValueId| matches!(graph.constant_of(*id), Some(Data::Here(_))) || in_file(*id);
    let rows = kind.extents.first().copied().unwrap_or(0);
    if kind.bytes() <= most || rows < 2 || !in_file(*w) || !factors.iter().all(listed) {
        return Ok(None);
    }
    let count = kind.bytes().div_ceil(most.max(1)).min(PIECES_MAX).min(rows);
    let step = rows.div_ceil(count);
    let mut parts = Vec::with_capacity(count);
    for first in (0..rows).step_by(step) {
        let own = first..rows.min(first + step);
        let mut inputs = vec![*x];
        for id in [w].into_iter().chain(factors) {
            let Some(part) = part(graph, to, *id, (&own, rows)) else { return Ok(None) };
            inputs.push(part);
        }
        parts.extend(to.push_array(op.clone(), &inputs)?);
    }
    to.nodes.push(Node::new(Op::Array(Join { axis }.into()), parts, node.output));
    Ok(Some(()))
}

/// Some rows of a constant that has so many.
fn part(graph: &Graph, to: &mut Graph, id: ValueId, (own, rows): (&Range<usize>, usize)) -> Option<ValueId> {
    let kind = kind_of(graph, id)?;
    let row = kind.bytes() / rows;
    let mut extents = kind.extents.to_vec();
    match extents.first_mut() {
        Some(first) if *first == rows => *first = own.len(),
        _ => extents = vec![own.len()],
    }
    let part = ArrayType { elem: kind.elem, extents: Extents::new(&extents)? };
    let data = match graph.constant_of(id)? {
        Data::Here(bytes) => Data::Here(bytes.get(own.start * row..own.end * row)?.into()),
        Data::InFile(weight) => Data::PartInFile(*weight, (own.start * row) as u64),
        Data::PartInFile(weight, start) => Data::PartInFile(*weight, start + (own.start * row) as u64),
    };
    (part.bytes() == own.len() * row).then(|| to.constant(part, data))
}

fn kind_of(graph: &Graph, id: ValueId) -> Option<ArrayType> {
    let value = graph.value_of(id);
    Some(ArrayType { elem: value.elem, extents: value.dims.known()? })
}
