//! Why a file could not be turned into a graph.

use crate::ARCHITECTURES;

/// Why a file could not be turned into a graph.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No architecture claims the file.
    #[error("architecture '{name}' is not supported; supported are {}", supported())]
    UnknownArchitecture {
        /// What the file says.
        name: String,
    },
    /// The file asks for something that pintpot does not do yet.
    #[error("'{key}' is '{value}', which is not supported yet")]
    Unsupported {
        /// The setting.
        key: String,
        /// Its value.
        value: String,
    },
    /// A router has fewer experts than a row goes to.
    #[error("damaged file: a router chooses {used} of {found} experts; download the file again")]
    FewExperts {
        /// How many there are.
        found: u32,
        /// How many a row goes to.
        used: u32,
    },
    /// More experts than pintpot reckons with.
    #[error("a layer has {found} experts; at most {most} are supported")]
    ManyExperts {
        /// How many there are.
        found: u32,
        /// How many there may be.
        most: u32,
    },
    /// Two experts have a tensor in common.
    #[error("damaged file: tensor '{name}' is there for two experts; download the file again")]
    SharedTensor {
        /// The tensor.
        name: String,
    },
    /// A norm has not as many elements as what it is applied to.
    #[error(
        "damaged file: tensor '{name}' has {found} elements, expected {expected}; download the file again"
    )]
    NormWidth {
        /// The tensor.
        name: String,
        /// Its elements.
        found: u64,
        /// What they should be.
        expected: u32,
    },
    /// A setting makes no sense.
    #[error("damaged file: '{key}' is {value}, expected {expected}; download the file again")]
    Setting {
        /// The setting.
        key: String,
        /// Its value.
        value: String,
        /// What would make sense.
        expected: &'static str,
    },
    /// A tensor has a type that cannot be multiplied with.
    #[error("tensor '{name}' has type {dtype}, which holds no weights")]
    UnsupportedType {
        /// Its name.
        name: String,
        /// Its type.
        dtype: tensor::DType,
    },
    /// The matrix at the end has not the rows of the one at the beginning.
    #[error(
        "damaged file: tensor '{name}' has {rows} rows, but the embedding has {expected}; download the file again"
    )]
    Vocabularies {
        /// The matrix at the end.
        name: String,
        /// Its rows.
        rows: u64,
        /// Rows of the embedding.
        expected: u64,
    },
    /// A node of a network cannot be built.
    #[error("node {node}, operator {operator}: {source}")]
    Node {
        /// The node: its name, or the first value that it makes.
        node: Box<str>,
        /// The operator, with its domain if that is not ONNX's own.
        operator: Box<str>,
        /// What is wrong.
        source: Box<Error>,
    },
    /// A network uses an operator that pintpot does not have.
    #[error("this operator is not supported")]
    Operator,
    /// A setting of a node makes no sense, or pintpot has not what it asks for.
    #[error("attribute '{attribute}' is {found}, {expected}")]
    Attribute {
        /// Its name.
        attribute: &'static str,
        /// What it says.
        found: String,
        /// What it should be, in words.
        expected: &'static str,
    },
    /// A node lacks an input.
    #[error("input {input} is missing")]
    MissingInput {
        /// Which one, from zero.
        input: usize,
    },
    /// A node names a value that nobody makes.
    #[error("damaged file: nobody makes the value '{name}'")]
    UnknownValue {
        /// Its name.
        name: Box<str>,
    },
    /// Nodes wait for each other.
    #[error("damaged file: the nodes that make '{name}' wait for each other")]
    Cycle {
        /// A value that they make.
        name: Box<str>,
    },
    /// Elements of a kind that is not computed with.
    #[error("'{name}' holds elements of type {element}, which are not supported")]
    Element {
        /// The value.
        name: Box<str>,
        /// The type.
        element: &'static str,
    },
    /// A list or nothing where an array must be.
    #[error("an input is a list or nothing where an array must be")]
    NotAnArray,
    /// An array or nothing where a list must be.
    #[error("an input is not the list that it must be")]
    NotASequence,
    /// A place in a list that is not there.
    #[error("position {position} is not in a list of {len}")]
    Position {
        /// The position.
        position: i64,
        /// How long the list is.
        len: usize,
    },
    /// An axis that is not there.
    #[error("axis {axis} is not in an array of {rank} dimensions")]
    Axis {
        /// The axis.
        axis: i64,
        /// How many there are.
        rank: usize,
    },
    /// Extents follow from numbers that are known only while the network runs.
    #[error("its extents depend on numbers that are known only while the network runs")]
    DataDependent,
    /// An operator makes nothing.
    #[error("it makes nothing")]
    NoOutput,
    /// A network is too large, or a loop in it runs too often.
    #[error("the network has more than {most} nodes, loops rolled out")]
    ManyNodes {
        /// How many it may have.
        most: usize,
    },
    /// An input has not the extents or type that the network declares.
    #[error("input '{name}' is {found}, but the network takes {expected}")]
    Input {
        /// The input.
        name: Box<str>,
        /// What was given.
        found: String,
        /// What it should be.
        expected: String,
    },
    /// The extents of an input are not known.
    #[error(
        "the extents of input '{name}' are not known: the network takes {declared}; say which with --shape {name}=..."
    )]
    Open {
        /// The input.
        name: Box<str>,
        /// What the network declares.
        declared: String,
    },
    /// A tensor whose extents cannot be counted.
    #[error("tensor '{name}': {source}")]
    Shape {
        /// The tensor.
        name: Box<str>,
        /// What is wrong.
        source: tensor::ShapeError,
    },
    /// A constant cannot be read.
    #[error("cannot read tensor '{name}': {source}")]
    Read {
        /// The tensor.
        name: Box<str>,
        /// What the system says.
        source: std::io::Error,
    },
    /// The header cannot be read.
    #[error(transparent)]
    File(#[from] formats::Error),
    /// The tensors do not fit together.
    #[error(transparent)]
    Graph(#[from] graph::Error),
}

impl Error {
    /// Whether it is about numbers that only a run knows.
    pub(crate) fn is_data_dependent(&self) -> bool {
        match self {
            Error::DataDependent => true,
            Error::Node { source, .. } => source.is_data_dependent(),
            _ => false,
        }
    }
}

fn supported() -> String {
    let names: Vec<&str> = ARCHITECTURES.iter().flat_map(|a| a.names().iter().copied()).collect();
    names.join(", ")
}
