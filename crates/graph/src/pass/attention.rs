//! Makes one node of what attention was taken apart into: products of queries and keys, a scale, a mask, a softmax, and the
//! product with values. Scores, which grow with the square of a sequence, are then never in memory.
//!
//! Only where nobody else reads what comes between, and where extents are known before a run. Heads that were turned to lie
//! one behind the other are read where they were. A result may differ in its last bits from that of the graph as it was.

use super::made::{Made, number};
use crate::array::{
    Along, ArrayOp, ArrayOperator, Attention, Binary, BinaryKind, MatMul, Reshape, Restride, Softmax, Unary,
    UnaryKind,
};
use crate::{Elem, Error, Graph, Node, Op, ValueId};
use std::collections::HashMap;

/// Recognises attention.
pub fn recognise_attention(graph: &mut Graph) -> Result<(), Error> {
    let nodes = std::mem::take(&mut graph.nodes);
    let made = Looks(Made::new(graph, &nodes));
    // Nodes that read what an attention makes otherwise now, by their places.
    let mut instead: HashMap<usize, Node> = HashMap::new();
    for (index, node) in nodes.iter().enumerate() {
        if let Some(node) = instead.remove(&index) {
            graph.nodes.push(node);
            continue;
        }
        match made.looks(graph, node) {
            Some(parts) => {
                if let Some((place, reader)) = made.attend(graph, node, &parts)? {
                    instead.insert(place, reader);
                }
            }
            None => graph.nodes.push(node.clone()),
        }
    }
    Ok(())
}

/// What attention is made of.
struct Parts {
    query: ValueId,
    keys: Keys,
    values: ValueId,
    scale: f32,
    mask: Option<ValueId>,
}

/// Keys, in rows or in columns.
#[derive(Clone, Copy)]
enum Keys {
    Rows(ValueId),
    Columns(ValueId),
}

/// Attention among the nodes of a graph.
struct Looks<'a>(Made<'a>);

