//! Experts: rows gathered by expert, its three products, and the results added up in ascending order of experts.
//!
//! The one design choice: where few enough rows and experts meet, results are kept apart and experts are taken as they
//! come, those that are here while others are being read; a long prompt takes them in ascending order and adds at once.

use super::{Choice, Step, activation};
use crate::Error;
use crate::arena::{floats_of, indices_of, int8_of, quantized_of};
use crate::executor::Extra;
use ::memory::{ExpertStore, Wanted};
use graph::op::{self, Workspace};
use graph::{Bounds, Elem, Graph, Node};
use kernels::{Cpu, NextRows, Order, QuantizedMut, Weights};
use std::ops::Range;

/// What a node of experts needs beside the graph.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mixture {
    /// Where its workspace lies in the arena.
    scratch: Range<usize>,
    places: Workspace,
    /// Whether this step takes experts as they come.
    any_order: bool,
    /// Elements between gate and down.
    hidden: usize,
    /// By expert, who goes to it.
    met: Vec<Met>,
    /// By expert, the place of its first pair, in ascending order of experts.
    first: Vec<u32>,
    /// Experts that some row goes to, ascending.
    wanted: Vec<Wanted>,
}

/// The rows that go to an expert.
#[derive(Clone, Copy, Debug, Default)]
struct Met {
    rows: u32,
    last: u32,
    /// How many of them it matters to.
    strong: u32,
}

impl Mixture {
    /// For a node that works at `offset` of the arena.
    pub fn new(graph: &Graph, node: &Node, op: &op::Experts, bounds: &Bounds, offset: u64) -> Mixture {
        let places = op.workspace(graph, graph.value_of(node.inputs[0]), bounds);
        let count = op.count as usize;
        Mixture {
            scratch: offset as usize..(offset + places.end) as usize,
            places,
            any_order: false,
            hidden: op.gate.matrix(graph, op.count).map_or(0, |m| m.0 as usize),
            met: vec![Met::default(); count],
            first: vec![0; count],
            wanted: Vec::with_capacity(count),
        }
    }

    /// Finds out which experts the rows of `mixture` go to, and asks the store for them as set number `set`; for those that count
    /// for less than the share `coarse` of a row's strongest, coarser copies may stand in.
    pub fn choose(
        &mut self,
        set: usize,
        mixture: &[f32],
        coarse: f32,
        store: &mut ExpertStore,
    ) -> Result<(), Error> {
        self.met.fill(Met::default());
        for (counts, row) in mixture.chunks_exact(self.met.len()).zip(0..) {
            let least = coarse * counts.iter().copied().fold(0.0, f32::max);
            for (met, &counts) in self.met.iter_mut().zip(counts).filter(|(_, counts)| **counts != 0.0) {
                let strong = met.strong + u32::from(counts >= least);
                *met = Met { rows: met.rows + 1, last: row, strong };
            }
        }
        self.wanted.clear();
        let mut pairs = 0;
        for ((&Met { rows, last, strong }, first), expert) in self.met.iter().zip(&mut self.first).zip(0..) {
            *first = pairs;
            pairs += rows;
            if rows > 0 {
                self.wanted.push(Wanted { expert, token: last, weak: strong == 0 });
            }
        }
        self.any_order = pairs <= self.places.pairs;
        Ok(store.choose(set, &self.wanted, self.any_order)?)
    }
}

