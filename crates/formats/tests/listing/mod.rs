//! Everything that a reader found in a network, as lines: what `tests/networks/listing.py` prints of the same file
//! with readers that are not ours.
//!
//! Not for people. The one design choice: values of tensors are listed as a digest of their elements, read through
//! a buffer of fixed size, so that listing a network of any size takes the memory of its header.

#![allow(dead_code)] // Each program that includes this uses a part of it.

use std::fmt::Write;
use std::path::Path;

use host::{FlashFile, ReadAt};
use pintpot_formats::onnx::{
    self, AttributeValue as A, Graph, Node, SparseTensor, TensorInfo, Value, ValueInfo,
};
use pintpot_formats::{Bytes, Contents, Error, Limits, examine};
use sha2::{Digest, Sha256};

mod tflite;

/// Lists the network at `path`, and the data of a conformance case beside it.
pub fn list(path: &Path, limits: Limits) -> Result<String, Error> {
    let mut lines = String::new();
    match examine(path, limits)? {
        Contents::Onnx(model) => {
            let files: Vec<Box<dyn ReadAt>> = model.files.iter().map(|part| open(&part.path)).collect();
            Lister { lines: &mut lines, files: &files }.model(&model)?;
            cases(&mut lines, path, &model, limits)?;
        }
        Contents::Weights(_) => put(&mut lines, 0, "weights"),
        Contents::Tflite(model) => tflite::model(&mut lines, &model, &*open(path))?,
    }
    Ok(lines)
}

fn open(path: &Path) -> Box<dyn ReadAt> {
    Box::new(FlashFile::open(path).unwrap_or_else(|error| panic!("{error}")))
}

/// Lists inputs and outputs of the sets of data beside a model of the conformance suite.
fn cases(lines: &mut String, path: &Path, model: &onnx::Model, limits: Limits) -> Result<(), Error> {
    let folder = path.parent().unwrap_or(Path::new("."));
    for set in 0.. {
        let set = folder.join(format!("test_data_set_{set}"));
        if !set.is_dir() {
            return Ok(());
        }
        let inputs = model.graph.inputs.iter().enumerate().map(|(i, value)| ("input", i, value));
        let outputs = model.graph.outputs.iter().enumerate().map(|(i, value)| ("output", i, value));
        for (kind, number, info) in inputs.chain(outputs) {
            let file = set.join(format!("{kind}_{number}.pb"));
            // Some of the suite's cases were left without data.
            let Ok(source) = FlashFile::open(&file) else { continue };
            put(lines, 0, &format!("{kind} {number}"));
            let value = onnx::read_value(&source, &info.value_type, limits)?;
            let files: [Box<dyn ReadAt>; 1] = [Box::new(source)];
            Lister { lines, files: &files }.value(1, &value)?;
        }
    }
    Ok(())
}

pub fn put(lines: &mut String, depth: usize, line: &str) {
    writeln!(lines, "{:depth$}{line}", "").expect("a string takes all");
}

pub fn json(text: &str) -> String {
    serde_json::json!(text).to_string()
}

pub fn hex(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn names(names: &[Box<str>]) -> String {
    serde_json::json!(names).to_string()
}

/// Digest of a part of a file.
pub fn digest(source: &dyn ReadAt, range: &std::ops::Range<u64>) -> String {
    let mut hash = Sha256::new();
    let mut buffer = [0; 4096];
    let mut at = range.start;
    while at < range.end {
        let count = buffer.len().min((range.end - at) as usize);
        source.read_exact_at(at, &mut buffer[..count]).expect("the reader says that these bytes are there");
        hash.update(&buffer[..count]);
        at += count as u64;
    }
    hex(hash.finalize())
}

struct Lister<'a> {
    lines: &'a mut String,
    files: &'a [Box<dyn ReadAt>],
}

