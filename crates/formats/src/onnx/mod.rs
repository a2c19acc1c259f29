//! ONNX: a network as a graph of named operators, its weights in the same file or beside it.
//!
//! What it is: everything that the file says about the computation, as plain values. What it is not: a check
//! that the graph makes sense, which is the importer's, nor a loader: a tensor is a place in a file, of one element
//! or of a billion. The one design choice: one pass over the file in which what is long is stepped over, and the
//! result keeps the file's own words (operators by name and domain, values by name, nodes in the file's order).
//! Layout: onnx/onnx, `onnx.proto` and `docs/IR.md`; data of the conformance suite: `onnx-data.proto`.
//!
//! ```no_run
//! # use pintpot_formats::{Contents, Error, Limits, examine};
//! # fn main() -> Result<(), Error> {
//! let Contents::Onnx(model) = examine("model.onnx".as_ref(), Limits::default())? else { return Ok(()) };
//! for node in &model.graph.nodes {
//!     println!("{} {:?} -> {:?}", node.op_type, node.inputs, node.outputs);
//! }
//! # Ok(())
//! # }
//! ```

mod external;
mod parse;
mod read;
mod tensor;
mod types;
mod value;
mod visit;

pub use external::open;
pub use parse::read;
pub use read::{Elements, Literal, Strings};
pub use tensor::{Data, SparseTensor, TensorInfo};
pub use types::{DataType, Dim, ValueInfo, ValueType};
pub use value::{Value, read_value};
pub use visit::Part;

pub(crate) use parse::is_model;

use crate::FilePart;

/// A network.
#[derive(Clone, Debug)]
pub struct Model {
    /// Version of the file's own layout.
    pub ir_version: u64,
    /// The sets of operators that the nodes are written in; an empty domain is ONNX's own.
    pub opset_imports: Vec<OpsetImport>,
    /// The program that wrote the file; empty if it does not say.
    pub producer_name: Box<str>,
    /// Its version.
    pub producer_version: Box<str>,
    /// Who the model is from, as a reversed domain name; often empty.
    pub domain: Box<str>,
    /// Version of the model itself.
    pub model_version: i64,
    /// What the model computes.
    pub graph: Graph,
    /// Operators that are defined by graphs of others.
    pub functions: Vec<Function>,
    /// Everything else that the file says: keys and texts, in its order.
    pub metadata: Vec<(Box<str>, Box<str>)>,
    /// Whether the file also says how to train the model, which is not read.
    pub has_training: bool,
    /// The files that tensors lie in: the first is the model's own. Of one that has not been opened `bytes` is 0.
    pub files: Vec<FilePart>,
    pub(crate) heap: u64,
}

impl Model {
    /// Heap bytes that this value holds, at most.
    pub fn heap_bytes(&self) -> u64 {
        self.heap
    }

    /// The version of a domain's operators; both `""` and `"ai.onnx"` name ONNX's own.
    pub fn opset(&self, domain: &str) -> Option<i64> {
        opset(&self.opset_imports, domain)
    }
}

fn opset(imports: &[OpsetImport], domain: &str) -> Option<i64> {
    let own = |domain: &str| domain.is_empty() || domain == "ai.onnx";
    let same = |import: &&OpsetImport| *import.domain == *domain || (own(&import.domain) && own(domain));
    imports.iter().find(same).map(|import| import.version)
}

/// A set of operators that is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpsetImport {
    /// Empty for ONNX's own.
    pub domain: Box<str>,
    /// Its version.
    pub version: i64,
}

/// Nodes, and the values that they pass on by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Graph {
    /// Its name.
    pub name: Box<str>,
    /// In the order of the file, which should be an order of execution and need not be.
    pub nodes: Vec<Node>,
    /// Constants by name; one that is an input too is that input's default.
    pub initializers: Vec<TensorInfo>,
    /// Constants of which only what is not zero is stored.
    pub sparse_initializers: Vec<SparseTensor>,
    /// What it takes.
    pub inputs: Vec<ValueInfo>,
    /// What it gives.
    pub outputs: Vec<ValueInfo>,
    /// Types of values between, where the file tells them.
    pub value_infos: Vec<ValueInfo>,
    /// Scales and zero points of values, where the file tells them so.
    pub quantization_annotations: Vec<Annotation>,
}

/// One use of an operator.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Node {
    /// The operator.
    pub op_type: Box<str>,
    /// The set of operators it is from; empty for ONNX's own.
    pub domain: Box<str>,
    /// Which of several functions of that name it is; mostly empty.
    pub overload: Box<str>,
    /// The node's own name; often empty, not always unique.
    pub name: Box<str>,
    /// Names of values; an empty one is an input that is left out.
    pub inputs: Vec<Box<str>>,
    /// Names of values; an empty one is an output that nobody wants.
    pub outputs: Vec<Box<str>>,
    /// Its settings.
    pub attributes: Vec<Attribute>,
}

impl Node {
    /// The setting of this name.
    pub fn attribute(&self, name: &str) -> Option<&AttributeValue> {
        self.attributes.iter().find(|attribute| &*attribute.name == name).map(|attribute| &attribute.value)
    }
}

/// A setting of a node.
#[derive(Clone, Debug, PartialEq)]
pub struct Attribute {
    /// Its name.
    pub name: Box<str>,
    /// Its value.
    pub value: AttributeValue,
}

/// The value of a setting.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum AttributeValue {
    Float(f32),
    Floats(Vec<f32>),
    Graph(Box<Graph>),
    Graphs(Vec<Graph>),
    Int(i64),
    Ints(Vec<i64>),
    /// In a function: what the caller's attribute of this name says.
    Reference(Box<str>),
    SparseTensor(Box<SparseTensor>),
    SparseTensors(Vec<SparseTensor>),
    String(Box<[u8]>),
    Strings(Vec<Box<[u8]>>),
    Tensor(Box<TensorInfo>),
    Tensors(Vec<TensorInfo>),
    Type(Box<ValueType>),
    Types(Vec<ValueType>),
}

/// What is said about the quantisation of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Annotation {
    /// The value.
    pub tensor: Box<str>,
    /// Such as `SCALE_TENSOR`, and the name of the tensor with it.
    pub parameters: Vec<(Box<str>, Box<str>)>,
}

/// An operator that is defined by nodes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Function {
    /// The operator's name.
    pub name: Box<str>,
    /// The set of operators it belongs to.
    pub domain: Box<str>,
    /// Which of several of that name it is; mostly empty.
    pub overload: Box<str>,
    /// Names of its inputs.
    pub inputs: Vec<Box<str>>,
    /// Names of its outputs.
    pub outputs: Vec<Box<str>>,
    /// Names of its settings that have no default.
    pub attributes: Vec<Box<str>>,
    /// Settings with a default.
    pub defaults: Vec<Attribute>,
    /// What it consists of.
    pub nodes: Vec<Node>,
    /// Types of values between, where the file tells them.
    pub value_infos: Vec<ValueInfo>,
    /// The sets of operators that its nodes are written in.
    pub opset_imports: Vec<OpsetImport>,
}

impl Function {
    /// The version of a domain's operators, as [`Model::opset`].
    pub fn opset(&self, domain: &str) -> Option<i64> {
        opset(&self.opset_imports, domain)
    }
}
