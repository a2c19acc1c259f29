//! TFLite: a network as lists of tensors and operators, its weights in the same file.
//!
//! What it is: everything that the file says about the computation, as plain values. What it is not: a check
//! that the graph makes sense, which is the importer's, nor a loader: weights are places in the file. The one design
//! choice: the lists keep the file's own numbers, so that an operator names tensors as it does in the file; that the
//! numbers are of tensors that exist is checked here. Layout: tensorflow, `schema.fbs`.

mod builtin;
pub mod flex;
mod options;
mod parse;

use std::fmt;
use std::ops::Range;

pub use builtin::Builtin;
pub use options::{Activation, LstmKernel, MirrorPad, Options, Padding, WeightsFormat};
pub use parse::read;

pub(crate) use parse::is_model;

use crate::{ArrayRef, FilePart};

/// A network.
#[derive(Clone, Debug)]
pub struct Model {
    /// Version of the layout: 3.
    pub version: u32,
    /// What the file says of itself.
    pub description: Box<str>,
    /// Graphs; the first is the network, others are branches, bodies and beginnings.
    pub subgraphs: Vec<Subgraph>,
    /// Ways to call it by names.
    pub signatures: Vec<Signature>,
    /// Names, and where the bytes lie.
    pub metadata: Vec<(Box<str>, Range<u64>)>,
    /// The file.
    pub file: FilePart,
    pub(crate) heap: u64,
}

impl Model {
    /// Heap bytes that this value holds, at most.
    pub fn heap_bytes(&self) -> u64 {
        self.heap
    }
}

/// A way to call a graph, by names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signature {
    /// Its name.
    pub key: Box<str>,
    /// The number of its graph.
    pub subgraph: u32,
    /// Names and numbers of tensors.
    pub inputs: Vec<(Box<str>, u32)>,
    /// Names and numbers of tensors.
    pub outputs: Vec<(Box<str>, u32)>,
}

/// Tensors, and the operators between them in the order of execution.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Subgraph {
    /// Its name.
    pub name: Box<str>,
    /// Tensors by number.
    pub tensors: Vec<Tensor>,
    /// Numbers of tensors that it takes.
    pub inputs: Box<[u32]>,
    /// Numbers of tensors that it gives.
    pub outputs: Box<[u32]>,
    /// What is done, in order.
    pub operators: Vec<Operator>,
}

/// A value: a constant, an input, a result, or a state that lasts.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Its name.
    pub name: Box<str>,
    /// Its extents, outermost first, those that may vary as 1.
    pub shape: Box<[u32]>,
    /// Its extents with -1 where they may vary; empty if the file does not say that any may.
    pub shape_signature: Box<[i32]>,
    /// Whether an empty shape means a single number, and not that nothing is known.
    pub has_rank: bool,
    /// The type of its elements.
    pub element: TensorType,
    /// The number of its buffer; tensors of one number share it.
    pub buffer: u32,
    /// Where its values lie in the file, if it is a constant.
    pub data: Option<Range<u64>>,
    /// Whether it keeps its value from one run to the next.
    pub is_variable: bool,
    /// How whole numbers stand for fractions.
    pub quantization: Option<Quantization>,
    /// Which values are stored, if not all are.
    pub sparsity: Option<Sparsity>,
}

impl Tensor {
    /// How many elements it has, with 1 for extents that may vary; `None` if there are too many to count.
    pub fn elements(&self) -> Option<u64> {
        self.shape.iter().try_fold(1, |product: u64, &extent| product.checked_mul(extent.into()))
    }
}

/// How whole numbers stand for fractions: `scale * (number - zero_point)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantization {
    /// One fraction, or one for each index along the axis; empty if only `min` and `max` are told.
    pub scale: ArrayRef,
    /// As many whole numbers.
    pub zero_point: ArrayRef,
    /// The least values that were seen; mostly empty.
    pub min: ArrayRef,
    /// The largest values that were seen; mostly empty.
    pub max: ArrayRef,
    /// The dimension along which `scale` has its values.
    pub axis: u32,
    /// Whether it is of a custom kind, which is not read.
    pub is_custom: bool,
}

