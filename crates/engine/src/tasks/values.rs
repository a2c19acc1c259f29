//! What the tasks share: inputs by name, outputs as numbers, scores as shares, labels.
//!
//! What it is not: the tasks. The one design choice: numbers are looked at where the network left them, never copied.

use crate::{DeclaredInput, Elem, Error, Extents, Network, NetworkFile};
use host::{FlashFile, ReadAt};
use serde::Deserialize;
use std::path::PathBuf;

/// Labels that are built in, by name.
static LISTS: &[(&str, &str)] = &[
    ("coco", include_str!("labels/coco.txt")),
    ("coco90", include_str!("labels/coco90.txt")),
    ("imagenet", include_str!("labels/imagenet.txt")),
];
/// Bytes of a file of labels at most.
const LONGEST: u64 = 1 << 20;

/// The input of that name; it may be left out if the network has one only.
pub(super) fn only_input(file: &NetworkFile, name: Option<&str>) -> Result<DeclaredInput, Error> {
    let mut inputs = file.inputs();
    let at = match (name, &*inputs) {
        (None, [_]) => Some(0),
        (None, _) => None,
        (Some(name), inputs) => inputs.iter().position(|input| input.name == name),
    };
    let names = || inputs.iter().map(|input| &*input.name).collect::<Vec<_>>().join(", ");
    let at =
        at.ok_or_else(|| Error::NoSuchInput { name: name.unwrap_or("").to_string(), inputs: names() })?;
    Ok(inputs.swap_remove(at))
}

/// An output's extents and numbers; its name may be left out if the network has one only.
pub(super) fn only<'n>(network: &'n Network, name: Option<&str>) -> Result<(Extents, &'n [f32]), Error> {
    let names = || network.outputs().iter().map(|port| &*port.name).collect::<Vec<_>>().join(", ");
    let port = match (name, network.outputs()) {
        (None, [port]) => Some(port),
        (None, _) => None,
        (Some(name), ports) => ports.iter().find(|port| port.name == name),
    };
    let missing = || Error::NoSuchOutput { name: name.unwrap_or("").to_string(), outputs: names() };
    let (kind, bytes) = port.and_then(|port| network.output(&port.name)).ok_or_else(missing)?;
    let floats = (kind.elem == Elem::F32).then(|| host::cast(bytes)).flatten();
    let floats = floats.ok_or_else(|| Error::OutputKind { kind: Box::new(kind) })?;
    Ok((kind.extents, floats))
}

/// What makes scores shares.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Activation {
    /// They are shares already.
    #[default]
    None,
    /// Each by itself.
    Sigmoid,
    /// All of them together.
    Softmax,
}

pub(super) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + libm::expf(-x))
}

impl Activation {
    /// The share of a score among `scores`.
    pub(super) fn over(self, scores: &[f32]) -> impl Fn(f32) -> f32 + use<> {
        let most = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f32 = match self {
            Activation::Softmax => scores.iter().map(|&score| libm::expf(score - most)).sum(),
            _ => 1.0,
        };
        move |score| match self {
            Activation::None => score,
            Activation::Sigmoid => sigmoid(score),
            Activation::Softmax => libm::expf(score - most) / sum,
        }
    }
}

/// What classes are called: the labels themselves, a list by name, or a file with a label on each line.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "Written")]
pub enum Labels {
    /// A list that is built in, by its place among them.
    BuiltIn(usize),
    /// A file.
    File(PathBuf),
    /// The labels themselves.
    Told(Vec<String>),
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "a list of labels, the name of one, or of a file with a label on each line")]
enum Written {
    Name(String),
    Told(Vec<String>),
}

impl From<Written> for Labels {
    fn from(written: Written) -> Labels {
        match written {
            Written::Told(labels) => Labels::Told(labels),
            Written::Name(name) => match LISTS.iter().position(|(known, _)| *known == name) {
                Some(at) => Labels::BuiltIn(at),
                None => Labels::File(name.into()),
            },
        }
    }
}

impl Labels {
    /// Bytes on the heap at most while a label is looked up.
    pub(super) fn heap_bytes(&self) -> u64 {
        match self {
            Labels::File(path) => path.metadata().map_or(0, |file| file.len().min(LONGEST)),
            Labels::BuiltIn(_) | Labels::Told(_) => 0,
        }
    }

    /// The label of a class.
    pub(super) fn label(&self, index: usize) -> Result<Option<String>, Error> {
        let path = match self {
            Labels::BuiltIn(at) => {
                let text = LISTS.get(*at).map_or("", |(_, text)| text);
                return Ok(text.lines().nth(index).map(str::to_string));
            }
            Labels::Told(labels) => return Ok(labels.get(index).cloned()),
            Labels::File(path) => path,
        };
        let failed = |reason: String| Error::Pipeline { name: path.display().to_string(), reason };
        let file = FlashFile::open(path)?;
        if file.len() > LONGEST {
            return Err(failed(format!("a file of labels has at most {LONGEST} bytes")));
        }
        let mut bytes = vec![0; file.len() as usize];
        file.read_exact_at(0, &mut bytes).map_err(|error| failed(error.to_string()))?;
        let text = String::from_utf8(bytes).map_err(|error| failed(error.to_string()))?;
        Ok(text.lines().nth(index).map(str::to_string))
    }
}
