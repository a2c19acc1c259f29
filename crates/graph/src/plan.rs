//! The static plan: where every value lives and which weights are read when, before a weight byte is read.
//!
//! Lifetimes follow from the order of the nodes. Values are placed into one arena greedily, largest first, each at
//! the lowest offset that is free for its whole life (Pisarchyk and Lee, arXiv 2001.03288); an operator that works
//! in place takes over its input's storage when nobody reads that input later.

use crate::op::WeightUse;
use crate::{Bounds, Graph, Op, Symbol, Value, ValueId};

/// Storage is handed out in multiples of this many bytes, so that vectors load aligned.
pub const ALIGNMENT: u64 = 64;

/// Where the values of a graph live, under given bounds.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Sizes that this plan is good for.
    pub bounds: Bounds,
    /// Bytes of the arena.
    pub arena_bytes: u64,
    /// Offset of each value in the arena, by value id; unused values have none.
    offsets: Vec<Option<u64>>,
    /// Offset of what each node works in, by index; most have none.
    scratch: Vec<Option<u64>>,
}

impl Plan {
    /// Plans `graph` for steps of at most `bounds`.
    pub fn new(graph: &Graph, bounds: Bounds) -> Plan {
        let lives = lives(graph);
        let owner = owners(graph, &lives);
        let mut blocks = blocks(graph, &lives, &owner, &bounds);
        blocks.sort_by_key(|b| (std::cmp::Reverse(b.bytes), b.first));
        let mut offsets = vec![None; graph.values.len()];
        let mut scratch = vec![None; graph.nodes.len()];
        let mut placed: Vec<(u64, Block)> = Vec::new();
        let mut arena_bytes = 0;
        for block in blocks {
            let offset = lowest_free(&placed, &block);
            arena_bytes = arena_bytes.max(offset + block.bytes);
            match block.holds {
                Holds::Value(value) => offsets[value] = Some(offset),
                Holds::Scratch(node) => scratch[node] = Some(offset),
            }
            placed.push((offset, block));
        }
        for i in 0..offsets.len() {
            offsets[i] = if lives[i].is_some() { offsets[owner[i]] } else { None };
        }
        Plan { bounds, arena_bytes, offsets, scratch }
    }

    /// Offset of a value in the arena, a multiple of [`ALIGNMENT`].
    pub fn offset(&self, id: ValueId) -> Option<u64> {
        self.offsets[id.0 as usize]
    }

    /// Offset in the arena of what a node works in, a multiple of [`ALIGNMENT`].
    pub fn scratch(&self, node: usize) -> Option<u64> {
        self.scratch[node]
    }

    /// The most bytes that are alive at once: no arena can be smaller.
    pub fn live_bound(graph: &Graph, bounds: &Bounds) -> u64 {
        let lives = lives(graph);
        let owner = owners(graph, &lives);
        let blocks = blocks(graph, &lives, &owner, bounds);
        (0..=graph.nodes.len())
            .map(|at| blocks.iter().filter(|b| b.first <= at && at <= b.last).map(|b| b.bytes).sum())
            .max()
            .unwrap_or(0)
    }
}

/// Bytes of a value under `bounds`, rounded up to [`ALIGNMENT`].
pub fn value_bytes(value: &Value, bounds: &Bounds) -> u64 {
    let columns = u64::from(value.dims.columns());
    let rows = value.dims.elements(bounds) / columns.max(1);
    (rows * value.elem.row_bytes(columns)).next_multiple_of(ALIGNMENT)
}

/// The weights that a step reads, in order, and the symbol that must not be zero for each to be read.
pub fn weight_uses(graph: &Graph) -> impl Iterator<Item = (WeightUse, Option<Symbol>)> + '_ {
    graph.nodes.iter().flat_map(|node| {
        let rows = graph.value_of(node.output).dims.rows();
        node.op.weights().into_iter().map(move |use_| (use_, rows))
    })
}

/// First and last node at which a value exists. Node `i` is time `i + 1`; time 0 is before the first node.
type Life = Option<(usize, usize)>;

fn lives(graph: &Graph) -> Vec<Life> {
    let mut lives: Vec<Life> = vec![None; graph.values.len()];
    for id in &graph.inputs {
        lives[id.0 as usize] = Some((0, 0));
    }
    for (i, node) in graph.nodes.iter().enumerate() {
        for id in &node.inputs {
            if let Some((_, last)) = &mut lives[id.0 as usize] {
                *last = i + 1;
            }
        }
        for id in node.outputs() {
            lives[id.0 as usize] = Some((i + 1, i + 1));
        }
    }
    for id in &graph.outputs {
        if let Some((_, last)) = &mut lives[id.0 as usize] {
            *last = graph.nodes.len() + 1;
        }
    }
    lives
}

