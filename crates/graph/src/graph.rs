//! The graph itself: values, nodes in execution order, weights by name, and states that outlive a step.
//!
//! Nodes are stored in the order in which they were added, which is an order of execution; passes keep it so.

use crate::array::{ArrayOp, ArrayType};
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

impl From<ArrayType> for Value {
    fn from(array: ArrayType) -> Value {
        Value { dims: array.extents.into(), elem: array.elem }
    }
}

/// One operation: an operator, its inputs, what it makes.
#[derive(Clone, Debug)]
pub struct Node {
    /// What it does.
    pub op: Op,
    /// What it reads.
    pub inputs: Vec<ValueId>,
    /// What it makes.
    pub output: ValueId,
    /// What it makes besides; operators on arrays alone do.
    pub more: Vec<ValueId>,
}

impl Node {
    /// A node that makes one value.
    pub fn new(op: Op, inputs: Vec<ValueId>, output: ValueId) -> Node {
        Node { op, inputs, output, more: Vec::new() }
    }

    /// All that it makes.
    pub fn outputs(&self) -> impl Iterator<Item = ValueId> + '_ {
        std::iter::once(self.output).chain(self.more.iter().copied())
    }
}

/// A value that no node makes, because it is always the same.
#[derive(Clone, Debug)]
pub struct Constant {
    /// The value.
    pub value: ValueId,
    /// Its elements.
    pub data: Data,
}

/// Where the elements of a constant are.
#[derive(Clone, Debug)]
pub enum Data {
    /// Here, without gaps.
    Here(Box<[u8]>),
    /// In the model's file, as the value has them.
    InFile(WeightId),
    /// Among those of such a one, from this byte on.
    PartInFile(WeightId, u64),
}

impl Data {
    /// The tensor in a file that it is of, and from which byte on.
    pub fn in_file(&self) -> Option<(WeightId, u64)> {
        match *self {
            Data::Here(_) => None,
            Data::InFile(weight) => Some((weight, 0)),
            Data::PartInFile(weight, start) => Some((weight, start)),
        }
    }
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

/// A value that one run of a network makes and the next one is given: both are one state.
#[derive(Clone, Debug)]
pub struct Carried {
    /// What a run makes.
    pub made: ValueId,
    /// The input that it is in the next run, of the same kind.
    pub input: ValueId,
    /// Its elements before the first run; zeros if there are none.
    pub start: Option<Box<[u8]>>,
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
    /// Values that are always the same, by ascending id.
    pub constants: Vec<Constant>,
    /// Values that a network carries from run to run.
    pub carried: Vec<Carried>,
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
        self.nodes.push(Node::new(op, inputs.to_vec(), output));
        Ok(output)
    }

    /// Appends a node with an operator on arrays; gives all that it makes.
    pub fn push_array(&mut self, op: impl Into<ArrayOp>, inputs: &[ValueId]) -> Result<Vec<ValueId>, Error> {
        let op = op.into();
        let types = op.infer(&self.array_types(op.name(), inputs)?)?;
        let outputs: Vec<ValueId> = types.into_iter().map(|made| self.value(made.into())).collect();
        if let [output, more @ ..] = &outputs[..] {
            let (inputs, more) = (inputs.to_vec(), more.to_vec());
            self.nodes.push(Node { op: Op::Array(op), inputs, output: *output, more });
        }
        Ok(outputs)
    }

    /// Declares a value that is always the same; `data` must be of its size.
    pub fn constant(&mut self, kind: ArrayType, data: Data) -> ValueId {
        let value = self.value(kind.into());
        self.constants.push(Constant { value, data });
        value
    }

    /// Says that what a run makes is an input of the next.
    pub fn carry(&mut self, carried: Carried) {
        self.outputs.push(carried.made);
        self.carried.push(carried);
    }

    /// Bytes of what is carried from run to run.
    pub fn carried_bytes(&self) -> u64 {
        let bytes = |carried: &Carried| {
            let Value { dims, elem } = self.value_of(carried.input);
            dims.known().map_or(0, |extents| ArrayType { elem: *elem, extents }.bytes() as u64)
        };
        self.carried.iter().map(|carried| bytes(carried).next_multiple_of(64)).sum()
    }

    /// What a value is if it is always the same.
    pub fn constant_of(&self, id: ValueId) -> Option<&Data> {
        let at = self.constants.binary_search_by_key(&id, |constant| constant.value).ok()?;
        Some(&self.constants[at].data)
    }

    /// Kinds and extents of arrays, which must not vary.
    pub fn array_types(&self, op: &'static str, ids: &[ValueId]) -> Result<Vec<ArrayType>, Error> {
        let known = |(input, id): (usize, &ValueId)| {
            let Value { dims, elem } = *self.value_of(*id);
            let expected = || "extents that do not vary".to_string();
            let extents = dims.known();
            let extents = extents.ok_or_else(|| Error::Shape {
                op,
                input,
                found: Box::new(dims),
                expected: expected(),
            })?;
            Ok(ArrayType { elem, extents })
        };
        ids.iter().enumerate().map(known).collect()
    }

    /// The shape rule of `op` applied to `inputs`.
    pub(crate) fn infer(&self, op: &Op, inputs: &[ValueId]) -> Result<Value, Error> {
        let values: Vec<Value> = inputs.iter().map(|id| self.values[id.0 as usize]).collect();
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
        let lists = |n: &Node| n.inputs.capacity() * 4 + n.more.capacity() * 4 + n.op.heap_bytes();
        let nodes: usize = self.nodes.iter().map(|n| size_of::<Node>() + lists(n)).sum();
        let constants = self.constants.iter().map(|constant| match &constant.data {
            Data::Here(bytes) => size_of::<Constant>() + bytes.len().next_multiple_of(16) + 16,
            Data::InFile(_) | Data::PartInFile(..) => size_of::<Constant>(),
        });
        let weights: usize = self.weights.iter().map(|w| size_of::<Weight>() + w.name.capacity()).sum();
        let starts =
            self.carried.iter().map(|carried| carried.start.as_ref().map_or(0, |start| start.len() + 16));
        let carried = self.carried.capacity() * size_of::<Carried>() + starts.sum::<usize>();
        let values = self.values.capacity() * size_of::<Value>();
        (nodes
            + weights
            + values
            + carried
            + constants.sum::<usize>()
            + self.states.capacity() * size_of::<State>()) as u64
    }
}
