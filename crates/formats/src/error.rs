//! Why a model file was refused, where, and what to do about it.
//!
//! Not a log. The one design choice: every variant belongs to one [`Kind`], which is what a program acts on;
//! the message is for people. Names out of files are printed quoted and escaped.

use std::io;
use std::path::PathBuf;

use tensor::{DType, ShapeError};

use crate::Element;

/// What can be done about an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The bytes contradict themselves or the format: fetch the file again.
    Damaged,
    /// More of the file is needed than has been fetched so far.
    Incomplete,
    /// The machine could not read the file.
    Io,
    /// A file is not there.
    Missing,
    /// The header needs more memory than [`crate::Limits`] grant.
    TooLarge,
    /// Sound, perhaps, but not something pintpot reads.
    Unsupported,
}

/// Why a model file was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // The messages below name every field.
pub enum Error {
    #[error("damaged file: the alignment of the tensors is {alignment}, not a power of two; {AGAIN}")]
    Alignment { alignment: u64 },
    #[error(
        "the GGUF file is big-endian; convert it to little-endian, for example with gguf_convert_endian.py"
    )]
    BigEndian,
    #[error(
        "damaged file: the header claims {count} {what} at byte {offset}, more than the file can hold; {AGAIN}"
    )]
    Count { what: &'static str, count: u64, offset: u64 },
    #[error("damaged file: metadata key {key:?} occurs twice; {AGAIN}")]
    DuplicateKey { key: Box<str> },
    #[error("damaged file: tensor {tensor:?} occurs twice; {AGAIN}")]
    DuplicateTensor { tensor: Box<str> },
    #[error(
        "tensor {tensor:?} has element type {id}, which is not known; convert it with a current converter"
    )]
    ElementType { tensor: Box<str>, id: u64 },
    #[error(
        "tensor {tensor:?} is said to lie in {location:?}, which is not the name of a file below the model's folder"
    )]
    ExternalPath { tensor: Box<str>, location: Box<str> },
    #[error(
        "the header takes more than {limit} bytes of memory; grant more, or use a file with fewer tensors"
    )]
    HeaderTooLarge { limit: u64 },
    #[error("{}: {source}", path.display())]
    In { path: PathBuf, source: Box<Error> },
    #[error("damaged file: {source}; {AGAIN}")]
    Json { source: serde_json::Error },
    #[error("metadata array {key:?} has {len} elements and was left in the file; stream it")]
    LongArray { key: Box<str>, len: u64 },
    #[error("tensor {tensor:?} takes {bytes} bytes, more than the {max} that are read at once; stream it")]
    LongTensor { tensor: Box<str>, bytes: u64, max: u64 },
    #[error("damaged file: {what}, at byte {offset}; {AGAIN}")]
    Malformed { what: &'static str, offset: u64 },
    #[error(
        "damaged file: tensor {tensor:?} begins at {offset}, which is not a multiple of {alignment}; {AGAIN}"
    )]
    Misaligned { tensor: Box<str>, offset: u64, alignment: u64 },
    #[error("{} is missing; check the name, and that all files of the model lie in one folder", path.display())]
    MissingFile { path: PathBuf },
    #[error("the model has no metadata key {key:?}; {AGAIN}, or convert it with a current converter")]
    MissingKey { key: Box<str> },
    #[error("the model has no tensor {tensor:?}; {AGAIN}, or convert it with a current converter")]
    MissingTensor { tensor: Box<str> },
    #[error("metadata key {key:?} is an array of arrays; no known model needs that")]
    NestedArray { key: Box<str> },
    #[error("damaged file: it is nested deeper than {max} levels at byte {offset}; {AGAIN}")]
    Nesting { offset: u64, max: u32 },
    #[error("this is {format}; running such a network is not there yet, pintpot show says what is in it")]
    Network { format: &'static str },
    #[error("not a model file: it begins with {magic:02x?}, expected GGUF, ONNX, safetensors or TFLite")]
    NotAModel { magic: [u8; 4] },
    #[error("tensor {tensor:?} holds elements of type {element} where numbers were expected")]
    NotNumbers { tensor: Box<str>, element: &'static str },
    #[error("no model.safetensors and no model.safetensors.index.json in {:?}; name the model's file", path.display())]
    NoWeights { path: PathBuf },
    #[error("the header goes on at least to byte {needed}, which has not been fetched; fetch more")]
    NotFetched { needed: u64 },
    #[error("damaged file: the name or text at byte {offset} is not UTF-8; {AGAIN}")]
    NotUtf8 { offset: u64 },
    #[error("cannot open {}: {source}", path.display())]
    Open { path: PathBuf, source: io::Error },
    #[error("damaged file: tensor {tensor:?} ends at {end} but the file has {bytes} bytes; {AGAIN}")]
    OutOfFile { tensor: Box<str>, end: u64, bytes: u64 },
    #[error("{} is a link that leads out of the model's folder; put the file itself there", path.display())]
    OutsideFolder { path: PathBuf },
    #[error("damaged file: tensors {tensor:?} and {other:?} overlap; {AGAIN}")]
    Overlap { tensor: Box<str>, other: Box<str> },
    #[error("{} says that it is part {number} of {count}, which its name must say too; {AGAIN}", path.display())]
    PartName { path: PathBuf, number: u64, count: u32 },
    #[error("the parts of the model should hold {expected} tensors but hold {found}; {AGAIN}")]
    PartTensors { expected: u64, found: u64 },
    #[error("damaged file: tensor {tensor:?} has {rank} dimensions, at most {max} are allowed; {AGAIN}")]
    Rank { tensor: Box<str>, rank: u64, max: u64 },
    #[error("cannot read {bytes} bytes at {offset}: {source}")]
    Read { offset: u64, bytes: u64, source: io::Error },
    #[error(
        "damaged file: tensor {tensor:?} has rows of {columns} elements, not whole {dtype} blocks; {AGAIN}"
    )]
    RaggedRows { tensor: Box<str>, columns: u64, dtype: DType },
    #[error("damaged file: tensor {tensor:?}: {source}; {AGAIN}")]
    Shape { tensor: Box<str>, source: ShapeError },
    #[error("damaged file: the index names {file:?}, which is not the plain name of a file; {AGAIN}")]
    ShardName { file: Box<str> },
    #[error("damaged file: tensor {tensor:?} takes {expected} bytes but the file gives it {found}; {AGAIN}")]
    Size { tensor: Box<str>, expected: u64, found: u64 },
    #[error("damaged file: the text at byte {offset} has {len} bytes, at most {max} are allowed; {AGAIN}")]
    StringTooLong { offset: u64, len: u64, max: u64 },
    #[error("damaged file: it should go on to byte {needed} at least but ends at {bytes}; {AGAIN}")]
    Truncated { needed: u64, bytes: u64 },
    #[error("operator code {code} of the TFLite file is not known; convert it with an older converter")]
    UnknownOperator { code: i32 },
    #[error("tensor {tensor:?} has type {dtype:?}, which is not supported; choose BF16, F16 or F32")]
    UnsupportedDType { tensor: Box<str>, dtype: Box<str> },
    #[error(
        "version {version} of the TFLite layout is not supported, only 3; convert it with a current converter"
    )]
    UnsupportedSchema { version: u32 },
    #[error("tensor {tensor:?} has GGUF type {id}, which is not supported; choose another quantisation")]
    UnsupportedType { tensor: Box<str>, id: u32 },
    #[error(
        "GGUF version {version} is not supported, only 2 and 3; convert the model with a current converter"
    )]
    UnsupportedVersion { version: u32 },
    #[error("damaged file: metadata key {key:?} has the unknown value type {id}; {AGAIN}")]
    ValueType { key: Box<str>, id: u32 },
    #[error("damaged file: the array element at byte {offset} ({found:?}) is not {expected}; {AGAIN}")]
    WrongElement { offset: u64, expected: &'static str, found: Element },
    #[error("metadata key {key:?} is {found}, expected {expected}; {AGAIN}")]
    WrongType { key: Box<str>, expected: &'static str, found: &'static str },
}