impl Looks<'_> {
    /// The parts of an attention that ends with `node`.
    fn looks(&self, graph: &Graph, node: &Node) -> Option<Parts> {
        let Op::Array(ArrayOp::MatMul(MatMul { b_is_transposed: false, widens: false })) = node.op else {
            return None;
        };
        let &[weights, values] = &node.inputs[..] else { return None };
        let mut scores = self.scores(graph, weights)?;
        let rank = rank(graph, scores)?;
        if !(3..=4).contains(&rank) || self.0.decided.contains(&node.output) {
            return None;
        }
        let (mut scale, mut mask) = (1.0, None);
        let product = loop {
            match self.0.own(scores)? {
                (ArrayOp::MatMul(product), inputs) if !product.widens => {
                    break (product.b_is_transposed, inputs);
                }
                (ArrayOp::Binary(Binary { kind: BinaryKind::Add }), &[a, b])
                    if mask.is_none() && scale == 1.0 =>
                {
                    let is_product = |id| {
                        matches!(
                            self.0.own(id),
                            Some((ArrayOp::MatMul(_), _)) | Some((ArrayOp::Binary(_), _))
                        )
                    };
                    (scores, mask) = if is_product(a) { (a, Some(b)) } else { (b, Some(a)) };
                }
                (ArrayOp::Binary(_), _) => (scores, scale) = self.0.scaled(graph, scores, scale)?,
                _ => return None,
            }
        };
        let (is_turned, &[query, keys]) = product else { return None };
        let (query, scale) = self.0.scaled(graph, query, scale).unwrap_or((query, scale));
        let (keys, scale) = self.0.scaled(graph, keys, scale).unwrap_or((keys, scale));
        let keys = if is_turned { Keys::Rows(keys) } else { Keys::Columns(keys) };
        let parts = Parts { query, keys, values, scale, mask };
        parts.fit(graph, rank).then_some(parts)
    }

    /// What weights are the softmax of, along the last axis: rows of a matrix (older exports have them so) or not, and zero where no
    /// key is seen or not, as an attention's always are.
    fn scores(&self, graph: &Graph, weights: ValueId) -> Option<ValueId> {
        let (weights, maker) = match self.guarded(graph, weights) {
            Some(weights) => (weights, self.0.maker(weights)?),
            None => (weights, self.0.own(weights)?),
        };
        let (reshaped, maker) = match maker {
            (ArrayOp::Reshape(_), &[inner]) => (true, self.0.own(inner)?),
            maker => (false, maker),
        };
        let (ArrayOp::Softmax(Softmax { axis, log: false }), &[scores]) = maker else { return None };
        let is_last = axis + 1 == rank(graph, scores)?;
        if !reshaped {
            return is_last.then_some(scores);
        }
        let (ArrayOp::Reshape(_), &[from]) = self.0.own(scores)? else { return None };
        let extents = |id: ValueId| graph.value_of(id).dims.known();
        let same = extents(from) == extents(weights) && extents(from)?.last() == extents(scores)?.last();
        (same && is_last).then_some(from)
    }

    /// Weights that become zero where they are not numbers.
    fn guarded(&self, graph: &Graph, id: ValueId) -> Option<ValueId> {
        let (ArrayOp::Select(_), &[is_nan, zero, weights]) = self.0.own(id)? else { return None };
        let (ArrayOp::Unary(Unary { kind: UnaryKind::IsNan }), &[seen]) = self.0.own(is_nan)? else {
            return None;
        };
        let readers = self.0.readers.get(&weights)?.len();
        (seen == weights && readers == 2 && number(graph, zero) == Some(0.0)).then_some(weights)
    }

    /// Adds an attention that makes what `node` made, or what the only reader of that did, as other nodes at the given place.
    fn attend(&self, graph: &mut Graph, node: &Node, parts: &Parts) -> Result<Option<(usize, Node)>, Error> {
        let extents = |graph: &Graph, id| graph.value_of(id).dims.known().unwrap_or_default();
        let is_whole = extents(graph, parts.query).len() == 4;
        let heads = if is_whole { extents(graph, parts.query)[1] } else { 1 };
        let keys = match parts.keys {
            Keys::Rows(keys) => keys,
            Keys::Columns(keys) => self.turned(graph, keys)?,
        };
        // Where the result is turned back, heads are read and written beside each other.
        let reader = match self.0.readers.get(&node.output).map(|list| &list[..]) {
            Some(&[place]) if is_whole && place < self.0.nodes.len() => {
                Some(place).filter(|place| is_turn(&self.0.nodes[*place].op))
            }
            _ => None,
        };
        let query = reader.and_then(|_| self.beside(graph, parts.query).transpose()).transpose()?;
        let mut inputs = vec![query.unwrap_or(parts.query)];
        for id in [keys, parts.values] {
            inputs.push(self.beside(graph, id)?.unwrap_or(id));
        }
        inputs.extend(parts.mask);
        let (heads, masked) = ([heads; 2], parts.mask.is_some());
        let attention = Attention { heads, scale: parts.scale, masked, ..Attention::PLAIN };
        let op = Op::Array(attention.into());
        match (reader, query) {
            (Some(place), Some(_)) => {
                let made = graph.push_array(attention, &inputs)?[0];
                let reader = &self.0.nodes[place];
                let extents = extents(graph, reader.output).iter().map(|extent| Some(*extent)).collect();
                let reshape = Op::Array(Reshape { extents }.into());
                Ok(Some((place, Node::new(reshape, vec![made], reader.output))))
            }
            _ => {
                graph.nodes.push(Node::new(op, inputs, node.output));
                Ok(None)
            }
        }
    }

    /// Columns as rows: by a turn of their own, or by another one than they had.
    fn turned(&self, graph: &mut Graph, columns: ValueId) -> Result<ValueId, Error> {
        if let Some(rows) = self.turned_as_heads(graph, columns) {
            return Ok(rows);
        }
        let rank = rank(graph, columns).unwrap_or(2);
        let (mut turn, from) = match self.0.maker(columns) {
            Some((ArrayOp::Restride(turn), &[from])) => (turn.clone(), from),
            _ => (Restride::transpose(&(0..rank).collect::<Vec<_>>()), columns),
        };
        turn.axes.swap(rank - 2, rank - 1);
        // Rows may be what they were made of.
        match self.0.maker(columns).is_some_and(|_| is_nothing(&turn, graph, from)) {
            true => Ok(from),
            false => Ok(graph.push_array(turn, &[from])?[0]),
        }
    }

    /// What was turned with all heads as one axis, for keys of four axes.
    fn turned_as_heads(&self, graph: &Graph, columns: ValueId) -> Option<ValueId> {
        let (ArrayOp::Reshape(_), &[turned]) = self.0.maker(columns)? else { return None };
        let (ArrayOp::Restride(turn), &[flat]) = self.0.maker(turned)? else { return None };
        let (ArrayOp::Reshape(_), &[rows]) = self.0.maker(flat)? else { return None };
        let extents = |id| graph.value_of(id).dims.known();
        let &[batch, heads, width, count] = &extents(columns)?[..] else { return None };
        let fits = is_order(turn, &[0, 2, 1])
            && extents(flat)?[..] == [batch * heads, count, width]
            && extents(rows)?[..] == [batch, heads, count, width];
        fits.then_some(rows)
    }

    /// An array of (batch, heads, rows, width) as (batch, rows, heads times width), if it was turned from that.
    fn beside(&self, graph: &mut Graph, id: ValueId) -> Result<Option<ValueId>, Error> {
        let turn = graph.nodes.iter().rev().find(|node| node.output == id);
        let turn = turn.or_else(|| self.0.makers.get(&id).map(|place| &self.0.nodes[*place]));
        let Some((from, dims)) = turn
            .filter(|node| is_turn(&node.op))
            .and_then(|node| Some((node.inputs[0], graph.value_of(node.inputs[0]).dims.known()?)))
        else {
            return Ok(None);
        };
        let extents = [dims[0], dims[1], dims[2] * dims[3]].map(Some).to_vec();
        Ok(Some(graph.push_array(Reshape { extents }, &[from])?[0]))
    }
}

