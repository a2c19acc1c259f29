//! The CPU backend: how each operator of the graph is done by the kernels.

mod columns;
mod experts;
pub(crate) mod foresee;
mod head_linear;
pub(crate) mod linear;
mod neurons;
mod route;

use experts::Mixture;
use foresee::Foresight;
use neurons::Awake;

use crate::arena::{Arena, floats_of, indices_of, int8_of};
use crate::executor::Extra;
use crate::stats::StepStats;
use crate::{Economy, Error, Gates, Routes, Sequence, Span};
use ::memory::{ExpertStore, KvFormat, WeightStore};
use graph::op::{self, Attention, Op};
use graph::{Bounds, Graph, Node, StateKind, ValueId, Values};
use kernels::{Cpu, QuantizedMut, Weights};
use tensor::DType;

/// What a node may touch in a step.
pub(crate) struct Step<'a> {
    pub graph: &'a Graph,
    pub arena: &'a mut Arena,
    pub store: &'a mut WeightStore,
    pub experts: &'a mut ExpertStore,
    /// For each layer of which a step needs a part.
    pub choices: &'a mut [Choice],
    /// What the user gives up.
    pub economy: Economy,
    /// By set of experts, how much more may be given up there; one if nothing is said.
    pub leniency: &'a [f32],
    /// What routers of layers to come are asked early.
    pub foresight: &'a mut Foresight,
    /// Where choices are written down.
    pub routes: Option<&'a mut Routes>,
    /// Where what gates let through is summed up.
    pub gates: Option<&'a mut Gates>,
    pub cpu: &'a mut Cpu,
    /// Room for one row of a matrix.
    pub row: &'a mut [u8],
    pub spans: &'a [Span],
    pub sequences: &'a mut [Sequence],
    pub stats: &'a mut StepStats,
    pub now: Bounds,
}

/// What a node that needs a part of its weights works with.
#[derive(Clone, Debug)]
pub(crate) enum Choice {
    /// Which rows go to which experts.
    Experts(Mixture),
    /// Which neurons are awake.
    Neurons(Awake),
}

impl Choice {
    /// For a node that works at `offset` of the arena, if it is one of those.
    pub fn new(graph: &Graph, node: &Node, bounds: &Bounds, offset: u64) -> Option<Choice> {
        match &node.op {
            Op::Experts(op) => Some(Choice::Experts(Mixture::new(graph, node, op, bounds, offset))),
            Op::Neurons(op) => Some(Choice::Neurons(Awake::new(graph, node, op, bounds, offset))),
            _ => None,
        }
    }
}

