//! The graph itself: values, nodes in execution order, weights by name, and states that outlive a step.
//!
//! Nodes are stored in the order in which they were added, which is an order of execution; passes keep it so.

use crate::op::Op;
use crate::{Dims, Elem, Error};
use tensor::{DType, Shape};

/// Index of a value in its graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ValueId(pub u32);
/// Index of a weight in its graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WeightId(pub u32);
/// Index of a state in its graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StateId(pub u32);

/// What flows along an edge.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Value {
    /// Shape, with symbols for what varies.
    pub dims: Dims,
    /// Kind of element.
    pub elem: Elem,
}

/// One operation: an operator, its inputs, its single output.
#[derive(Clone, Debug)]
pub struct Node {
    /// What it does.
    pub op: Op,
    /// What it reads.
    pub inputs: Vec<ValueId>,
    /// What it makes.
    pub output: ValueId,
}

/// A tensor of the model file, as a graph uses it.
#[derive(Clone, Debug, PartialEq)]
pub struct Weight {
    /// Name in the file, for messages.
    pub name: String,
    /// Index in the file's list of tensors.
    pub tensor: usize,
    /// Element type.
    pub dtype: DType,
    /// Shape, outermost first: a matrix is `[outputs, inputs]`.
    pub shape: Shape,
    /// Added to every element when it is loaded (norms that are stored as `w - 1`); vectors only.
    pub offset: f32,
}

impl Weight {
    /// Whether this is a vector, kept whole in memory as f32; everything else is used in tiles of rows.
    pub fn is_vector(&self) -> bool {
        self.shape.rows() == 1
    }
}

/// How a state grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateKind {
    /// Every position stays until the sequence ends.
    Append,
    /// Only the last `window` positions can still be read.
    Ring {
        /// How many positions a row may look back, itself included.
        window: u32,
    },
}

/// Keys and values of one attention layer: what a sequence remembers between steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// How it grows.
    pub kind: StateKind,
    /// Heads of keys and values.
    pub kv_heads: u32,
    /// Elements of a head of the keys.
    pub head_dim: u32,
    /// What values are.
    pub values: Values,
}

impl State {
    /// Elements that each head of a position takes: of the keys, and of the values.
    pub fn kept(&self) -> [u32; 2] {
        match self.values {
            Values::Own(dim) => [self.head_dim, dim],
            Values::OfKeys(_) => [self.head_dim, 0],
        }
    }
}

/// The values of a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Values {
    /// Rows of their own, with so many elements a head.
    Own(u32),
    /// So many of the first elements of each head of the keys: nothing more is kept (DeepSeek-V2, arXiv 2405.04434).
    OfKeys(u32),
}

impl Values {
    /// Elements of a head.
    pub fn head_dim(self) -> u32 {
        match self {
            Values::Own(dim) | Values::OfKeys(dim) => dim,
        }
    }
}

/// A computation: everything about one step of a model but the numbers.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    /// Nodes, in an order of execution.
    pub nodes: Vec<Node>,
    /// Values; the first [`Graph::inputs`] are fed by the batch.
    pub values: Vec<Value>,
    /// Values that a step is given: token ids, positions, numbers of the rows whose logits are wanted.
    pub inputs: Vec<ValueId>,
    /// Values that a step yields.
    pub outputs: Vec<ValueId>,
    /// Tensors of the file that the nodes name.
    pub weights: Vec<Weight>,
    /// What lives between steps.
    pub states: Vec<State>,
}

impl Graph {
    /// An empty graph.
    pub fn new() -> Graph {
        Graph::default()
    }

    /// Declares a value that every step is given.
    pub fn input(&mut self, dims: Dims, elem: Elem) -> ValueId {
        let id = self.value(Value { dims, elem });
        self.inputs.push(id);
        id
    }

    /// Adds a value that some node will make.
    pub(crate) fn value(&mut self, value: Value) -> ValueId {
        self.values.push(value);
        ValueId(self.values.len() as u32 - 1)
    }

    /// Names a tensor of the file; naming it twice gives the same id.
    pub fn weight(&mut self, weight: Weight) -> WeightId {
        if let Some(i) = self.weights.iter().position(|w| w.tensor == weight.tensor && *w == weight) {
            return WeightId(i as u32);
        }
        self.weights.push(weight);
        WeightId(self.weights.len() as u32 - 1)
    }

    /// Declares a state.
    pub fn state(&mut self, state: State) -> StateId {
        self.states.push(state);
        StateId(self.states.len() as u32 - 1)
    }

    /// Appends a node; its output's shape follows from the operator's rule.
    pub fn push(&mut self, op: impl Into<Op>, inputs: &[ValueId]) -> Result<ValueId, Error> {
        let op = op.into();
        let value = self.infer(&op, inputs)?;
        let output = self.value(value);
        self.nodes.push(Node { op, inputs: inputs.to_vec(), output });
        Ok(output)
    }

    /// The shape rule of `op` applied to `inputs`.
    pub(crate) fn infer(&self, op: &Op, inputs: &[ValueId]) -> Result<Value, Error> {
        let values: Vec<Value> = inputs.iter().map(|id| self.values[id.0 as usize]).collect();
        if values.len() != op.arity() {
            return Err(Error::Arity { op: op.name(), found: values.len(), expected: op.arity() });
        }
        op.infer(self, &values)
    }

    /// A value by id.
    pub fn value_of(&self, id: ValueId) -> &Value {
        &self.values[id.0 as usize]
    }

    /// A weight by id.
    pub fn weight_of(&self, id: WeightId) -> &Weight {
        &self.weights[id.0 as usize]
    }

    /// A state by id.
    pub fn state_of(&self, id: StateId) -> &State {
        &self.states[id.0 as usize]
    }

    /// Bytes on the heap, for the ledger.
    pub fn heap_bytes(&self) -> u64 {
        let nodes: usize = self.nodes.iter().map(|n| size_of::<Node>() + n.inputs.capacity() * 4).sum();
        let weights: usize = self.weights.iter().map(|w| size_of::<Weight>() + w.name.capacity()).sum();
        let values = self.values.capacity() * size_of::<Value>();
        (nodes + weights + values + self.states.capacity() * size_of::<State>()) as u64
    }
}
