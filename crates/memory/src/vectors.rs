//! Vectors (norms, biases, factors): small, used often, kept whole as f32.

use crate::Error;
use formats::ModelFile;
use graph::op::WeightUse;
use graph::{Graph, WeightId};
use host::{FlashFile, Ledger, Part, ReadAt, Region};
use std::sync::Arc;

/// All vectors of a model, as f32, offsets added.
pub struct Vectors {
    region: Region,
    /// Start and length in elements, by weight id; vectors alone have one.
    places: Vec<Option<(u32, u32)>>,
}

impl Vectors {
    /// Bytes that the vectors of `graph` take.
    pub fn bytes(graph: &Graph) -> u64 {
        used(graph).map(|id| graph.weight_of(id).shape.elements() * 4).sum()
    }

    /// Reads every vector once.
    pub fn load(
        ledger: &Ledger,
        graph: &Graph,
        file: &ModelFile,
        files: &[Arc<FlashFile>],
    ) -> Result<Vectors, Error> {
        let mut places = vec![None; graph.weights.len()];
        let mut end = 0u32;
        for id in used(graph) {
            let elements = graph.weight_of(id).shape.elements() as u32;
            places[id.0 as usize].get_or_insert((end, elements));
            end += elements;
        }
        let mut region = Region::new(ledger, Part::Weights, (end as usize * 4).max(4))?;
        let mut raw = Vec::new();
        for (weight, place) in graph.weights.iter().zip(&places) {
            let Some((start, elements)) = *place else { continue };
            let (start, elements) = (start as usize, elements as usize);
            let info = &file.tensors[weight.tensor];
            raw.resize((info.range.end - info.range.start) as usize, 0);
            files[info.file as usize].read_exact_at(info.range.start, &mut raw).map_err(|source| {
                Error::Read { tensor: weight.name.clone(), offset: info.range.start, source }
            })?;
            let Some(format) = weight.dtype.block() else { continue };
            let out = &mut region.as_mut_slice::<f32>()[start..start + elements];
            let blocks = raw.chunks_exact(weight.dtype.block_bytes());
            for (block, values) in blocks.zip(out.chunks_exact_mut(weight.dtype.block_elements())) {
                format.dequantize(block, values);
            }
            out.iter_mut().for_each(|x| *x += weight.offset);
        }
        Ok(Vectors { region, places })
    }

    /// Gives their memory back.
    pub(crate) fn unload(&mut self) {
        self.places.fill(None);
        let all = 0..self.region.len();
        self.region.give_back(all);
        let _ = self.region.hold(0); // less is never refused
    }

    /// The elements of a vector; empty if `id` is a matrix.
    pub fn get(&self, id: WeightId) -> &[f32] {
        match self.places[id.0 as usize] {
            Some((start, elements)) => &self.region.as_slice()[start as usize..][..elements as usize],
            None => &[],
        }
    }
}

/// The vectors that the graph reads, each once.
fn used(graph: &Graph) -> impl Iterator<Item = WeightId> + '_ {
    let mut seen = vec![false; graph.weights.len()];
    graph::plan::weight_uses(graph).filter_map(move |(use_, _)| match use_ {
        WeightUse::Vector(id) if !std::mem::replace(&mut seen[id.0 as usize], true) => Some(id),
        _ => None,
    })
}
