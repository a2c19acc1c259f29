//! The operators: a closed list, one file each.
//!
//! A file holds the operator's parameters, its shape rule (`infer`), its definition in plain slow code
//! (`reference`, which every backend is tested against) and its `cost`. Adding one is a file and a line in
//! the list below; the compiler then names every backend that lacks it.

mod activate;
mod add;
mod attention;
mod concat;
mod embed;
mod experts;
mod glu;
mod head_linear;
mod linear;
mod neurons;
mod norm;
mod quantize;
mod rope;
mod rope_table;
mod route;
mod scale;
mod select_rows;
mod sigmoid_gate;
mod slice;
mod softcap;

pub use activate::Activate;
pub use add::Add;
pub use attention::Attention;
pub use concat::Concat;
pub use embed::Embed;
pub use experts::{Experts, Stack, Workspace, expected_experts};
pub use glu::{Activation, Glu};
pub use head_linear::HeadLinear;
pub use linear::Linear;
pub use neurons::{Neurons, Stage};
pub use norm::Norm;
pub use quantize::Quantize;
pub use rope::{Rope, RopeStyle};
pub use rope_table::{RopeScaling, RopeTable};
pub use route::{Groups, Route, Score};
pub use scale::Scale;
pub use select_rows::SelectRows;
pub use sigmoid_gate::SigmoidGate;
pub use slice::Slice;
pub use softcap::Softcap;

use crate::array::{ArrayOp, ArrayType};
use crate::interpret::{Interpreter, Tensor};
use crate::{Bounds, Dims, Elem, Error, Graph, StateId, Value, WeightId};
use tensor::DType;

macro_rules! ops {
    ($($name:ident),* $(,)?) => {
        /// One operation with its parameters.
        #[derive(Clone, Debug, PartialEq)]
        #[allow(missing_docs)]
        pub enum Op {
            $($name($name),)*
            /// An operator on arrays of any rank and type.
            Array(ArrayOp),
        }

        $(impl From<$name> for Op {
            fn from(op: $name) -> Op {
                Op::$name(op)
            }
        })*

        impl Op {
            /// What it says of itself; operators on arrays say it in another way.
            fn operator(&self) -> Result<&dyn Operator, &ArrayOp> {
                match self {
                    $(Op::$name(op) => Ok(op),)*
                    Op::Array(op) => Err(op),
                }
            }

            /// The operator's name.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Op::$name(_) => stringify!($name),)*
                    Op::Array(op) => op.name(),
                }
            }
        }
    };
}

ops!(
    Activate,
    Add,
    Attention,
    Concat,
    Embed,
    Experts,
    Glu,
    HeadLinear,
    Linear,
    Neurons,
    Norm,
    Quantize,
    Rope,
    RopeTable,
    Route,
    Scale,
    SelectRows,
    SigmoidGate,
    Slice,
    Softcap,
);

/// What an operator costs in one step.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// Multiply-adds of a product with a whole weight.
    pub macs: u64,
    /// Other operations, each of one number.
    pub float_ops: u64,
    /// Bytes of state read.
    pub state_bytes: u64,
}

/// What every operator says of itself.
pub(crate) trait Operator {
    /// Number of inputs.
    fn arity(&self) -> usize;
    /// Shape and kind of the output.
    fn infer(&self, graph: &Graph, inputs: &[Value]) -> Result<Value, Error>;
    /// The definition: plain, slow, f32 with f64 sums.
    fn reference(&self, run: &mut Interpreter<'_>, inputs: &[&Tensor]) -> Tensor;
    /// Work under `bounds` with `context` positions already in the state.
    fn cost(&self, graph: &Graph, inputs: &[Value], bounds: &Bounds, context: u32) -> Cost;
    /// The input whose storage the output may take over, if nobody reads that input later.
    fn in_place(&self) -> Option<usize> {
        None
    }
    /// Weights that it reads, in order of use.
    fn weights(&self) -> Vec<WeightUse> {
        Vec::new()
    }
    /// The state that it reads and writes.
    fn state(&self) -> Option<StateId> {
        None
    }
    /// Bytes that it works in besides its inputs and its output.
    fn scratch(&self, _graph: &Graph, _inputs: &[Value], _bounds: &Bounds) -> u64 {
        0
    }
}

/// How a node reads one of its weights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WeightUse {
    /// All rows, each once, in any order.
    Whole(WeightId),
    /// A few rows, known only in the step.
    Rows(WeightId),
    /// A vector.
    Vector(WeightId),
    /// The matrices of a few experts, known only in the step.
    OneOf {
        /// What an expert has, in order of use.
        set: Vec<Stack>,
        /// The same in a coarser type, if the file has it; may be used in its place where a user says so.
        stand_ins: Vec<Stack>,
        /// How many experts there are.
        of: u32,
        /// How many of them a row needs; of neurons, is likely to need.
        at_most: u32,
    },
}

