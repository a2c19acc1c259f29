//! From the bytes of a `ModelProto` to a [`Model`].
//!
//! Not a validator of graphs. The one design choice: one function a message, and every nesting counts its depth,
//! so that a file cannot make the reader climb.

use host::ReadAt;

use super::tensor::{self, SparseTensor, TensorInfo};
use super::types::{self, ValueInfo};
use super::{Annotation, Attribute, AttributeValue, Function, Graph, Model, Node, OpsetImport, external};
use crate::limits::{Meter, heap_block};
use crate::protobuf::{Field, Message, Packed, Payload, Wire};
use crate::reader::Reader;
use crate::{Error, FilePart, Limits};

/// How deep graphs may nest: the branches of a condition, the body of a loop.
const DEPTH_MAX: u32 = 32;

/// The field of a `ModelProto` with its graph.
const GRAPH: u64 = 7;

/// Reads the header of an ONNX file. Files beside it are named in the result but neither sought nor checked;
/// [`super::open`] does that.
pub fn read(source: &dyn ReadAt, limits: Limits) -> Result<Model, Error> {
    let mut meter = Meter::new(limits);
    let mut parser =
        Parser { meter: &mut meter, files: vec![FilePart { path: Default::default(), bytes: source.len() }] };
    let mut reader = Reader::new(source, 0, source.len());
    let mut model = parser.model(Message::new(&mut reader, source.len()))?;
    model.files = parser.files;
    model.heap = meter.used() + heap_block(size_of::<FilePart>());
    Ok(model)
}

/// Whether these bytes are an ONNX model: it has no magic number, but the fields of a model up to its graph,
/// each of its kind, are not found anywhere else.
pub(crate) fn is_model(source: &dyn ReadAt) -> bool {
    let mut reader = Reader::new(source, 0, source.len());
    let mut message = Message::new(&mut reader, source.len());
    let (mut has_graph, mut has_version) = (false, false);
    // Damage behind the graph's tag is the parser's to tell.
    while let Ok(Some(field)) = message.next() {
        let is_sound = match (field.number, field.payload) {
            (1, Payload::Varint(version)) => {
                has_version = true;
                (1..=255).contains(&version)
            }
            (5, Payload::Varint(_)) => true,
            (GRAPH, Payload::Bytes) => {
                has_graph = true;
                true
            }
            (8, Payload::Bytes) => {
                has_version = true;
                true
            }
            (2 | 3 | 4 | 6 | 14 | 20 | 25 | 26, Payload::Bytes) => true,
            _ => false,
        };
        if !is_sound {
            return false;
        }
        if has_graph && has_version {
            return true;
        }
    }
    // A cut file ends within its graph.
    has_version && !has_graph && cut_graph(source)
}

/// Whether the top-level fields end in a graph that is longer than the file.
fn cut_graph(source: &dyn ReadAt) -> bool {
    let mut reader = Reader::new(source, 0, source.len());
    loop {
        let (Ok(tag), true) = (reader.varint(), reader.offset() < 1 << 20) else { return false };
        let sound = match (tag >> 3, tag & 7) {
            (1 | 5, 0) => reader.varint().is_ok(),
            (GRAPH, 2) => return reader.varint().is_ok_and(|len| len > reader.remaining()),
            (2 | 3 | 4 | 6 | 8 | 14 | 20 | 25 | 26, 2) => {
                reader.varint().is_ok_and(|len| len <= reader.remaining() && reader.skip(len).is_ok())
            }
            _ => false,
        };
        if !sound {
            return false;
        }
    }
}

struct Parser<'m> {
    meter: &'m mut Meter,
    files: Vec<FilePart>,
}