/// One layer of experts.
pub(super) fn experts(
    step: &mut Step<'_>,
    node: &Node,
    op: &op::Experts,
    extra: &Extra,
) -> Result<(), Error> {
    let set = extra.mixture.ok_or(Error::Unplanned { value: node.output.0 })?;
    let Some(Choice::Experts(mix)) = step.choices.get(set) else {
        return Err(Error::Unplanned { value: node.output.0 });
    };
    let (input, output) = (node.inputs[0], node.output);
    let (width, int8) = (step.arena.columns(output), step.graph.value_of(input).elem == Elem::Quantized);
    let range = |id| step.arena.range(id, &step.now);
    let ranges = [range(input)?, range(node.inputs[1])?, range(output)?, mix.scratch.clone()];
    let unplanned = Error::Unplanned { value: output.0 };
    let [x, mixture, out, scratch] = step.arena.split_ranges(ranges).ok_or(unplanned)?;
    let (mixture, out) = (&*floats_of(mixture), floats_of(out));
    out.fill(0.0);
    let all = out.len() / width;
    let mut work = Work::new(scratch, mix, Rows { x, mixture, all, width, int8 }, op);
    for at in 0..step.experts.chosen() {
        let expert = step.experts.expert(at);
        work.gather(expert);
        let first = if mix.any_order { mix.first[expert as usize] as usize } else { 0 };
        let pieces = step.experts.pieces(at).len();
        for p in 0..pieces {
            let piece = step.experts.pieces(at)[p];
            if piece.matrix == 2 && piece.first_row == 0 {
                let bias = op.biases.map(|ids| [ids[0], ids[1]].map(|id| step.store.vector(id)));
                work.activate(step.cpu, bias.map(|bias| bias.map(|b| part(b, expert, work.hidden))));
            }
            step.experts.acquire(at)?;
            let bytes = step.experts.bytes(at, p)?;
            let columns = if piece.matrix == 2 { work.hidden } else { width };
            let order = if step.experts.in_panels(at, p) { Order::Panels } else { Order::Rows };
            let weights = Weights { dtype: piece.dtype, order, bytes, rows: piece.rows as usize, columns };
            let (next_at, next) = if p + 1 == pieces { (at + 1, 0) } else { (at, p + 1) };
            let next = step.experts.kept(next_at, next);
            let next = next.map(|(bytes, piece)| NextRows { bytes, rows: piece.rows as usize });
            work.product(step.cpu, piece.matrix, weights, piece.first_row as usize, first, next);
            step.stats.bytes_touched += piece.bytes;
            step.stats.macs += u64::from(piece.rows) * columns as u64 * work.len as u64;
            step.experts.release(at, p)?;
        }
        if let Some([_, _, bias]) = op.biases {
            let results = &mut work.results[first * width..][..work.len * width];
            step.cpu.add_bias(results, part(step.store.vector(bias), expert, width));
        }
        if !mix.any_order {
            work.add(step.cpu, expert, 0, out);
        }
    }
    if mix.any_order {
        for &Wanted { expert, .. } in &mix.wanted {
            work.gather(expert);
            work.add(step.cpu, expert, mix.first[expert as usize] as usize, out);
        }
    }
    Ok(())
}

/// The elements of an expert in a list of so many for each.
fn part(list: &[f32], expert: u32, elements: usize) -> &[f32] {
    &list[expert as usize * elements..][..elements]
}

/// The inputs of a layer.
#[derive(Clone, Copy)]
struct Rows<'a> {
    /// Rows as the gate takes them.
    x: &'a [u8],
    /// What each expert counts, (rows, experts).
    mixture: &'a [f32],
    /// How many rows.
    all: usize,
    width: usize,
    int8: bool,
}

/// The workspace in use.
struct Work<'a> {
    inputs: Rows<'a>,
    op: &'a op::Experts,
    hidden: usize,
    /// Rows of the expert at hand, the first `len`.
    rows: &'a mut [u32],
    len: usize,
    x: &'a mut [u8],
    gate: &'a mut [f32],
    up: &'a mut [f32],
    /// Hidden as int8; empty if the down matrix takes floats.
    hidden_int8: &'a mut [u8],
    results: &'a mut [f32],
}