impl Lister<'_> {
    fn put(&mut self, depth: usize, line: &str) {
        put(self.lines, depth, line);
    }

    fn model(&mut self, model: &onnx::Model) -> Result<(), Error> {
        let producer = format!("{} {}", json(&model.producer_name), json(&model.producer_version));
        let (ir, domain, version) = (model.ir_version, json(&model.domain), model.model_version);
        self.put(0, &format!("onnx {ir} {producer} {domain} {version} {}", model.has_training));
        self.imports(0, &model.opset_imports);
        for (key, value) in &model.metadata {
            self.put(0, &format!("metadata {} {}", json(key), json(value)));
        }
        self.graph(0, &model.graph)?;
        for function in &model.functions {
            let name =
                format!("{} {} {}", json(&function.domain), json(&function.name), json(&function.overload));
            let (inputs, outputs) = (names(&function.inputs), names(&function.outputs));
            self.put(0, &format!("function {name} {inputs} {outputs} {}", names(&function.attributes)));
            self.imports(1, &function.opset_imports);
            function.defaults.iter().try_for_each(|attribute| self.attribute(1, attribute))?;
            self.values(1, "info", &function.value_infos);
            function.nodes.iter().try_for_each(|node| self.node(1, node))?;
        }
        Ok(())
    }

    fn imports(&mut self, depth: usize, imports: &[onnx::OpsetImport]) {
        for import in imports {
            self.put(depth, &format!("import {} {}", json(&import.domain), import.version));
        }
    }

    fn values(&mut self, depth: usize, kind: &str, values: &[ValueInfo]) {
        for value in values {
            self.put(depth, &format!("{kind} {} {}", json(&value.name), json(&value.value_type.to_string())));
        }
    }

    fn graph(&mut self, depth: usize, graph: &Graph) -> Result<(), Error> {
        self.put(depth, &format!("graph {}", json(&graph.name)));
        let depth = depth + 1;
        self.values(depth, "in", &graph.inputs);
        self.values(depth, "out", &graph.outputs);
        self.values(depth, "info", &graph.value_infos);
        for tensor in &graph.initializers {
            self.tensor(depth, "initializer", tensor)?;
        }
        for sparse in &graph.sparse_initializers {
            self.sparse(depth, sparse)?;
        }
        for annotation in &graph.quantization_annotations {
            let pairs: Vec<_> =
                annotation.parameters.iter().map(|(k, v)| format!("{} {}", json(k), json(v))).collect();
            self.put(depth, &format!("annotation {} {}", json(&annotation.tensor), pairs.join(" ")));
        }
        graph.nodes.iter().try_for_each(|node| self.node(depth, node))
    }

    fn sparse(&mut self, depth: usize, sparse: &SparseTensor) -> Result<(), Error> {
        self.put(depth, &format!("sparse {:?}", sparse.dims));
        self.tensor(depth + 1, "values", &sparse.values)?;
        self.tensor(depth + 1, "indices", &sparse.indices)
    }

    fn tensor(&mut self, depth: usize, kind: &str, tensor: &TensorInfo) -> Result<(), Error> {
        let source = &*self.files[tensor.file as usize];
        let mut hash = Sha256::new();
        if tensor.element == onnx::DataType::String {
            let mut strings = tensor.strings(source)?;
            while let Some(text) = strings.next()? {
                hash.update((text.len() as u64).to_le_bytes());
                hash.update(text);
            }
        } else if tensor.element != onnx::DataType::Undefined {
            let mut elements = tensor.read(source)?;
            let mut buffer = [0; 4096];
            loop {
                match elements.read(&mut buffer)? {
                    0 => break,
                    count => hash.update(&buffer[..count]),
                }
            }
            elements.finish()?;
        }
        let (name, element, dims) = (json(&tensor.name), tensor.element, &tensor.dims);
        self.put(depth, &format!("{kind} {name} {element} {dims:?} {}", hex(hash.finalize())));
        Ok(())
    }

    fn node(&mut self, depth: usize, node: &Node) -> Result<(), Error> {
        let op = format!("{} {} {}", json(&node.domain), json(&node.op_type), json(&node.overload));
        let (inputs, outputs) = (names(&node.inputs), names(&node.outputs));
        self.put(depth, &format!("node {op} {} {inputs} {outputs}", json(&node.name)));
        node.attributes.iter().try_for_each(|attribute| self.attribute(depth + 1, attribute))
    }

    fn attribute(&mut self, depth: usize, attribute: &onnx::Attribute) -> Result<(), Error> {
        let name = json(&attribute.name);
        let bits = |float: &f32| format!("{:08x}", float.to_bits());
        match &attribute.value {
            A::Float(float) => self.put(depth, &format!("{name} float {}", bits(float))),
            A::Floats(floats) => {
                let floats: Vec<_> = floats.iter().map(bits).collect();
                self.put(depth, &format!("{name} floats {}", floats.join(" ")));
            }
            A::Int(int) => self.put(depth, &format!("{name} int {int}")),
            A::Ints(ints) => self.put(depth, &format!("{name} ints {ints:?}")),
            A::String(text) => self.put(depth, &format!("{name} string {}", hex(text))),
            A::Strings(texts) => {
                let texts: Vec<_> = texts.iter().map(hex).collect();
                self.put(depth, &format!("{name} strings {}", texts.join(" ")));
            }
            A::Reference(other) => self.put(depth, &format!("{name} reference {}", json(other))),
            A::Type(kind) => self.put(depth, &format!("{name} type {}", json(&kind.to_string()))),
            A::Types(kinds) => {
                let kinds: Vec<_> = kinds.iter().map(|kind| json(&kind.to_string())).collect();
                self.put(depth, &format!("{name} types {}", kinds.join(" ")));
            }
            A::Tensor(tensor) => {
                self.put(depth, &format!("{name} tensor"));
                self.tensor(depth + 1, "tensor", tensor)?;
            }
            A::Tensors(tensors) => {
                self.put(depth, &format!("{name} tensors"));
                tensors.iter().try_for_each(|tensor| self.tensor(depth + 1, "tensor", tensor))?;
            }
            A::Graph(graph) => {
                self.put(depth, &format!("{name} graph"));
                self.graph(depth + 1, graph)?;
            }
            A::Graphs(graphs) => {
                self.put(depth, &format!("{name} graphs"));
                graphs.iter().try_for_each(|graph| self.graph(depth + 1, graph))?;
            }
            A::SparseTensor(sparse) => {
                self.put(depth, &format!("{name} sparse"));
                self.sparse(depth + 1, sparse)?;
            }
            A::SparseTensors(list) => {
                self.put(depth, &format!("{name} sparses"));
                list.iter().try_for_each(|sparse| self.sparse(depth + 1, sparse))?;
            }
        }
        Ok(())
    }

    fn value(&mut self, depth: usize, value: &Value) -> Result<(), Error> {
        match value {
            Value::Tensor(tensor) => self.tensor(depth, "tensor", tensor),
            Value::SparseTensor(sparse) => self.sparse(depth, sparse),
            Value::Optional(None) => {
                self.put(depth, "none");
                Ok(())
            }
            Value::Optional(Some(inner)) => {
                self.put(depth, "some");
                self.value(depth + 1, inner)
            }
            Value::Sequence(values) => {
                self.put(depth, &format!("sequence {}", values.len()));
                values.iter().try_for_each(|value| self.value(depth + 1, value))
            }
            Value::Map { key, numbers, texts, values } => {
                let texts: Vec<_> = texts.iter().map(hex).collect();
                self.put(depth, &format!("map {key} {numbers:?} {}", texts.join(" ")));
                values.iter().try_for_each(|value| self.value(depth + 1, value))
            }
        }
    }
}

/// Lists a network that is in memory, which has nothing beside it, so that a test may damage it.
pub fn list_held(bytes: &[u8], limits: Limits) -> Result<String, Error> {
    let mut lines = String::new();
    let model = onnx::read(&Bytes::new(bytes), limits)?;
    let files: [Box<dyn ReadAt>; 1] = [Box::new(bytes.to_vec())];
    if model.files.len() == 1 {
        Lister { lines: &mut lines, files: &files }.model(&model)?;
    }
    Ok(lines)
}
