//! ONNX: the nodes of a file become operators on arrays.
//!
//! What it is: the meaning of ONNX's operators, opsets 7 to 24, and of those of other domains that real exports carry; one
//! file for each kind of operator, one row for each name. What it is not: the file's layout, which is `formats`'. The one
//! design choice: the importer runs the network without its numbers. Branches whose condition is known are taken, loops are
//! rolled out, lists exist only here, so that what is left is a plain graph with known extents.
//! Meaning of the operators: onnx/onnx, `docs/Operators.md` and `docs/Changelog.md`.

mod attention;
mod call;
mod control;
mod cut;
mod einsum;
mod elementwise;
mod image;
mod index;
mod loss;
mod masked;
mod microsoft;
mod microsoft_attention;
mod ml;
mod norm;
mod quantized;
mod recurrent;
mod reduce;
mod resize;
mod shape;
mod signal;
mod trees;
mod window;

use cut::MASKS;
pub use cut::cut;

use crate::network::{Builder, Form, Given, Item, Network, Place, Port};
use crate::{Error, onnx::call::Call};
use formats::onnx::{self, DataType, Dim, Model, TensorInfo, ValueType};
use graph::array::Array;
use graph::{ArrayType, Elem, Extents, ValueId};
use host::ReadAt;
use masked::Masked;
use std::collections::HashMap;

/// How a node is built: what it makes, in order.
type Lower = for<'a> fn(&mut Importer<'a>, &Call<'a>) -> Result<Vec<Item>, Error>;

/// An operator: its domain (empty for ONNX's own), its name, how it is built.
type Row = (&'static str, &'static str, Lower);

/// All operators, by kind.
static OPERATORS: &[&[Row]] = &[
    attention::ROWS,
    control::ROWS,
    einsum::ROWS,
    elementwise::ROWS,
    image::ROWS,
    index::ROWS,
    loss::ROWS,
    microsoft::ROWS,
    microsoft_attention::ROWS,
    ml::ROWS,
    norm::ROWS,
    quantized::ROWS,
    recurrent::ROWS,
    reduce::ROWS,
    resize::ROWS,
    shape::ROWS,
    signal::ROWS,
    trees::ROWS,
    window::ROWS,
];

/// Graphs within graphs, and functions that call functions.
const DEPTH_MAX: usize = 32;
/// Nodes that are lowered, those of loops and functions each time.
const LOWERED_MAX: usize = 1 << 19;
/// The domain of ONNX's own operators.
const OWN: &str = "";
/// The domain of the operators of onnxruntime.
const MICROSOFT: &str = "com.microsoft";

