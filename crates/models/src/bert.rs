//! BERT (arXiv 1810.04805) from a folder of the hub: tokens in, a vector for each token out, or scores where a classifier is on
//! top.
//!
//! What it is: the graph of one run for a batch of texts of one length. What it is not: padding; texts of a batch are equally
//! long, so no mask is needed. The one design choice: weights stay as they lie in the file, outputs by inputs, and products
//! read them so.

use crate::Error;
use crate::network::{Builder, Form, Given, Item, Network, Place, Port};
use crate::settings::{ACTIVATION, CONTEXT, HEADS, Key, LAYERS, Settings, WIDTH};
use formats::ModelFile;
use graph::array::{
    Along, Binary, BinaryKind, Cast, MatMul, Norm, Pick, Reshape, Restride, Softmax, Unary, UnaryKind,
};
use graph::{ArrayOp, ArrayType, Elem, Extents, ValueId};
use host::ReadAt;
use tensor::DType;

/// How `model_type` spells it.
const NAME: &str = "bert";
/// What it takes: tokens, and the text that each belongs to.
pub const INPUTS: [&str; 2] = ["input_ids", "token_type_ids"];
/// What it gives without a classifier, and with one.
pub const OUTPUTS: [&str; 2] = ["last_hidden_state", "logits"];
/// Layers that a file may ask for.
const LAYERS_MAX: u32 = 1024;
const POSITIONS: Key = Key("", "position_embedding_type");
const EPSILON: Key = Key("", "layer_norm_eps");

/// Whether `file` is such an encoder.
pub fn is_encoder(file: &ModelFile) -> bool {
    &*file.architecture == NAME
}

/// Whether a classifier is on top.
pub fn is_classifier(file: &ModelFile) -> bool {
    file.find_tensor("classifier.weight").is_some()
}

/// Tokens that a text may have.
///
/// # Errors
/// If the file does not say.
pub fn context(file: &ModelFile) -> Result<u32, Error> {
    Settings::new(file, NAME).size(CONTEXT)
}

