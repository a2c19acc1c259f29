//! A walk over all parts of a model, however deep they lie.
//!
//! Not an order of execution: that is the importer's. The one design choice: one walk for whoever counts or checks,
//! in the order of the file, from the outside in, functions last.

use super::tensor::{SparseTensor, TensorInfo};
use super::{Attribute, AttributeValue, Graph, Model, Node};

/// A part of a model.
#[derive(Clone, Copy, Debug)]
pub enum Part<'a> {
    /// A graph: the model's own, a branch, a body.
    Graph(&'a Graph),
    /// A node of a graph or of a function.
    Node(&'a Node),
    /// An initializer, a part of a sparse one, or the tensor of an attribute.
    Tensor(&'a TensorInfo),
}

/// What is done with each part, until it fails.
type Visit<'v, 'a, E> = &'v mut dyn FnMut(Part<'a>) -> Result<(), E>;

impl Model {
    /// Shows `visit` every part: graphs of any depth, their nodes and tensors, and those of functions.
    pub fn walk<'a, E>(&'a self, visit: Visit<'_, 'a, E>) -> Result<(), E> {
        in_graph(&self.graph, visit)?;
        for function in &self.functions {
            in_attributes(&function.defaults, visit)?;
            function.nodes.iter().try_for_each(|node| in_node(node, visit))?;
        }
        Ok(())
    }
}

fn in_graph<'a, E>(graph: &'a Graph, visit: Visit<'_, 'a, E>) -> Result<(), E> {
    visit(Part::Graph(graph))?;
    graph.initializers.iter().try_for_each(|tensor| visit(Part::Tensor(tensor)))?;
    graph.sparse_initializers.iter().try_for_each(|sparse| in_sparse(sparse, visit))?;
    graph.nodes.iter().try_for_each(|node| in_node(node, visit))
}

fn in_node<'a, E>(node: &'a Node, visit: Visit<'_, 'a, E>) -> Result<(), E> {
    visit(Part::Node(node))?;
    in_attributes(&node.attributes, visit)
}

fn in_sparse<'a, E>(sparse: &'a SparseTensor, visit: Visit<'_, 'a, E>) -> Result<(), E> {
    visit(Part::Tensor(&sparse.values))?;
    visit(Part::Tensor(&sparse.indices))
}

fn in_attributes<'a, E>(attributes: &'a [Attribute], visit: Visit<'_, 'a, E>) -> Result<(), E> {
    for attribute in attributes {
        match &attribute.value {
            AttributeValue::Graph(graph) => in_graph(graph, visit)?,
            AttributeValue::Graphs(graphs) => graphs.iter().try_for_each(|graph| in_graph(graph, visit))?,
            AttributeValue::SparseTensor(sparse) => in_sparse(sparse, visit)?,
            AttributeValue::SparseTensors(list) => list.iter().try_for_each(|one| in_sparse(one, visit))?,
            AttributeValue::Tensor(tensor) => visit(Part::Tensor(tensor))?,
            AttributeValue::Tensors(tensors) => {
                tensors.iter().try_for_each(|tensor| visit(Part::Tensor(tensor)))?;
            }
            _ => {}
        }
    }
    Ok(())
}