impl Parts {
    /// Whether these can be an attention's inputs.
    fn fit(&self, graph: &Graph, rank: usize) -> bool {
        let kind = |id| {
            let value = graph.value_of(id);
            let extents = value.dims.known().filter(|extents| extents.len() == rank)?;
            (value.elem == Elem::F32).then_some(crate::ArrayType { elem: value.elem, extents })
        };
        let keys = match self.keys {
            Keys::Rows(keys) => kind(keys),
            Keys::Columns(keys) => kind(keys).and_then(|mut kind| {
                let mut extents = kind.extents.to_vec();
                extents.swap(rank - 2, rank - 1);
                kind.extents = crate::Extents::new(&extents)?;
                Some(kind)
            }),
        };
        let (Some(query), Some(keys), Some(values)) = (kind(self.query), keys, kind(self.values)) else {
            return false;
        };
        let heads = if rank == 4 { query.extents[1] } else { 1 };
        let same = query.extents[..rank - 2] == keys.extents[..rank - 2];
        let mask = self.mask.map(|id| graph.value_of(id));
        let mask = mask
            .map(|value| value.dims.known().map(|extents| crate::ArrayType { elem: value.elem, extents }));
        let mut inputs = vec![query, keys, values];
        match mask {
            Some(Some(mask)) if mask.elem == Elem::F32 => inputs.push(mask),
            Some(_) => return false,
            None => {}
        }
        let attention = Attention { heads: [heads; 2], masked: self.mask.is_some(), ..Attention::PLAIN };
        same && attention.infer(&inputs).is_ok()
    }
}

