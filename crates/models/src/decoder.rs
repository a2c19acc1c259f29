//! The decoder that most language models are: embeddings, layers of attention and a gated feed-forward, a head.
//!
//! [`DecoderSpec`] holds what differs between families; whether a tensor such as a bias or a norm of the queries is
//! there, the file itself says.

use crate::Error;
use crate::experts::ExpertSpec;
use crate::latent::LatentSpec;
use crate::names::{Role, Tensors};
use formats::ModelFile;
use graph::op::{
    Activate, Activation, Add, Attention, Embed, Experts, Glu, Linear, Neurons, Norm, Rope, RopeTable, Route,
    Scale, SelectRows, SigmoidGate, Softcap,
};
use graph::op::{RopeScaling, RopeStyle, Stack};
use graph::{Dims, Elem, Graph, State, StateKind, Symbol, ValueId, Values, Weight, WeightId};

/// What differs between decoders.
#[derive(Clone, Debug, PartialEq)]
pub struct DecoderSpec {
    /// Layers.
    pub layers: u32,
    /// Elements of a token's activation.
    pub width: u32,
    /// Heads of queries.
    pub heads: u32,
    /// Heads of keys and values.
    pub kv_heads: u32,
    /// Elements of a head's query.
    pub head_dim: u32,
    /// The longest context that the model was made for, tokens.
    pub context: u32,
    /// Keeps norms away from zero.
    pub norm_eps: f32,
    /// Added to every element of a norm's weight (1 where files store `w - 1`).
    pub norm_offset: f32,
    /// The gate's non-linearity.
    pub activation: Activation,
    /// Share of a feed-forward's neurons that a token is likely to wake, where they can be had one by one.
    pub awake: f64,
    /// Factor on the embeddings.
    pub embedding_scale: Option<f32>,
    /// Factor on the products of queries and keys.
    pub attention_scale: f32,
    /// Soft cap of attention's scores.
    pub score_softcap: Option<f32>,
    /// Soft cap of the logits.
    pub final_softcap: Option<f32>,
    /// Rotary embedding of layers that see everything.
    pub rope: RopeSpec,
    /// Rotary embedding of layers with a window, where it differs.
    pub local_rope: Option<RopeSpec>,
    /// Which layers see how far.
    pub windows: Windows,
    /// If set, keys and values come from a latent.
    pub latent: Option<LatentSpec>,
    /// How experts are chosen, in layers that have a router.
    pub experts: Option<ExpertSpec>,
}

/// Rotary embedding of a kind of layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RopeSpec {
    /// Rotated elements of a head.
    pub dims: u32,
    /// Base of the frequencies.
    pub base: f64,
    /// Change for long contexts.
    pub scaling: RopeScaling,
    /// Which elements form a pair.
    pub style: RopeStyle,
}

/// Which layers see only the last `window` positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Windows {
    /// None.
    None,
    /// All.
    All {
        /// How far, the position itself included.
        window: u32,
    },
    /// All but every `period`th (layers `period - 1`, `2 period - 1`, ...).
    AllButEvery {
        /// How far, the position itself included.
        window: u32,
        /// Distance of the layers that see everything.
        period: u32,
    },
}

impl Windows {
    /// The window of a layer.
    pub fn of(self, layer: u32) -> Option<u32> {
        match self {
            Windows::None => None,
            Windows::All { window } => Some(window),
            Windows::AllButEvery { window, period } => {
                (!(layer + 1).is_multiple_of(period)).then_some(window)
            }
        }
    }
}

/// A language model as a graph.
#[derive(Clone, Debug)]
pub struct Decoder {
    /// The computation of a step. Inputs: token ids (rows), positions (rows), row numbers (logit rows). Output: logits
    /// (logit rows, vocabulary).
    pub graph: Graph,
    /// What was built.
    pub spec: DecoderSpec,
    /// Tokens in the vocabulary: columns of the logits.
    pub vocabulary: u32,
}