/// Which values of a tensor are stored: its dimensions, then those of blocks, in an order, each dense or a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Sparsity {
    /// Dimensions in the order of the storage.
    pub traversal_order: Box<[i32]>,
    /// Which dimension each dimension of a block divides.
    pub block_map: Box<[i32]>,
    /// One for each of the order.
    pub dims: Vec<SparseDim>,
}

/// How a dimension is stored.
#[derive(Clone, Debug, PartialEq)]
pub enum SparseDim {
    /// Only what is not zero: beginnings of runs, and indices in them.
    Csr {
        /// One more than runs.
        segments: ArrayRef,
        /// The place of each value.
        indices: ArrayRef,
    },
    /// All of it.
    Dense {
        /// Its extent.
        size: u32,
    },
}

/// What an operator is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum OperatorCode {
    /// One of TFLite's own.
    Builtin(Builtin),
    /// One of another's, by name.
    Custom(Box<str>),
}

impl fmt::Display for OperatorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OperatorCode::Builtin(builtin) => f.write_str(builtin.name()),
            OperatorCode::Custom(name) => f.write_str(name),
        }
    }
}

/// One use of an operator.
#[derive(Clone, Debug, PartialEq)]
pub struct Operator {
    /// What it does.
    pub code: OperatorCode,
    /// The version of that.
    pub version: i32,
    /// Numbers of tensors; `None` is an input that is left out.
    pub inputs: Box<[Option<u32>]>,
    /// Numbers of tensors; `None` is an output that nobody wants.
    pub outputs: Box<[Option<u32>]>,
    /// Numbers of tensors that it works in.
    pub intermediates: Box<[Option<u32>]>,
    /// Which inputs it changes; mostly empty.
    pub mutated_inputs: Box<[bool]>,
    /// Its settings.
    pub options: Options,
    /// Where the settings of a custom operator lie in the file, in its own form (mostly a FlexBuffers map).
    pub custom_options: Option<Range<u64>>,
}

/// Declares the types of elements: id, name in Rust, name, bits of one (0 where that has no meaning).
macro_rules! types {
    ($($id:literal $variant:ident $name:literal $bits:literal,)*) => {
        /// Type of the elements of a tensor.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[allow(missing_docs)]
        pub enum TensorType {
            $($variant = $id,)*
        }

        const TYPES: &[(TensorType, &str, u64)] = &[$((TensorType::$variant, $name, $bits),)*];
    };
}

types! {
    0 Float32 "float32" 32,
    1 Float16 "float16" 16,
    2 Int32 "int32" 32,
    3 Uint8 "uint8" 8,
    4 Int64 "int64" 64,
    5 String "string" 0,
    6 Bool "bool" 8,
    7 Int16 "int16" 16,
    8 Complex64 "complex64" 64,
    9 Int8 "int8" 8,
    10 Float64 "float64" 64,
    11 Complex128 "complex128" 128,
    12 Uint64 "uint64" 64,
    13 Resource "resource" 0,
    14 Variant "variant" 0,
    15 Uint32 "uint32" 32,
    16 Uint16 "uint16" 16,
    17 Int4 "int4" 4,
    18 Bfloat16 "bfloat16" 16,
}

impl TensorType {
    /// The type with this id, if there is one.
    pub fn from_id(id: u8) -> Option<TensorType> {
        TYPES.get(usize::from(id)).map(|row| row.0)
    }

    /// How the schema calls it, in small letters.
    pub fn name(self) -> &'static str {
        TYPES[self as usize].1
    }

    /// Bits of one element; 0 if elements have no size.
    pub fn bits(self) -> u64 {
        TYPES[self as usize].2
    }

    /// Bytes of `elements` elements without gaps. `None` if elements have no size or the sum is too large.
    pub fn bytes_of(self, elements: u64) -> Option<u64> {
        match self.bits() {
            0 => None,
            bits => Some(elements.checked_mul(bits)?.div_ceil(8)),
        }
    }
}

impl fmt::Display for TensorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_follow_the_list() {
        for (id, row) in (0u8..).zip(TYPES) {
            assert_eq!(row.0 as u8, id);
            assert_eq!(TensorType::from_id(id), Some(row.0));
        }
    }
}
