//! Picks rows before what is done with each element, not after: of a table that is widened and scaled (weights of 8 bits in an
//! embedding, mostly) only the rows that are wanted are.
//!
//! Only where nobody else reads the whole table and fewer rows are wanted than it has. Every element goes through the same
//! operations, so results are the same bits.

use crate::array::{ArrayOp, Pick};
use crate::{Error, Graph, Node, Op, ValueId};
use std::collections::HashMap;

/// Moves picks along the first axis before operations on elements.
pub fn pick_first(graph: &mut Graph) -> Result<(), Error> {
    let mut uses: HashMap<ValueId, usize> = HashMap::new();
    graph.nodes.iter().flat_map(|node| &node.inputs).for_each(|id| *uses.entry(*id).or_default() += 1);
    graph.outputs.iter().for_each(|id| *uses.entry(*id).or_default() += 1);
    let nodes = std::mem::take(&mut graph.nodes);
    let makers: HashMap<ValueId, usize> =
        nodes.iter().enumerate().map(|(index, node)| (node.output, index)).collect();
    for node in &nodes {
        let moved = match (&node.op, &node.inputs[..]) {
            (Op::Array(ArrayOp::Pick(Pick { axis: 0 })), &[table, places])
                if elements(graph, places) < rows(graph, table) =>
            {
                let of = Table { nodes: &nodes, makers: &makers, uses: &uses, places };
                of.elementwise(table).map(|maker| of.pick(graph, maker)).transpose()?.flatten()
            }
            _ => None,
        };
        match moved {
            // The last of the operations makes what the pick has made.
            Some(last) => graph.nodes.push(Node { output: node.output, ..last }),
            None => graph.nodes.push(node.clone()),
        }
    }
    Ok(())
}

fn rows(graph: &Graph, id: ValueId) -> usize {
    graph.value_of(id).dims.known().and_then(|extents| extents.first().copied()).unwrap_or(0)
}

fn elements(graph: &Graph, id: ValueId) -> usize {
    graph.value_of(id).dims.known().map_or(usize::MAX, |extents| extents.elements())
}

fn rank(graph: &Graph, id: ValueId) -> usize {
    graph.value_of(id).dims.known().map_or(0, |extents| extents.len())
}

/// A table of which rows are picked.
struct Table<'a> {
    nodes: &'a [Node],
    makers: &'a HashMap<ValueId, usize>,
    uses: &'a HashMap<ValueId, usize>,
    places: ValueId,
}

impl<'a> Table<'a> {
    /// The node that makes an array element by element, for one reader.
    fn elementwise(&self, id: ValueId) -> Option<&'a Node> {
        let node = &self.nodes[*self.makers.get(&id)?];
        let is = matches!(&node.op, Op::Array(ArrayOp::Binary(_) | ArrayOp::Cast(_) | ArrayOp::Unary(_)));
        (is && self.uses.get(&id) == Some(&1)).then_some(node)
    }

    /// The operation of `node` on picked rows, not yet in the graph; `None` if an input cannot be picked from.
    fn pick(&self, graph: &mut Graph, node: &Node) -> Result<Option<Node>, Error> {
        let (all, width) = (rows(graph, node.output), rank(graph, node.output));
        let is_same = |graph: &Graph, id: ValueId| rank(graph, id) < width;
        let is_rows = |graph: &Graph, id: ValueId| rank(graph, id) == width && rows(graph, id) == all;
        if !node.inputs.iter().all(|&id| is_same(graph, id) || is_rows(graph, id)) {
            return Ok(None);
        }
        let mut inputs = Vec::new();
        for &id in &node.inputs {
            inputs.push(if is_same(graph, id) { id } else { self.picked(graph, id)? });
        }
        Ok(Some(Node { inputs, ..node.clone() }))
    }

    /// Rows of an array.
    fn picked(&self, graph: &mut Graph, id: ValueId) -> Result<ValueId, Error> {
        if let Some(maker) = self.elementwise(id)
            && let Some(Node { op: Op::Array(op), inputs, .. }) = self.pick(graph, maker)?
        {
            return Ok(graph.push_array(op, &inputs)?[0]);
        }
        Ok(graph.push_array(Pick { axis: 0 }, &[id, self.places])?[0])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::array::{Binary, BinaryKind, Cast};
    use crate::{ArrayType, Data, Dims, Elem, Extents};

    #[test]
    fn a_table_is_widened_row_by_row() {
        let mut graph = Graph::new();
        let kind = |elem, list: &[usize]| ArrayType { elem, extents: Extents::new(list).unwrap() };
        let places = graph.input(Dims::from(Extents::new(&[1, 2]).unwrap()), Elem::I64);
        let table = graph.constant(kind(Elem::I8, &[5, 3]), Data::Here((0..15).collect()));
        let scales = [1.0f32, 2.0, 3.0, 4.0, 5.0].iter().flat_map(|x| x.to_le_bytes()).collect();
        let scales = graph.constant(kind(Elem::F32, &[5, 1]), Data::Here(scales));
        let wide = graph.push_array(Cast { to: Elem::F32 }, &[table]).unwrap()[0];
        let scaled = graph.push_array(Binary { kind: BinaryKind::Mul }, &[wide, scales]).unwrap()[0];
        let made = graph.push_array(Pick { axis: 0 }, &[scaled, places]).unwrap()[0];
        graph.outputs.push(made);
        pick_first(&mut graph).unwrap();
        crate::pass::remove_dead(&mut graph).unwrap();
        crate::verify(&graph).unwrap();
        let names: Vec<&str> = graph.nodes.iter().map(|node| node.op.name()).collect();
        assert_eq!(names, ["Pick", "Cast", "Pick", "Binary"]);
        assert_eq!(graph.nodes[3].output, made);
        assert_eq!(rows(&graph, graph.nodes[1].output), 1);
    }
}
