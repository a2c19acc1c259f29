//! The high-resolution head of a network made a band of rows at a time, so that no large value is ever there whole.
//!
//! What it is: where networks may be cut ([`Head::all`]) and the same graph with what is above the cut in bands
//! ([`Head::in_bands`]): more nodes, smaller values, one arena planned as ever, so that nothing below knows of it. What it is not:
//! a choice, which is the planner's. The one design choice: rows that the next band looks at too are kept where that is cheaper
//! than to make them again (Lin et al., "MCUNetV2", arXiv 2110.15352, makes all of them again; Zheng et al., "StreamNet",
//! NeurIPS 2023, keeps them), by one rule: a value is kept if none that is made of it is smaller.

mod build;
mod sight;

use crate::array::ArrayOp;
use crate::{ArrayType, Graph, Node, Op, ValueId};
use sight::{Sight, sights};

/// Nodes at the beginning of a network among which cuts are looked for.
const FAR: usize = 512;
/// Bands that there may be: as many as are joined at once.
pub const BANDS_MAX: usize = 32;

/// What may be made in bands: all that stands above one value.
#[derive(Clone, Debug)]
pub struct Head {
    /// The value that alone goes on.
    pub cut: ValueId,
    /// Rows that it has.
    pub rows: usize,
    /// The nodes that make it, by ascending index.
    nodes: Vec<HeadNode>,
    /// Bytes of the largest value that they make.
    largest: usize,
}

/// A node of a head.
#[derive(Clone, Debug)]
struct HeadNode {
    index: usize,
    /// The axis of its output that rows lie along.
    axis: usize,
    /// How rows of its output look at its inputs.
    sights: Vec<Option<Sight>>,
    /// Whether rows of its output are kept from one band to the next.
    kept: bool,
}

impl Head {
    /// Heads of a network whose cut is small beside what stands above it and what is made of it; of cuts of one size the first
    /// and the last.
    pub fn all(graph: &Graph) -> Vec<Head> {
        let makers = makers(graph);
        let mut least = vec![usize::MAX; graph.values.len()];
        for node in &graph.nodes {
            for id in &node.inputs {
                least[id.0 as usize] = least[id.0 as usize].min(bytes_of(graph, node.output));
            }
        }
        let mut heads: Vec<Head> = Vec::new();
        for (index, node) in graph.nodes.iter().take(FAR).enumerate() {
            let bytes = bytes_of(graph, node.output);
            if bytes > least[node.output.0 as usize] {
                continue;
            }
            let Some(head) = Head::above(graph, &makers, index) else { continue };
            if 2 * bytes > head.largest {
                continue;
            }
            let of_size = |head: &Head| bytes_of(graph, head.cut) == bytes;
            if heads.len() > 1 && heads.iter().rev().take(2).all(of_size) {
                heads.pop();
            }
            heads.push(head);
        }
        heads
    }

    /// Multiply-adds of a run.
    pub fn macs(&self, graph: &Graph) -> u64 {
        let of = |node: &HeadNode| {
            array(graph, &graph.nodes[node.index]).map(|(op, inputs)| op.cost(&inputs).macs)
        };
        self.nodes.iter().filter_map(of).sum()
    }

    /// The head above what a node makes, if rows of it can be made apart and nothing else of it is needed below.
    fn above(graph: &Graph, makers: &[Option<usize>], last: usize) -> Option<Head> {
        let cut = graph.nodes[last].output;
        let kind = kind_of(graph, cut)?;
        let rows = *kind.extents.get(2).filter(|_| kind.extents.len() == 4)?;
        let mut axes: Vec<Option<usize>> = vec![None; graph.nodes.len().min(FAR)];
        axes[last] = Some(2);
        let mut nodes = Vec::new();
        for index in (0..=last).rev() {
            let Some(axis) = axes[index] else { continue };
            let node = &graph.nodes[index];
            let (op, inputs) = array(graph, node)?;
            let sights = sights(op, &inputs, &kind_of(graph, node.output)?, axis)?;
            for (id, sight) in node.inputs.iter().zip(&sights) {
                let Some(maker) = makers[id.0 as usize] else { continue };
                // What is made in bands is never there whole.
                let axis = sight.as_ref()?.axis;
                if *axes.get_mut(maker)?.get_or_insert(axis) != axis {
                    return None;
                }
            }
            nodes.push(HeadNode { index, axis, sights, kept: true });
        }
        nodes.reverse();
        let largest = nodes.iter().map(|node| bytes_of(graph, graph.nodes[node.index].output)).max()?;
        let mut head = Head { cut, rows, nodes, largest };
        if rows < 2 || !head.is_closed(graph) {
            return None;
        }
        head.keep(graph);
        Some(head)
    }

    /// Whether nobody but its own nodes reads what is above the cut.
    fn is_closed(&self, graph: &Graph) -> bool {
        let mut own = vec![false; graph.values.len()];
        let mut inside = vec![false; graph.nodes.len()];
        for node in &self.nodes {
            inside[node.index] = true;
            own[graph.nodes[node.index].output.0 as usize] = true;
        }
        own[self.cut.0 as usize] = false;
        let others = graph.nodes.iter().zip(&inside).filter(|(_, inside)| !**inside);
        let read = others.flat_map(|(node, _)| &node.inputs).chain(&graph.outputs);
        !read.chain(graph.carried.iter().map(|carried| &carried.made)).any(|id| own[id.0 as usize])
    }

    /// Says of which values rows are kept.
    fn keep(&mut self, graph: &Graph) {
        let mut least = vec![usize::MAX; graph.values.len()];
        for node in &self.nodes {
            let node = &graph.nodes[node.index];
            for id in &node.inputs {
                least[id.0 as usize] = least[id.0 as usize].min(bytes_of(graph, node.output));
            }
        }
        for node in &mut self.nodes {
            let made = graph.nodes[node.index].output;
            node.kept = bytes_of(graph, made) <= least[made.0 as usize];
        }
    }
}

/// By value, the node that makes it.
fn makers(graph: &Graph) -> Vec<Option<usize>> {
    let mut makers = vec![None; graph.values.len()];
    for (index, node) in graph.nodes.iter().enumerate() {
        node.outputs().for_each(|id| makers[id.0 as usize] = Some(index));
    }
    makers
}

/// The operator of a node that makes one array, and what it is given.
fn array<'g>(graph: &Graph, node: &'g Node) -> Option<(&'g ArrayOp, Vec<ArrayType>)> {
    let Op::Array(op) = &node.op else { return None };
    let inputs = node.inputs.iter().map(|id| kind_of(graph, *id)).collect::<Option<Vec<_>>>()?;
    node.more.is_empty().then_some((op, inputs))
}

fn bytes_of(graph: &Graph, id: ValueId) -> usize {
    kind_of(graph, id).map_or(0, |kind| kind.bytes())
}

fn kind_of(graph: &Graph, id: ValueId) -> Option<ArrayType> {
    let value = graph.value_of(id);
    Some(ArrayType { elem: value.elem, extents: value.dims.known()? })
}
