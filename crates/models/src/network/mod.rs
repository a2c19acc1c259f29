//! Networks: graphs of operators on arrays, built for the inputs that they are to take.
//!
//! What it is: what importers of any format build with, and what they give. What it is not: a format. The one design
//! choice: a network is built for inputs of known extents, and everything that decides an extent is worked out while it is
//! built; where an input's numbers decide one (the new shape of a reshape), they are read then and the network says so
//! ([`Network::decided`]), because it is good only for inputs with the same numbers there.

mod beside;
mod builder;
mod parts;
mod stored;

pub(crate) use builder::{Builder, axis_of};
pub(crate) use stored::places;
pub use stored::{Form, Place, Turned};

use graph::{ArrayType, Graph, ValueId};

/// A network, built.
#[derive(Debug)]
pub struct Network {
    /// Its computation: operators on arrays alone.
    pub graph: Graph,
    /// What it takes, by name, in the file's order.
    pub inputs: Vec<Port>,
    /// What it gives, by name, in the file's order.
    pub outputs: Vec<Port>,
    /// Where each of the graph's weights lies, by [`graph::Weight::tensor`].
    pub weights: Vec<Place>,
    /// Values that are inputs, and whose numbers the network was built for.
    pub decided: Vec<ValueId>,
    /// By value, whether its extents are known only when it is there; what the graph says of it is the most.
    pub dynamic: Vec<bool>,
}

/// Something that a network takes or gives.
#[derive(Clone, Debug, PartialEq)]
pub struct Port {
    /// Its name in the file.
    pub name: Box<str>,
    /// What it is.
    pub item: Item,
}

/// What a name stands for while a network is built. Lists exist only then; what runs are arrays.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// Nothing: an input that is left out.
    None,
    /// A list.
    Sequence(Vec<Item>),
    /// An array.
    Value(ValueId),
}

/// An input that a network is built for.
#[derive(Clone, Debug)]
pub enum Given<'a> {
    /// An array, of which the numbers may not be known yet.
    Array {
        /// What it is.
        kind: ArrayType,
        /// Its elements.
        bytes: Option<&'a [u8]>,
    },
    /// Nothing.
    None,
    /// A list.
    Sequence(Vec<Given<'a>>),
}
