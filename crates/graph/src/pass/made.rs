//! Who makes and who reads the values of a graph: what passes that recognise something ask.

use super::fuse::numbers;
use crate::array::{ArrayOp, Binary, BinaryKind};
use crate::{Graph, Node, Op, ValueId};
use std::collections::{HashMap, HashSet};

/// Who makes and who reads values.
pub(super) struct Made<'a> {
    pub nodes: &'a [Node],
    pub makers: HashMap<ValueId, usize>,
    pub readers: HashMap<ValueId, Vec<usize>>,
    /// Values whose extents a run decides.
    pub decided: HashSet<ValueId>,
}

impl<'a> Made<'a> {
    pub fn new(graph: &Graph, nodes: &'a [Node]) -> Made<'a> {
        let (mut makers, mut decided) = (HashMap::new(), HashSet::new());
        let mut readers: HashMap<ValueId, Vec<usize>> = HashMap::new();
        for (index, node) in nodes.iter().enumerate() {
            let is_dynamic = matches!(&node.op, Op::Array(op) if op.is_dynamic());
            if is_dynamic || node.inputs.iter().any(|id| decided.contains(id)) {
                decided.extend(node.outputs());
            }
            node.inputs.iter().for_each(|id| readers.entry(*id).or_default().push(index));
            makers.insert(node.output, index);
        }
        // What is an output as well has a reader that no node is.
        graph.outputs.iter().for_each(|id| readers.entry(*id).or_default().push(usize::MAX));
        graph.carried.iter().for_each(|carried| readers.entry(carried.made).or_default().push(usize::MAX));
        Made { nodes, makers, readers, decided }
    }

    pub fn maker(&self, id: ValueId) -> Option<(&'a ArrayOp, &'a [ValueId])> {
        let node = &self.nodes[*self.makers.get(&id)?];
        match &node.op {
            Op::Array(op) if node.more.is_empty() => Some((op, &node.inputs)),
            _ => None,
        }
    }

    /// As [`Made::maker`], of what one node alone reads.
    pub fn own(&self, id: ValueId) -> Option<(&'a ArrayOp, &'a [ValueId])> {
        (self.readers.get(&id)?.len() == 1).then(|| self.maker(id)).flatten()
    }

    /// What is multiplied or divided by a number, and the factor with that number in it.
    pub fn scaled(&self, graph: &Graph, id: ValueId, scale: f32) -> Option<(ValueId, f32)> {
        let (ArrayOp::Binary(Binary { kind }), &[a, b]) = self.maker(id)? else { return None };
        let one = |id| number(graph, id);
        let (of, scale) = match (kind, one(a), one(b)) {
            (BinaryKind::Mul, _, Some(by)) => (a, scale * by),
            (BinaryKind::Mul, Some(by), _) => (b, scale * by),
            (BinaryKind::Div, _, Some(by)) => (a, scale / by),
            _ => return None,
        };
        (graph.value_of(of) == graph.value_of(id)).then_some((of, scale))
    }

    /// The two that a kind of operation joins, of what one node alone reads.
    pub fn joined(&self, id: ValueId, kind: BinaryKind) -> Option<[ValueId; 2]> {
        match self.own(id)? {
            (ArrayOp::Binary(binary), &[a, b]) if binary.kind == kind => Some([a, b]),
            _ => None,
        }
    }
}

/// A constant of one number.
pub(super) fn number(graph: &Graph, id: ValueId) -> Option<f32> {
    numbers(graph, id).filter(|list| list.len() == 1).map(|list| list[0])
}
