//! A part of a network: what is needed to make some of its values of others.
//!
//! What it is: fewer nodes, other inputs, other outputs. What it is not: a choice; who cuts knows the names. The one design choice:
//! a value that is given is not made, so what leads to it is left out, and with it what only a run could know.

use super::call::reads;
use formats::onnx::{DataType, Model, ValueInfo, ValueType};
use std::collections::{HashMap, HashSet};

/// What a file says, among its own facts, if no number of what a mask chose is asked for: then masks may be met everywhere.
pub(super) const MASKS: &str = "pintpot.masks";

/// Leaves of `model` what makes `outputs` when `inputs`, values of 32-bit floats, are given. Whoever cuts says that
/// none of them tells how many places a mask has.
pub fn cut(model: &mut Model, inputs: &[&str], outputs: &[&str]) {
    let graph = &mut model.graph;
    let mut makers: HashMap<&str, usize> = HashMap::new();
    for (index, node) in graph.nodes.iter().enumerate() {
        makers.extend(node.outputs.iter().map(|name| (&**name, index)));
    }
    let (mut needed, mut read) = (vec![false; graph.nodes.len()], HashSet::new());
    let mut open: Vec<&str> = outputs.to_vec();
    while let Some(name) = open.pop() {
        read.insert(name.to_string());
        let maker = makers.get(name).filter(|_| !inputs.contains(&name));
        if let Some(&maker) = maker.filter(|maker| !needed[**maker]) {
            needed[maker] = true;
            open.extend(reads(&graph.nodes[maker]));
        }
    }
    let mut needed = needed.into_iter();
    graph.nodes.retain(|_| needed.next().unwrap_or(false));
    graph.inputs.retain(|input| read.contains(&*input.name));
    let given = |name: &str| ValueInfo {
        name: name.into(),
        value_type: ValueType::Tensor { element: DataType::Float, shape: None },
    };
    graph.inputs.extend(inputs.iter().map(|name| given(name)));
    graph.outputs = outputs.iter().map(|name| given(name)).collect();
    model.metadata.push((MASKS.into(), "".into()));
    graph.initializers.retain(|tensor| read.contains(&*tensor.name));
}
