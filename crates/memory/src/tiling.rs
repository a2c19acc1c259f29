//! The order of reading: weights cut into tiles of rows, tiles gathered into runs.
//!
//! A tile is a range of rows of one matrix and so a range of bytes of one file. A run is a few tiles that a step uses
//! one after another; their bytes are read together as few long extents, because neighbours in the file are joined. A
//! run is also the unit of residency: it stays in memory whole or is streamed whole.

use crate::Error;
use formats::ModelFile;
use graph::op::{Op, WeightUse};
use graph::{Graph, Symbol, WeightId};
use host::Extent;
use std::collections::HashSet;
use std::ops::Range;
use tensor::PanelOrder;

/// How weights are cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TilingOptions {
    /// Bytes that a tile may have; rows are never cut.
    pub tile_bytes: u64,
    /// Bytes at which a run is full.
    pub run_bytes: u64,
}

/// Bytes between two wanted ranges that are read along rather than split a read.
const GAP: u64 = 4096;

/// A range of rows of a matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tile {
    /// The matrix.
    pub weight: WeightId,
    /// Its first row.
    pub first_row: u32,
    /// How many rows.
    pub rows: u32,
    /// Which of the model's files.
    pub file: u32,
    /// Where in it.
    pub offset: u64,
    /// How many bytes.
    pub bytes: u64,
    /// The run it belongs to, an index into [`Tiling::runs`].
    pub run: u32,
    /// Whether its rows lie sixteen side by side where it stays in memory ([`tensor::PanelOrder`]).
    pub panels: bool,
}

/// Tiles that are used one after another and read together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Its tiles, indices into [`Tiling::tiles`].
    pub tiles: Range<u32>,
    /// What is read for it: sorted, joined, within a gap of a few KiB.
    pub extents: Vec<Extent>,
    /// Bytes of its tiles.
    pub bytes: u64,
    /// Whether it is read only by steps that want logits.
    pub logits_only: bool,
}

/// All tiles of a model in the order in which a step uses them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tiling {
    /// In order of use.
    pub tiles: Vec<Tile>,
    /// In order of use; those with `logits_only` come last.
    pub runs: Vec<Run>,
    /// For each use of a whole matrix, in order, its tiles.
    uses: Vec<Range<u32>>,
}

impl Tiling {
    /// Cuts the weights of `graph`, whose tensors lie in `file`.
    ///
    /// # Errors
    /// [`Error::WideRow`] if a single row is larger than a tile may be.
    pub fn new(graph: &Graph, file: &ModelFile, options: TilingOptions) -> Result<Tiling, Error> {
        let mut tiling = Tiling::default();
        let of_products = only_products(graph);
        let mut open: Option<(u32, u64, bool)> = None; // first tile, bytes so far, logits only
        for (use_, rows) in graph::plan::weight_uses(graph) {
            let WeightUse::Whole(weight) = use_ else { continue };
            let logits_only = rows == Some(Symbol::LOGIT_ROWS);
            let first = tiling.tiles.len() as u32;
            let only_products = of_products.contains(&weight);
            for mut tile in cut(graph, file, weight, options.tile_bytes)? {
                tile.panels &= only_products;
                let full = open.is_some_and(|(_, bytes, last)| {
                    bytes + tile.bytes > options.run_bytes || last != logits_only
                });
                if full {
                    tiling.close(open.take());
                }
                tile.run = tiling.runs.len() as u32;
                let (_, bytes, _) = open.get_or_insert((tiling.tiles.len() as u32, 0, logits_only));
                *bytes += tile.bytes;
                tiling.tiles.push(tile);
            }
            tiling.uses.push(first..tiling.tiles.len() as u32);
        }
        tiling.close(open);
        Ok(tiling)
    }

    fn close(&mut self, open: Option<(u32, u64, bool)>) {
        let Some((first, bytes, logits_only)) = open else { return };
        let tiles = first..self.tiles.len() as u32;
        let extents = join(&self.tiles[first as usize..]);
        self.runs.push(Run { tiles, extents, bytes, logits_only });
    }

    /// Tiles of the `n`th use of a whole matrix, in the order of the graph's nodes.
    pub fn tiles_of_use(&self, n: usize) -> Range<u32> {
        self.uses[n].clone()
    }

    /// How many uses of whole matrices there are.
    pub fn uses(&self) -> usize {
        self.uses.len()
    }

