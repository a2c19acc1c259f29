//! TFLite: the operators of a file become operators on arrays.
//!
//! What it is: the meaning of TFLite's operators and of MediaPipe's own; one file for each kind of operator, one row for each
//! name. What it is not: the file's layout, which is `formats`'. The one design choice: TFLite has channels last and kernels
//! have them first, so a value is known in either order, or both, and each operator takes the one that it is done in; it is
//! turned where an operator needs the other one, and constants are turned as they are read.
//! Meaning of the operators: tensorflow, `lite/kernels`.

mod blocks;
mod call;
mod control;
mod detection;
mod elementwise;
mod held;
mod index;
mod linear;
mod mediapipe;
mod quantized;
mod recurrent;
mod reduce;
mod resize;
mod settings;
mod shape;
mod signal;
mod slice;
mod variable;
mod window;

use crate::Error;
use crate::network::{Builder, Given, Item, Network, Port};
use call::{Call, Made};
use formats::tflite::{Model, OperatorCode, Subgraph, Tensor, TensorType};
use graph::{ArrayType, Carried, Elem, Extents};
use held::Held;
use host::ReadAt;
use std::borrow::Cow;

/// How an operator is built: what it makes, in order.
type Lower = fn(&mut Importer<'_>, &Call<'_>) -> Result<Vec<Made>, Error>;

/// An operator: its name in the schema, or its own if it is custom, and how it is built.
type Row = (&'static str, Lower);

/// All operators, by kind.
static OPERATORS: &[&[Row]] = &[
    blocks::ROWS,
    control::ROWS,
    detection::ROWS,
    elementwise::ROWS,
    index::ROWS,
    linear::ROWS,
    mediapipe::ROWS,
    quantized::ROWS,
    recurrent::ROWS,
    reduce::ROWS,
    resize::ROWS,
    shape::ROWS,
    signal::ROWS,
    slice::ROWS,
    variable::ROWS,
    window::ROWS,
];

/// Operators that are built at most; a graph within the file may be built again and again.
const BUILT_MAX: usize = 1 << 18;

/// What the network in `model` takes, by name, in the file's order.
pub fn inputs(model: &Model) -> impl Iterator<Item = (Cow<'_, str>, &Tensor)> {
    let graph = model.subgraphs.first();
    graph.into_iter().flat_map(|graph| {
        graph.inputs.iter().map(|&number| (name(graph, number), &graph.tensors[number as usize]))
    })
}

/// The name of a tensor, or its number if it has none.
fn name(graph: &Subgraph, number: u32) -> Cow<'_, str> {
    match &*graph.tensors[number as usize].name {
        "" => Cow::Owned(format!("tensor {number}")),
        name => Cow::Borrowed(name),
    }
}

/// Type and extents of a tensor in words.
pub fn declared(tensor: &Tensor) -> String {
    let list: Vec<String> = match tensor.shape_signature.is_empty() {
        true => tensor.shape.iter().map(u32::to_string).collect(),
        false => {
            let extent = |extent: &i32| if *extent < 0 { "?".to_string() } else { extent.to_string() };
            tensor.shape_signature.iter().map(extent).collect()
        }
    };
    format!("{}[{}]", tensor.element, list.join(", "))
}

/// The extents of a tensor, `None` where they may vary.
pub fn extents(tensor: &Tensor) -> Option<Vec<Option<usize>>> {
    let fixed = || tensor.shape.iter().map(|extent| Some(*extent as usize)).collect();
    let open = || tensor.shape_signature.iter().map(|extent| usize::try_from(*extent).ok()).collect();
    Some(if tensor.shape_signature.is_empty() { fixed() } else { open() })
}

