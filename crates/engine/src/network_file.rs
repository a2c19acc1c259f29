//! A network in a file, whatever its format.
//!
//! What it is: the one place that knows all formats, and what they have in common before a network is built: what it takes.
//! What it is not: their meaning, which `models` knows. The one design choice: an enum of the files as they were read, so
//! that who wants more than what is common still finds it.

use crate::{Error, Feed};
use formats::{FilePart, ModelFile, onnx, tflite};
use graph::Elem;
use host::ReadAt;
use models::network::{Given, Network};
use std::borrow::Cow;

/// A network in a file.
pub enum NetworkFile {
    /// Weights of an encoder and its settings, in safetensors.
    Encoder(Box<ModelFile>),
    /// In ONNX.
    Onnx(Box<onnx::Model>),
    /// In TFLite.
    Tflite(Box<tflite::Model>),
}

/// What an input is by its declaration.
pub struct DeclaredInput {
    /// Its name.
    pub name: String,
    /// What it is, in the file's own words.
    pub text: String,
    /// The kind of its elements, `None` if it is no array.
    pub elem: Option<Result<Elem, Error>>,
    /// Its extents, outermost first, `None` where they may vary; `None` if even how many there are is open.
    pub extents: Option<Vec<Option<usize>>>,
    /// Whether it may be left out.
    pub has_default: bool,
}

impl NetworkFile {
    /// What it takes, in the file's order.
    pub fn inputs(&self) -> Vec<DeclaredInput> {
        match self {
            NetworkFile::Encoder(_) => models::bert::INPUTS.map(encoder_input).into(),
            NetworkFile::Onnx(model) => {
                model.graph.inputs.iter().map(|input| onnx_input(model, input)).collect()
            }
            NetworkFile::Tflite(model) => models::tflite::inputs(model).map(tflite_input).collect(),
        }
    }

    /// The files that it lies in.
    pub(crate) fn parts(&self) -> &[FilePart] {
        match self {
            NetworkFile::Encoder(model) => &model.files,
            NetworkFile::Onnx(model) => &model.files,
            NetworkFile::Tflite(model) => std::slice::from_ref(&model.file),
        }
    }

    /// Heap bytes that this value holds, at most.
    pub(crate) fn heap_bytes(&self) -> u64 {
        match self {
            NetworkFile::Encoder(model) => model.heap_bytes(),
            NetworkFile::Onnx(model) => model.heap_bytes(),
            NetworkFile::Tflite(model) => model.heap_bytes(),
        }
    }

    /// The network, built for inputs like `feeds`; `sources` are [`NetworkFile::parts`], opened.
    pub(crate) fn build(&self, sources: &[&dyn ReadAt], feeds: &[Feed]) -> Result<Network, Error> {
        let given = feeds
            .iter()
            .map(|feed| (&*feed.name, Given::Array { kind: feed.kind, bytes: feed.bytes.as_deref() }));
        let given: Vec<(&str, Given<'_>)> = given.collect();
        Ok(match self {
            NetworkFile::Encoder(model) => models::bert::build(model, sources, &given)?,
            NetworkFile::Onnx(model) => models::onnx::build(model, sources, &given)?,
            NetworkFile::Tflite(model) => models::tflite::build(model, sources, &given)?,
        })
    }
}

fn encoder_input(name: &str) -> DeclaredInput {
    DeclaredInput {
        name: name.to_string(),
        text: "I64[batch, tokens]".to_string(),
        elem: Some(Ok(Elem::I64)),
        extents: Some(vec![None; 2]),
        has_default: false,
    }
}

fn onnx_input(model: &onnx::Model, input: &onnx::ValueInfo) -> DeclaredInput {
    let (mut kind, mut extents) = (None, None);
    if let onnx::ValueType::Tensor { element, shape } = &input.value_type {
        kind = Some(models::onnx::elem(&input.name, *element).map_err(Error::from));
        extents = shape.as_ref().map(|shape| {
            let extent = |dim: &onnx::Dim| match dim {
                onnx::Dim::Value(extent) => usize::try_from(*extent).ok(),
                _ => None,
            };
            shape.iter().map(extent).collect()
        });
    }
    DeclaredInput {
        name: input.name.to_string(),
        text: input.value_type.to_string(),
        elem: kind,
        extents,
        has_default: model.graph.initializers.iter().any(|tensor| tensor.name == input.name),
    }
}

fn tflite_input((name, tensor): (Cow<'_, str>, &tflite::Tensor)) -> DeclaredInput {
    DeclaredInput {
        text: models::tflite::declared(tensor),
        elem: Some(models::tflite::elem(&name, tensor.element).map_err(Error::from)),
        name: name.into_owned(),
        extents: models::tflite::extents(tensor),
        has_default: false,
    }
}
