//! What can be wrong with a graph: always a fault of the file or of a model's description, never of the machine.

use crate::{ArrayType, Dims, Elem};

/// Why a graph was not accepted.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An operator got a value that it cannot take.
    #[error("{op}: input {input} has shape {found}, expected {expected}")]
    Shape {
        /// The operator's name.
        op: &'static str,
        /// Which input, from zero.
        input: usize,
        /// What it was.
        found: Box<Dims>,
        /// What it should have been, in words.
        expected: String,
    },
    /// An operator got elements of a kind that it cannot take.
    #[error("{op}: input {input} holds {found:?}, expected {expected:?}")]
    Elem {
        /// The operator's name.
        op: &'static str,
        /// Which input, from zero.
        input: usize,
        /// What it was.
        found: Elem,
        /// What it should have been.
        expected: Elem,
    },
    /// A weight does not fit the operator that uses it.
    #[error(
        "weight '{weight}' has shape {found}, but {op} needs {expected}; the file does not match its own description"
    )]
    Weight {
        /// The operator's name.
        op: &'static str,
        /// The tensor's name in the file.
        weight: String,
        /// Its shape.
        found: tensor::Shape,
        /// What the operator needs, in words.
        expected: String,
    },
    /// An operator got the wrong number of inputs.
    #[error("{op}: {found} inputs, expected {expected}")]
    Arity {
        /// The operator's name.
        op: &'static str,
        /// How many it got.
        found: usize,
        /// How many it takes.
        expected: usize,
    },
    /// The graph breaks one of its invariants; a pass is at fault.
    #[error("the graph is inconsistent at node {node}: {what}")]
    Inconsistent {
        /// Index of the node.
        node: usize,
        /// Which invariant, in words.
        what: &'static str,
    },
    /// An array cannot be what an operator takes.
    #[error("{op}: {what}, but the inputs are {}", listed(.found))]
    Array {
        /// The operator's name.
        op: &'static str,
        /// What must hold, in words.
        what: &'static str,
        /// What the inputs are.
        found: Box<[ArrayType]>,
    },
    /// A number in an input makes no sense; known only when the operator runs.
    #[error("{op}: {what}: {found}")]
    Content {
        /// The operator's name.
        op: &'static str,
        /// What must hold, in words.
        what: &'static str,
        /// The number.
        found: i64,
    },
    /// An operator on arrays stands where none can.
    #[error("{op} works on arrays and has no place in a decoder")]
    Misplaced {
        /// The operator's name.
        op: &'static str,
    },
    /// A size does not fit.
    #[error("{op}: {what} overflows")]
    Overflow {
        /// The operator's name.
        op: &'static str,
        /// What overflows.
        what: &'static str,
    },
}

fn listed(types: &[ArrayType]) -> String {
    let texts: Vec<String> = types.iter().map(ArrayType::to_string).collect();
    if texts.is_empty() { "none".into() } else { texts.join(", ") }
}