/// The kind of element of a type, if it is computed with.
///
/// # Errors
/// [`Error::Element`] if it is not.
pub fn elem(name: &str, element: TensorType) -> Result<Elem, Error> {
    Ok(match element {
        TensorType::Bfloat16 => Elem::BF16,
        TensorType::Bool => Elem::Bool,
        TensorType::Float16 => Elem::F16,
        TensorType::Float32 => Elem::F32,
        TensorType::Float64 => Elem::F64,
        TensorType::Int16 => Elem::I16,
        TensorType::Int32 => Elem::I32,
        TensorType::Int64 => Elem::I64,
        TensorType::Int8 => Elem::I8,
        TensorType::Uint16 => Elem::U16,
        TensorType::Uint32 => Elem::U32,
        TensorType::Uint64 => Elem::U64,
        TensorType::Uint8 => Elem::U8,
        _ => return Err(Error::Element { name: name.into(), element: element.name() }),
    })
}

/// The network in `model`, which lies in `files`, built for `given`, by the names of its inputs. What is not given has the
/// extents that the file tells, 1 where they may vary. An input of whole numbers that stand for fractions may be given as
/// fractions: they are rounded as the file says, and the outputs are fractions then too.
///
/// # Errors
/// [`Error::Node`] with the operator's number and name if it is not supported or cannot take what it gets.
pub fn build(model: &Model, files: &[&dyn ReadAt], given: &[(&str, Given<'_>)]) -> Result<Network, Error> {
    let graph = model.subgraphs.first().ok_or(Error::NoOutput)?;
    let mut importer = Importer::new(Builder::new(files), model, graph);
    importer.supported()?;
    let mut inputs = Vec::new();
    let mut in_fractions = false;
    for &number in &graph.inputs {
        let (name, tensor) = (name(graph, number), &graph.tensors[number as usize]);
        let given = given.iter().find(|(own, _)| *own == name);
        let meant = matches!(given, Some((_, Given::Array { kind, .. })) if kind.elem == Elem::F32)
            && importer.stands_for_fractions(number)?;
        let (kind, bytes) = match given {
            Some((_, Given::Array { kind, bytes })) => (checked(&name, tensor, *kind, meant)?, *bytes),
            _ => (kind_of(&name, tensor)?, None),
        };
        let id = importer.builder.input(kind, bytes);
        let held = match meant {
            true => importer.rounded(number, Made(Held::plain(id)))?.0,
            false => Held::plain(id),
        };
        importer.hold(number, held);
        in_fractions |= meant;
        inputs.push(Port { name: name.into(), item: Item::Value(id) });
    }
    importer.operators(graph)?;
    let mut outputs = Vec::new();
    for &number in &graph.outputs {
        let mut id = importer.plain(number)?;
        if in_fractions && importer.stands_for_fractions(number)? {
            id = importer.meant(number, id)?;
        }
        outputs.push(Port { name: name(graph, number).into(), item: Item::Value(id) });
    }
    importer.finish(inputs, outputs)
}

/// What a tensor is by its declaration.
fn kind_of(name: &str, tensor: &Tensor) -> Result<ArrayType, Error> {
    let list: Vec<usize> = tensor.shape.iter().map(|extent| *extent as usize).collect();
    let overflow = graph::Error::Overflow { op: "Constant", what: "the number of elements" };
    Ok(ArrayType { elem: elem(name, tensor.element)?, extents: Extents::new(&list).ok_or(overflow)? })
}

/// What is given, be it as it is or `meant` as fractions, if the input can take it. A file that names no open extents was made
/// for its own, but runs with others if its operators do.
fn checked(name: &str, tensor: &Tensor, kind: ArrayType, meant: bool) -> Result<ArrayType, Error> {
    let declared_extents = extents(tensor).unwrap_or_default();
    let signature = !tensor.shape_signature.is_empty();
    let fits = kind.extents.len() == declared_extents.len()
        && kind
            .extents
            .iter()
            .zip(&declared_extents)
            .all(|(own, open)| !signature || open.is_none_or(|open| open == *own));
    if fits && (meant || elem(name, tensor.element)? == kind.elem) {
        return Ok(kind);
    }
    Err(Error::Input { name: name.into(), found: kind.to_string(), expected: declared(tensor) })
}

/// A file on its way to a network.
pub(crate) struct Importer<'a> {
    pub builder: Builder<'a>,
    model: &'a Model,
    /// The graph that is being built.
    graph: &'a Subgraph,
    /// What is known of its tensors, by number.
    held: Vec<Held>,
    /// Graphs around it.
    depth: usize,
    /// Operators that were built, those of graphs within it as often as they were.
    built: usize,
    /// What is carried from run to run.
    variables: Vec<variable::Variable>,
    /// What operators keep from run to run themselves.
    states: Vec<Carried>,
}

impl<'a> Importer<'a> {
    fn new(builder: Builder<'a>, model: &'a Model, graph: &'a Subgraph) -> Importer<'a> {
        Importer {
            builder,
            model,
            graph,
            held: vec![Held::default(); graph.tensors.len()],
            depth: 0,
            built: 0,
            variables: Vec::new(),
            states: Vec::new(),
        }
    }

    /// Refuses the first operator of the file that pintpot does not have.
    fn supported(&self) -> Result<(), Error> {
        for graph in &self.model.subgraphs {
            for (index, operator) in graph.operators.iter().enumerate() {
                row(&operator.code).map(drop).map_err(|source| placed(graph, index, source))?;
            }
        }
        Ok(())
    }

    /// The operators of a graph, in order.
    fn operators(&mut self, graph: &'a Subgraph) -> Result<(), Error> {
        graph.operators.iter().enumerate().try_for_each(|(index, operator)| {
            self.built += 1;
            if self.built > BUILT_MAX {
                return Err(Error::ManyNodes { most: BUILT_MAX });
            }
            let call = Call { operator };
            let made = row(&operator.code).and_then(|lower| {
                if let Some(made) = signal::reshaped(self, &call)? {
                    return Ok(made);
                }
                match quantized::lower(self, &call)? {
                    Some(made) => Ok(made),
                    None => lower(self, &call),
                }
            });
            let made = made.and_then(|made| {
                let missing = operator.outputs.iter().skip(made.len()).any(Option::is_some);
                if missing { Err(Error::NoOutput) } else { Ok(made) }
            });
            for (number, made) in
                operator.outputs.iter().zip(made.map_err(|source| placed(graph, index, source))?)
            {
                if let Some(number) = number {
                    self.hold(*number, made.0);
                }
            }
            Ok(())
        })
    }

    fn finish(self, inputs: Vec<Port>, outputs: Vec<Port>) -> Result<Network, Error> {
        let Builder { mut graph, weights, decided, mut dynamic, .. } = self.builder;
        let values = outputs.iter().filter_map(|port| match port.item {
            Item::Value(id) => Some(id),
            _ => None,
        });
        graph.outputs.extend(values);
        let variables = self.variables.into_iter().filter_map(variable::Variable::carried);
        variables.chain(self.states).for_each(|carried| graph.carry(carried));
        graph::pass::network(&mut graph)?;
        dynamic.resize(graph.values.len(), false);
        Ok(Network { graph, inputs, outputs, weights, decided: decided.into_iter().collect(), dynamic })
    }
}

/// How an operator is built.
fn row(code: &OperatorCode) -> Result<Lower, Error> {
    let (name, custom) = match code {
        OperatorCode::Builtin(builtin) => (builtin.name(), false),
        OperatorCode::Custom(name) => (&**name, true),
    };
    let rows = OPERATORS.iter().flat_map(|rows| rows.iter());
    // Names of custom operators are not in capitals, so that no row is both.
    let mut rows =
        rows.filter(|(own, _)| *own == name && custom == own.chars().any(|c| c.is_ascii_lowercase()));
    rows.next().map(|(_, lower)| *lower).ok_or(Error::Operator)
}

/// An error with the place of its operator.
fn placed(graph: &Subgraph, index: usize, source: Error) -> Error {
    let operator = &graph.operators[index];
    let made = operator.outputs.iter().flatten().next();
    let node = match made {
        Some(number) => format!("{index} ({})", name(graph, *number)),
        None => index.to_string(),
    };
    Error::Node { node: node.into(), operator: operator.code.to_string().into(), source: Box::new(source) }
}