/// The network in `file`, whose tensors lie in `sources`, built for `given`: ids and types, both (batch, tokens).
///
/// # Errors
/// What is missing in the file or not supported, by name; [`Error::Open`] if the ids' extents are not given.
pub fn build(
    file: &ModelFile,
    sources: &[&dyn ReadAt],
    given: &[(&str, Given<'_>)],
) -> Result<Network, Error> {
    let open = || Error::Open { name: INPUTS[0].into(), declared: "I64[batch, tokens]".into() };
    let kind = given.iter().find_map(|(name, given)| match given {
        Given::Array { kind, .. } if *name == INPUTS[0] => Some(*kind),
        _ => None,
    });
    let kind = kind.ok_or_else(open)?;
    let [batch, tokens] = kind.extents[..] else { return Err(open()) };
    let settings = Settings::new(file, NAME);
    let spec = Spec::read(&settings, file)?;
    let context = settings.size(CONTEXT)?;
    if kind.elem != Elem::I64 || tokens == 0 || batch == 0 {
        return Err(open());
    }
    if tokens > context as usize {
        return Err(settings.nonsense(CONTEXT, context, "no more tokens than that in a text"));
    }
    let mut bert = Bert { builder: Builder::new(sources), file, spec, batch, tokens };
    let ids = [(); 2].map(|()| bert.builder.input(kind, None));
    let mut x = bert.embedded(ids)?;
    for layer in 0..bert.spec.layers {
        x = bert.layer(x, layer)?;
    }
    let mut name = OUTPUTS[0];
    if is_classifier(file) {
        (x, name) = (bert.classified(x)?, OUTPUTS[1]);
    }
    let Builder { mut graph, weights, mut dynamic, .. } = bert.builder;
    graph.outputs.push(x);
    graph::pass::network(&mut graph)?;
    dynamic.resize(graph.values.len(), false);
    let port = |name: &str, id| Port { name: name.into(), item: Item::Value(id) };
    let inputs = INPUTS.iter().zip(ids).map(|(name, id)| port(name, id)).collect();
    let outputs = vec![port(name, x)];
    Ok(Network { graph, inputs, outputs, weights, decided: Vec::new(), dynamic })
}

/// What the settings say.
struct Spec {
    /// Before names of tensors.
    prefix: &'static str,
    layers: u32,
    heads: usize,
    width: usize,
    epsilon: f32,
    activation: UnaryKind,
}

impl Spec {
    fn read(settings: &Settings<'_>, file: &ModelFile) -> Result<Spec, Error> {
        let (heads, width) = (settings.size(HEADS)?, settings.size(WIDTH)?);
        if width % heads != 0 {
            return Err(settings.nonsense(HEADS, heads, "a number that divides the width"));
        }
        let layers = settings.size(LAYERS)?;
        if layers > LAYERS_MAX {
            return Err(settings.nonsense(LAYERS, layers, "at most 1024"));
        }
        if let Some(other) = settings.find::<&str>(POSITIONS)?.filter(|kind| *kind != "absolute") {
            return Err(settings.unsupported(POSITIONS, other));
        }
        let activation = match settings.find::<&str>(ACTIVATION)?.unwrap_or("gelu") {
            "gelu" => UnaryKind::Gelu,
            "gelu_new" | "gelu_pytorch_tanh" => UnaryKind::GeluTanh,
            "relu" => UnaryKind::Relu,
            "silu" | "swish" => UnaryKind::Swish { alpha: 1.0 },
            other => return Err(settings.unsupported(ACTIVATION, other)),
        };
        let bare = file.find_tensor("embeddings.word_embeddings.weight").is_some();
        Ok(Spec {
            prefix: if bare { "" } else { "bert." },
            layers,
            heads: heads as usize,
            width: width as usize,
            epsilon: settings.positive(EPSILON)?.unwrap_or(1e-12) as f32,
            activation,
        })
    }
}

/// A graph under construction.
struct Bert<'a> {
    builder: Builder<'a>,
    file: &'a ModelFile,
    spec: Spec,
    batch: usize,
    tokens: usize,
}

impl Bert<'_> {
    fn one(&mut self, op: impl Into<ArrayOp>, inputs: &[ValueId]) -> Result<ValueId, Error> {
        self.builder.one(op, inputs)
    }

    fn add(&mut self, a: ValueId, b: ValueId) -> Result<ValueId, Error> {
        self.one(Binary { kind: BinaryKind::Add }, &[a, b])
    }

    /// A tensor of the file as floats.
    fn tensor(&mut self, name: &str) -> Result<ValueId, Error> {
        let tensor = self.file.tensor(name)?;
        let elem = match tensor.dtype {
            DType::F32 => Elem::F32,
            DType::F16 => Elem::F16,
            DType::BF16 => Elem::BF16,
            dtype => return Err(Error::UnsupportedType { name: name.into(), dtype }),
        };
        let extents: Vec<usize> = tensor.shape.extents().iter().map(|extent| *extent as usize).collect();
        let extents = Extents::new(&extents).ok_or(Error::NotAnArray)?;
        let place = Place { file: tensor.file, range: tensor.range.clone(), form: Form::AsItIs };
        let stored = self.builder.constant_in_file(name, ArrayType { elem, extents }, place)?;
        if elem == Elem::F32 { Ok(stored) } else { self.one(Cast { to: Elem::F32 }, &[stored]) }
    }

    fn named(&mut self, name: &str) -> Result<ValueId, Error> {
        self.tensor(&format!("{}{name}", self.spec.prefix))
    }

    /// `x` times the matrix of that name, and its bias.
    fn dense(&mut self, x: ValueId, name: &str) -> Result<ValueId, Error> {
        let (weight, bias) = (self.named(&format!("{name}.weight"))?, self.named(&format!("{name}.bias"))?);
        self.product(x, weight, bias)
    }

    fn product(&mut self, x: ValueId, weight: ValueId, bias: ValueId) -> Result<ValueId, Error> {
        let made = self.one(MatMul { b_is_transposed: true, widens: false }, &[x, weight])?;
        self.add(made, bias)
    }

    fn norm(&mut self, x: ValueId, name: &str) -> Result<ValueId, Error> {
        let (scale, bias) = (self.named(&format!("{name}.weight"))?, self.named(&format!("{name}.bias"))?);
        let norm = Norm { axis: 2, epsilon: self.spec.epsilon, centers: true, moments: None };
        self.one(norm, &[x, scale, bias])
    }

    /// Vectors of tokens, of their places and of the texts that they belong to, together.
    fn embedded(&mut self, [ids, types]: [ValueId; 2]) -> Result<ValueId, Error> {
        let words = self.named("embeddings.word_embeddings.weight")?;
        let words = self.one(Pick { axis: 0 }, &[words, ids])?;
        let kinds = self.named("embeddings.token_type_embeddings.weight")?;
        let kinds = self.one(Pick { axis: 0 }, &[kinds, types])?;
        let places = self.named("embeddings.position_embeddings.weight")?;
        let along = |axis, len| Along::Axis { axis, len, start: 0, step: 1 };
        let first = Restride { axes: vec![along(0, Some(self.tokens)), along(1, None)], at: vec![0; 2] };
        let places = self.one(first, &[places])?;
        let sum = self.add(words, kinds)?;
        let sum = self.add(sum, places)?;
        self.norm(sum, "embeddings.LayerNorm")
    }

    fn layer(&mut self, x: ValueId, layer: u32) -> Result<ValueId, Error> {
        let name = |part: &str| format!("encoder.layer.{layer}.{part}");
        let attended = self.attention(x, &name("attention.self"))?;
        let out = self.dense(attended, &name("attention.output.dense"))?;
        let sum = self.add(out, x)?;
        let x = self.norm(sum, &name("attention.output.LayerNorm"))?;
        let inner = self.dense(x, &name("intermediate.dense"))?;
        let inner = self.one(Unary { kind: self.spec.activation }, &[inner])?;
        let out = self.dense(inner, &name("output.dense"))?;
        let sum = self.add(out, x)?;
        self.norm(sum, &name("output.LayerNorm"))
    }

    fn attention(&mut self, x: ValueId, name: &str) -> Result<ValueId, Error> {
        let query = self.heads(x, &format!("{name}.query"))?;
        let key = self.heads(x, &format!("{name}.key"))?;
        let value = self.heads(x, &format!("{name}.value"))?;
        let width = self.spec.width / self.spec.heads;
        let scores = self.one(MatMul { b_is_transposed: true, widens: false }, &[query, key])?;
        let root = self.builder.number(Elem::F32, (width as f64).sqrt());
        let scores = self.one(Binary { kind: BinaryKind::Div }, &[scores, root])?;
        let weights = self.one(Softmax { axis: 3, log: false }, &[scores])?;
        let mixed = self.one(MatMul { b_is_transposed: false, widens: false }, &[weights, value])?;
        let mixed = self.one(Restride::transpose(&[0, 2, 1, 3]), &[mixed])?;
        self.reshaped(mixed, &[self.batch, self.tokens, self.spec.width])
    }

    /// What a matrix makes of each token, apart by heads: (batch, heads, tokens, width of a head).
    fn heads(&mut self, x: ValueId, name: &str) -> Result<ValueId, Error> {
        let made = self.dense(x, name)?;
        let Spec { heads, width, .. } = self.spec;
        let apart = self.reshaped(made, &[self.batch, self.tokens, heads, width / heads])?;
        self.one(Restride::transpose(&[0, 2, 1, 3]), &[apart])
    }

    fn reshaped(&mut self, x: ValueId, extents: &[usize]) -> Result<ValueId, Error> {
        self.one(Reshape { extents: extents.iter().map(|extent| Some(*extent)).collect() }, &[x])
    }

    /// Scores of each text, from what became of its first token.
    fn classified(&mut self, x: ValueId) -> Result<ValueId, Error> {
        let along = |axis| Along::Axis { axis, len: None, start: 0, step: 1 };
        let first = self.one(Restride { axes: vec![along(0), along(2)], at: vec![0; 3] }, &[x])?;
        let pooled = self.dense(first, "pooler.dense")?;
        let pooled = self.one(Unary { kind: UnaryKind::Tanh }, &[pooled])?;
        let (weight, bias) = (self.tensor("classifier.weight")?, self.tensor("classifier.bias")?);
        self.product(pooled, weight, bias)
    }
}
