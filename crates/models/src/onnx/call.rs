//! One node as its operator sees it: inputs, settings, version. And the order in which nodes are built.

use super::{Importer, OWN};
use crate::Error;
use crate::network::{Item, axis_of};
use formats::onnx::{AttributeValue, Function, Graph, Node, TensorInfo};
use graph::ValueId;
use std::collections::HashMap;

/// A function that is being built.
pub(crate) struct Frame<'a> {
    function: &'a Function,
    /// Settings of the call, and the function's own where the call has none.
    attributes: Vec<(&'a str, &'a AttributeValue)>,
}

impl<'a> Frame<'a> {
    pub fn new(function: &'a Function, call: &Call<'a>) -> Frame<'a> {
        let mut attributes = call.attributes.clone();
        for default in &function.defaults {
            if !attributes.iter().any(|(name, _)| *name == &*default.name) {
                attributes.push((&default.name, &default.value));
            }
        }
        Frame { function, attributes }
    }
}

/// A node as its operator sees it.
pub(crate) struct Call<'a> {
    /// Its operator's domain; empty for ONNX's own.
    pub domain: &'a str,
    /// Its operator.
    pub operator: &'a str,
    /// The version of the set that its operator is from.
    pub version: i64,
    /// What it reads; what is left out is [`Item::None`].
    pub inputs: Vec<Item>,
    /// For each output whether somebody wants it.
    pub wanted: Vec<bool>,
    attributes: Vec<(&'a str, &'a AttributeValue)>,
}

impl<'a> Importer<'a> {
    /// A node as its operator sees it.
    pub(super) fn call(&self, node: &'a Node) -> Result<Call<'a>, Error> {
        let domain: &str = if &*node.domain == "ai.onnx" { OWN } else { &node.domain };
        let version = match self.functions.last() {
            Some(frame) => frame.function.opset(domain).or_else(|| self.model.opset(domain)),
            None => self.model.opset(domain),
        };
        let inputs = node.inputs.iter().map(|name| self.find(name)).collect::<Result<_, _>>()?;
        let wanted = node.outputs.iter().map(|name| !name.is_empty()).collect();
        let attributes = node.attributes.iter().filter_map(|attribute| match &attribute.value {
            AttributeValue::Reference(name) => {
                let of_caller = self.functions.last()?.attributes.iter().find(|(own, _)| *own == &**name);
                of_caller.map(|(_, value)| (&*attribute.name, *value))
            }
            value => Some((&*attribute.name, value)),
        });
        let attributes = attributes.collect();
        Ok(Call {
            domain,
            operator: &node.op_type,
            version: version.unwrap_or(1),
            inputs,
            wanted,
            attributes,
        })
    }
}

impl<'a> Call<'a> {
    /// An input that must be there and an array.
    pub fn value(&self, input: usize) -> Result<ValueId, Error> {
        self.optional(input)?.ok_or(Error::MissingInput { input })
    }

    /// An input that may be left out.
    pub fn optional(&self, input: usize) -> Result<Option<ValueId>, Error> {
        match self.inputs.get(input) {
            None | Some(Item::None) => Ok(None),
            Some(Item::Value(id)) => Ok(Some(*id)),
            Some(Item::Sequence(_)) => Err(Error::NotAnArray),
        }
    }

    /// All inputs, which must be arrays.
    pub fn values(&self) -> Result<Vec<ValueId>, Error> {
        (0..self.inputs.len()).map(|input| self.value(input)).collect()
    }

    /// An input that is a list.
    pub fn sequence(&self, input: usize) -> Result<&[Item], Error> {
        match self.inputs.get(input) {
            Some(Item::Sequence(items)) => Ok(items),
            _ => Err(Error::NotASequence),
        }
    }

    /// Whether somebody wants the output.
    pub fn wants(&self, output: usize) -> bool {
        self.wanted.get(output).copied().unwrap_or(false)
    }

    /// The setting of this name.
    pub fn attribute(&self, name: &str) -> Option<&'a AttributeValue> {
        self.attributes.iter().find(|(own, _)| *own == name).map(|(_, value)| *value)
    }

    /// A whole number.
    pub fn int(&self, name: &'static str) -> Result<Option<i64>, Error> {
        match self.attribute(name) {
            None => Ok(None),
            Some(AttributeValue::Int(number)) => Ok(Some(*number)),
            Some(other) => wrong(name, other, "a whole number is needed"),
        }
    }

    /// A whole number, `default` if there is none.
    pub fn int_or(&self, name: &'static str, default: i64) -> Result<i64, Error> {
        Ok(self.int(name)?.unwrap_or(default))
    }