/// Does the first of `nodes`, and those that are done together with it.
pub(crate) fn run(step: &mut Step<'_>, nodes: &[Node], program: &[Extra]) -> Result<(), Error> {
    let (Some(node), Some(extra)) = (nodes.first(), program.first()) else { return Ok(()) };
    let out = node.output;
    match &node.op {
        Op::Activate(op) => return activate(step, node, op),
        Op::Add(_) => {
            let x = step.in_place(node)?;
            let [x, y] = step.arena.split_floats([x, node.inputs[1]], &step.now)?;
            step.cpu.add(x, y);
        }
        Op::Array(_) => return Err(Error::Unplanned { value: out.0 }),
        Op::Attention(attention) => return attend(step, node, attention),
        Op::Concat(concat) => return columns::concat(step, node, concat),
        Op::Embed(embed) => return gather(step, node, embed.weight),
        Op::Experts(op) => return experts::experts(step, node, op, extra),
        Op::Glu(glu) => {
            let gate = step.in_place(node)?;
            let [gate, up] = step.arena.split_floats([gate, node.inputs[1]], &step.now)?;
            let activation = activation(glu.activation);
            if let Some(gates) = &mut step.gates {
                gates.note(out, step.cpu, activation, gate, up);
            }
            step.cpu.glu(activation, gate, up);
        }
        Op::HeadLinear(linear) => return head_linear::head_linear(step, node, linear, extra),
        Op::Linear(_) => return linear::linear(step, nodes, program),
        Op::Neurons(op) => return neurons::neurons(step, node, op, extra),
        Op::Norm(norm) => {
            let weight = step.store.vector(norm.weight);
            let [x, y] = step.arena.split_floats([node.inputs[0], out], &step.now)?;
            step.cpu.rms_norm(x, weight, norm.eps, y);
        }
        Op::Quantize(_) => {
            let columns = step.arena.columns(out);
            let [x, y] = step.arena.split([node.inputs[0], out], &step.now)?;
            let x = floats_of(x);
            let (q, scale, sums) = int8_of(y, x.len() / columns, columns);
            step.cpu.quantize(x, columns, QuantizedMut { q, scale, sums });
        }
        Op::Rope(rope) => {
            let x = step.in_place(node)?;
            let (width, rot) = (step.arena.columns(x), step.arena.columns(node.inputs[1]));
            let [x, table] = step.arena.split_floats([x, node.inputs[1]], &step.now)?;
            let (cos, sin) = table.split_at(table.len() / 2);
            let dim = rope.head_dim as usize;
            step.cpu.rope(x, width / dim, dim, cos, sin, rot, style(rope.style));
        }
        Op::RopeTable(rope) => return rope_table(step, node, rope, &extra.frequencies),
        Op::Route(op) => return route::route(step, node, op, extra),
        Op::Scale(scale) => {
            let x = step.in_place(node)?;
            let [x] = step.arena.split_floats([x], &step.now)?;
            step.cpu.scale(x, scale.factor);
        }
        Op::SelectRows(_) => {
            let columns = step.arena.columns(out);
            let [x, picked, y] = step.arena.split([node.inputs[0], node.inputs[1], out], &step.now)?;
            let x = floats_of(x);
            for (&r, row) in indices_of(picked).iter().zip(floats_of(y).chunks_exact_mut(columns)) {
                row.copy_from_slice(&x[r as usize * columns..][..columns]);
            }
        }
        Op::SigmoidGate(gate) => return gate_rows(step, node, gate.weight),
        Op::Slice(slice) => return columns::slice(step, node, slice),
        Op::Softcap(softcap) => {
            let x = step.in_place(node)?;
            let [x] = step.arena.split_floats([x], &step.now)?;
            step.cpu.softcap(x, softcap.cap);
        }
    }
    Ok(())
}

impl Step<'_> {
    /// Makes the output hold the first input, by sharing its storage or by a copy.
    fn in_place(&mut self, node: &Node) -> Result<ValueId, Error> {
        let (from, to) = (node.inputs[0], node.output);
        if !self.arena.shared(from, to) {
            let [x, y] = self.arena.split([from, to], &self.now)?;
            y.copy_from_slice(x);
        }
        Ok(to)
    }
}

/// The cosines of all positions, then their sines.
fn rope_table(
    step: &mut Step<'_>,
    node: &Node,
    rope: &graph::op::RopeTable,
    frequencies: &[f64],
) -> Result<(), Error> {
    let [positions, table] = step.arena.split([node.inputs[0], node.output], &step.now)?;
    let (cos, sin) = floats_of(table).split_at_mut(positions.len() / 4 * frequencies.len());
    let rows = cos.chunks_exact_mut(frequencies.len()).zip(sin.chunks_exact_mut(frequencies.len()));
    for (&position, (cos, sin)) in indices_of(positions).iter().zip(rows) {
        rope.fill(position, frequencies, cos, sin);
    }
    Ok(())
}

/// Each row by the sigmoid of what the gate sees in its input.
fn gate_rows(step: &mut Step<'_>, node: &Node, weight: graph::WeightId) -> Result<(), Error> {
    let y = step.in_place(node)?;
    let weight = step.store.vector(weight);
    let (width, columns) = (step.arena.columns(y), weight.len());
    let weights = Weights::in_rows(DType::F32, host::as_bytes(weight), 1, columns);
    let [y, x] = step.arena.split_floats([y, node.inputs[1]], &step.now)?;
    for (y, x) in y.chunks_exact_mut(width).zip(x.chunks_exact(columns)) {
        let mut seen = [0.0];
        step.cpu.product_float(weights, x, &mut seen, 1, 0);
        step.cpu.gate(y, seen[0]);
    }
    Ok(())
}

