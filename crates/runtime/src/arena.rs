//! The values of a step, in one piece of memory, where the plan put them.

use crate::Error;
use ::memory::Error as MemoryError;
use graph::{Bounds, Elem, Graph, Plan, ValueId};
use host::{Ledger, Part, Region, cast, cast_mut};
use kernels::Quantized;
use std::ops::Range;

/// Memory for the values of a graph under a plan.
pub(crate) struct Arena {
    region: Region,
    places: Vec<Option<Place>>,
}

#[derive(Clone, Copy)]
struct Place {
    offset: usize,
    elem: Elem,
    columns: usize,
    /// The symbol that counts its rows; one row if there is none.
    rows: Option<graph::Symbol>,
    /// Where the node that makes it works besides.
    scratch: Option<usize>,
}

/// Activations as int8: values (n, k), scales (n, k / 32), sums (n, k / 16).
pub(crate) type Int8Mut<'a> = (&'a mut [i8], &'a mut [f32], &'a mut [i16]);

impl Arena {
    pub fn new(ledger: &Ledger, graph: &Graph, plan: &Plan) -> Result<Arena, Error> {
        let mut arena = Arena { region: Arena::nothing(ledger)?, places: Vec::new() };
        arena.adapt(ledger, graph, plan)?;
        Ok(arena)
    }

    /// Changes to another plan; what values held is gone.
    pub fn adapt(&mut self, ledger: &Ledger, graph: &Graph, plan: &Plan) -> Result<(), Error> {
        self.places.clear();
        self.region = Arena::nothing(ledger)?; // the old one goes before the new one comes
        let bytes = plan.arena_bytes.max(1) as usize;
        self.region = Region::new(ledger, Part::Activations, bytes).map_err(MemoryError::from)?;
        self.places.extend((0..graph.values.len() as u32).map(|i| {
            let value = graph.value_of(ValueId(i));
            let offset = plan.offset(ValueId(i))? as usize;
            let rows = value.dims.rows();
            let columns = if value.elem == Elem::Index { 1 } else { value.dims.columns() as usize };
            Some(Place { offset, elem: value.elem, columns, rows, scratch: None })
        }));
        for (index, node) in graph.nodes.iter().enumerate() {
            if let Some(place) = &mut self.places[node.output.0 as usize] {
                place.scratch = plan.scratch(index).map(|offset| offset as usize);
            }
        }
        Ok(())
    }

    /// A region that holds nothing.
    fn nothing(ledger: &Ledger) -> Result<Region, Error> {
        Ok(Region::sparse(ledger, Part::Activations, 1).map_err(MemoryError::from)?)
    }

    /// Where a value lies in a step.
    pub fn range(&self, id: ValueId, now: &Bounds) -> Result<Range<usize>, Error> {
        let place =
            self.places.get(id.0 as usize).copied().flatten().ok_or(Error::Unplanned { value: id.0 })?;
        let rows = place.rows.map_or(1, |s| now.of(s) as usize);
        let bytes = rows * place.elem.row_bytes(place.columns as u64) as usize;
        Ok(place.offset..place.offset + bytes)
    }

    /// Where what the maker of a value works in begins.
    pub fn scratch(&self, id: ValueId) -> Result<usize, Error> {
        let place = self.places.get(id.0 as usize).copied().flatten();
        place.and_then(|place| place.scratch).ok_or(Error::Unplanned { value: id.0 })
    }

    /// Columns of a value.
    pub fn columns(&self, id: ValueId) -> usize {
        self.places.get(id.0 as usize).copied().flatten().map_or(0, |p| p.columns)
    }

    /// Whether two values share storage.
    pub fn shared(&self, a: ValueId, b: ValueId) -> bool {
        let offset = |id: ValueId| self.places.get(id.0 as usize).copied().flatten().map(|p| p.offset);
        offset(a) == offset(b)
    }

    /// One value as f32.
    pub fn floats(&self, id: ValueId, now: &Bounds) -> Result<&[f32], Error> {
        let range = self.range(id, now)?;
        cast(&self.region.as_bytes()[range]).ok_or(Error::Unplanned { value: id.0 })
    }

    /// One value as indices, to be written.
    pub fn indices_mut(&mut self, id: ValueId, now: &Bounds) -> Result<&mut [u32], Error> {
        let range = self.range(id, now)?;
        cast_mut(&mut self.region.as_mut_bytes()[range]).ok_or(Error::Unplanned { value: id.0 })
    }

    /// Several values at once, the bytes of each; they must not share storage.
    pub fn split<const N: usize>(
        &mut self,
        ids: [ValueId; N],
        now: &Bounds,
    ) -> Result<[&mut [u8]; N], Error> {
        let mut ranges: [Range<usize>; N] = std::array::from_fn(|_| 0..0);
        for (range, id) in ranges.iter_mut().zip(ids) {
            *range = self.range(id, now)?;
        }
        self.split_ranges(ranges).ok_or(Error::Unplanned { value: ids.first().map_or(0, |id| id.0) })
    }

    /// Several ranges at once; `None` if they overlap.
    pub fn split_ranges<const N: usize>(&mut self, ranges: [Range<usize>; N]) -> Option<[&mut [u8]; N]> {
        self.region.as_mut_bytes().get_disjoint_mut(ranges).ok()
    }

    /// Several f32 values at once; they must not share storage.
    pub fn split_floats<const N: usize>(
        &mut self,
        ids: [ValueId; N],
        now: &Bounds,
    ) -> Result<[&mut [f32]; N], Error> {
        Ok(self.split(ids, now)?.map(floats_of))
    }
}

/// Bytes of a planned value as f32; values lie at multiples of 64, so the cast cannot fail.
pub(crate) fn floats_of(bytes: &mut [u8]) -> &mut [f32] {
    cast_mut(bytes).unwrap_or_default()
}

/// Bytes of a planned value as indices.
pub(crate) fn indices_of(bytes: &mut [u8]) -> &mut [u32] {
    cast_mut(bytes).unwrap_or_default()
}

/// Bytes of int8 values of `rows` rows, to be read.
pub(crate) fn quantized_of(bytes: &[u8], rows: usize, columns: usize) -> Quantized<'_> {
    let (q, rest) = bytes.split_at(rows * columns);
    let (scale, rest) = rest.split_at(rows * columns / 32 * 4);
    let sums = &rest[..rows * columns / 16 * 2];
    let (q, scale, sums) = (cast(q), cast(scale), cast(sums));
    Quantized {
        q: q.unwrap_or_default(),
        scale: scale.unwrap_or_default(),
        sums: sums.unwrap_or_default(),
        columns,
    }
}

/// Bytes of a planned int8 value of `rows` rows as its three parts.
pub(crate) fn int8_of(bytes: &mut [u8], rows: usize, columns: usize) -> Int8Mut<'_> {
    let (q, rest) = bytes.split_at_mut(rows * columns);
    let (scale, sums) = rest.split_at_mut(rows * columns / 32 * 4);
    (cast_mut(q).unwrap_or_default(), floats_of(scale), cast_mut(sums).unwrap_or_default())
}