    /// Bytes of all runs, or of those alone that every step reads.
    pub fn bytes(&self, with_logits: bool) -> u64 {
        self.runs.iter().filter(|r| with_logits || !r.logits_only).map(|r| r.bytes).sum()
    }

    /// Bytes that a run takes where it stays: its tiles, each at a multiple of 64, in pages of its own.
    pub fn held_bytes(&self, run: &Run) -> u64 {
        let tiles = run.tiles.clone().map(|t| self.tiles[t as usize].bytes.next_multiple_of(64));
        tiles.sum::<u64>().next_multiple_of(host::page_size() as u64)
    }

    /// Bytes on the heap, for the ledger.
    pub fn heap_bytes(&self) -> u64 {
        let extents: usize = self.runs.iter().map(|r| r.extents.capacity() * size_of::<Extent>()).sum();
        let lists = self.tiles.capacity() * size_of::<Tile>() + self.runs.capacity() * size_of::<Run>();
        (extents + lists + self.uses.capacity() * size_of::<Range<u32>>()) as u64
    }
}

/// The matrices whose whole uses are products, which take rows in panels.
fn only_products(graph: &Graph) -> HashSet<WeightId> {
    let (mut of_products, mut of_others) = (HashSet::new(), HashSet::new());
    for node in &graph.nodes {
        let uses = if matches!(node.op, Op::Linear(_)) { &mut of_products } else { &mut of_others };
        let whole = |used| if let WeightUse::Whole(weight) = used { Some(weight) } else { None };
        uses.extend(node.op.weights().into_iter().filter_map(whole));
    }
    of_products.retain(|weight| !of_others.contains(weight));
    of_products
}

/// The tiles of one matrix, as even in size as rows allow.
fn cut(graph: &Graph, file: &ModelFile, id: WeightId, limit: u64) -> Result<Vec<Tile>, Error> {
    let weight = graph.weight_of(id);
    let info = &file.tensors[weight.tensor];
    let rows = weight.shape.rows();
    let bytes = info.range.end - info.range.start;
    let row_bytes = bytes / rows;
    if row_bytes > limit {
        return Err(Error::WideRow { tensor: weight.name.clone(), bytes: row_bytes, limit });
    }
    let step = even_rows(rows, limit / row_bytes);
    Ok((0..rows)
        .step_by(step as usize)
        .map(|first| {
            let count = step.min(rows - first);
            Tile {
                weight: id,
                first_row: first as u32,
                rows: count as u32,
                file: info.file,
                offset: info.range.start + first * row_bytes,
                bytes: count * row_bytes,
                run: 0,
                panels: weight.dtype.is_quantized() && count.is_multiple_of(PanelOrder::ROWS as u64),
            }
        })
        .collect())
}

/// Rows of a tile of which `most` may be one, for a matrix of `rows`: as even as can be, in sixteens where `most` is as many,
/// because only sixteen rows lie side by side.
pub(crate) fn even_rows(rows: u64, most: u64) -> u64 {
    const TOGETHER: u64 = PanelOrder::ROWS as u64;
    let unit = if most < TOGETHER { 1 } else { TOGETHER };
    let most = (most / unit * unit).max(1);
    rows.div_ceil(rows.div_ceil(most).max(1)).max(1).next_multiple_of(unit)
}

/// The extents that cover `tiles`: by file and offset, neighbours joined.
fn join(tiles: &[Tile]) -> Vec<Extent> {
    let mut extents: Vec<Extent> =
        tiles.iter().map(|t| Extent { file: t.file, offset: t.offset, len: t.bytes }).collect();
    extents.sort_unstable_by_key(|e| (e.file, e.offset));
    let mut joined: Vec<Extent> = Vec::with_capacity(extents.len());
    for next in extents {
        match joined.last_mut() {
            Some(last) if last.file == next.file && next.offset <= last.offset + last.len + GAP => {
                last.len = last.len.max(next.offset + next.len - last.offset);
            }
            _ => joined.push(next),
        }
    }
    joined.shrink_to_fit();
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_are_even_and_whole_panels_wherever_a_tile_may_be_a_panel() {
        // The last is a vocabulary, whose even share of rows is just below the limit and no multiple of sixteen.
        for (rows, most, step) in
            [(64, 40, 32), (7, 100, 16), (100, 16, 16), (100, 9, 9), (5, 0, 1), (151_936, 1101, 1088)]
        {
            assert_eq!(even_rows(rows, most), step, "{rows} rows, {most} at most");
        }
    }
}
