//! Common subexpressions: two nodes with the same operator and inputs become one (the tables of RoPE, mostly).

use crate::op::Op;
use crate::{Error, Graph, ValueId};
use std::collections::HashMap;

/// Merges equal nodes; nodes with a state are left alone.
pub fn share_equal(graph: &mut Graph) -> Result<(), Error> {
    let mut renamed: HashMap<ValueId, ValueId> = HashMap::new();
    let mut seen: Vec<(Op, Vec<ValueId>, Vec<ValueId>)> = Vec::new();
    graph.nodes.retain_mut(|node| {
        for id in &mut node.inputs {
            *id = renamed.get(id).copied().unwrap_or(*id);
        }
        // Only operators without weights are worth comparing: equal ones with weights do not occur.
        if node.op.state().is_some() || !node.op.weights().is_empty() {
            return true;
        }
        if let Some((_, _, first)) = seen.iter().find(|(op, ins, _)| *op == node.op && *ins == node.inputs) {
            renamed.extend(node.outputs().zip(first.iter().copied()));
            return false;
        }
        seen.push((node.op.clone(), node.inputs.clone(), node.outputs().collect()));
        true
    });
    for id in &mut graph.outputs {
        *id = renamed.get(id).copied().unwrap_or(*id);
    }
    Ok(())
}