/// Builds the graph of `spec` over the tensors of `file`.
pub(crate) fn build(spec: &DecoderSpec, file: &ModelFile) -> Result<Decoder, Error> {
    let sandwich = Tensors { file, sandwich: true }.find(Role::PostFeedForwardNorm, 0, "weight").is_some();
    let mut graph = Graph::new();
    let ids = graph.input(Dims::vector(Symbol::ROWS), Elem::Index);
    let positions = graph.input(Dims::vector(Symbol::ROWS), Elem::Index);
    let wanted = graph.input(Dims::vector(Symbol::LOGIT_ROWS), Elem::Index);
    let mut b = Builder { spec, tensors: Tensors { file, sandwich }, graph, positions };

    let embedding = b.matrix(Role::Embedding, 0)?;
    let mut x = b.graph.push(Embed { weight: embedding }, &[ids])?;
    if let Some(factor) = spec.embedding_scale {
        x = b.graph.push(Scale { factor }, &[x])?;
    }
    for layer in 0..spec.layers {
        x = b.attention_block(layer, x)?;
        x = b.feed_forward_block(layer, x)?;
    }
    x = b.graph.push(SelectRows, &[x, wanted])?;
    x = b.norm(Role::OutputNorm, 0, x)?;
    let head = match b.tensors.find(Role::Head, 0, "weight") {
        Some(weight) => b.checked(weight)?,
        None => embedding,
    };
    let rows = |weight: WeightId| b.graph.weight_of(weight).shape.rows();
    if rows(head) != rows(embedding) {
        let name = b.graph.weight_of(head).name.clone();
        return Err(Error::Vocabularies { name, rows: rows(head), expected: rows(embedding) });
    }
    let mut logits = b.graph.push(Linear { weight: head, bias: None }, &[x])?;
    if let Some(cap) = spec.final_softcap {
        logits = b.graph.push(Softcap { cap }, &[logits])?;
    }
    b.graph.outputs.push(logits);
    let vocabulary = b.graph.value_of(logits).dims.columns();
    graph::pass::standard(&mut b.graph)?;
    Ok(Decoder { graph: b.graph, spec: spec.clone(), vocabulary })
}

/// A graph on its way.
pub(crate) struct Builder<'a> {
    pub spec: &'a DecoderSpec,
    pub tensors: Tensors<'a>,
    pub graph: Graph,
    positions: ValueId,
}