fn rank(graph: &Graph, id: ValueId) -> Option<usize> {
    Some(graph.value_of(id).dims.known()?.len())
}

/// Whether an operator changes the two axes in the middle of four.
fn is_turn(op: &Op) -> bool {
    let Op::Array(ArrayOp::Restride(turn)) = op else { return false };
    is_order(turn, &[0, 2, 1, 3])
}

fn is_order(turn: &Restride, order: &[usize]) -> bool {
    let walks = |(along, axis): (&Along, &usize)| matches!(along, Along::Axis { axis: own, len: None, start: 0, step: 1 } if own == axis);
    turn.axes.len() == order.len() && turn.axes.iter().zip(order).all(walks) && turn.at.len() == order.len()
}

/// Whether elements stay where they are.
fn is_nothing(turn: &Restride, graph: &Graph, from: ValueId) -> bool {
    let order: Vec<usize> = (0..rank(graph, from).unwrap_or(0)).collect();
    is_order(turn, &order)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::array::Select;
    use crate::{ArrayType, Data, Dims, Extents};

    /// Two heads of three rows of four elements, turned as exports turn them; keys by columns, a scale and a mask.
    fn taken_apart() -> Graph {
        with_softmax(|graph, x| graph.push_array(Softmax { axis: 3, log: false }, &[x]).unwrap()[0])
    }

    fn with_softmax(softmax: impl Fn(&mut Graph, ValueId) -> ValueId) -> Graph {
        let mut graph = Graph::new();
        let kind = |list: &[usize]| ArrayType { elem: Elem::F32, extents: Extents::new(list).unwrap() };
        let dims = |list: &[usize]| Dims::from(Extents::new(list).unwrap());
        let eight = graph.constant(kind(&[]), Data::Here(8f32.to_le_bytes().into()));
        let mask = graph.input(dims(&[1, 1, 1, 3]), Elem::F32);
        let heads = |graph: &mut Graph, order: &[usize]| {
            let x = graph.input(dims(&[1, 3, 8]), Elem::F32);
            let extents = [1, 3, 2, 4].map(Some).to_vec();
            let x = graph.push_array(Reshape { extents }, &[x]).unwrap()[0];
            graph.push_array(Restride::transpose(order), &[x]).unwrap()[0]
        };
        let query = heads(&mut graph, &[0, 2, 1, 3]);
        let keys = heads(&mut graph, &[0, 2, 3, 1]);
        let values = heads(&mut graph, &[0, 2, 1, 3]);
        let product = MatMul { b_is_transposed: false, widens: false };
        let x = graph.push_array(product, &[query, keys]).unwrap()[0];
        let x = graph.push_array(Binary { kind: BinaryKind::Div }, &[x, eight]).unwrap()[0];
        let x = graph.push_array(Binary { kind: BinaryKind::Add }, &[x, mask]).unwrap()[0];
        let x = softmax(&mut graph, x);
        let x = graph.push_array(product, &[x, values]).unwrap()[0];
        let x = graph.push_array(Restride::transpose(&[0, 2, 1, 3]), &[x]).unwrap()[0];
        let x = graph.push_array(Reshape { extents: [1, 3, 8].map(Some).to_vec() }, &[x]).unwrap()[0];
        graph.outputs.push(x);
        graph
    }

    fn names(graph: &Graph) -> Vec<&'static str> {
        graph.nodes.iter().map(|node| node.op.name()).filter(|name| *name != "Reshape").collect()
    }

    #[test]
    fn attention_is_one_node_that_reads_heads_where_they_are() {
        let mut graph = taken_apart();
        recognise_attention(&mut graph).unwrap();
        crate::pass::remove_dead(&mut graph).unwrap();
        crate::verify(&graph).unwrap();
        assert_eq!(names(&graph), ["Attention"]);
        let op = graph.nodes.iter().find_map(|node| match &node.op {
            Op::Array(ArrayOp::Attention(op)) => Some(*op),
            _ => None,
        });
        let op = op.unwrap();
        assert_eq!((op.heads, op.scale, op.masked), ([2, 2], 0.125, true));
    }

    #[test]
    fn keys_that_were_turned_with_all_heads_as_one_axis_are_read_where_they_were() {
        let mut graph = taken_apart();
        let is_keys = |node: &Node| matches!(&node.op, Op::Array(ArrayOp::Restride(turn)) if is_order(turn, &[0, 2, 3, 1]));
        let at = graph.nodes.iter().position(is_keys).unwrap();
        let rest = graph.nodes.split_off(at);
        let mut x = graph.push_array(Restride::transpose(&[0, 2, 1, 3]), &rest[0].inputs).unwrap()[0];
        for extents in [[2, 3, 4].map(Some).to_vec(), [1, 2, 4, 3].map(Some).to_vec()] {
            x = graph.push_array(Reshape { extents }, &[x]).unwrap()[0];
            if graph.value_of(x).dims.known().unwrap().len() == 3 {
                x = graph.push_array(Restride::transpose(&[0, 2, 1]), &[x]).unwrap()[0];
            }
        }
        graph.nodes.extend(rest.into_iter().skip(1));
        let old = graph.nodes.iter().find(|node| node.op.name() == "MatMul").unwrap().inputs[1];
        graph
            .nodes
            .iter_mut()
            .flat_map(|node| &mut node.inputs)
            .filter(|id| **id == old)
            .for_each(|id| *id = x);
        crate::verify(&graph).unwrap();
        recognise_attention(&mut graph).unwrap();
        crate::pass::remove_dead(&mut graph).unwrap();
        crate::verify(&graph).unwrap();
        assert_eq!(names(&graph), ["Attention"]);
    }

    #[test]
    fn softmax_of_rows_or_with_a_guard_is_an_attention_too() {
        let of_rows = with_softmax(|graph, x| {
            let rows = graph.push_array(Reshape { extents: [6, 3].map(Some).to_vec() }, &[x]).unwrap()[0];
            let weights = graph.push_array(Softmax { axis: 1, log: false }, &[rows]).unwrap()[0];
            graph.push_array(Reshape { extents: [1, 2, 3, 3].map(Some).to_vec() }, &[weights]).unwrap()[0]
        });
        let guarded = with_softmax(|graph, x| {
            let kind = ArrayType { elem: Elem::F32, extents: Extents::default() };
            let zero = graph.constant(kind, Data::Here([0; 4].into()));
            let weights = graph.push_array(Softmax { axis: 3, log: false }, &[x]).unwrap()[0];
            let is_nan = graph.push_array(Unary { kind: UnaryKind::IsNan }, &[weights]).unwrap()[0];
            graph.push_array(Select, &[is_nan, zero, weights]).unwrap()[0]
        });
        // Rows of other extents are another softmax.
        let others = with_softmax(|graph, x| {
            let rows = graph.push_array(Reshape { extents: [3, 6].map(Some).to_vec() }, &[x]).unwrap()[0];
            let weights = graph.push_array(Softmax { axis: 1, log: false }, &[rows]).unwrap()[0];
            graph.push_array(Reshape { extents: [1, 2, 3, 3].map(Some).to_vec() }, &[weights]).unwrap()[0]
        });
        for (mut graph, is_one) in [(of_rows, true), (guarded, true), (others, false)] {
            recognise_attention(&mut graph).unwrap();
            crate::pass::remove_dead(&mut graph).unwrap();
            crate::verify(&graph).unwrap();
            assert_eq!(names(&graph) == ["Attention"], is_one);
        }
    }

    #[test]
    fn scores_that_somebody_reads_stay() {
        let mut graph = taken_apart();
        let scores = graph.nodes.iter().find(|node| node.op.name() == "Softmax").unwrap().output;
        graph.outputs.push(scores);
        let before = names(&graph);
        recognise_attention(&mut graph).unwrap();
        assert_eq!(names(&graph), before);
    }
}