/// Rows of the vocabulary matrix, each as f32.
fn gather(step: &mut Step<'_>, node: &Node, weight: graph::WeightId) -> Result<(), Error> {
    let dtype = step.graph.weight_of(weight).dtype;
    let columns = step.arena.columns(node.output);
    let [ids, out] = step.arena.split([node.inputs[0], node.output], &step.now)?;
    for (&id, row) in indices_of(ids).iter().zip(floats_of(out).chunks_exact_mut(columns)) {
        step.store.read_row(weight, id, step.row)?;
        step.cpu.dequantize(dtype, step.row, row);
    }
    Ok(())
}

/// An activation by itself; what does not exceed its threshold becomes zero.
fn activate(step: &mut Step<'_>, node: &Node, op: &op::Activate) -> Result<(), Error> {
    let x = step.in_place(node)?;
    let [x] = step.arena.split_floats([x], &step.now)?;
    step.cpu.activate(activation(op.activation), x);
    if let Some(threshold) = op.threshold {
        let threshold = step.store.vector(threshold);
        for row in x.chunks_exact_mut(threshold.len()) {
            let small = row.iter_mut().zip(threshold).filter(|(x, least)| x.abs() <= **least);
            small.for_each(|(x, _)| *x = 0.0);
        }
    }
    Ok(())
}

/// Each sequence's rows against its own cache.
fn attend(step: &mut Step<'_>, node: &Node, attention: &Attention) -> Result<(), Error> {
    let state = *step.graph.state_of(attention.state);
    let [query, key, value] = [node.inputs[0], node.inputs[1], node.inputs[2]];
    let (now, output) = (&step.now, node.output);
    let empty: &mut [f32] = &mut [];
    let [q, k, v, out] = match state.values {
        Values::Own(_) => step.arena.split_floats([query, key, value, output], now)?,
        Values::OfKeys(_) => {
            let [q, k, out] = step.arena.split_floats([query, key, output], now)?;
            [q, k, empty, out]
        }
    };
    let (heads, kv_heads) = (attention.heads as usize, state.kv_heads as usize);
    let (head_dim, value_dim) = (state.head_dim as usize, state.values.head_dim() as usize);
    for span in step.spans {
        let cache = &mut step.sequences[span.sequence].cache;
        let (format, slots) = (kv_format(cache.format()), cache.slots(attention.state));
        let shape = kernels::KvShape { format, slots, heads: kv_heads, head_dim };
        let (keys, values) = cache.split(attention.state);
        let rows = |width: usize| span.first_row * width..(span.first_row + span.rows) * width;
        let first_pos = span.position as usize;
        step.cpu.store_keys(shape, &k[rows(kv_heads * head_dim)], keys, first_pos);
        let own = matches!(state.values, Values::Own(_));
        if own {
            let shape = kernels::KvShape { head_dim: value_dim, ..shape };
            step.cpu.store_values(shape, &v[rows(kv_heads * value_dim)], values, first_pos);
        }
        let task = kernels::Attention {
            q: &q[rows(heads * head_dim)],
            k: keys,
            v: own.then_some(&*values),
            cache: shape,
            value_dim,
            heads,
            first_pos,
            window: match state.kind {
                StateKind::Append => None,
                StateKind::Ring { window } => Some(window as usize),
            },
            scale: attention.scale,
            softcap: attention.softcap,
            sinks: attention.sinks.map(|sinks| step.store.vector(sinks)),
        };
        step.cpu.attention(&task, &mut out[rows(heads * value_dim)]);
    }
    Ok(())
}

fn activation(activation: op::Activation) -> kernels::Activation {
    match activation {
        op::Activation::ClampedSwiglu => kernels::Activation::ClampedSwiglu,
        op::Activation::Relu => kernels::Activation::Relu,
        op::Activation::Silu => kernels::Activation::Silu,
        op::Activation::GeluTanh => kernels::Activation::GeluTanh,
    }
}

fn style(style: op::RopeStyle) -> kernels::RopeStyle {
    match style {
        op::RopeStyle::Interleaved => kernels::RopeStyle::Interleaved,
        op::RopeStyle::Halves => kernels::RopeStyle::Halves,
    }
}

fn kv_format(format: KvFormat) -> kernels::KvFormat {
    match format {
        KvFormat::F16 => kernels::KvFormat::F16,
        KvFormat::Q8_0 => kernels::KvFormat::Q8_0,
    }
}
