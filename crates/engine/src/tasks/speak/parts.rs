//! Where a VITS network is cut in two, and where what is random comes in (arXiv 2106.06103).
//!
//! What it is: names of values, found by what is done with them. What it is not: names that an exporter happens to give. The one design
//! choice: how long each sound lasts is known only when the first half has run, so the second is built for it; noise is an input of
//! both, since who listens wants the same sound for the same seed.

use crate::Error;
use formats::onnx::{Graph, Model, Node};

/// Names of the values of a network.
pub(super) struct Parts {
    /// Ids, how many there are, and scales of noise and time.
    pub inputs: [Box<str>; 3],
    /// Noise of how long sounds last, (1, 2, ids).
    pub noise: Box<str>,
    /// How long each lasts, (1, 1, ids).
    pub lengths: Box<str>,
    /// What each sounds like on average, and the logarithm of how much that varies, (1, ids, width).
    pub sounds: [Box<str>; 2],
    /// What all of them sound like, one moment after another, (1, width, moments).
    pub latent: Box<str>,
    /// The sound.
    pub output: Box<str>,
}

impl Parts {
    /// Of a model.
    ///
    /// # Errors
    /// If it is no such network, or one of several voices.
    pub fn of(model: &Model) -> Result<Parts, Error> {
        let missing = |what| Error::NotAVoice { what };
        let graph = &model.graph;
        let [ids, count, scales] = &*graph.inputs else {
            return Err(missing("three inputs (ids, how many, scales): a voice of one speaker"));
        };
        let [output] = &*graph.outputs else { return Err(missing("one output")) };
        let lengths =
            graph.nodes.iter().find(|node| &*node.op_type == "Ceil").and_then(|node| node.outputs.first());
        let (mut noise, mut found) = (None, None);
        for random in graph.nodes.iter().filter(|node| &*node.op_type == "RandomNormalLike") {
            match varied(graph, random) {
                Some(sounds) => found = Some(sounds),
                None => noise = random.outputs.first(),
            }
        }
        let (sounds, latent) =
            found.ok_or(missing("sounds that vary (a mean, and noise times an exponential)"))?;
        Ok(Parts {
            inputs: [ids, count, scales].map(|input| input.name.clone()),
            noise: noise.ok_or(missing("noise of how long sounds last"))?.clone(),
            lengths: lengths.ok_or(missing("lengths of sounds (Ceil)"))?.clone(),
            sounds,
            latent,
            output: output.name.clone(),
        })
    }
}

/// `mean + noise * exp(spread) * scale`, each stretched to moments by a product: mean and spread before that, and the sum.
fn varied(graph: &Graph, random: &Node) -> Option<([Box<str>; 2], Box<str>)> {
    let made_by =
        |name: &str| graph.nodes.iter().find(|node| node.outputs.iter().any(|output| &**output == name));
    let used_by = |name: &str, kind: &str| {
        graph
            .nodes
            .iter()
            .find(|node| &*node.op_type == kind && node.inputs.iter().any(|input| &**input == name))
    };
    let other = |node: &'_ Node, name: &str| node.inputs.iter().find(|input| &***input != name).cloned();
    let stretched = |name: &str| -> Option<Box<str>> {
        let product = made_by(made_by(name)?.inputs.first()?).filter(|node| &*node.op_type == "MatMul")?;
        product.inputs.get(1).cloned()
    };
    let noise = random.outputs.first()?;
    let times = used_by(noise, "Mul")?;
    let spread =
        made_by(&other(times, noise)?).filter(|node| &*node.op_type == "Exp")?.inputs.first()?.clone();
    let scaled = used_by(times.outputs.first()?, "Mul")?;
    let sum = used_by(scaled.outputs.first()?, "Add")?;
    let mean = other(sum, scaled.outputs.first()?)?;
    Some(([stretched(&mean)?, stretched(&spread)?], sum.outputs.first()?.clone()))
}