impl Op {
    /// Work under `bounds` with `context` positions already in the state.
    pub fn cost(&self, graph: &Graph, inputs: &[Value], bounds: &Bounds, context: u32) -> Cost {
        match self.operator() {
            Ok(op) => op.cost(graph, inputs, bounds, context),
            Err(op) => op.cost(&known(inputs)),
        }
    }

    /// The input whose storage the output may take over, if nobody reads that input later.
    pub fn in_place(&self) -> Option<usize> {
        match self.operator() {
            Ok(op) => op.in_place(),
            Err(op) => op.in_place(),
        }
    }

    /// Whether the output is the first input under another name, in the same storage.
    pub fn is_alias(&self) -> bool {
        matches!(self, Op::Array(op) if op.is_alias())
    }

    /// Weights that it reads, in order of use.
    pub fn weights(&self) -> Vec<WeightUse> {
        self.operator().map_or_else(|_| Vec::new(), |op| op.weights())
    }

    /// The state that it reads and writes.
    pub fn state(&self) -> Option<StateId> {
        self.operator().ok()?.state()
    }

    /// Bytes that it works in besides its inputs and its output.
    pub fn scratch(&self, graph: &Graph, inputs: &[Value], bounds: &Bounds) -> u64 {
        match self.operator() {
            Ok(op) => op.scratch(graph, inputs, bounds),
            Err(op) => op.scratch(&known(inputs)) as u64,
        }
    }

    /// Bytes on the heap, for the ledger.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.operator().map_or_else(ArrayOp::heap_bytes, |_| 0)
    }

    /// Shape and kind of the output of an operator that is none on arrays.
    pub(crate) fn infer(&self, graph: &Graph, inputs: &[Value]) -> Result<Value, Error> {
        let op = self.operator().map_err(|op| Error::Misplaced { op: op.name() })?;
        if inputs.len() != op.arity() {
            return Err(Error::Arity { op: self.name(), found: inputs.len(), expected: op.arity() });
        }
        op.infer(graph, inputs)
    }

    pub(crate) fn reference(&self, run: &mut Interpreter<'_>, inputs: &[&Tensor]) -> Tensor {
        match self.operator() {
            Ok(op) => op.reference(run, inputs),
            // Arrays are evaluated by `ArrayOp::evaluate`; the interpreter is for decoders.
            Err(_) => Tensor::new(0, 0, Vec::new()),
        }
    }
}

/// Kinds and extents of arrays; none if one of them varies, which no graph with operators on arrays has.
fn known(inputs: &[Value]) -> Vec<ArrayType> {
    let types = inputs.iter().map(|input| Some(ArrayType { elem: input.elem, extents: input.dims.known()? }));
    types.collect::<Option<_>>().unwrap_or_default()
}

/// Checks that input `i` is f32 rows of `columns`, or of anything if `None`; gives its dims.
fn expect_f32(op: &'static str, inputs: &[Value], i: usize, columns: Option<u32>) -> Result<Dims, Error> {
    expect(op, inputs, i, Elem::F32, columns)
}

fn expect(
    op: &'static str,
    inputs: &[Value],
    i: usize,
    elem: Elem,
    columns: Option<u32>,
) -> Result<Dims, Error> {
    let value = inputs[i];
    if value.elem != elem {
        return Err(Error::Elem { op, input: i, found: value.elem, expected: elem });
    }
    match columns {
        Some(c) if value.dims.columns() != c => {
            Err(Error::Shape { op, input: i, found: Box::new(value.dims), expected: format!("{c} columns") })
        }
        _ => Ok(value.dims),
    }
}

/// Checks that a weight is a vector of `columns`.
fn expect_vector(op: &'static str, graph: &Graph, id: WeightId, columns: u32) -> Result<(), Error> {
    let weight = graph.weight_of(id);
    if weight.is_vector() && weight.shape.columns() == u64::from(columns) {
        return Ok(());
    }
    Err(weight_error(op, graph, id, format!("a vector of {columns}")))
}

fn weight_error(op: &'static str, graph: &Graph, id: WeightId, expected: String) -> Error {
    let weight = graph.weight_of(id);
    Error::Weight { op, weight: weight.name.clone(), found: weight.shape, expected }
}

/// The cost of an operator that does `per_element` operations on each element of its first input.
fn elementwise_cost(inputs: &[Value], bounds: &Bounds, per_element: u64) -> Cost {
    Cost { float_ops: inputs[0].dims.elements(bounds) * per_element, ..Cost::default() }
}

/// Whether products with this type go through int8 activations.
pub fn takes_int8(dtype: DType) -> bool {
    dtype.is_quantized()
}
