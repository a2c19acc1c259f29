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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::array::{Conv, Windows};
    use crate::{Data, Elem, Extents};

    /// Whether tiles are chosen for so many channels to as many maps, an image of so many rows and columns, and a stride.
    fn chosen(channels: usize, size: usize, stride: usize) -> bool {
        let kind = |extents: &[usize]| ArrayType { elem: Elem::F32, extents: Extents::new(extents).unwrap() };
        let mut graph = Graph::new();
        let x = graph.input(kind(&[1, channels, size, size]).extents.into(), Elem::F32);
        let w = kind(&[channels, channels, 3, 3]);
        let w = graph.constant(w, Data::Here(vec![0; w.bytes()].into()));
        let [one, strides] = [1, stride].map(|number| vec![number; 2]);
        let (kernel, dilations, before) = (vec![3; 2], one.clone(), one.clone());
        let windows = Windows { kernel, strides, dilations, before, behind: one };
        let conv = Conv { windows, groups: 1, scales: false, bounds: None, then: None, tiles: None };
        let made = graph.push_array(conv, &[x, w]).unwrap()[0];
        graph.outputs.push(made);
        choose_tiles(&mut graph).unwrap();
        crate::verify(&graph).unwrap();
        matches!(&graph.nodes[0].op, Op::Array(ArrayOp::Conv(conv)) if conv.tiles == Some(0))
    }

    #[test]
    fn tiles_are_chosen_where_they_pay() {
        assert!(chosen(16, 128, 1) && chosen(64, 56, 1) && chosen(128, 28, 1));
        assert!(!chosen(4, 128, 1), "few channels");
        assert!(!chosen(16, 64, 1), "all of what tiles see is more than twice of what is read and made");
        assert!(!chosen(64, 14, 1), "few tiles");
        assert!(!chosen(16, 128, 2), "windows that are apart");
    }
}