/// The network in `model`, whose tensors lie in `files`, built for `given`, by the names of its inputs.
///
/// # Errors
/// [`Error::Node`] with the node's name if an operator is not supported or cannot take what it gets; [`Error::Open`] if
/// extents of an input are neither declared nor given.
pub fn build(model: &Model, files: &[&dyn ReadAt], given: &[(&str, Given<'_>)]) -> Result<Network, Error> {
    match build_once(model, files, given, false) {
        // What is done where a mask is true may be done everywhere.
        Err(error) if error.is_data_dependent() && model.metadata.iter().any(|(key, _)| &**key == MASKS) => {
            build_once(model, files, given, true)
                .map_err(|other| if other.is_data_dependent() { error } else { other })
        }
        done => done,
    }
}

fn build_once(
    model: &Model,
    files: &[&dyn ReadAt],
    given: &[(&str, Given<'_>)],
    with_masks: bool,
) -> Result<Network, Error> {
    let mut importer = Importer {
        builder: Builder::new(files),
        model,
        scopes: vec![HashMap::new()],
        functions: Vec::new(),
        lowered: 0,
        masked: Masked { is_on: with_masks, ..Masked::default() },
    };
    importer.initializers(&model.graph)?;
    let mut inputs = Vec::new();
    for input in &model.graph.inputs {
        let by_name = given.iter().find(|(name, _)| *name == &*input.name).map(|(_, given)| given.clone());
        let default = importer.scopes[0].contains_key(&input.name);
        let item = match by_name {
            None if default => continue,
            None => declared(input)?,
            Some(given) => checked(input, given)?,
        };
        let item = importer.input(&item);
        importer.bind(&input.name, item.clone());
        inputs.push(Port { name: input.name.clone(), item });
    }
    importer.nodes(&model.graph.nodes)?;
    let outputs = model.graph.outputs.iter().map(|output| {
        let item = importer.find(&output.name)?;
        Ok(Port { name: output.name.clone(), item })
    });
    let outputs = outputs.collect::<Result<Vec<_>, Error>>()?;
    if outputs.iter().any(|port| importer.is_masked(&port.item)) {
        return Err(Error::DataDependent);
    }
    let Builder { mut graph, weights, decided, mut dynamic, .. } = importer.builder;
    outputs.iter().for_each(|port| values(&port.item, &mut graph.outputs));
    graph::pass::network(&mut graph)?;
    dynamic.resize(graph.values.len(), false);
    Ok(Network { graph, inputs, outputs, weights, decided: decided.into_iter().collect(), dynamic })
}

/// All arrays of an item.
fn values(item: &Item, found: &mut Vec<ValueId>) {
    match item {
        Item::None => {}
        Item::Sequence(items) => items.iter().for_each(|item| values(item, found)),
        Item::Value(id) => found.push(*id),
    }
}

/// What an input is by its declaration alone.
fn declared(input: &onnx::ValueInfo) -> Result<Given<'static>, Error> {
    let open = || Error::Open { name: input.name.clone(), declared: input.value_type.to_string() };
    let ValueType::Tensor { element, shape: Some(shape) } = &input.value_type else { return Err(open()) };
    let elem = elem(&input.name, *element)?;
    let extents = shape.iter().map(|dim| match dim {
        Dim::Value(extent) => usize::try_from(*extent).ok(),
        _ => None,
    });
    let extents = extents.collect::<Option<Vec<usize>>>().and_then(|extents| Extents::new(&extents));
    Ok(Given::Array { kind: ArrayType { elem, extents: extents.ok_or_else(open)? }, bytes: None })
}

/// What is given, if it is what the input declares.
fn checked<'g>(input: &onnx::ValueInfo, given: Given<'g>) -> Result<Given<'g>, Error> {
    let (Given::Array { kind, .. }, ValueType::Tensor { element, shape }) = (&given, &input.value_type)
    else {
        return Ok(given);
    };
    let fits = |(extent, dim): (&usize, &Dim)| match dim {
        Dim::Value(declared) => *extent as u64 == *declared,
        _ => true,
    };
    let shape = shape.as_deref();
    let right = shape
        .is_none_or(|shape| shape.len() == kind.extents.len() && kind.extents.iter().zip(shape).all(fits));
    if right && elem(&input.name, *element)? == kind.elem {
        return Ok(given);
    }
    let (found, expected) = (kind.to_string(), input.value_type.to_string());
    Err(Error::Input { name: input.name.clone(), found, expected })
}

/// The kind of element of a type, if it is computed with.
///
/// # Errors
/// [`Error::Element`] if it is not.
pub fn elem(name: &str, element: DataType) -> Result<Elem, Error> {
    Ok(match element {
        DataType::Bfloat16 => Elem::BF16,
        DataType::Bool => Elem::Bool,
        DataType::Double => Elem::F64,
        DataType::Float => Elem::F32,
        DataType::Float16 => Elem::F16,
        DataType::Int16 => Elem::I16,
        DataType::Int32 => Elem::I32,
        DataType::Int64 => Elem::I64,
        DataType::Int8 => Elem::I8,
        DataType::Uint16 => Elem::U16,
        DataType::Uint32 => Elem::U32,
        DataType::Uint64 => Elem::U64,
        DataType::Uint8 => Elem::U8,
        _ => return Err(Error::Element { name: name.into(), element: element.name() }),
    })
}

/// The kind of element that a setting names by its number.
pub(crate) fn elem_of_id(attribute: &'static str, id: i64) -> Result<Elem, Error> {
    let expected = "the number of a type is needed";
    let element = u64::try_from(id).ok().and_then(DataType::from_id);
    let element = element.ok_or_else(|| Error::Attribute { attribute, found: id.to_string(), expected })?;
    elem(attribute, element)
}

/// A file on its way to a network.
pub(crate) struct Importer<'a> {
    pub builder: Builder<'a>,
    model: &'a Model,
    /// What names stand for, the innermost graph last.
    scopes: Vec<HashMap<Box<str>, Item>>,
    /// The functions that are being built, the innermost last: their operator sets and the attributes of their calls.
    functions: Vec<call::Frame<'a>>,
    /// Nodes that were lowered so far.
    lowered: usize,
    masked: Masked,
}