/// What to do about most damage.
const AGAIN: &str = "download it again";

impl Error {
    /// What can be done about it.
    pub fn kind(&self) -> Kind {
        match self {
            Error::In { source, .. } => source.kind(),
            Error::HeaderTooLarge { .. } | Error::LongTensor { .. } => Kind::TooLarge,
            Error::NotFetched { .. } => Kind::Incomplete,
            Error::Open { .. } | Error::Read { .. } => Kind::Io,
            Error::MissingFile { .. } | Error::NoWeights { .. } => Kind::Missing,
            Error::BigEndian
            | Error::ElementType { .. }
            | Error::ExternalPath { .. }
            | Error::LongArray { .. }
            | Error::NestedArray { .. }
            | Error::Network { .. }
            | Error::NotAModel { .. }
            | Error::NotNumbers { .. }
            | Error::OutsideFolder { .. }
            | Error::UnknownOperator { .. }
            | Error::UnsupportedDType { .. }
            | Error::UnsupportedSchema { .. }
            | Error::UnsupportedType { .. }
            | Error::UnsupportedVersion { .. } => Kind::Unsupported,
            Error::Alignment { .. }
            | Error::Count { .. }
            | Error::DuplicateKey { .. }
            | Error::DuplicateTensor { .. }
            | Error::Malformed { .. }
            | Error::Misaligned { .. }
            | Error::Json { .. }
            | Error::MissingKey { .. }
            | Error::MissingTensor { .. }
            | Error::Nesting { .. }
            | Error::NotUtf8 { .. }
            | Error::OutOfFile { .. }
            | Error::Overlap { .. }
            | Error::PartName { .. }
            | Error::PartTensors { .. }
            | Error::RaggedRows { .. }
            | Error::Rank { .. }
            | Error::Shape { .. }
            | Error::ShardName { .. }
            | Error::Size { .. }
            | Error::StringTooLong { .. }
            | Error::Truncated { .. }
            | Error::ValueType { .. }
            | Error::WrongElement { .. }
            | Error::WrongType { .. } => Kind::Damaged,
        }
    }

    /// Whether fetching the file again is the cure.
    pub fn is_damaged(&self) -> bool {
        self.kind() == Kind::Damaged
    }
}
