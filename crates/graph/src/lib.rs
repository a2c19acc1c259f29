//! What to compute: a graph of operators, the passes over it, and the static plan of its memory.
//!
//! What it is: a closed list of operators ([`Op`], one file each) with shape rules, a slow reference and a cost;
//! [`pass`]es that rewrite a graph; [`plan`], which fixes order, lifetimes, arena offsets and weight uses before
//! a weight byte is read. What it is not: fast, or aware of any machine. The one design choice: everything is
//! known before the first step, because a hard budget, exact prefetch and code for small devices all need to see
//! the whole computation; sizes that vary are [`Symbol`]s with bounds.

#![forbid(unsafe_code)]

pub mod array;
pub mod bands;
mod error;
mod graph;
mod interpret;
pub mod op;
pub mod pass;
pub mod pieces;
pub mod plan;
mod shape;
mod verify;

pub use array::{ArrayOp, ArrayType};
pub use error::Error;
pub use graph::{
    Carried, Constant, Data, Graph, Node, State, StateId, StateKind, Value, ValueId, Values, Weight, WeightId,
};
pub use interpret::{Interpreter, Tensor};
pub use op::{Cost, Op};
pub use plan::Plan;
pub use shape::{Bounds, Dim, Dims, Elem, Extents, MAX_RANK, Symbol};
pub use verify::verify;
