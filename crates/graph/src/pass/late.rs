//! Picks the rows whose logits are wanted as soon as no row needs another one: after the last attention, not after the last
//! layer.
//!
//! A step of a prompt wants the logits of one row or of none, so that most of the last layer is for nobody. Every row goes
//! through the same operations wherever the others are left out, so results are the same bits. Only what stands directly
//! before the picking is moved, so that all that is done for wanted rows alone stays at the end.

use crate::op::{Op, SelectRows};
use crate::{Dims, Error, Graph, Node, Symbol, ValueId};
use std::collections::HashMap;

/// Moves the picking of rows before operations that keep rows apart.
pub fn pick_rows_early(graph: &mut Graph) -> Result<(), Error> {
    let Some(at) = graph.nodes.iter().position(|node| node.op == Op::SelectRows(SelectRows)) else {
        return Ok(());
    };
    let first = (0..at).rev().take_while(|&index| can_follow(graph, index, at)).last().unwrap_or(at);
    let &[picked_from, wanted] = &graph.nodes[at].inputs[..] else { return Ok(()) };
    let moved: Vec<ValueId> = graph.nodes[first..at].iter().map(|node| node.output).collect();
    if !moved.contains(&picked_from) {
        return Ok(());
    }
    let nodes = std::mem::take(&mut graph.nodes);
    let mut picked: HashMap<ValueId, ValueId> = HashMap::new();
    let result = nodes[at].output;
    for (index, mut node) in nodes.into_iter().enumerate() {
        if index == at {
            continue;
        }
        if (first..at).contains(&index) {
            for input in &mut node.inputs {
                if !moved.contains(input) {
                    *input = match picked.get(input) {
                        Some(&known) => known,
                        None => {
                            let rows = graph.push(SelectRows, &[*input, wanted])?;
                            picked.insert(*input, rows);
                            rows
                        }
                    };
                }
            }
            let columns = graph.value_of(node.output).dims.columns();
            graph.values[node.output.0 as usize].dims = Dims::matrix(Symbol::LOGIT_ROWS, columns);
        }
        node.inputs.iter_mut().filter(|input| **input == result).for_each(|input| *input = picked_from);
        graph.nodes.push(node);
    }
    graph.outputs.iter_mut().filter(|output| **output == result).for_each(|output| *output = picked_from);
    Ok(())
}

/// Whether node `index` keeps rows apart and what it makes is read by nobody but the nodes after it up to number `at`.
fn can_follow(graph: &Graph, index: usize, at: usize) -> bool {
    let node: &Node = &graph.nodes[index];
    let apart = matches!(
        node.op,
        Op::Activate(_)
            | Op::Add(_)
            | Op::Glu(_)
            | Op::HeadLinear(_)
            | Op::Linear(_)
            | Op::Norm(_)
            | Op::Quantize(_)
            | Op::Scale(_)
            | Op::SigmoidGate(_)
    );
    let rows = |id: &ValueId| graph.value_of(*id).dims.rows() == Some(Symbol::ROWS);
    let later = graph.nodes[at + 1..].iter().any(|other| other.inputs.contains(&node.output));
    apart && node.inputs.iter().all(rows) && !later && !graph.outputs.contains(&node.output)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::{Add, Embed, Linear, Norm};
    use crate::{Elem, Weight};
    use tensor::{DType, Shape};

    #[test]
    fn rows_are_picked_before_what_keeps_them_apart() {
        let mut graph = Graph::new();
        let ids = graph.input(Dims::vector(Symbol::ROWS), Elem::Index);
        let wanted = graph.input(Dims::vector(Symbol::LOGIT_ROWS), Elem::Index);
        let weight = |graph: &mut Graph, tensor: usize, shape: &[u64]| {
            let (name, shape) = (format!("weight {tensor}"), Shape::new(shape).unwrap());
            graph.weight(Weight { name, tensor, dtype: DType::F32, shape, offset: 0.0 })
        };
        let [table, norm, matrix] = [&[5, 32][..], &[32], &[32, 32]]
            .map(|shape| weight(&mut graph, shape.len() + shape[0] as usize, shape));
        let x = graph.push(Embed { weight: table }, &[ids]).unwrap();
        let y = graph.push(Norm { weight: norm, eps: 1e-5 }, &[x]).unwrap();
        let y = graph.push(Linear { weight: matrix, bias: None }, &[y]).unwrap();
        let x = graph.push(Add, &[x, y]).unwrap();
        let x = graph.push(SelectRows, &[x, wanted]).unwrap();
        let logits = graph.push(Linear { weight: table, bias: None }, &[x]).unwrap();
        graph.outputs.push(logits);
        pick_rows_early(&mut graph).unwrap();
        crate::verify(&graph).unwrap();
        let names: Vec<_> = graph.nodes.iter().map(|node| node.op.name()).collect();
        assert_eq!(names, ["Embed", "SelectRows", "Norm", "Linear", "Add", "Linear"]);
        let late = |node: &Node| graph.value_of(node.output).dims.rows() == Some(Symbol::LOGIT_ROWS);
        assert!(graph.nodes[1..].iter().all(late));
        let nodes = graph.nodes.clone();
        pick_rows_early(&mut graph).unwrap();
        assert_eq!(graph.nodes.len(), nodes.len(), "nothing is left to move");
    }
}
