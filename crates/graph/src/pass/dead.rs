//! Drops nodes and constants that nobody reads. A node with a state is never dead: the next step reads it.

use crate::{Error, Graph};

/// Removes dead nodes; values keep their numbers.
pub fn remove_dead(graph: &mut Graph) -> Result<(), Error> {
    let mut wanted = vec![false; graph.values.len()];
    for id in &graph.outputs {
        wanted[id.0 as usize] = true;
    }
    for node in graph.nodes.iter().rev() {
        if node.outputs().any(|id| wanted[id.0 as usize]) || node.op.state().is_some() {
            node.inputs.iter().for_each(|id| wanted[id.0 as usize] = true);
        }
    }
    graph.nodes.retain(|n| n.outputs().any(|id| wanted[id.0 as usize]) || n.op.state().is_some());
    graph.constants.retain(|constant| wanted[constant.value.0 as usize]);
    Ok(())
}