impl<'a> Work<'a> {
    fn new(scratch: &'a mut [u8], mix: &Mixture, inputs: Rows<'a>, op: &'a op::Experts) -> Work<'a> {
        let places = &mix.places;
        let (rows, rest) = scratch.split_at_mut(places.x as usize);
        let (x, rest) = rest.split_at_mut((places.gate - places.x) as usize);
        let (gate, rest) = rest.split_at_mut((places.up - places.gate) as usize);
        let (up, rest) = rest.split_at_mut((places.hidden - places.up) as usize);
        let (hidden_int8, results) = rest.split_at_mut((places.results - places.hidden) as usize);
        let (rows, gate, up, results) =
            (indices_of(rows), floats_of(gate), floats_of(up), floats_of(results));
        Work { inputs, op, hidden: mix.hidden, rows, len: 0, x, gate, up, hidden_int8, results }
    }

    /// Finds the rows of an expert and brings them together, unless they are all.
    fn gather(&mut self, expert: u32) {
        let Rows { x, mixture, all, width, int8 } = self.inputs;
        let counts = mixture.iter().skip(expert as usize).step_by(self.op.count as usize);
        self.len = 0;
        for (_, row) in counts.zip(0..).filter(|(counts, _)| **counts != 0.0) {
            self.rows[self.len] = row;
            self.len += 1;
        }
        if self.len == all {
            return;
        }
        let rows = self.rows[..self.len].iter().map(|&row| row as usize);
        if int8 {
            let bytes = self.len * Elem::Quantized.row_bytes(width as u64) as usize;
            let (q, scale, sums) = int8_of(&mut self.x[..bytes], self.len, width);
            QuantizedMut { q, scale, sums }.take(&quantized_of(x, all, width), rows, 0..width);
        } else {
            for (to, row) in self.x.chunks_exact_mut(width * 4).zip(rows) {
                to.copy_from_slice(&x[row * width * 4..][..width * 4]);
            }
        }
    }

    /// `gate = act(gate) * up`, as the down matrix takes it, after the biases of both if there are any.
    fn activate(&mut self, cpu: &Cpu, biases: Option<[&[f32]; 2]>) {
        let elements = self.len * self.hidden;
        if let Some([gate, up]) = biases {
            cpu.add_bias(&mut self.gate[..elements], gate);
            cpu.add_bias(&mut self.up[..elements], up);
        }
        cpu.glu(activation(self.op.activation), &mut self.gate[..elements], &self.up[..elements]);
        if !self.hidden_int8.is_empty() {
            let bytes = self.len * Elem::Quantized.row_bytes(self.hidden as u64) as usize;
            let (q, scale, sums) = int8_of(&mut self.hidden_int8[..bytes], self.len, self.hidden);
            cpu.quantize(&self.gate[..elements], self.hidden, QuantizedMut { q, scale, sums });
        }
    }

    /// Some rows of a matrix of the expert at hand; results of its rows go to the pairs from `pair` on.
    fn product(
        &mut self,
        cpu: &Cpu,
        matrix: usize,
        weights: Weights<'_>,
        first_row: usize,
        pair: usize,
        next: Option<NextRows<'_>>,
    ) {
        let (n, columns) = (self.len, weights.columns);
        let gathered = if n == self.inputs.all { self.inputs.x } else { &*self.x };
        let (input, out, stride) = match matrix {
            0 => (gathered, &mut *self.gate, self.hidden),
            1 => (gathered, &mut *self.up, self.hidden),
            _ if self.hidden_int8.is_empty() => {
                let (width, hidden) = (self.inputs.width, &self.gate[..n * columns]);
                let out = &mut self.results[pair * width..][..n * width];
                return cpu.product_float(weights, hidden, out, width, first_row);
            }
            _ => (&*self.hidden_int8, &mut self.results[pair * self.inputs.width..], self.inputs.width),
        };
        let out = &mut out[..n * stride];
        match weights.dtype.is_quantized() {
            true => cpu.product(weights, &quantized_of(input, n, columns), out, stride, first_row, next),
            false => {
                let x = host::cast(&input[..n * columns * 4]).unwrap_or_default();
                cpu.product_float(weights, x, out, stride, first_row);
            }
        }
    }

    /// Adds the results of the expert whose rows were gathered, which lie from `pair` on, to the rows of `out`.
    fn add(&self, cpu: &Cpu, expert: u32, pair: usize, out: &mut [f32]) {
        let Rows { mixture, width, .. } = self.inputs;
        let results = self.results[pair * width..].chunks_exact(width);
        for (&row, result) in self.rows[..self.len].iter().zip(results) {
            let counts = mixture[row as usize * self.op.count as usize + expert as usize];
            cpu.add_scaled(&mut out[row as usize * width..][..width], result, counts);
        }
    }
}
