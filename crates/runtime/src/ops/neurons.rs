//! Neurons: the rows of those that are awake, brought together a few at a time, times the rows of the step.
//!
//! The one design choice: a cluster is taken from its slot or from the window into a stage in the arena, where the rows of
//! many clusters make up a matrix; so products are those of any other matrix, the room of a read is free at once, and sums
//! are in ascending order of neurons, wherever they came from.

use super::{Choice, Step};
use crate::Error;
use crate::arena::{floats_of, quantized_of};
use crate::executor::Extra;
use ::memory::{ExpertStore, Wanted};
use graph::op::{self, Stage};
use graph::{Bounds, Elem, Graph, Node};
use kernels::{Cpu, Weights};
use std::ops::Range;
use tensor::DType;

/// What a node of neurons needs beside the graph.
#[derive(Clone, Debug, Default)]
pub(crate) struct Awake {
    /// Where its stage lies in the arena.
    scratch: Range<usize>,
    places: Stage,
    /// Clusters that some row needs, ascending, each with the last row that does.
    wanted: Vec<Wanted>,
}

impl Awake {
    /// For a node that works at `offset` of the arena.
    pub fn new(graph: &Graph, node: &Node, op: &op::Neurons, bounds: &Bounds, offset: u64) -> Awake {
        let places = op.stage(graph, graph.value_of(node.inputs[0]), bounds);
        let scratch = offset as usize..(offset + places.end) as usize;
        Awake { scratch, places, wanted: Vec::with_capacity(op.clusters() as usize) }
    }

    /// Finds out which clusters the rows of `activations` need, and asks the store for them as set number `set`.
    fn choose(
        &mut self,
        set: usize,
        op: &op::Neurons,
        activations: &[f32],
        store: &mut ExpertStore,
    ) -> Result<(), Error> {
        self.wanted.clear();
        let (count, cluster) = (op.count as usize, op.cluster as usize);
        for first in (0..count).step_by(cluster) {
            let awake = |row: &&[f32]| row[first..first + cluster].iter().any(|&a| a != 0.0);
            if let Some(back) = activations.rchunks_exact(count).position(|row| awake(&row)) {
                let last = activations.len() / count - 1 - back;
                let (expert, token) = ((first / cluster) as u32, last as u32);
                self.wanted.push(Wanted { expert, token, weak: false });
            }
        }
        Ok(store.choose(set, &self.wanted, false)?)
    }
}

/// One layer of neurons.
pub(super) fn neurons(
    step: &mut Step<'_>,
    node: &Node,
    op: &op::Neurons,
    extra: &Extra,
) -> Result<(), Error> {
    let unplanned = Error::Unplanned { value: node.output.0 };
    let Some((set, Choice::Neurons(awake))) =
        extra.mixture.and_then(|set| Some((set, step.choices.get_mut(set)?)))
    else {
        return Err(unplanned);
    };
    let int8 = step.graph.value_of(node.inputs[0]).elem == Elem::Quantized;
    let width = step.arena.columns(node.output);
    let range = |id| step.arena.range(id, &step.now);
    let ranges = [range(node.inputs[0])?, range(node.inputs[1])?, range(node.output)?, awake.scratch.clone()];
    let [x, activations, out, scratch] = step.arena.split_ranges(ranges).ok_or(unplanned)?;
    let (activations, out) = (&*floats_of(activations), floats_of(out));
    out.fill(0.0);
    awake.choose(set, op, activations, step.experts)?;
    let (up, rest) = scratch.split_at_mut(awake.places.down as usize);
    let (down, hidden) = rest.split_at_mut((awake.places.hidden - awake.places.down) as usize);
    let dtypes = [op.up, op.down].map(|id| step.graph.weight_of(id).dtype);
    let inputs = Inputs { x, activations, rows: out.len() / width, width, int8, dtypes };
    let mut stage = Staged { op, up, down, hidden: floats_of(hidden) };
    let chosen = step.experts.chosen();
    for first in (0..chosen).step_by(awake.places.clusters as usize) {
        let batch = first..chosen.min(first + awake.places.clusters as usize);
        let bytes = stage.bring(batch.clone(), step.experts)?;
        stage.compute(step.cpu, &inputs, &awake.wanted[batch.clone()], out);
        let neurons = (batch.len() * op.cluster as usize) as u64;
        step.stats.bytes_touched += bytes;
        step.stats.macs += 2 * neurons * (width * inputs.rows) as u64;
    }
    Ok(())
}

/// The inputs of a layer.
struct Inputs<'a> {
    /// Rows as `up` takes them.
    x: &'a [u8],
    /// (rows, neurons)
    activations: &'a [f32],
    rows: usize,
    width: usize,
    int8: bool,
    /// Types of `up` and `down`.
    dtypes: [DType; 2],
}

/// The workspace in use.
struct Staged<'a> {
    op: &'a op::Neurons,
    up: &'a mut [u8],
    down: &'a mut [u8],
    hidden: &'a mut [f32],
}

impl Staged<'_> {
    /// Copies the rows of some of the clusters that were chosen next to each other; gives their bytes.
    fn bring(&mut self, batch: Range<usize>, store: &mut ExpertStore) -> Result<u64, Error> {
        let (mut up, mut down) = (0, 0);
        for at in batch {
            for piece in 0..store.pieces(at).len() {
                store.acquire(at)?;
                let matrix = store.pieces(at)[piece].matrix;
                let bytes = store.bytes(at, piece)?;
                let (to, end) =
                    if matrix == 0 { (&mut *self.up, &mut up) } else { (&mut *self.down, &mut down) };
                to[*end..*end + bytes.len()].copy_from_slice(bytes);
                *end += bytes.len();
                store.release(at, piece)?;
            }
        }
        Ok((up + down) as u64)
    }

    /// Adds what the clusters on the stage give.
    fn compute(&mut self, cpu: &Cpu, inputs: &Inputs<'_>, clusters: &[Wanted], out: &mut [f32]) {
        let Inputs { x, activations, rows, width, int8, dtypes } = *inputs;
        let (count, cluster) = (self.op.count as usize, self.op.cluster as usize);
        let neurons = clusters.len() * cluster;
        let hidden = &mut self.hidden[..rows * neurons];
        let [up, down] = [(&*self.up, dtypes[0]), (&*self.down, dtypes[1])].map(|(bytes, dtype)| {
            let len = dtype.bytes_of((neurons * width) as u64).unwrap_or(0) as usize;
            Weights::in_rows(dtype, &bytes[..len], neurons, width)
        });
        match int8 {
            true => cpu.product(up, &quantized_of(x, rows, width), hidden, neurons, 0, None),
            false => {
                let x = host::cast(&x[..rows * width * 4]).unwrap_or_default();
                cpu.product_float(up, x, hidden, neurons, 0);
            }
        }
        for (hidden, activations) in hidden.chunks_exact_mut(neurons).zip(activations.chunks_exact(count)) {
            for (hidden, &Wanted { expert: number, .. }) in hidden.chunks_exact_mut(cluster).zip(clusters) {
                let activations = &activations[number as usize * cluster..][..cluster];
                let each = hidden.iter_mut().zip(activations);
                each.for_each(|(h, &a)| *h = if a == 0.0 { 0.0 } else { a * *h });
            }
        }
        cpu.product_outer(down, hidden, out);
    }
}
