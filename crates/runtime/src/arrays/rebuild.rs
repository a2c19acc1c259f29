//! Another graph for the weights that are there: the same network, built for inputs of other extents.
//!
//! What it is not: a load. The one design choice: weights are found again by their numbers, the arena is the one that was made
//! for the largest extents, and if anything does not fit the executor is what it was.

use super::{ArrayExecutor, Place, kind_of, scratches};
use crate::Error;
use graph::{Data, Graph, Plan, ValueId};
use std::sync::Arc;

impl ArrayExecutor {
    /// Bytes of the arena: plans that need more do not fit.
    pub fn arena_bytes(&self) -> u64 {
        self.arena.as_bytes().len() as u64
    }

    /// Takes `graph` in place of its own; weights stay where they are. `same` tells for the number of a weight there which
    /// number it has now.
    ///
    /// # Errors
    /// If it needs a weight that is not there, or a larger arena, or if values are carried from run to run: those are of the
    /// extents before.
    pub fn rebuild(
        &mut self,
        (graph, plan, mut dynamic): (Arc<Graph>, &Plan, Vec<bool>),
        same: impl Fn(usize) -> Option<usize>,
    ) -> Result<(), Error> {
        let kinds = (0u32..).take(graph.values.len()).map(|id| kind_of(&graph, ValueId(id)));
        let kinds = kinds.collect::<Result<Vec<_>, _>>()?;
        let mut places = vec![Place::Nowhere; graph.values.len()];
        for ((id, place), kind) in (0u32..).map(ValueId).zip(&mut places).zip(&kinds) {
            if let Some(offset) = plan.offset(id) {
                *place = Place::Arena { offset: offset as usize, room: kind.bytes() };
            }
        }
        for (number, constant) in graph.constants.iter().enumerate() {
            let (value, unplanned) = (constant.value.0, Error::Unplanned { value: constant.value.0 });
            places[value as usize] = match constant.data {
                Data::Here(_) => Place::Here(number),
                // Networks that are built anew have their weights whole.
                Data::PartInFile(..) => return Err(unplanned),
                Data::InFile(weight) => {
                    let (id, place) =
                        same(weight.0 as usize).and_then(|number| self.weight(number)).ok_or(unplanned)?;
                    if self.kinds[id.0 as usize] != kinds[value as usize] {
                        return Err(Error::Unplanned { value });
                    }
                    place
                }
            };
        }
        if plan.arena_bytes > self.arena_bytes() || !graph.carried.is_empty() || self.passing.is_some() {
            return Err(Error::Unplanned { value: 0 });
        }
        dynamic.resize(graph.values.len(), false);
        (self.scratch, self.places, self.kinds) = (scratches(&graph, plan), places, kinds);
        (self.graph, self.dynamic, self.seconds) = (graph, dynamic, None);
        Ok(())
    }

    /// The value that a weight is, and where it lies.
    fn weight(&self, number: usize) -> Option<(ValueId, Place)> {
        let is_it = |data: &Data| matches!(data, Data::InFile(weight) if weight.0 as usize == number);
        let constant = self.graph.constants.iter().find(|constant| is_it(&constant.data))?;
        Some((constant.value, self.places[constant.value.0 as usize]))
    }
}
