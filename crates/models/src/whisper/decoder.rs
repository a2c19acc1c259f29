//! Whisper's decoder: one token, what was said before it and what was heard, to how likely each token is next.
//!
//! The one design choice: attention is two products with f16 matrices that lie as products want them, keys in rows and
//! values in columns, so that a step reads each cached number once.

use super::encoder::{finish, port, reshaped};
use super::tensors::{
    self, CROSS_NORM, CROSS_OUT, CROSS_QUERY, DECODED, EMBEDDING, Layers, POSITIONS, SELF_KEY, SELF_NORM,
    SELF_OUT, SELF_QUERY, SELF_VALUE,
};
use super::{Whisper, nonsense};
use crate::Error;
use crate::network::{Builder, Network, Port};
use formats::ModelFile;
use graph::array::{Binary, BinaryKind, Cast, Pick, PutStretch, Softmax};
use graph::{ArrayType, Elem, Extents, ValueId};
use host::ReadAt;

/// The decoder.
pub struct WhisperDecoder {
    /// Its computation.
    pub network: Network,
    /// The token's id, one i32.
    pub token: ValueId,
    /// Where it stands, one i32.
    pub position: ValueId,
    /// Added to how much each position counts: zero up to the token's own, then minus infinity.
    pub mask: ValueId,
    /// By layer, keys (heads, moments, elements) and values (heads, elements, moments) of what was heard: they stay as they
    /// are until they are given again.
    pub attended: Vec<[ValueId; 2]>,
    /// By layer, keys and values of what was said, each with what the step makes of it, which lies in the same place: they
    /// are never given.
    pub said: Vec<[[ValueId; 2]; 2]>,
    /// Logits of all tokens.
    pub logits: ValueId,
}

impl Whisper {
    /// The decoder; weights lie in `files`.
    ///
    /// # Errors
    /// What is missing in the file or does not fit.
    pub fn decoder(&self, file: &ModelFile, files: &[&dyn ReadAt]) -> Result<WhisperDecoder, Error> {
        let mut layers = Layers::new(file, Builder::new(files), tensors::DECODER);
        let mut inputs = Vec::new();
        let mut input = |layers: &mut Layers<'_>, name: String, elem, extents: &[usize]| {
            let extents = Extents::new(extents);
            let extents = extents.ok_or_else(|| nonsense("context", self.context, "a smaller number"))?;
            let id = layers.builder.input(ArrayType { elem, extents }, None);
            inputs.push(port(name, id));
            Ok::<ValueId, Error>(id)
        };
        let (heads, element) = (self.heads[1], self.width / self.heads[1]);
        let token = input(&mut layers, "token".into(), Elem::I32, &[1])?;
        let position = input(&mut layers, "position".into(), Elem::I32, &[1])?;
        let mask = input(&mut layers, "mask".into(), Elem::F32, &[self.context])?;
        let (mut attended, mut said) = (Vec::new(), Vec::new());
        for layer in 0..self.layers[1] {
            let mut cache = |what: &str, extents: [usize; 2]| {
                let extents = [1, heads, extents[0], extents[1]];
                input(&mut layers, format!("{what}{layer}"), Elem::F16, &extents)
            };
            let (moments, context) = (self.moments, self.context);
            attended
                .push([cache("heard_keys", [moments, element])?, cache("heard_values", [element, moments])?]);
            said.push([cache("keys", [context, element])?, cache("values", [element, context])?]);
        }
        let x = self.embedded(&mut layers, token, position)?;
        let mut x = x;
        let mut kept = Vec::new();
        for (layer, (attended, said)) in attended.iter().zip(&said).enumerate() {
            let y = layers.norm(x, layer, SELF_NORM)?;
            let key = self.put(&mut layers, (y, layer, SELF_KEY), (said[0], position), 2)?;
            let value = self.put(&mut layers, (y, layer, SELF_VALUE), (said[1], position), 3)?;
            kept.push([[said[0], key], [said[1], value]]);
            let y = self.attend(&mut layers, (y, layer, SELF_QUERY), [key, value], Some(mask))?;
            let y = layers.linear(y, layer, SELF_OUT)?;
            x = layers.add(x, y)?;
            let y = layers.norm(x, layer, CROSS_NORM)?;
            let y = self.attend(&mut layers, (y, layer, CROSS_QUERY), *attended, None)?;
            let y = layers.linear(y, layer, CROSS_OUT)?;
            x = layers.add(x, y)?;
            x = layers.feed_forward(x, layer)?;
        }
        let x = layers.last_norm(x, DECODED)?;
        let embedding = layers.stored(EMBEDDING)?;
        let logits = layers.product(x, embedding)?;
        // What is an output lives to the end of a step, and so to the next.
        let mut outputs: Vec<Port> = vec![port("logits".into(), logits)];
        let stay = kept.iter().flatten().map(|pair| pair[1]).chain(attended.iter().flatten().copied());
        outputs.extend(stay.enumerate().map(|(at, id)| port(format!("kept{at}"), id)));
        let network = finish(layers.builder, inputs, outputs)?;
        Ok(WhisperDecoder { network, token, position, mask, attended, said: kept, logits })
    }

    /// The row of a token at its position.
    fn embedded(&self, layers: &mut Layers<'_>, token: ValueId, position: ValueId) -> Result<ValueId, Error> {
        let mut rows = [token; 2];
        for (row, (name, at)) in rows.iter_mut().zip([(EMBEDDING, token), (POSITIONS, position)]) {
            let table = layers.stored(name)?;
            let stored = layers.builder.one(Pick { axis: 0 }, &[table, at])?;
            *row = layers.widened(stored)?;
        }
        layers.add(rows[0], rows[1])
    }

    /// Keys or values of a row put into their cache along an axis.
    fn put(
        &self,
        layers: &mut Layers<'_>,
        (x, layer, name): (ValueId, usize, tensors::Name),
        (cache, position): (ValueId, ValueId),
        axis: usize,
    ) -> Result<ValueId, Error> {
        let (heads, element) = (self.heads[1], self.width / self.heads[1]);
        let x = layers.linear(x, layer, name)?;
        let x = layers.builder.one(Cast { to: Elem::F16 }, &[x])?;
        let mut extents = [1, heads, element, element];
        extents[axis] = 1;
        let x = reshaped(layers, x, &extents)?;
        layers.builder.one(PutStretch { axis, wraps: false }, &[cache, x, position])
    }

    /// What a row makes of values by their keys.
    fn attend(
        &self,
        layers: &mut Layers<'_>,
        (x, layer, name): (ValueId, usize, tensors::Name),
        [keys, values]: [ValueId; 2],
        mask: Option<ValueId>,
    ) -> Result<ValueId, Error> {
        let (heads, element) = (self.heads[1], self.width / self.heads[1]);
        let query = layers.linear(x, layer, name)?;
        let scale = layers.builder.number(Elem::F32, 1.0 / (element as f64).sqrt());
        let query = layers.builder.one(Binary { kind: BinaryKind::Mul }, &[query, scale])?;
        let query = reshaped(layers, query, &[1, heads, 1, element])?;
        let mut scores = layers.product(query, keys)?;
        if let Some(mask) = mask {
            scores = layers.add(scores, mask)?;
        }
        let shares = layers.builder.one(Softmax { axis: 3, log: false }, &[scores])?;
        let made = layers.product(shares, values)?;
        reshaped(layers, made, &[1, self.width])
    }
}
