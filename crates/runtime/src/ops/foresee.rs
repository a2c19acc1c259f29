//! The next layer's router, asked early: its norm and its matrix applied to the hidden state that this layer's router saw.
//!
//! Layers change the hidden state by little, so most of what the next router will choose is known one attention early, and
//! the disk need not rest while attention computes (Eliseev and Mazur, arXiv 2312.17238; "Fate", arXiv 2502.12224). What it is
//! not: a choice; what is foreseen wrongly is read in vain and changes no result.

use super::Step;
use super::route::Judge;
use crate::Error;
use crate::arena::{int8_of, quantized_of};
use crate::executor::Extra;
use ::memory::WeightStore;
use graph::op::{Linear, Norm, Op, Route};
use graph::{Elem, Graph, Node, ValueId};
use kernels::{Cpu, Order, QuantizedMut, Weights};
use std::ops::Range;

/// Whether routers are asked early, and room for a row.
#[derive(Default)]
pub(crate) struct Foresight {
    /// Whether experts that are foreseen are read ahead, in steps of one row.
    pub on: bool,
    x: Vec<f32>,
    int8: Vec<u8>,
    logits: Vec<f32>,
    ranked: Vec<u32>,
}

/// The router of the next layer with experts, and where this layer's hidden state is.
#[derive(Clone, Debug)]
pub(crate) struct NextRouter {
    hidden: ValueId,
    norm: Norm,
    linear: Linear,
    tiles: Range<u32>,
    route: Route,
    experts: usize,
    set: usize,
}

/// A router with what feeds it.
struct Router<'a> {
    node: usize,
    hidden: ValueId,
    norm: &'a Norm,
    linear: (&'a Linear, usize),
    route: &'a Route,
    set: usize,
}

/// Tells each router of `program` about the one that follows it.
pub(crate) fn connect(graph: &Graph, program: &mut [Extra]) {
    let mut routers = Vec::new();
    for (index, (node, extra)) in graph.nodes.iter().zip(&*program).enumerate() {
        if let (Op::Route(route), Some(set)) = (&node.op, extra.mixture) {
            routers.extend(Router::find(graph, index, route, set));
        }
    }
    for pair in routers.windows(2) {
        let (this, next) = (&pair[0], &pair[1]);
        let same = |id: ValueId| graph.value_of(id).dims;
        // The hidden state must still be there, and be of the same kind.
        let read_later = graph.nodes[this.node..].iter().any(|node| node.inputs.contains(&this.hidden));
        if next.set != this.set + 1 || !read_later || same(this.hidden) != same(next.hidden) {
            continue;
        }
        let (linear, at) = next.linear;
        program[this.node].next = Some(Box::new(NextRouter {
            hidden: this.hidden,
            norm: next.norm.clone(),
            linear: linear.clone(),
            tiles: program[at].tiles.clone(),
            route: next.route.clone(),
            experts: graph.value_of(graph.nodes[next.node].output).dims.columns() as usize,
            set: next.set,
        }));
    }
}

impl<'a> Router<'a> {
    /// The product and the norm before a router, if it is made of those.
    fn find(graph: &'a Graph, node: usize, route: &'a Route, set: usize) -> Option<Router<'a>> {
        let maker = |id: ValueId| {
            let at = graph.nodes.iter().position(|node| node.output == id)?;
            Some((&graph.nodes[at], at))
        };
        let (Node { op: Op::Linear(linear), inputs, .. }, at) = maker(graph.nodes[node].inputs[0])? else {
            return None;
        };
        let mut before = maker(inputs[0])?.0;
        if let Op::Quantize(_) = before.op {
            before = maker(before.inputs[0])?.0;
        }
        let Op::Norm(norm) = &before.op else { return None };
        let width = graph.value_of(before.output).dims.columns();
        let whole = graph.weight_of(norm.weight).shape.columns() == u64::from(width);
        let hidden = before.inputs[0];
        whole.then_some(Router { node, hidden, norm, linear: (linear, at), route, set })
    }
}

/// Asks the next router about the rows of this step; notes what it says, or has it read.
pub(super) fn foresee(step: &mut Step<'_>, next: &NextRouter) -> Result<(), Error> {
    let hidden = step.arena.floats(next.hidden, &step.now)?;
    let width = step.arena.columns(next.hidden);
    let reads = step.foresight.on;
    if !reads && step.routes.is_none() {
        return Ok(());
    }
    let mut judge = Judge::new(&next.route, step.store, next.experts);
    let early = &mut *step.foresight;
    for row in hidden.chunks_exact(width) {
        if !early.ask(step.graph, step.store, step.cpu, next, row) {
            return Ok(()); // the router is not in memory
        }
        let chosen = judge.choose(step.cpu, &mut early.logits);
        early.ranked.clear();
        early.ranked.extend((0..next.experts as u32).filter(|&e| chosen[e as usize]));
        if let Some(routes) = &mut step.routes {
            routes.note_foreseen(next.set, &early.ranked);
        }
    }
    if reads {
        let score = |e: &u32| early.logits[*e as usize];
        early.ranked.sort_unstable_by(|a, b| score(b).total_cmp(&score(a)).then(a.cmp(b)));
        step.experts.foresee(next.set, &early.ranked)?;
    }
    Ok(())
}

impl Foresight {
    /// With room for the routers of a program.
    pub fn new(graph: &Graph, program: &[Extra]) -> Foresight {
        let nexts = || program.iter().filter_map(|extra| extra.next.as_ref());
        let width = nexts().map(|next| graph.value_of(next.hidden).dims.columns()).max().unwrap_or(0);
        let experts = nexts().map(|next| next.experts).max().unwrap_or(0);
        Foresight {
            on: false,
            x: vec![0.0; width as usize],
            int8: vec![0; Elem::Quantized.row_bytes(u64::from(width)) as usize],
            logits: Vec::with_capacity(experts),
            ranked: Vec::with_capacity(experts),
        }
    }

    /// Whether there is a router that could be asked early.
    pub fn is_of_use(&self) -> bool {
        !self.x.is_empty()
    }

    /// What a router says of a row, if its matrix is in memory.
    fn ask(&mut self, graph: &Graph, store: &WeightStore, cpu: &Cpu, next: &NextRouter, row: &[f32]) -> bool {
        let columns = row.len();
        let x = &mut self.x[..columns];
        cpu.rms_norm(row, store.vector(next.norm.weight), next.norm.eps, x);
        self.logits.clear();
        self.logits.resize(next.experts, 0.0);
        let dtype = graph.weight_of(next.linear.weight).dtype;
        let int8 = &mut self.int8[..Elem::Quantized.row_bytes(columns as u64) as usize];
        if dtype.is_quantized() {
            let (q, scale, sums) = int8_of(int8, 1, columns);
            cpu.quantize(x, columns, QuantizedMut { q, scale, sums });
        }
        for tile in next.tiles.clone() {
            let Some(bytes) = store.resident(tile) else { return false };
            let place = store.tiling().tiles[tile as usize];
            let order = if store.in_panels(tile) { Order::Panels } else { Order::Rows };
            let weights = Weights { dtype, order, bytes, rows: place.rows as usize, columns };
            let (out, first) = (&mut self.logits, place.first_row as usize);
            match dtype.is_quantized() {
                true => cpu.product(weights, &quantized_of(int8, 1, columns), out, next.experts, first, None),
                false => cpu.product_float(weights, x, out, next.experts, first),
            }
        }
        if let Some(bias) = next.linear.bias {
            cpu.add_bias(&mut self.logits, store.vector(bias));
        }
        true
    }
}
