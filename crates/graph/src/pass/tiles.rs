//! Says which convolutions are made by tiles of 2 x 2 results.
//!
//! Not how, see [`crate::array::Conv::tiles`]. The one design choice: it follows from the extents alone and is said before anything
//! is planned, so the bits are the same in every budget.

use crate::array::ArrayOp;
use crate::{ArrayType, Error, Graph, Op, ValueId};

/// Marks convolutions of 3 x 3 that tiles make sooner.
pub fn choose_tiles(graph: &mut Graph) -> Result<(), Error> {
    let kind = |graph: &Graph, id: ValueId| {
        let value = graph.value_of(id);
        Some(ArrayType { elem: value.elem, extents: value.dims.known()? })
    };
    for index in 0..graph.nodes.len() {
        let node = &graph.nodes[index];
        let inputs: Option<Vec<ArrayType>> = node.inputs.iter().map(|id| kind(graph, *id)).collect();
        let (Some(inputs), Some(made)) = (inputs, kind(graph, node.output)) else { continue };
        if let Op::Array(ArrayOp::Conv(conv)) = &mut graph.nodes[index].op
            && conv.pays_in_tiles(&inputs, &made)
        {
            conv.tiles = Some(0);
        }
    }
    Ok(())
}