/// For each value the value whose storage it uses: itself, or the input that its node overwrites or only renames.
fn owners(graph: &Graph, lives: &[Life]) -> Vec<usize> {
    let mut owner: Vec<usize> = (0..graph.values.len()).collect();
    // By owner, when the last of all that share its storage so far dies.
    let mut last: Vec<usize> = lives.iter().map(|life| life.map_or(0, |(_, last)| last)).collect();
    for (i, node) in graph.nodes.iter().enumerate() {
        let Some(input) = node.op.in_place().and_then(|k| node.inputs.get(k)).copied() else { continue };
        if lives[input.0 as usize].is_none() {
            continue; // what is always the same has its own place
        }
        let (input, output) = (input.0 as usize, node.output.0 as usize);
        let size = |id: usize| {
            let Value { dims, elem } = graph.values[id];
            (dims.known().map(|extents| extents.elements()), elem.bytes())
        };
        let repeated = node.inputs.iter().filter(|id| owner[id.0 as usize] == owner[input]).count() > 1;
        let overwrites = last[owner[input]] == i + 1
            && !repeated
            && match &node.op {
                Op::Array(_) => size(input) == size(output),
                _ => graph.values[input] == graph.values[output],
            };
        if overwrites || node.op.is_alias() {
            owner[output] = owner[input];
            last[owner[input]] = last[owner[input]].max(last[output]);
        }
    }
    owner
}

/// One piece of storage and how long it is needed.
#[derive(Clone, Copy, Debug)]
struct Block {
    holds: Holds,
    bytes: u64,
    first: usize,
    last: usize,
}

/// What a piece of storage is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holds {
    /// The value that owns it and all that share it.
    Value(usize),
    /// What a node works in.
    Scratch(usize),
}

/// All storage that is needed: that of values, for the union of the lives of all that share it, and scratch.
fn blocks(graph: &Graph, lives: &[Life], owner: &[usize], bounds: &Bounds) -> Vec<Block> {
    let mut blocks: Vec<Option<Block>> = vec![None; graph.values.len()];
    for (i, life) in lives.iter().enumerate() {
        let Some((first, last)) = *life else { continue };
        let bytes = value_bytes(&graph.values[i], bounds);
        let holds = Holds::Value(owner[i]);
        let block = blocks[owner[i]].get_or_insert(Block { holds, bytes, first, last });
        block.first = block.first.min(first);
        block.last = block.last.max(last);
    }
    let scratch = graph.nodes.iter().enumerate().filter_map(|(i, node)| {
        let inputs: Vec<Value> = node.inputs.iter().map(|&id| *graph.value_of(id)).collect();
        let bytes = node.op.scratch(graph, &inputs, bounds).next_multiple_of(ALIGNMENT);
        (bytes > 0).then_some(Block { holds: Holds::Scratch(i), bytes, first: i + 1, last: i + 1 })
    });
    blocks.into_iter().flatten().chain(scratch).collect()
}

/// The lowest offset at which `block` overlaps no placed block that lives at the same time.
fn lowest_free(placed: &[(u64, Block)], block: &Block) -> u64 {
    let mut busy: Vec<(u64, u64)> = placed
        .iter()
        .filter(|(_, other)| other.first <= block.last && block.first <= other.last)
        .map(|(offset, other)| (*offset, offset + other.bytes))
        .collect();
    busy.sort_unstable();
    let mut offset = 0;
    for (start, end) in busy {
        if start >= offset + block.bytes {
            break;
        }
        offset = offset.max(end);
    }
    offset
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::{Add, Scale};
    use crate::{Dims, Elem};

    fn chain() -> Graph {
        let mut g = Graph::new();
        let x = g.input(Dims::matrix(Symbol::ROWS, 64), Elem::F32);
        let a = g.push(Scale { factor: 2.0 }, &[x]).unwrap();
        let b = g.push(Scale { factor: 3.0 }, &[a]).unwrap();
        let c = g.push(Add, &[b, x]).unwrap();
        g.outputs.push(c);
        g
    }

    #[test]
    fn in_place_operators_share_storage_only_when_the_input_dies() {
        let g = chain();
        let plan = Plan::new(&g, Bounds { rows: 4, logit_rows: 1 });
        let offset = |i: u32| plan.offset(ValueId(i));
        assert_ne!(offset(0), offset(1), "x is read again later");
        assert_eq!(offset(1), offset(2));
        assert_eq!(offset(2), offset(3));
        assert_eq!(plan.arena_bytes, 2 * 4 * 64 * 4);
    }

    #[test]
    fn the_arena_is_the_live_bound_on_a_chain() {
        let bounds = Bounds { rows: 7, logit_rows: 1 };
        assert_eq!(Plan::new(&chain(), bounds).arena_bytes, Plan::live_bound(&chain(), &bounds));
    }

    #[test]
    fn blocks_that_live_together_never_overlap() {
        let mut g = Graph::new();
        let x = g.input(Dims::matrix(Symbol::ROWS, 32), Elem::F32);
        let kept: Vec<ValueId> = (1..6).map(|i| g.push(Scale { factor: i as f32 }, &[x]).unwrap()).collect();
        let mut sum = kept[0];
        for &k in &kept[1..] {
            sum = g.push(Add, &[sum, k]).unwrap();
        }
        g.outputs.push(sum);
        let plan = Plan::new(&g, Bounds { rows: 1, logit_rows: 1 });
        let mut offsets: Vec<u64> = kept.iter().map(|&k| plan.offset(k).unwrap()).collect();
        offsets.sort_unstable();
        offsets.dedup();
        assert_eq!(offsets.len(), kept.len());
    }
}
