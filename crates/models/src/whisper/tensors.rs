//! Names of Whisper's tensors, CTranslate2's and the hub's side by side, and the layers that are made of them.
//!
//! CTranslate2 puts matrices that multiply the same rows one behind the other; a part of one is a matrix as well, since rows
//! lie one behind the other in the file.

use crate::Error;
use crate::network::{Builder, Form, Place};
use formats::ModelFile;
use graph::array::{Binary, BinaryKind, Cast, MatMul, Norm, Unary, UnaryKind};
use graph::{ArrayType, Elem, Extents, ValueId};
use tensor::DType;

/// Keeps the root of a norm away from zero.
const EPSILON: f32 = 1e-5;

/// One of the two networks.
#[derive(Clone, Copy)]
pub(super) struct Side {
    joined: &'static str,
    hub: &'static str,
}

pub(super) const ENCODER: Side = Side { joined: "encoder/layer_", hub: "model.encoder.layers." };
pub(super) const DECODER: Side = Side { joined: "decoder/layer_", hub: "model.decoder.layers." };

/// A tensor: CTranslate2's name, which part of how many it is there, the hub's name.
#[derive(Clone, Copy)]
pub(super) struct Name(&'static str, usize, usize, &'static str);

pub(super) const CONV_1: Name = Name("encoder/conv1/weight", 0, 1, "model.encoder.conv1.weight");
pub(super) const CONV_1_BIAS: Name = Name("encoder/conv1/bias", 0, 1, "model.encoder.conv1.bias");
pub(super) const CONV_2: Name = Name("encoder/conv2/weight", 0, 1, "model.encoder.conv2.weight");
pub(super) const CONV_2_BIAS: Name = Name("encoder/conv2/bias", 0, 1, "model.encoder.conv2.bias");
pub(super) const EMBEDDING: Name =
    Name("decoder/embeddings/weight", 0, 1, "model.decoder.embed_tokens.weight");
pub(super) const MOMENTS: Name =
    Name("encoder/position_encodings/encodings", 0, 1, "model.encoder.embed_positions.weight");
pub(super) const POSITIONS: Name =
    Name("decoder/position_encodings/encodings", 0, 1, "model.decoder.embed_positions.weight");

pub(super) const ENCODED: Name = Name("encoder/layer_norm", 0, 1, "model.encoder.layer_norm");
pub(super) const DECODED: Name = Name("decoder/layer_norm", 0, 1, "model.decoder.layer_norm");

/// Of a layer.
pub(super) const SELF_NORM: Name = Name("self_attention/layer_norm", 0, 1, "self_attn_layer_norm");
pub(super) const SELF_QUERY: Name = Name("self_attention/linear_0", 0, 3, "self_attn.q_proj");
pub(super) const SELF_KEY: Name = Name("self_attention/linear_0", 1, 3, "self_attn.k_proj");
pub(super) const SELF_VALUE: Name = Name("self_attention/linear_0", 2, 3, "self_attn.v_proj");
pub(super) const SELF_OUT: Name = Name("self_attention/linear_1", 0, 1, "self_attn.out_proj");
pub(super) const CROSS_NORM: Name = Name("attention/layer_norm", 0, 1, "encoder_attn_layer_norm");
pub(super) const CROSS_QUERY: Name = Name("attention/linear_0", 0, 1, "encoder_attn.q_proj");
pub(super) const CROSS_KEY: Name = Name("attention/linear_1", 0, 2, "encoder_attn.k_proj");
pub(super) const CROSS_VALUE: Name = Name("attention/linear_1", 1, 2, "encoder_attn.v_proj");
pub(super) const CROSS_OUT: Name = Name("attention/linear_2", 0, 1, "encoder_attn.out_proj");
pub(super) const FEED_NORM: Name = Name("ffn/layer_norm", 0, 1, "final_layer_norm");
pub(super) const FEED_UP: Name = Name("ffn/linear_0", 0, 1, "fc1");
pub(super) const FEED_DOWN: Name = Name("ffn/linear_1", 0, 1, "fc2");

/// A tensor that was found.
struct Found {
    name: String,
    kind: ArrayType,
    place: Place,
}

impl Side {
    pub(super) fn has_layer(self, file: &ModelFile, layer: usize) -> bool {
        let [joined, hub] = self.spell(SELF_OUT, layer);
        [joined + "/weight", hub + ".weight"].iter().any(|name| file.find_tensor(name).is_some())
    }

    fn spell(self, name: Name, layer: usize) -> [String; 2] {
        [format!("{}{layer}/{}", self.joined, name.0), format!("{}{layer}.{}", self.hub, name.3)]
    }
}

/// The extents of a tensor that must be there.
pub(super) fn extents(file: &ModelFile, name: Name) -> Result<Vec<usize>, Error> {
    let found = find(file, [name.0.to_string(), name.3.to_string()], (name.1, name.2))?;
    found.map(|found| found.kind.extents.to_vec()).ok_or_else(|| missing(name.3))
}

fn missing(name: &str) -> Error {
    formats::Error::MissingTensor { tensor: name.into() }.into()
}