impl<'a> Importer<'a> {
    fn input(&mut self, given: &Given<'_>) -> Item {
        match given {
            Given::Array { kind, bytes } => Item::Value(self.builder.input(*kind, *bytes)),
            Given::None => Item::None,
            Given::Sequence(items) => Item::Sequence(items.iter().map(|item| self.input(item)).collect()),
        }
    }

    /// Constants of a graph.
    fn initializers(&mut self, graph: &'a onnx::Graph) -> Result<(), Error> {
        for tensor in &graph.initializers {
            // One that is not computed with matters only to who uses it.
            if elem(&tensor.name, tensor.element).is_ok() {
                let id = self.tensor(tensor)?;
                self.bind(&tensor.name, Item::Value(id));
            }
        }
        for sparse in &graph.sparse_initializers {
            let id = self.sparse(sparse)?;
            self.bind(&sparse.values.name, Item::Value(id));
        }
        Ok(())
    }

    /// A tensor of the file as a constant.
    pub fn tensor(&mut self, tensor: &TensorInfo) -> Result<ValueId, Error> {
        let elem = elem(&tensor.name, tensor.element)?;
        let extents: Vec<usize> =
            tensor.dims.iter().map(|&dim| usize::try_from(dim).unwrap_or(usize::MAX)).collect();
        let overflow = graph::Error::Overflow { op: "Constant", what: "the number of elements" };
        let kind = ArrayType { elem, extents: Extents::new(&extents).ok_or(overflow)? };
        if let onnx::Data::Bytes(range) = &tensor.data {
            let place = Place { file: tensor.file, range: range.clone(), form: Form::AsItIs };
            return self.builder.constant_in_file(&tensor.name, kind, place);
        }
        Ok(self.builder.constant(self.literal(tensor, kind)?))
    }

    fn literal(&self, tensor: &TensorInfo, kind: ArrayType) -> Result<Array, Error> {
        let missing =
            || Error::Read { name: tensor.name.clone(), source: std::io::ErrorKind::NotFound.into() };
        let file = self.builder.files().get(tensor.file as usize).ok_or_else(missing)?;
        let bytes = tensor.literal(*file, kind.bytes() as u64)?.bytes;
        Ok(Array { kind, bytes })
    }

