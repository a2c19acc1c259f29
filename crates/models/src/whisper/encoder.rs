//! Whisper's encoder: two convolutions over a picture of half a minute, then layers; then what each layer of the decoder
//! attends to.

use super::tensors::{
    self, CONV_1, CONV_1_BIAS, CONV_2, CONV_2_BIAS, CROSS_KEY, CROSS_VALUE, ENCODED, Layers, MOMENTS,
    SELF_KEY, SELF_NORM, SELF_OUT, SELF_QUERY, SELF_VALUE,
};
use super::{Whisper, nonsense};
use crate::Error;
use crate::network::{Builder, Item, Network, Port};
use formats::ModelFile;
use graph::array::{Attention, Cast, Conv, Reshape, Restride, Windows};
use graph::{ArrayType, Elem, Extents, ValueId};
use host::ReadAt;

/// The encoder.
pub struct WhisperEncoder {
    /// Its computation.
    pub network: Network,
    /// The picture of a sound, (bands, twice the moments).
    pub picture: ValueId,
    /// By layer of the decoder, keys and values that it attends to, as [`super::WhisperDecoder::attended`] takes them.
    pub attended: Vec<[ValueId; 2]>,
}

impl Whisper {
    /// The encoder; weights lie in `files`.
    ///
    /// # Errors
    /// What is missing in the file or does not fit.
    pub fn encoder(&self, file: &ModelFile, files: &[&dyn ReadAt]) -> Result<WhisperEncoder, Error> {
        let mut layers = Layers::new(file, Builder::new(files), tensors::ENCODER);
        let extents = Extents::new(&[1, self.bands, 2 * self.moments]);
        let extents = extents.ok_or_else(|| nonsense("moments", self.moments, "a smaller number"))?;
        let picture = layers.builder.input(ArrayType { elem: Elem::F32, extents }, None);
        let x = convolution(&mut layers, picture, [CONV_1, CONV_1_BIAS], 1)?;
        let x = convolution(&mut layers, x, [CONV_2, CONV_2_BIAS], 2)?;
        let x = layers.builder.one(Restride::transpose(&[0, 2, 1]), &[x])?;
        let x = reshaped(&mut layers, x, &[self.moments, self.width])?;
        let moments = layers.wide(MOMENTS)?;
        let mut x = layers.add(x, moments)?;
        for layer in 0..self.layers[0] {
            let y = layers.norm(x, layer, SELF_NORM)?;
            let mut parts = [y; 3];
            for (part, name) in parts.iter_mut().zip([SELF_QUERY, SELF_KEY, SELF_VALUE]) {
                *part = layers.linear(y, layer, name)?;
            }
            let y = self.look(&mut layers, parts)?;
            let y = layers.linear(y, layer, SELF_OUT)?;
            x = layers.add(x, y)?;
            x = layers.feed_forward(x, layer)?;
        }
        let x = layers.last_norm(x, ENCODED)?;
        let attended = (0..self.layers[1]).map(|layer| {
            let key = layers.linear_of(tensors::DECODER, x, layer, CROSS_KEY)?;
            let value = layers.linear_of(tensors::DECODER, x, layer, CROSS_VALUE)?;
            Ok([self.attended(&mut layers, key, &[1, 0, 2])?, self.attended(&mut layers, value, &[1, 2, 0])?])
        });
        let attended = attended.collect::<Result<Vec<[ValueId; 2]>, Error>>()?;
        let outputs = attended.iter().flatten().enumerate();
        let outputs = outputs.map(|(at, id)| port(format!("attended{at}"), *id)).collect();
        let network = finish(layers.builder, vec![port("picture".into(), picture)], outputs)?;
        Ok(WhisperEncoder { network, picture, attended })
    }

    /// Attention of all moments to all, each of the three (moments, heads times elements).
    fn look(&self, layers: &mut Layers<'_>, parts: [ValueId; 3]) -> Result<ValueId, Error> {
        let element = self.width / self.heads[0];
        let attention = Attention {
            heads: [self.heads[0]; 2],
            scale: (1.0 / (element as f64).sqrt()) as f32,
            ..Attention::PLAIN
        };
        let mut each = parts;
        for part in &mut each {
            *part = reshaped(layers, *part, &[1, self.moments, self.width])?;
        }
        let made = layers.builder.one(attention, &each)?;
        reshaped(layers, made, &[self.moments, self.width])
    }

    /// Keys or values as the decoder takes them: f16, the axes of (moment, head, element) in this order.
    fn attended(&self, layers: &mut Layers<'_>, x: ValueId, order: &[usize]) -> Result<ValueId, Error> {
        let x = layers.builder.one(Cast { to: Elem::F16 }, &[x])?;
        let x = turned(layers, x, self.heads[1], order)?;
        let extents = layers.builder.most(x).extents.to_vec();
        reshaped(layers, x, &[&[1], &extents[..]].concat())
    }
}

/// Rows by head, the axes of (row, head, element) in another order.
fn turned(layers: &mut Layers<'_>, x: ValueId, heads: usize, order: &[usize]) -> Result<ValueId, Error> {
    let extents = layers.builder.most(x).extents;
    let x = reshaped(layers, x, &[extents[0], heads, extents[1] / heads])?;
    layers.builder.one(Restride::transpose(order), &[x])
}

fn convolution(
    layers: &mut Layers<'_>,
    x: ValueId,
    [weights, bias]: [tensors::Name; 2],
    stride: usize,
) -> Result<ValueId, Error> {
    let (weights, bias) = (layers.wide(weights)?, layers.wide(bias)?);
    let windows = Windows {
        kernel: vec![3],
        strides: vec![stride],
        dilations: vec![1],
        before: vec![1],
        behind: vec![1],
    };
    let x = layers.builder.one(
        Conv { windows, groups: 1, scales: false, bounds: None, then: None, tiles: None },
        &[x, weights, bias],
    )?;
    layers.gelu(x)
}

/// The same elements under other extents.
pub(super) fn reshaped(layers: &mut Layers<'_>, x: ValueId, extents: &[usize]) -> Result<ValueId, Error> {
    let extents = extents.iter().map(|extent| Some(*extent)).collect();
    layers.builder.one(Reshape { extents }, &[x])
}

pub(super) fn port(name: String, id: ValueId) -> Port {
    Port { name: name.into(), item: Item::Value(id) }
}

/// A network with everything in it.
pub(super) fn finish(builder: Builder<'_>, inputs: Vec<Port>, outputs: Vec<Port>) -> Result<Network, Error> {
    let Builder { mut graph, weights, mut dynamic, .. } = builder;
    let ids = outputs.iter().filter_map(|port| match port.item {
        Item::Value(id) => Some(id),
        _ => None,
    });
    graph.outputs.extend(ids);
    graph::pass::network(&mut graph)?;
    dynamic.resize(graph.values.len(), false);
    Ok(Network { graph, inputs, outputs, weights, decided: Vec::new(), dynamic })
}