/// The tensor with one of two names; of the first a part.
fn find(file: &ModelFile, names: [String; 2], part: (usize, usize)) -> Result<Option<Found>, Error> {
    let [joined, hub] = names;
    let found = file.find_tensor(&joined).map(|info| (info, part));
    let Some((info, (which, of))) = found.or_else(|| Some((file.find_tensor(&hub)?, (0, 1)))) else {
        return Ok(None);
    };
    let elem = match info.dtype {
        DType::BF16 => Elem::BF16,
        DType::F16 => Elem::F16,
        DType::F32 => Elem::F32,
        dtype => return Err(Error::UnsupportedType { name: info.name.to_string(), dtype }),
    };
    let mut extents: Vec<usize> = info.shape.extents().iter().map(|extent| *extent as usize).collect();
    let rank = extents.len();
    let wrong = || super::nonsense(&info.name, rank, "rows that can be counted and parted");
    let bytes = (info.range.end - info.range.start) / of as u64;
    let rows = extents.first_mut().filter(|rows| rows.is_multiple_of(of)).ok_or_else(wrong)?;
    *rows /= of;
    let kind = ArrayType { elem, extents: Extents::new(&extents).ok_or_else(wrong)? };
    let start = info.range.start + bytes * which as u64;
    let place = Place { file: info.file, range: start..start + bytes, form: Form::AsItIs };
    Ok(Some(Found { name: info.name.to_string(), kind, place }))
}

/// A network of Whisper that is being built.
pub(super) struct Layers<'f> {
    pub builder: Builder<'f>,
    file: &'f ModelFile,
    side: Side,
}

impl<'f> Layers<'f> {
    pub(super) fn new(file: &'f ModelFile, builder: Builder<'f>, side: Side) -> Layers<'f> {
        Layers { builder, file, side }
    }

    fn constant(&mut self, names: [String; 2], part: (usize, usize)) -> Result<Option<ValueId>, Error> {
        let Some(found) = find(self.file, names, part)? else { return Ok(None) };
        self.builder.constant_in_file(&found.name, found.kind, found.place).map(Some)
    }

    /// A tensor as it is stored.
    pub(super) fn stored(&mut self, name: Name) -> Result<ValueId, Error> {
        let found = self.constant([name.0.to_string(), name.3.to_string()], (name.1, name.2))?;
        found.ok_or_else(|| missing(name.3))
    }

    /// A tensor as f32.
    pub(super) fn wide(&mut self, name: Name) -> Result<ValueId, Error> {
        let stored = self.stored(name)?;
        self.widened(stored)
    }

    /// A value as f32.
    pub(super) fn widened(&mut self, id: ValueId) -> Result<ValueId, Error> {
        match self.builder.elem(id) {
            Elem::F32 => Ok(id),
            _ => self.builder.one(Cast { to: Elem::F32 }, &[id]),
        }
    }

    pub(super) fn add(&mut self, a: ValueId, b: ValueId) -> Result<ValueId, Error> {
        self.builder.one(Binary { kind: BinaryKind::Add }, &[a, b])
    }

    pub(super) fn gelu(&mut self, x: ValueId) -> Result<ValueId, Error> {
        self.builder.one(Unary { kind: UnaryKind::Gelu }, &[x])
    }

    /// Rows times a matrix that is stored with its columns as rows, in whatever floats.
    pub(super) fn product(&mut self, x: ValueId, matrix: ValueId) -> Result<ValueId, Error> {
        self.builder.one(MatMul { b_is_transposed: true, widens: false }, &[x, matrix])
    }

    /// A layer's matrix, and what is added where there is something.
    pub(super) fn linear(&mut self, x: ValueId, layer: usize, name: Name) -> Result<ValueId, Error> {
        self.linear_of(self.side, x, layer, name)
    }

    /// As [`Layers::linear`], of another side's layer.
    pub(super) fn linear_of(
        &mut self,
        side: Side,
        x: ValueId,
        layer: usize,
        name: Name,
    ) -> Result<ValueId, Error> {
        let part = (name.1, name.2);
        let spelled = |what: &str| {
            let [joined, hub] = side.spell(name, layer);
            [format!("{joined}/{what}"), format!("{hub}.{what}")]
        };
        let matrix = self.constant(spelled("weight"), part)?;
        let matrix = matrix.ok_or_else(|| missing(&spelled("weight")[1]))?;
        let x = self.product(x, matrix)?;
        match self.constant(spelled("bias"), part)? {
            None => Ok(x),
            Some(bias) => {
                let bias = self.widened(bias)?;
                self.add(x, bias)
            }
        }
    }

    /// A layer's norm.
    pub(super) fn norm(&mut self, x: ValueId, layer: usize, name: Name) -> Result<ValueId, Error> {
        let names = self.side.spell(name, layer);
        self.norm_of(x, &names)
    }

    /// The norm at the end.
    pub(super) fn last_norm(&mut self, x: ValueId, name: Name) -> Result<ValueId, Error> {
        self.norm_of(x, &[name.0.to_string(), name.3.to_string()])
    }

    fn norm_of(&mut self, x: ValueId, [joined, hub]: &[String; 2]) -> Result<ValueId, Error> {
        let mut factors = [x; 2];
        for (factor, (own, theirs)) in factors.iter_mut().zip([("gamma", "weight"), ("beta", "bias")]) {
            let names = [format!("{joined}/{own}"), format!("{hub}.{theirs}")];
            let found = self.constant(names, (0, 1))?.ok_or_else(|| missing(hub))?;
            *factor = self.widened(found)?;
        }
        let axis = self.builder.rank(x).saturating_sub(1);
        let norm = Norm { axis, epsilon: EPSILON, centers: true, moments: None };
        self.builder.one(norm, &[x, factors[0], factors[1]])
    }

    /// The feed-forward of a layer, added to what goes in.
    pub(super) fn feed_forward(&mut self, x: ValueId, layer: usize) -> Result<ValueId, Error> {
        let y = self.norm(x, layer, FEED_NORM)?;
        let y = self.linear(y, layer, FEED_UP)?;
        let y = self.gelu(y)?;
        let y = self.linear(y, layer, FEED_DOWN)?;
        self.add(x, y)
    }
}