impl Parser<'_> {
    fn push<T>(&mut self, list: &mut Vec<T>, item: T) -> Result<(), Error> {
        self.meter.make_room(list)?;
        list.push(item);
        Ok(())
    }

    fn boxed<T>(&mut self, item: T) -> Result<Box<T>, Error> {
        self.meter.charge_block(size_of::<T>())?;
        Ok(Box::new(item))
    }

    fn model(&mut self, mut message: Message<'_, '_>) -> Result<Model, Error> {
        let mut model = Model {
            ir_version: 0,
            opset_imports: Vec::new(),
            producer_name: Box::default(),
            producer_version: Box::default(),
            domain: Box::default(),
            model_version: 0,
            graph: Graph::default(),
            functions: Vec::new(),
            metadata: Vec::new(),
            has_training: false,
            files: Vec::new(),
            heap: 0,
        };
        let mut has_graph = false;
        while let Some(field) = message.next()? {
            match field.number {
                1 => model.ir_version = field.u64()?,
                2 => model.producer_name = message.text(self.meter)?,
                3 => model.producer_version = message.text(self.meter)?,
                4 => model.domain = message.text(self.meter)?,
                5 => model.model_version = field.i64()?,
                GRAPH => {
                    if has_graph {
                        return Err(Error::Malformed { what: "a second graph", offset: field.start });
                    }
                    has_graph = true;
                    model.graph = self.graph(message.message()?, 0)?;
                }
                8 => {
                    let import = self.opset(message.message()?)?;
                    self.push(&mut model.opset_imports, import)?;
                }
                14 => {
                    let pair = self.pair(message.message()?)?;
                    self.push(&mut model.metadata, pair)?;
                }
                20 => model.has_training = true,
                25 => {
                    let function = self.function(message.message()?)?;
                    self.push(&mut model.functions, function)?;
                }
                _ => {}
            }
        }
        if !has_graph {
            return Err(Error::Malformed { what: "the model has no graph", offset: message.offset() });
        }
        Ok(model)
    }

    fn opset(&mut self, mut message: Message<'_, '_>) -> Result<OpsetImport, Error> {
        let mut import = OpsetImport { domain: Box::default(), version: 0 };
        while let Some(field) = message.next()? {
            match field.number {
                1 => import.domain = message.text(self.meter)?,
                2 => import.version = field.i64()?,
                _ => {}
            }
        }
        Ok(import)
    }

    fn pair(&mut self, message: Message<'_, '_>) -> Result<(Box<str>, Box<str>), Error> {
        external::pair(message, self.meter).map(|(_, key, value)| (key, value))
    }

    fn graph(&mut self, mut message: Message<'_, '_>, depth: u32) -> Result<Graph, Error> {
        if depth >= DEPTH_MAX {
            return Err(Error::Nesting { offset: message.offset(), max: DEPTH_MAX });
        }
        let mut graph = Graph::default();
        while let Some(field) = message.next()? {
            match field.number {
                1 => {
                    let node = self.node(message.message()?, depth)?;
                    self.push(&mut graph.nodes, node)?;
                }
                2 => graph.name = message.text(self.meter)?,
                5 => {
                    let tensor = self.tensor(message.message()?)?;
                    self.push(&mut graph.initializers, tensor)?;
                }
                11 => self.value(message.message()?, &mut graph.inputs)?,
                12 => self.value(message.message()?, &mut graph.outputs)?,
                13 => self.value(message.message()?, &mut graph.value_infos)?,
                14 => {
                    let annotation = self.annotation(message.message()?)?;
                    self.push(&mut graph.quantization_annotations, annotation)?;
                }
                15 => {
                    let sparse = self.sparse(message.message()?)?;
                    self.push(&mut graph.sparse_initializers, sparse)?;
                }
                _ => {}
            }
        }
        Ok(graph)
    }

    fn value(&mut self, message: Message<'_, '_>, list: &mut Vec<ValueInfo>) -> Result<(), Error> {
        let value = types::value_info(message, self.meter)?;
        self.push(list, value)
    }

    fn tensor(&mut self, message: Message<'_, '_>) -> Result<TensorInfo, Error> {
        tensor::tensor(message, &mut self.files, self.meter)
    }

    fn sparse(&mut self, message: Message<'_, '_>) -> Result<SparseTensor, Error> {
        tensor::sparse(message, &mut self.files, self.meter)
    }

    fn annotation(&mut self, mut message: Message<'_, '_>) -> Result<Annotation, Error> {
        let mut annotation = Annotation { tensor: Box::default(), parameters: Vec::new() };
        while let Some(field) = message.next()? {
            match field.number {
                1 => annotation.tensor = message.text(self.meter)?,
                2 => {
                    let pair = self.pair(message.message()?)?;
                    self.push(&mut annotation.parameters, pair)?;
                }
                _ => {}
            }
        }
        Ok(annotation)
    }

    fn name(&mut self, message: &mut Message<'_, '_>, list: &mut Vec<Box<str>>) -> Result<(), Error> {
        let name = message.text(self.meter)?;
        self.push(list, name)
    }

    fn node(&mut self, mut message: Message<'_, '_>, depth: u32) -> Result<Node, Error> {
        let mut node = Node::default();
        while let Some(field) = message.next()? {
            match field.number {
                1 => self.name(&mut message, &mut node.inputs)?,
                2 => self.name(&mut message, &mut node.outputs)?,
                3 => node.name = message.text(self.meter)?,
                4 => node.op_type = message.text(self.meter)?,
                5 => {
                    let attribute = self.attribute(message.message()?, depth)?;
                    self.push(&mut node.attributes, attribute)?;
                }
                7 => node.domain = message.text(self.meter)?,
                8 => node.overload = message.text(self.meter)?,
                _ => {}
            }
        }
        Ok(node)
    }

    fn function(&mut self, mut message: Message<'_, '_>) -> Result<Function, Error> {
        let mut function = Function::default();
        while let Some(field) = message.next()? {
            match field.number {
                1 => function.name = message.text(self.meter)?,
                4 => self.name(&mut message, &mut function.inputs)?,
                5 => self.name(&mut message, &mut function.outputs)?,
                6 => self.name(&mut message, &mut function.attributes)?,
                7 => {
                    let node = self.node(message.message()?, 0)?;
                    self.push(&mut function.nodes, node)?;
                }
                9 => {
                    let import = self.opset(message.message()?)?;
                    self.push(&mut function.opset_imports, import)?;
                }
                10 => function.domain = message.text(self.meter)?,
                11 => {
                    let attribute = self.attribute(message.message()?, 0)?;
                    self.push(&mut function.defaults, attribute)?;
                }
                12 => self.value(message.message()?, &mut function.value_infos)?,
                13 => function.overload = message.text(self.meter)?,
                _ => {}
            }
        }
        Ok(function)
    }

    fn attribute(&mut self, mut message: Message<'_, '_>, depth: u32) -> Result<Attribute, Error> {
        let mut draft = Draft::default();
        while let Some(field) = message.next()? {
            match field.number {
                1 => draft.name = message.text(self.meter)?,
                13 => {}
                20 => draft.kind = field.u64()?,
                21 => draft.reference = Some(message.text(self.meter)?).filter(|name| !name.is_empty()),
                _ => self.value_of(field, &mut message, &mut draft, depth)?,
            }
        }
        let offset = message.offset();
        self.meter.give_back_list(&draft.singles);
        let value =
            draft.value().ok_or(Error::Malformed { what: "an attribute is not of its type", offset })?;
        Ok(Attribute { name: draft.name, value })
    }

    /// Reads a field with the value of an attribute, or with one of its values.
    fn value_of(
        &mut self,
        field: Field,
        message: &mut Message<'_, '_>,
        draft: &mut Draft,
        depth: u32,
    ) -> Result<(), Error> {
        use AttributeValue::*;
        let single = match field.number {
            2 => Float(field.f32()?),
            3 => Int(field.i64()?),
            4 => String(message.bytes(self.meter)?),
            5 => {
                let tensor = self.tensor(message.message()?)?;
                Tensor(self.boxed(tensor)?)
            }
            6 => {
                let graph = self.graph(message.message()?, depth + 1)?;
                Graph(self.boxed(graph)?)
            }
            14 => {
                let value_type = types::value_type(message.message()?, 0, self.meter)?;
                Type(self.boxed(value_type)?)
            }
            22 => {
                let sparse = self.sparse(message.message()?)?;
                SparseTensor(self.boxed(sparse)?)
            }
            7 => return message.numbers(&mut draft.floats, self.meter, Packed::f32, Wire::Fixed32),
            8 => return message.numbers(&mut draft.ints, self.meter, Packed::i64, Wire::Varint),
            9 => {
                let bytes = message.bytes(self.meter)?;
                return self.push(&mut draft.strings, bytes);
            }
            10 => {
                let tensor = self.tensor(message.message()?)?;
                return self.push(&mut draft.tensors, tensor);
            }
            11 => {
                let graph = self.graph(message.message()?, depth + 1)?;
                return self.push(&mut draft.graphs, graph);
            }
            15 => {
                let value_type = types::value_type(message.message()?, 0, self.meter)?;
                return self.push(&mut draft.types, value_type);
            }
            23 => {
                let sparse = self.sparse(message.message()?)?;
                return self.push(&mut draft.sparse, sparse);
            }
            _ => return Ok(()),
        };
        self.push(&mut draft.singles, single)
    }
}