impl Builder<'_> {
    /// x + out(attention(x)), with a norm before and, in a sandwich, after.
    fn attention_block(&mut self, layer: u32, x: ValueId) -> Result<ValueId, Error> {
        let h = self.norm(Role::AttentionNorm, layer, x)?;
        let a = match self.spec.latent {
            Some(latent) => self.latent_attention(latent, layer, h)?,
            None => self.attention(layer, h)?,
        };
        let a = self.linear(Role::AttentionOut, layer, a)?;
        let a = self.post_norm(Role::PostAttentionNorm, layer, a)?;
        Ok(self.graph.push(Add, &[x, a])?)
    }

    /// attention(rope(q), rope(k), v).
    fn attention(&mut self, layer: u32, h: ValueId) -> Result<ValueId, Error> {
        let spec = self.spec;
        let window = spec.windows.of(layer);
        let rope = match (window, &spec.local_rope) {
            (Some(_), Some(local)) => *local,
            _ => spec.rope,
        };
        let q = self.linear(Role::Query, layer, h)?;
        let k = self.linear(Role::Key, layer, h)?;
        let v = self.linear(Role::Value, layer, h)?;
        let q = self.optional_norm(Role::QueryNorm, layer, q)?;
        let k = self.optional_norm(Role::KeyNorm, layer, k)?;
        let table = self.angles(rope)?;
        let turn = Rope { head_dim: spec.head_dim, style: rope.style };
        let q = self.graph.push(turn.clone(), &[q, table])?;
        let k = self.graph.push(turn, &[k, table])?;
        let kind = window.map_or(StateKind::Append, |window| StateKind::Ring { window });
        let (kv_heads, head_dim) = (spec.kv_heads, spec.head_dim);
        let state = State { kind, kv_heads, head_dim, values: Values::Own(head_dim) };
        self.attend(state, layer, [q, k, v])
    }

    /// Cosines and sines for the positions of a step.
    pub(crate) fn angles(&mut self, rope: RopeSpec) -> Result<ValueId, Error> {
        let factors = self.tensors.find(Role::RopeFactors, 0, "weight").map(|w| self.graph.weight(w));
        let table = RopeTable { dims: rope.dims, base: rope.base, scaling: rope.scaling, factors };
        Ok(self.graph.push(table, &[self.positions])?)
    }

    /// Queries over keys and values that are kept in a new state.
    pub(crate) fn attend(
        &mut self,
        state: State,
        layer: u32,
        [q, k, v]: [ValueId; 3],
    ) -> Result<ValueId, Error> {
        let state = self.graph.state(state);
        let sinks =
            self.tensors.find(Role::AttentionSinks, layer, "weight").map(|w| self.checked(w)).transpose()?;
        let (heads, scale, softcap) = (self.spec.heads, self.spec.attention_scale, self.spec.score_softcap);
        let attention = Attention { state, heads, scale, softcap, sinks };
        Ok(self.graph.push(attention, &[q, k, v, self.positions])?)
    }

    /// x + ffn(x), with a norm before and, in a sandwich, after; a layer with a router has experts.
    fn feed_forward_block(&mut self, layer: u32, x: ValueId) -> Result<ValueId, Error> {
        let h = self.norm(Role::FeedForwardNorm, layer, x)?;
        let h = match (&self.spec.experts, self.tensors.find(Role::Router, layer, "weight")) {
            (Some(experts), Some(_)) => self.mixture(experts, layer, h)?,
            _ => self.feed_forward([Role::Gate, Role::Up, Role::Down], layer, h)?,
        };
        let h = self.post_norm(Role::PostFeedForwardNorm, layer, h)?;
        Ok(self.graph.push(Add, &[x, h])?)
    }

    /// down(act(gate) * up).
    fn feed_forward(
        &mut self,
        [gate, up, down]: [Role; 3],
        layer: u32,
        h: ValueId,
    ) -> Result<ValueId, Error> {
        if down == Role::Down && self.has_neurons(layer) {
            return self.neurons(layer, h);
        }
        let gate = self.linear(gate, layer, h)?;
        let up = self.linear(up, layer, h)?;
        let h = self.graph.push(Glu { activation: self.spec.activation }, &[gate, up])?;
        self.linear(down, layer, h)
    }

    /// Whether a feed-forward can be done neuron by neuron: the file has the way back so, nothing is added to what a neuron
    /// sees or to the sum, and the gate is a factor.
    fn has_neurons(&self, layer: u32) -> bool {
        let has = |role, suffix| self.tensors.find(role, layer, suffix).is_some();
        has(Role::DownRows, "weight")
            && !has(Role::Up, "bias")
            && !has(Role::Down, "bias")
            && self.spec.activation != Activation::ClampedSwiglu
    }

    /// As [`Builder::feed_forward`], where the file has the way back by neuron: what a gate leaves at zero is left out.
    fn neurons(&mut self, layer: u32, h: ValueId) -> Result<ValueId, Error> {
        let gate = self.linear(Role::Gate, layer, h)?;
        let threshold = self.tensors.find(Role::GateThreshold, layer, "weight");
        let threshold = threshold.map(|weight| self.checked(weight)).transpose()?;
        let activation = self.spec.activation;
        let awake = self.graph.push(Activate { activation, threshold }, &[gate])?;
        let [up, down] = [self.matrix(Role::Up, layer)?, self.matrix(Role::DownRows, layer)?];
        let count = self.graph.value_of(awake).dims.columns();
        let cluster = self.cluster(up, down, count);
        // Of a cluster one neuron is enough.
        let share = 1.0 - (1.0 - self.spec.awake).powi(cluster as i32);
        let likely = (f64::from(count / cluster) * share).ceil() as u32;
        Ok(self.graph.push(Neurons { up, down, count, cluster, likely }, &[h, awake])?)
    }

    /// Neurons that are kept and read together: as few as make up a sector of a disk, so that little is read for nothing.
    fn cluster(&self, up: WeightId, down: WeightId, count: u32) -> u32 {
        const SECTOR: u64 = 512;
        let bytes = |id| {
            let weight = self.graph.weight_of(id);
            weight.dtype.bytes_of(weight.shape.columns()).unwrap_or(1).max(1)
        };
        let wanted = SECTOR.div_ceil(bytes(up).min(bytes(down))).min(u64::from(count)) as u32;
        (wanted..count).find(|&cluster| count.is_multiple_of(cluster)).unwrap_or(count).max(1)
    }

    /// The experts that the router chooses, and the one that all rows share if there is one. That goes second, so that it
    /// is computed while the chosen ones are read.
    fn mixture(&mut self, spec: &ExpertSpec, layer: u32, h: ValueId) -> Result<ValueId, Error> {
        let logits = self.linear(Role::Router, layer, h)?;
        let count = self.graph.value_of(logits).dims.columns();
        spec.check(count)?;
        let ExpertSpec { used, score, normalize, scale, groups } = *spec;
        let bias = self.tensors.find(Role::ExpertChoice, layer, "bias");
        let bias = bias.map(|b| self.checked(b)).transpose()?;
        let route = Route { used, score, bias, normalize, scale, groups };
        let mixture = self.graph.push(route, &[logits])?;
        let shared = match self.tensors.find(Role::SharedGate, layer, "weight") {
            Some(_) => Some(self.shared_expert(layer, h)?),
            None => None,
        };
        let experts = Experts {
            gate: self.stack(Role::ExpertGate, layer, count)?,
            up: self.stack(Role::ExpertUp, layer, count)?,
            down: self.stack(Role::ExpertDown, layer, count)?,
            stand_ins: self.stand_ins(layer)?,
            activation: self.spec.activation,
            biases: self.expert_biases(layer)?,
            count,
            used,
        };
        let y = self.graph.push(experts, &[h, mixture])?;
        match shared {
            Some(shared) => Ok(self.graph.push(Add, &[y, shared])?),
            None => Ok(y),
        }
    }

    fn shared_expert(&mut self, layer: u32, h: ValueId) -> Result<ValueId, Error> {
        let y = self.feed_forward([Role::SharedGate, Role::SharedUp, Role::SharedDown], layer, h)?;
        match self.tensors.find(Role::SharedRouter, layer, "weight") {
            Some(weight) => {
                let weight = self.checked(weight)?;
                Ok(self.graph.push(SigmoidGate { weight }, &[y, h])?)
            }
            None => Ok(y),
        }
    }

    /// What is added to the products of experts, if anything is.
    fn expert_biases(&mut self, layer: u32) -> Result<Option<[WeightId; 3]>, Error> {
        let find = |role| self.tensors.find(role, layer, "bias");
        let found = [Role::ExpertGate, Role::ExpertUp, Role::ExpertDown].map(find);
        let [Some(gate), Some(up), Some(down)] = found else { return Ok(None) };
        Ok(Some([self.checked(gate)?, self.checked(up)?, self.checked(down)?]))
    }

    /// The same experts in a coarser type, if the file has them.
    fn stand_ins(&mut self, layer: u32) -> Result<Option<[Stack; 3]>, Error> {
        let find = |role| self.tensors.find(role, layer, "weight");
        let found = [Role::ExpertGateLow, Role::ExpertUpLow, Role::ExpertDownLow].map(find);
        let [Some(gate), Some(up), Some(down)] = found else { return Ok(None) };
        Ok(Some([
            Stack::Whole(self.checked(gate)?),
            Stack::Whole(self.checked(up)?),
            Stack::Whole(self.checked(down)?),
        ]))
    }

    /// A matrix for each of `count` experts: one tensor for all, or one for each.
    fn stack(&mut self, role: Role, layer: u32, count: u32) -> Result<Stack, Error> {
        let first = self.tensors.get_of(role, layer, 0)?;
        if first.shape.extents().len() == 3 {
            return Ok(Stack::Whole(self.checked(first)?));
        }
        let first = self.checked(first)?;
        for expert in 1..count {
            let weight = self.tensors.get_of(role, layer, expert)?;
            let id = self.checked(weight)?;
            if id.0 != first.0 + expert {
                let name = self.graph.weight_of(id).name.clone();
                return Err(Error::SharedTensor { name });
            }
        }
        Ok(Stack::Each(first))
    }

    pub(crate) fn linear(&mut self, role: Role, layer: u32, x: ValueId) -> Result<ValueId, Error> {
        let weight = self.matrix(role, layer)?;
        let bias = self.tensors.find(role, layer, "bias").map(|b| self.checked(b)).transpose()?;
        Ok(self.graph.push(Linear { weight, bias }, &[x])?)
    }

    pub(crate) fn norm(&mut self, role: Role, layer: u32, x: ValueId) -> Result<ValueId, Error> {
        let weight = Weight { offset: self.spec.norm_offset, ..self.tensors.get(role, layer)? };
        // Queries and keys may be normed a head at a time, all else as a whole.
        let (found, whole) = (weight.shape.elements(), self.graph.value_of(x).dims.columns());
        let head = matches!(role, Role::QueryNorm | Role::KeyNorm).then_some(self.spec.head_dim);
        if found != u64::from(whole) && Some(found) != head.map(u64::from) {
            let expected = head.unwrap_or(whole);
            return Err(Error::NormWidth { name: weight.name, found, expected });
        }
        let weight = self.checked(weight)?;
        Ok(self.graph.push(Norm { weight, eps: self.spec.norm_eps }, &[x])?)
    }

    fn optional_norm(&mut self, role: Role, layer: u32, x: ValueId) -> Result<ValueId, Error> {
        match self.tensors.find(role, layer, "weight") {
            Some(_) => self.norm(role, layer, x),
            None => Ok(x),
        }
    }

    fn post_norm(&mut self, role: Role, layer: u32, x: ValueId) -> Result<ValueId, Error> {
        if self.tensors.sandwich { self.norm(role, layer, x) } else { Ok(x) }
    }

    pub(crate) fn matrix(&mut self, role: Role, layer: u32) -> Result<WeightId, Error> {
        let weight = self.tensors.get(role, layer)?;
        self.checked(weight)
    }

    /// Names a tensor in the graph, if its type can hold weights.
    fn checked(&mut self, weight: Weight) -> Result<WeightId, Error> {
        if weight.dtype.block().is_none() {
            return Err(Error::UnsupportedType { name: weight.name, dtype: weight.dtype });
        }
        Ok(self.graph.weight(weight))
    }
}