    /// Whole numbers.
    pub fn ints(&self, name: &'static str) -> Result<Option<&'a [i64]>, Error> {
        match self.attribute(name) {
            None => Ok(None),
            Some(AttributeValue::Ints(numbers)) => Ok(Some(numbers)),
            // An empty list does not say of what.
            Some(AttributeValue::Floats(numbers)) if numbers.is_empty() => Ok(Some(&[])),
            Some(other) => wrong(name, other, "whole numbers are needed"),
        }
    }

    /// A fraction, `default` if there is none.
    pub fn float_or(&self, name: &'static str, default: f32) -> Result<f32, Error> {
        Ok(self.float(name)?.unwrap_or(default))
    }

    /// A fraction.
    pub fn float(&self, name: &'static str) -> Result<Option<f32>, Error> {
        match self.attribute(name) {
            None => Ok(None),
            Some(AttributeValue::Float(number)) => Ok(Some(*number)),
            Some(other) => wrong(name, other, "a fraction is needed"),
        }
    }

    /// Fractions.
    pub fn floats(&self, name: &'static str) -> Result<Option<&'a [f32]>, Error> {
        match self.attribute(name) {
            None => Ok(None),
            Some(AttributeValue::Floats(numbers)) => Ok(Some(numbers)),
            Some(AttributeValue::Ints(numbers)) if numbers.is_empty() => Ok(Some(&[])),
            Some(other) => wrong(name, other, "fractions are needed"),
        }
    }

    /// A text, `default` if there is none.
    pub fn text_or(&self, name: &'static str, default: &'a str) -> Result<&'a str, Error> {
        match self.attribute(name) {
            None => Ok(default),
            Some(AttributeValue::String(bytes)) => std::str::from_utf8(bytes)
                .or_else(|_| wrong(name, self.attribute(name).unwrap_or(&NOTHING), "a text is needed")),
            Some(other) => wrong(name, other, "a text is needed"),
        }
    }

    /// A tensor.
    pub fn tensor(&self, name: &'static str) -> Result<Option<&'a TensorInfo>, Error> {
        match self.attribute(name) {
            None => Ok(None),
            Some(AttributeValue::Tensor(tensor)) => Ok(Some(tensor)),
            Some(other) => wrong(name, other, "a tensor is needed"),
        }
    }

    /// A graph.
    pub fn graph(&self, name: &'static str) -> Result<&'a Graph, Error> {
        match self.attribute(name) {
            Some(AttributeValue::Graph(graph)) => Ok(graph),
            other => wrong(name, other.unwrap_or(&NOTHING), "a graph is needed"),
        }
    }

    /// The setting `name` as an axis of an array of `rank` dimensions, counted from the front.
    pub fn axis(&self, name: &'static str, default: i64, rank: usize) -> Result<usize, Error> {
        axis_of(self.int_or(name, default)?, rank)
    }
}

/// Stands for a setting that is not there.
static NOTHING: AttributeValue = AttributeValue::Ints(Vec::new());

/// A setting that makes no sense.
pub(super) fn wrong<T>(
    attribute: &'static str,
    found: &AttributeValue,
    expected: &'static str,
) -> Result<T, Error> {
    let found = format!("{found:?}").chars().take(100).collect();
    Err(Error::Attribute { attribute, found, expected })
}

/// A setting that says what pintpot has not.
pub(super) fn unknown<T>(attribute: &'static str, found: &str, expected: &'static str) -> Result<T, Error> {
    Err(Error::Attribute { attribute, found: format!("'{found}'"), expected })
}

/// An order in which each node comes after those that make what it reads.
pub(super) fn order(nodes: &[Node]) -> Result<Vec<usize>, Error> {
    let mut makers: HashMap<&str, usize> = HashMap::new();
    for (index, node) in nodes.iter().enumerate() {
        makers.extend(node.outputs.iter().filter(|name| !name.is_empty()).map(|name| (&**name, index)));
    }
    let mut order = Vec::with_capacity(nodes.len());
    // 0: not begun, 1: waits for others, 2: done.
    let mut state = vec![0u8; nodes.len()];
    let mut open: Vec<usize> = Vec::new();
    for first in 0..nodes.len() {
        open.push(first);
        while let Some(&index) = open.last() {
            if state[index] == 2 {
                open.pop();
                continue;
            }
            state[index] = 1;
            let mut waits = false;
            for name in reads(&nodes[index]) {
                let Some(&maker) = makers.get(name) else { continue };
                match state[maker] {
                    2 => {}
                    1 if maker != index && open.contains(&maker) => {
                        return Err(Error::Cycle { name: name.into() });
                    }
                    _ if maker == index => {}
                    _ => {
                        open.push(maker);
                        waits = true;
                        break;
                    }
                }
            }
            if !waits {
                state[index] = 2;
                order.push(index);
                open.pop();
            }
        }
    }
    Ok(order)
}

/// Names that a node reads, those in graphs within it too.
pub(super) fn reads(node: &Node) -> Vec<&str> {
    let mut names: Vec<&str> = node.inputs.iter().map(|name| &**name).collect();
    let mut graphs: Vec<&Graph> = Vec::new();
    fn within<'n>(node: &'n Node, graphs: &mut Vec<&'n Graph>) {
        for attribute in &node.attributes {
            match &attribute.value {
                AttributeValue::Graph(graph) => graphs.push(graph),
                AttributeValue::Graphs(list) => graphs.extend(list),
                _ => {}
            }
        }
    }
    within(node, &mut graphs);
    while let Some(graph) = graphs.pop() {
        names.extend(graph.outputs.iter().map(|output| &*output.name));
        for node in &graph.nodes {
            names.extend(node.inputs.iter().map(|name| &**name));
            within(node, &mut graphs);
        }
    }
    names
}