/// What an attribute says, before its type is known: that field comes last.
#[derive(Default)]
struct Draft {
    name: Box<str>,
    kind: u64,
    reference: Option<Box<str>>,
    singles: Vec<AttributeValue>,
    floats: Vec<f32>,
    ints: Vec<i64>,
    strings: Vec<Box<[u8]>>,
    tensors: Vec<TensorInfo>,
    graphs: Vec<Graph>,
    sparse: Vec<SparseTensor>,
    types: Vec<types::ValueType>,
}

impl Draft {
    /// The value that the type says is there. An attribute without a type, as the oldest files have it, has the
    /// only value that is there. Values of other types may be set too, by writers that set all.
    fn value(&mut self) -> Option<AttributeValue> {
        use std::mem::take;
        if let Some(name) = self.reference.take() {
            return Some(AttributeValue::Reference(name));
        }
        let kind = match self.kind {
            0 => self.only_kind()?,
            kind => kind,
        };
        Some(match kind {
            // A single number or text that is its type's zero may be left out.
            1 => self.single(kind).unwrap_or(AttributeValue::Float(0.0)),
            2 => self.single(kind).unwrap_or(AttributeValue::Int(0)),
            3 => self.single(kind).unwrap_or(AttributeValue::String(Box::default())),
            4 | 5 | 11 | 13 => self.single(kind)?,
            6 => AttributeValue::Floats(take(&mut self.floats)),
            7 => AttributeValue::Ints(take(&mut self.ints)),
            8 => AttributeValue::Strings(take(&mut self.strings)),
            9 => AttributeValue::Tensors(take(&mut self.tensors)),
            10 => AttributeValue::Graphs(take(&mut self.graphs)),
            12 => AttributeValue::SparseTensors(take(&mut self.sparse)),
            14 => AttributeValue::Types(take(&mut self.types)),
            _ => return None,
        })
    }

