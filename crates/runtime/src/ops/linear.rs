//! Products with matrices: those that follow each other and share their input at once, as far as their weights are here.
//!
//! A job of the threads takes all that stays in memory of a few matrices, such as query, key and value; what is streamed is
//! multiplied as it arrives, run by run. The one design choice: which nodes go together is known before the first step
//! ([`join`]), which tiles do is looked up in every step, since weights come and go between steps.

use super::Step;
use crate::Error;
use crate::arena::{floats_of, quantized_of};
use crate::executor::Extra;
use ::memory::WeightStore;
use graph::op::{Linear, Op};
use graph::{Elem, Graph, Node};
use host::cast;
use kernels::{Activations, Cpu, Matrix, NextRows, Order, Output, Weights};
use tensor::DType;

/// Nodes that may be done at once: query, key and value.
const TOGETHER: usize = 3;

/// Finds products that follow each other and share their input.
pub(crate) fn join(graph: &Graph, program: &mut [Extra]) {
    let mut first = 0;
    for (at, node) in graph.nodes.iter().enumerate() {
        if !matches!(node.op, Op::Linear(_)) {
            continue;
        }
        let head = &graph.nodes[first];
        let joins = at == first + program[first].together
            && program[first].together < TOGETHER
            && matches!(head.op, Op::Linear(_))
            && head.inputs == node.inputs;
        first = if joins { first } else { at };
        program[first].together += 1;
        program[at].done = joins;
    }
}

/// Tiles that are taken for one, of one of a few nodes.
#[derive(Clone, Copy, Default)]
struct Stretch {
    node: usize,
    start: u32,
    end: u32,
}

/// What is multiplied at once.
#[derive(Clone, Copy, Default)]
struct Job {
    stretches: [Stretch; Cpu::MATRICES],
    len: usize,
}

impl Job {
    /// What of the tiles of a few nodes, from tile `from` on, is multiplied at once: what stays up to the first that does not,
    /// or else what is read together with that.
    fn gather(store: &WeightStore, program: &[Extra], from: u32) -> Job {
        let mut job = Job::default();
        for (node, extra) in program.iter().enumerate() {
            let mut start = extra.tiles.start.max(from);
            while start < extra.tiles.end && job.len < Cpu::MATRICES {
                let stays = store.stays(start);
                if !stays && job.len > 0 {
                    return job;
                }
                let end = store.stretch(start..extra.tiles.end).end;
                job.stretches[job.len] = Stretch { node, start, end };
                job.len += 1;
                start = end;
                if !stays {
                    return job;
                }
            }
        }
        job
    }

    /// Its stretches, in order of use.
    fn stretches(&self) -> &[Stretch] {
        &self.stretches[..self.len]
    }

    /// Its rows, if they stay.
    fn rows<'a>(&self, store: &'a WeightStore) -> ([NextRows<'a>; Cpu::MATRICES], usize) {
        let mut rows = [NextRows::default(); Cpu::MATRICES];
        let mut count = 0;
        for (next, stretch) in rows.iter_mut().zip(self.stretches()) {
            let tiles = &store.tiling().tiles[stretch.start as usize..stretch.end as usize];
            let stays = store.stays(stretch.start);
            let bytes = stays.then(|| store.bytes(stretch.start..stretch.end).ok()).flatten();
            let Some(bytes) = bytes else { break };
            *next = NextRows { bytes, rows: tiles.iter().map(|tile| tile.rows as usize).sum() };
            count += 1;
        }
        (rows, count)
    }
}

/// The first of `nodes`, and those that are done at once with it.
pub(super) fn linear(step: &mut Step<'_>, nodes: &[Node], program: &[Extra]) -> Result<(), Error> {
    let together = program.first().map_or(0, |extra| extra.together).min(nodes.len());
    let (nodes, (program, later)) = (&nodes[..together], program.split_at(together));
    let Some(end) = program.last().map(|extra| extra.tiles.end) else { return Ok(()) };
    // Tiles are numbered in the order of their use.
    let follow = later.iter().position(|extra| extra.tiles.start == end && extra.together > 0);
    let follow = follow.map_or(&[][..], |at| &later[at..at + later[at].together]);
    let mut tile = program[0].tiles.start;
    while tile < end {
        step.store.acquire(tile)?;
        let job = Job::gather(step.store, program, tile);
        tile = job.stretches().last().map_or(end, |stretch| stretch.end);
        let next = match tile < end {
            true => Job::gather(step.store, program, tile),
            false => Job::gather(step.store, follow, end),
        };
        multiply(step, nodes, &job, &next)?;
        let tiles = job.stretches().iter().flat_map(|stretch| stretch.start..stretch.end);
        for tile in tiles {
            step.stats.bytes_touched += step.store.tiling().tiles[tile as usize].bytes;
            step.store.release(tile)?;
        }
    }
    for node in nodes {
        if let Some(bias) = of(node).and_then(|linear| linear.bias) {
            let [out] = step.arena.split_floats([node.output], &step.now)?;
            step.cpu.add_bias(out, step.store.vector(bias));
        }
    }
    Ok(())
}

/// Does a job.
fn multiply(step: &mut Step<'_>, nodes: &[Node], job: &Job, next: &Job) -> Result<(), Error> {
    let input = nodes[0].inputs[0];
    let columns = step.arena.columns(input);
    let mut ranges = [const { 0..0 }; 1 + TOGETHER];
    ranges[0] = step.arena.range(input, &step.now)?;
    let mut strides = [0; TOGETHER];
    for (at, node) in nodes.iter().enumerate() {
        ranges[1 + at] = step.arena.range(node.output, &step.now)?;
        strides[at] = step.arena.columns(node.output);
    }
    let rows = ranges[1].len() / 4 / strides[0];
    let unplanned = Error::Unplanned { value: input.0 };
    let [x, out @ ..] = step.arena.split_ranges(ranges).ok_or(unplanned)?;
    let mut strides = strides.into_iter();
    let mut outputs = out.map(|out| Output { values: floats_of(out), stride: strides.next().unwrap_or(0) });
    let x = match step.graph.value_of(input).elem {
        Elem::Quantized => Activations::Int8(quantized_of(x, rows, columns)),
        _ => Activations::Floats(cast(x).unwrap_or_default()),
    };
    let nothing = Weights::in_rows(DType::F32, &[], 0, 0);
    let mut matrices = [Matrix { weights: nothing, output: 0, first: 0 }; Cpu::MATRICES];
    for (matrix, stretch) in matrices.iter_mut().zip(job.stretches()) {
        let tiles = &step.store.tiling().tiles[stretch.start as usize..stretch.end as usize];
        let Some(first) = tiles.first() else { continue };
        let order = if step.store.in_panels(stretch.start) { Order::Panels } else { Order::Rows };
        let dtype = step.graph.weight_of(first.weight).dtype;
        let bytes = step.store.bytes(stretch.start..stretch.end)?;
        let all = tiles.iter().map(|tile| tile.rows as usize).sum();
        let weights = Weights { dtype, order, bytes, rows: all, columns };
        step.stats.macs += all as u64 * columns as u64 * rows as u64;
        *matrix = Matrix { weights, output: stretch.node, first: first.first_row as usize };
    }
    let (next, count) = next.rows(step.store);
    step.cpu.products(&matrices[..job.len], &x, &mut outputs, &next[..count]);
    Ok(())
}

/// What a product is with.
fn of(node: &Node) -> Option<&Linear> {
    match &node.op {
        Op::Linear(linear) => Some(linear),
        _ => None,
    }
}
