//! The laws of the IR, checked after every pass in debug builds and by tests.

use crate::{Error, Graph, Op, Value};

/// Checks that every node reads only what exists before it, that shapes follow the rules, that each value has one
/// maker, and that ids are in range.
pub fn verify(graph: &Graph) -> Result<(), Error> {
    let fault = |node: usize, what: &'static str| Err(Error::Inconsistent { node, what });
    let mut made = vec![false; graph.values.len()];
    for id in graph.inputs.iter().chain(graph.constants.iter().map(|constant| &constant.value)) {
        made[id.0 as usize] = true;
    }
    for (i, node) in graph.nodes.iter().enumerate() {
        if node.inputs.iter().any(|id| !made.get(id.0 as usize).copied().unwrap_or(false)) {
            return fault(i, "it reads a value that is not made yet");
        }
        let agrees = match &node.op {
            Op::Array(op) => {
                let types = op.infer(&graph.array_types(op.name(), &node.inputs)?)?;
                types.into_iter().map(Value::from).eq(node.outputs().map(|id| *graph.value_of(id)))
            }
            op => graph.infer(op, &node.inputs)? == *graph.value_of(node.output),
        };
        if !agrees {
            return fault(i, "its output's shape breaks the operator's rule");
        }
        if node.outputs().any(|id| std::mem::replace(&mut made[id.0 as usize], true)) {
            return fault(i, "its output is made twice");
        }
    }
    let kept = |carried: &crate::Carried| {
        graph.inputs.contains(&carried.input) && graph.outputs.contains(&carried.made)
    };
    if !graph.carried.iter().all(kept) {
        return fault(graph.nodes.len(), "what is carried is no output or no input");
    }
    if graph.outputs.iter().any(|id| !made[id.0 as usize]) {
        return fault(graph.nodes.len(), "an output is never made");
    }
    Ok(())
}