    /// The latest single value of a kind.
    fn single(&mut self, kind: u64) -> Option<AttributeValue> {
        let place = self.singles.iter().rposition(|single| kind_of(single) == kind)?;
        Some(self.singles.swap_remove(place))
    }

    /// The kind of what is there, if it is of one kind.
    fn only_kind(&self) -> Option<u64> {
        let lists = [
            (6, self.floats.len()),
            (7, self.ints.len()),
            (8, self.strings.len()),
            (9, self.tensors.len()),
            (10, self.graphs.len()),
            (12, self.sparse.len()),
            (14, self.types.len()),
        ];
        let lists = lists.into_iter().filter(|(_, len)| *len > 0).map(|(kind, _)| kind);
        let mut kinds = lists.chain(self.singles.iter().map(kind_of));
        kinds.next().filter(|_| kinds.next().is_none())
    }
}

/// The id of the type of a single value.
fn kind_of(value: &AttributeValue) -> u64 {
    match value {
        AttributeValue::Float(_) => 1,
        AttributeValue::Int(_) => 2,
        AttributeValue::String(_) => 3,
        AttributeValue::Tensor(_) => 4,
        AttributeValue::Graph(_) => 5,
        AttributeValue::SparseTensor(_) => 11,
        AttributeValue::Type(_) => 13,
        _ => 0,
    }
}
