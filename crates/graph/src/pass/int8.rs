//! Puts a [`Quantize`] before every product with a quantised matrix, one for each value however many matrices
//! read it.

use crate::op::{Op, Quantize, takes_int8};
use crate::{Elem, Error, Graph, Node, ValueId};
use std::collections::HashMap;

/// Makes products with quantised matrices take int8 activations.
pub fn int8_products(graph: &mut Graph) -> Result<(), Error> {
    let mut quantized: HashMap<ValueId, ValueId> = HashMap::new();
    let nodes = std::mem::take(&mut graph.nodes);
    for mut node in nodes {
        let matrix = match &node.op {
            Op::Experts(experts) => Some(experts.gate.first()),
            Op::HeadLinear(linear) => Some(linear.weight),
            Op::Linear(linear) => Some(linear.weight),
            Op::Neurons(neurons) => Some(neurons.up),
            _ => None,
        };
        if let Some(matrix) = matrix {
            let input = node.inputs[0];
            let plain = graph.value_of(input).elem == Elem::F32;
            if plain && takes_int8(graph.weight_of(matrix).dtype) {
                node.inputs[0] = match quantized.get(&input) {
                    Some(&known) => known,
                    None => {
                        let value = graph.infer(&Quantize.into(), &[input])?;
                        let output = graph.value(value);
                        graph.nodes.push(Node::new(Quantize.into(), vec![input], output));
                        quantized.insert(input, output);
                        output
                    }
                };
            }
        }
        graph.nodes.push(node);
    }
    Ok(())
}
