//! What a network carries from run to run: states, kept outside the arena, whose storage is shared.
//!
//! The one design choice: a state changes when a run has ended, so that one that stops with an error leaves it as it was.

use super::{ArrayExecutor, Place};
use crate::Error;
use ::memory::Error as MemoryError;
use graph::Graph;
use host::{Ledger, Part, Region};
use std::ops::Range;
use std::sync::Arc;

/// Memory of the states.
pub(super) struct CarriedValues {
    /// Nothing if there are none.
    region: Option<Region>,
    /// Where each lies, in the order of the graph.
    ranges: Vec<Range<usize>>,
}

impl CarriedValues {
    pub fn new(ledger: &Ledger, graph: &Graph) -> Result<CarriedValues, Error> {
        let mut ranges = Vec::with_capacity(graph.carried.len());
        let mut end = 0usize;
        for carried in &graph.carried {
            let bytes = super::kind_of(graph, carried.input)?.bytes();
            ranges.push(end..end + bytes);
            end = (end + bytes).next_multiple_of(64);
        }
        let region = match end {
            0 => None,
            end => Some(Region::new(ledger, Part::State, end).map_err(MemoryError::from)?),
        };
        let mut values = CarriedValues { region, ranges };
        values.reset(graph);
        Ok(values)
    }

    fn reset(&mut self, graph: &Graph) {
        let Some(region) = &mut self.region else { return };
        region.as_mut_bytes().fill(0);
        for (carried, range) in graph.carried.iter().zip(&self.ranges) {
            if let (Some(start), Some(to)) = (&carried.start, region.as_mut_bytes().get_mut(range.clone())) {
                to.iter_mut().zip(start).for_each(|(to, byte)| *to = *byte);
            }
        }
    }
}

impl ArrayExecutor {
    /// Forgets what was carried from run to run.
    pub fn reset(&mut self) {
        self.carried.reset(&self.graph);
    }

    /// States become inputs of the run that begins.
    pub(super) fn carry_in(&mut self) -> Result<(), Error> {
        let Some(region) = &self.carried.region else { return Ok(()) };
        for (carried, range) in self.graph.carried.iter().zip(&self.carried.ranges) {
            // One that nobody reads has no place.
            let Place::Arena { offset, room } = self.places[carried.input.0 as usize] else { continue };
            let unplanned = Error::Unplanned { value: carried.input.0 };
            let to = self.arena.as_mut_bytes().get_mut(offset..offset + room);
            match (to, region.as_bytes().get(range.clone())) {
                (Some(to), Some(from)) if to.len() == from.len() => to.copy_from_slice(from),
                _ => return Err(unplanned),
            }
        }
        Ok(())
    }

    /// What the run made becomes the states.
    pub(super) fn carry_out(&mut self) -> Result<(), Error> {
        let graph = Arc::clone(&self.graph);
        let Some(mut region) = self.carried.region.take() else { return Ok(()) };
        let copied = graph.carried.iter().zip(&self.carried.ranges).try_for_each(|(carried, range)| {
            let to = region.as_mut_bytes().get_mut(range.clone());
            match (to, self.value(carried.made)) {
                (Some(to), Some((_, from))) if to.len() == from.len() => {
                    to.copy_from_slice(from);
                    Ok(())
                }
                _ => Err(Error::Unplanned { value: carried.made.0 }),
            }
        });
        self.carried.region = Some(region);
        copied
    }
}