    /// What is not zero of a tensor, among zeros.
    fn sparse(&mut self, sparse: &onnx::SparseTensor) -> Result<ValueId, Error> {
        let extents: Vec<usize> =
            sparse.dims.iter().map(|&dim| usize::try_from(dim).unwrap_or(usize::MAX)).collect();
        let overflow = || graph::Error::Overflow { op: "Constant", what: "the number of elements" };
        let extents =
            Extents::new(&extents).filter(|extents| extents.elements() < 1 << 24).ok_or_else(overflow)?;
        let kind = ArrayType { elem: elem(&sparse.values.name, sparse.values.element)?, extents };
        let of = |importer: &Importer<'_>, tensor: &TensorInfo| {
            let list: Vec<usize> = tensor.dims.iter().map(|&dim| dim as usize).collect();
            let extents = Extents::new(&list).ok_or_else(overflow)?;
            importer.literal(tensor, ArrayType { elem: elem(&tensor.name, tensor.element)?, extents })
        };
        let (values, indices) = (of(self, &sparse.values)?, of(self, &sparse.indices)?);
        let (width, strides) = (kind.elem.bytes(), extents.strides());
        let mut bytes = vec![0; kind.bytes()];
        let columns = indices.kind.extents.get(1).copied().unwrap_or(1);
        for (row, value) in
            indices.integers().chunks_exact(columns.max(1)).zip(values.bytes.chunks_exact(width))
        {
            let at = match columns {
                1 => row[0].max(0) as usize,
                _ => row.iter().zip(strides).map(|(&at, stride)| at.max(0) as usize * stride).sum(),
            };
            let place = bytes.get_mut(at.saturating_mul(width)..).and_then(|rest| rest.get_mut(..width));
            place
                .ok_or(Error::Position { position: at as i64, len: extents.elements() })?
                .copy_from_slice(value);
        }
        Ok(self.builder.constant(Array { kind, bytes: bytes.into() }))
    }

    fn bind(&mut self, name: &str, item: Item) {
        if let Some(scope) = self.scopes.last_mut() {
            scope.insert(name.into(), item);
        }
    }

    /// What a name stands for, in this graph or one around it.
    fn find(&self, name: &str) -> Result<Item, Error> {
        if name.is_empty() {
            return Ok(Item::None);
        }
        let found = self.scopes.iter().rev().find_map(|scope| scope.get(name));
        found.cloned().ok_or_else(|| Error::UnknownValue { name: name.into() })
    }

    /// The nodes of a graph, each as soon as its inputs are there.
    fn nodes(&mut self, nodes: &'a [onnx::Node]) -> Result<(), Error> {
        for index in call::order(nodes)? {
            self.node(&nodes[index])?;
        }
        Ok(())
    }

    fn node(&mut self, node: &'a onnx::Node) -> Result<(), Error> {
        self.lowered += 1;
        if self.lowered > LOWERED_MAX {
            return Err(Error::ManyNodes { most: LOWERED_MAX });
        }
        let made = self.lower(node).map_err(|source| {
            let first = node.outputs.iter().find(|output| !output.is_empty());
            let name = if node.name.is_empty() { first.unwrap_or(&node.name) } else { &node.name };
            let operator = match &*node.domain {
                "" | "ai.onnx" => node.op_type.clone(),
                domain => format!("{domain}.{}", node.op_type).into(),
            };
            Error::Node { node: name.clone(), operator, source: Box::new(source) }
        })?;
        let wanted = node.outputs.iter().rposition(|output| !output.is_empty()).map_or(0, |last| last + 1);
        if made.len() < wanted && node.outputs[made.len()..].iter().any(|output| !output.is_empty()) {
            return Err(Error::NoOutput);
        }
        for (name, item) in node.outputs.iter().zip(made) {
            if !name.is_empty() {
                self.bind(name, item);
            }
        }
        Ok(())
    }

    fn lower(&mut self, node: &'a onnx::Node) -> Result<Vec<Item>, Error> {
        let call = self.call(node)?;
        if let Some(made) = self.masked(&call)? {
            return Ok(made);
        }
        let domain = if call.domain == "ai.onnx" { OWN } else { call.domain };
        let rows = OPERATORS.iter().flat_map(|rows| rows.iter());
        let mut row =
            rows.filter(|(of, name, _)| *of == domain && *name == &*node.op_type).map(|(_, _, lower)| lower);
        match row.next_back() {
            Some(lower) => {
                let made = lower(self, &call)?;
                self.stay_rows(&call, &made)?;
                Ok(made)
            }
            None => self.function(node, &call),
        }
    }

    /// An operator that the model defines by nodes of its own.
    fn function(&mut self, node: &'a onnx::Node, call: &Call<'a>) -> Result<Vec<Item>, Error> {
        let same = |function: &&onnx::Function| {
            *function.name == *node.op_type
                && *function.domain == *node.domain
                && *function.overload == *node.overload
        };
        let function = self.model.functions.iter().find(same).ok_or(Error::Operator)?;
        if self.scopes.len() >= DEPTH_MAX {
            return Err(Error::Operator);
        }
        let frame = call::Frame::new(function, call);
        // A function sees nothing of what is around it.
        let outer = std::mem::replace(&mut self.scopes, vec![HashMap::new()]);
        for (at, name) in function.inputs.iter().enumerate() {
            let item = call.inputs.get(at).cloned().unwrap_or(Item::None);
            self.bind(name, item);
        }
        self.functions.push(frame);
        // Nor do those count for nothing: a function may call itself.
        self.scopes.splice(0..0, outer.iter().map(|_| HashMap::new()));
        let made = self.nodes(&function.nodes).and_then(|()| {
            function.outputs.iter().map(|name| self.find(name)).collect::<Result<Vec<_>, _>>()
        });
        self.functions.pop();
        self.scopes = outer;
        made
    }

    /// A graph within this one, its inputs bound to `items` in order; gives its outputs.
    pub fn inner(&mut self, graph: &'a onnx::Graph, items: &[Item]) -> Result<Vec<Item>, Error> {
        if self.scopes.len() >= DEPTH_MAX {
            return Err(Error::Operator);
        }
        self.scopes.push(HashMap::new());
        let made = self.initializers(graph).and_then(|()| {
            for (input, item) in graph.inputs.iter().zip(items) {
                self.bind(&input.name, item.clone());
            }
            self.nodes(&graph.nodes)?;
            graph.outputs.iter().map(|output| self.find(&output.name)).collect()
        });
        self.scopes.pop();
        made
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use formats::Limits;

    /// A field of a protocol buffer.
    fn field(number: u8, value: &[u8]) -> Vec<u8> {
        let tag = u32::from(number) << 3 | 2;
        let tag = if tag < 128 { vec![tag as u8] } else { vec![tag as u8 & 127 | 128, (tag >> 7) as u8] };
        [tag, vec![value.len() as u8], value.to_vec()].concat()
    }

    /// A model that calls `f0`, and functions `f0`, `f1` and so on of two calls each.
    fn calls(functions: &[[&str; 2]]) -> Vec<u8> {
        let node = |operator: &str| field(4, operator.as_bytes());
        let defined = functions.iter().enumerate().flat_map(|(at, calls)| {
            let nodes = calls.iter().filter(|call| !call.is_empty());
            let nodes = nodes.flat_map(|call| field(7, &node(call)));
            field(25, &field(1, format!("f{at}").as_bytes()).into_iter().chain(nodes).collect::<Vec<_>>())
        });
        field(7, &field(1, &node("f0"))).into_iter().chain(defined).collect()
    }

    #[test]
    fn functions_that_call_themselves_or_too_many_others_are_refused() {
        let build = |functions: &[[&str; 2]]| {
            let bytes = calls(functions);
            let source = formats::Bytes::new(&bytes);
            let model = onnx::read(&source, Limits::default()).unwrap();
            super::build(&model, &[&source as &dyn ReadAt], &[]).map(|_| ())
        };
        build(&[["f1", "f2"], ["f2", "f2"], ["", ""]]).unwrap();
        build(&[["f0", ""]]).unwrap_err();
        build(&[["f1", ""], ["", "f0"]]).unwrap_err();
        let names: Vec<String> = (1..=25).map(|at| format!("f{at}")).collect();
        let mut many: Vec<[&str; 2]> = names.iter().map(|name| [&**name; 2]).collect();
        many.push([""; 2]);
        let refused = build(&many).unwrap_err();
        let chain = std::iter::successors(Some(&refused as &dyn std::error::Error), |error| error.source());
        assert!(chain.last().unwrap().to_string().contains(&LOWERED_MAX.to_string()), "{refused}");
    }
}
