//! The weights of a model while it runs: some runs in memory for good, the others passing through a window.
//!
//! A step names its tiles in the order of the [`Tiling`]; the store walks the same list ahead of it and keeps the
//! window full of reads. After the last tile of a step it goes on with the first run of the next one. Every run has
//! its place in the memory of those that stay, whether it does or not, so that it can come and go between steps.

use crate::tiling::{Tile, Tiling};
use crate::{Error, Vectors};
use formats::ModelFile;
use graph::op::WeightUse;
use graph::{Graph, WeightId};
use host::{FlashFile, Ledger, Part, ReadAt, Region};
use host::{RunId, Stream, StreamOptions};
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use tensor::PanelOrder;

/// What the store has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StoreStats {
    /// Bytes read from flash, alignment included.
    pub bytes_read: u64,
    /// Seconds that the step waited for reads.
    pub wait_seconds: f64,
}

/// What stays and how the rest is streamed: a planner's decision.
pub struct Residency<'a> {
    /// The order of reading.
    pub tiling: Arc<Tiling>,
    /// For each run, whether it stays.
    pub resident: &'a [bool],
    /// Bytes of the window for the others; used for loading too.
    pub window_bytes: u64,
    /// How the window is read.
    pub options: StreamOptions,
}

/// The weights of one model.
pub struct WeightStore {
    tiling: Arc<Tiling>,
    /// By run, whether it stays.
    stays: Vec<bool>,
    resident: Region,
    /// Offset of each tile in the region.
    tile_offsets: Vec<usize>,
    vectors: Vectors,
    files: Vec<Arc<FlashFile>>,
    /// By weight, how the bytes of its panels lie, if it is quantised.
    orders: Vec<Option<PanelOrder>>,
    /// By weight; only those of which single rows are read have one.
    rows: Vec<Option<RowSource>>,
    stream: Option<Stream>,
    ahead: Ahead,
}

/// What is needed to read single rows of a matrix.
struct RowSource {
    name: String,
    file: u32,
    start: u64,
    row_bytes: u64,
    rows: u64,
    /// Tiles of the first whole use, if there is one.
    tiles: Range<u32>,
}

/// The walk ahead of the step.
#[derive(Default)]
struct Ahead {
    /// Streamed runs, in order of use.
    order: Vec<u32>,
    /// How many of `order` come before the runs that only logits need.
    common: usize,
    /// Index into `order` of the next run to ask for; `order.len()` or more means none.
    next: usize,
    /// Where this step ends in `order`.
    end: usize,
    /// Whether a further step will follow, so that reading may go on from the start.
    more: bool,
    /// Whether `next` is already in the following step.
    wrapped: bool,
    /// Runs asked for and not released, oldest first.
    queue: VecDeque<(u32, RunId)>,
}

impl WeightStore {
    /// Takes memory, reads vectors and the runs that stay, and opens the window for the rest.
    ///
    /// # Errors
    /// [`Error::Host`] if the ledger has no room, [`Error::Read`] if the disk fails.
    pub fn new(
        ledger: &Ledger,
        graph: &Graph,
        file: &ModelFile,
        files: Vec<Arc<FlashFile>>,
        residency: Residency<'_>,
    ) -> Result<WeightStore, Error> {
        let tiling = Arc::clone(&residency.tiling);
        let vectors = Vectors::load(ledger, graph, file, &files)?;
        let mut end = 0;
        let mut tile_offsets = vec![0; tiling.tiles.len()];
        for run in &tiling.runs {
            let mut offset = end;
            for t in run.tiles.clone() {
                tile_offsets[t as usize] = offset;
                offset = (offset + tiling.tiles[t as usize].bytes as usize).next_multiple_of(64);
            }
            end += tiling.held_bytes(run) as usize;
        }
        let region = Region::sparse(ledger, Part::Weights, end)?;
        let rows = row_sources(graph, file, &tiling);
        let orders = graph.weights.iter().map(|weight| PanelOrder::of(weight.dtype)).collect();
        let stays = vec![false; tiling.runs.len()];
        let ahead = Ahead { queue: VecDeque::with_capacity(64), ..Ahead::default() };
        let (resident, stream) = (region, None);
        let mut store = WeightStore {
            tiling,
            stays,
            resident,
            tile_offsets,
            vectors,
            files,
            orders,
            rows,
            stream,
            ahead,
        };
        store.adapt(ledger, residency)?;
        Ok(store)
    }

    /// Changes what stays, between steps: gives back what does not stay any more, reads what does from now on. The tiling
    /// is the store's own.
    ///
    /// # Errors
    /// As [`WeightStore::new`]; what could not be read is streamed.
    pub fn adapt(&mut self, ledger: &Ledger, residency: Residency<'_>) -> Result<(), Error> {
        let Residency { resident, window_bytes, options, .. } = residency;
        self.reset()?;
        self.stream = None;
        for (run, &stays) in resident.iter().enumerate() {
            if self.stays[run] && !stays {
                self.stays[run] = false;
                let range = self.place(run);
                self.resident.give_back(range);
            }
        }
        let held = |stays: &[bool]| -> u64 {
            let runs = self.tiling.runs.iter().zip(stays).filter(|(_, stays)| **stays);
            runs.map(|(run, _)| self.tiling.held_bytes(run)).sum()
        };
        self.resident.hold(held(resident))?;
        // A huge page among runs that stay here and there would hold those that do not.
        let all = !resident.contains(&false);
        self.resident.allow_huge(all.then(|| 0..self.resident.len()));
        let missing: Vec<usize> =
            (0..resident.len()).filter(|&run| resident[run] && !self.stays[run]).collect();
        let streams = resident.contains(&false);
        let loaded = match streams || !missing.is_empty() {
            true => {
                let stream = Stream::new(ledger, self.files.clone(), window_bytes as usize, options)?;
                self.load(stream, &missing)
            }
            false => Ok(()),
        };
        let away = |run: &u32| !self.stays[*run as usize];
        self.ahead.order = (0..self.stays.len() as u32).filter(away).collect();
        let every_step = |run: &&u32| !self.tiling.runs[**run as usize].logits_only;
        self.ahead.common = self.ahead.order.iter().filter(every_step).count();
        if self.ahead.order.is_empty() {
            self.stream = None; // nothing passes through it any more; its memory goes back
        }
        loaded
    }

    /// Gives all memory back; no step is possible any more.
    pub fn unload(&mut self) {
        self.stream = None;
        self.ahead = Ahead::default();
        self.stays.fill(false);
        let all = 0..self.resident.len();
        self.resident.give_back(all);
        let _ = self.resident.hold(0); // less is never refused
        self.vectors.unload();
    }

    /// Where a run lies in the region.
    fn place(&self, run: usize) -> Range<usize> {
        let run = &self.tiling.runs[run];
        let start = self.tile_offsets[run.tiles.start as usize];
        start..start + self.tiling.held_bytes(run) as usize
    }

    /// Reads runs that are to stay through the window.
    fn load(&mut self, stream: Stream, runs: &[usize]) -> Result<(), Error> {
        let stream = self.stream.insert(stream);
        let mut asked: VecDeque<(usize, RunId)> = VecDeque::new();
        let mut next = runs.iter().peekable();
        loop {
            while let Some(&&run) = next.peek() {
                let Some(id) = stream.push(&self.tiling.runs[run].extents)? else { break };
                asked.push_back((run, id));
                next.next();
            }
            let Some((run, id)) = asked.pop_front() else { return Ok(()) };
            stream.wait(id)?;
            for t in self.tiling.runs[run].tiles.clone() {
                let tile = self.tiling.tiles[t as usize];
                let bytes = streamed(stream, id, &tile, tile.bytes)?;
                let place = &mut self.resident.as_mut_bytes()[self.tile_offsets[t as usize]..][..bytes.len()];
                match self.orders[tile.weight.0 as usize].filter(|_| tile.panels) {
                    Some(order) => {
                        kernels::best().interleave(order, bytes, bytes.len() / tile.rows as usize, place);
                    }
                    None => place.copy_from_slice(bytes),
                }
            }
            self.stays[run] = true;
            stream.release(id);
        }
    }

    /// Starts a step. `logits` says whether it reads the runs that only logits need, `more` whether another step is
    /// sure to follow.
    pub fn begin(&mut self, logits: bool, more: bool) -> Result<(), Error> {
        let ahead = &mut self.ahead;
        ahead.end = if logits { ahead.order.len() } else { ahead.common };
        ahead.more = more;
        if !std::mem::take(&mut ahead.wrapped) {
            ahead.next = 0;
        }
        self.fill()
    }

    /// Asks for runs until the window is full.
    fn fill(&mut self) -> Result<(), Error> {
        let Some(stream) = &mut self.stream else { return Ok(()) };
        let ahead = &mut self.ahead;
        loop {
            if ahead.next >= ahead.end && !ahead.wrapped && ahead.more {
                (ahead.next, ahead.wrapped) = (0, true);
            }
            // Whether the following step wants logits is not known yet, so reading stops before those runs.
            let end = if ahead.wrapped { ahead.common } else { ahead.end };
            if ahead.next >= end || (ahead.wrapped && ahead.queue.len() >= ahead.order.len()) {
                return Ok(());
            }
            let run = ahead.order[ahead.next];
            let Some(id) = stream.push(&self.tiling.runs[run as usize].extents)? else { return Ok(()) };
            ahead.queue.push_back((run, id));
            ahead.next += 1;
        }
    }

    /// Bytes of heap that a store of `tiling` takes besides it.
    pub fn heap_bytes(tiling: &Tiling) -> u64 {
        let of_run = size_of::<bool>() + size_of::<u32>();
        (tiling.runs.len() * of_run + tiling.tiles.len() * size_of::<usize>()) as u64
    }

    /// Waits until a tile's bytes are in memory. Tiles are to be asked for in the order of the tiling.
    pub fn acquire(&mut self, tile: u32) -> Result<(), Error> {
        let run = self.tiling.tiles[tile as usize].run;
        if self.stays[run as usize] {
            return Ok(());
        }
        if self.ahead.queue.front().is_none_or(|&(front, _)| front != run) {
            self.fill()?;
        }
        match (&mut self.stream, self.ahead.queue.front()) {
            (Some(stream), Some(&(front, id))) if front == run => Ok(stream.wait(id)?),
            _ => Err(Error::OutOfOrder { run, next: self.ahead.queue.front().map(|f| f.0) }),
        }
    }

    /// Whether the rows of a tile lie sixteen side by side now.
    pub fn in_panels(&self, tile: u32) -> bool {
        let t = &self.tiling.tiles[tile as usize];
        t.panels && self.stays[t.run as usize]
    }

    /// Whether a tile is in memory for good.
    pub fn stays(&self, tile: u32) -> bool {
        self.stays[self.tiling.tiles[tile as usize].run as usize]
    }

    /// How many of `tiles`, from the first on, can be taken for one: rows of one matrix that follow each other in memory, in
    /// one order.
    pub fn stretch(&self, tiles: Range<u32>) -> Range<u32> {
        let list = &self.tiling.tiles[tiles.start as usize..tiles.end as usize];
        let offsets = &self.tile_offsets[tiles.start as usize..];
        let follow = |i: &usize| {
            let (a, b) = (&list[*i], &list[*i + 1]);
            let one = (a.weight, a.run, a.panels) == (b.weight, b.run, b.panels);
            let in_place = offsets[*i] + a.bytes as usize == offsets[*i + 1] || !self.stays[a.run as usize];
            one && in_place && a.offset + a.bytes == b.offset && a.first_row + a.rows == b.first_row
        };
        let more = (0..list.len().saturating_sub(1)).take_while(follow).count();
        tiles.start..tiles.end.min(tiles.start + 1 + more as u32)
    }

    /// The bytes of an acquired [`WeightStore::stretch`] of tiles: whole rows as they lie in the file, or
    /// [`WeightStore::in_panels`].
    pub fn bytes(&self, tiles: Range<u32>) -> Result<&[u8], Error> {
        let list = &self.tiling.tiles[tiles.start as usize..tiles.end as usize];
        let Some(t) = list.first() else { return Ok(&[]) };
        let bytes = list.iter().map(|tile| tile.bytes).sum();
        match (self.stays[t.run as usize], &self.stream, self.ahead.queue.front()) {
            (true, _, _) => {
                let start = self.tile_offsets[tiles.start as usize];
                Ok(&self.resident.as_bytes()[start..][..bytes as usize])
            }
            (false, Some(stream), Some(&(_, id))) => streamed(stream, id, t, bytes),
            _ => Err(Error::OutOfOrder { run: t.run, next: None }),
        }
    }

    /// The bytes of a tile, if there is one with that number and it stays in memory.
    pub fn resident(&self, tile: u32) -> Option<&[u8]> {
        let t = self.tiling.tiles.get(tile as usize)?;
        self.stays[t.run as usize].then(|| self.bytes(tile..tile + 1).ok())?
    }

    /// Says that a tile is done with; the last tile of a run frees its room for the next read.
    pub fn release(&mut self, tile: u32) -> Result<(), Error> {
        let run = self.tiling.tiles[tile as usize].run;
        let last = self.tiling.runs[run as usize].tiles.end == tile + 1;
        if last && !self.stays[run as usize] {
            if let (Some(stream), Some((_, id))) = (&mut self.stream, self.ahead.queue.pop_front()) {
                stream.release(id);
            }
            self.fill()?;
        }
        Ok(())
    }

    /// Whether steps read from flash.
    pub fn streams(&self) -> bool {
        self.stream.is_some()
    }

    /// Whether the files are what they were when they were opened, as far as anything is still read from them.
    ///
    /// # Errors
    /// [`Error::Host`] if one was changed.
    pub fn check(&self) -> Result<(), Error> {
        Ok(self.files.iter().try_for_each(|file| file.check())?)
    }

    /// Forgets what was asked for, after a step that did not end; the next step starts afresh.
    ///
    /// # Errors
    /// If the reader broke for good.
    pub fn reset(&mut self) -> Result<(), Error> {
        self.ahead.queue.clear();
        self.ahead.wrapped = false;
        match &mut self.stream {
            Some(stream) => Ok(stream.reset()?),
            None => Ok(()),
        }
    }

    /// Copies row `row` of a matrix, as it lies in the file, into `out`.
    pub fn read_row(&self, weight: WeightId, row: u32, out: &mut [u8]) -> Result<(), Error> {
        let Some(source) = &self.rows[weight.0 as usize] else {
            return Err(Error::OutOfOrder { run: weight.0, next: None });
        };
        if u64::from(row) >= source.rows {
            return Err(Error::Row { tensor: source.name.clone(), row, rows: source.rows });
        }
        for t in source.tiles.clone() {
            let tile = &self.tiling.tiles[t as usize];
            let inside = row >= tile.first_row && row < tile.first_row + tile.rows;
            if inside && self.stays[tile.run as usize] {
                let bytes = &self.resident.as_bytes()[self.tile_offsets[t as usize]..];
                let row = (row - tile.first_row) as usize;
                match self.orders[weight.0 as usize].filter(|_| tile.panels) {
                    Some(order) => {
                        let panel = PanelOrder::ROWS * out.len();
                        let bytes = &bytes[row / PanelOrder::ROWS * panel..][..panel];
                        order.row(bytes, row % PanelOrder::ROWS, out);
                    }
                    None => out.copy_from_slice(&bytes[row * out.len()..][..out.len()]),
                }
                return Ok(());
            }
        }
        let offset = source.start + u64::from(row) * source.row_bytes;
        self.files[source.file as usize].read_exact_at(offset, out).map_err(|e| Error::Read {
            tensor: source.name.clone(),
            offset,
            source: e,
        })
    }

    /// A vector's elements.
    pub fn vector(&self, weight: WeightId) -> &[f32] {
        self.vectors.get(weight)
    }

    /// The order of reading.
    pub fn tiling(&self) -> &Tiling {
        &self.tiling
    }

    /// What was read so far.
    pub fn stats(&self) -> StoreStats {
        let wait = self.stream.as_ref().map_or(0, |s| s.stats().wait_nanos);
        let bytes_read = self.files.iter().map(|f| f.bytes_read()).sum();
        StoreStats { bytes_read, wait_seconds: wait as f64 / 1e9 }
    }
}

/// So many bytes from the beginning of a tile in a run that has arrived.
fn streamed<'a>(stream: &'a Stream, id: RunId, tile: &Tile, bytes: u64) -> Result<&'a [u8], Error> {
    stream.bytes(id, tile.file, tile.offset, bytes).ok_or(Error::OutOfOrder { run: tile.run, next: None })
}

fn row_sources(graph: &Graph, file: &ModelFile, tiling: &Tiling) -> Vec<Option<RowSource>> {
    let first_use = |id: WeightId| {
        (0..tiling.uses())
            .map(|n| tiling.tiles_of_use(n))
            .find(|tiles| tiles.clone().next().is_some_and(|t| tiling.tiles[t as usize].weight == id))
    };
    let mut sources: Vec<Option<RowSource>> = graph.weights.iter().map(|_| None).collect();
    for (used, _) in graph::plan::weight_uses(graph) {
        let WeightUse::Rows(id) = used else { continue };
        let weight = graph.weight_of(id);
        let info = &file.tensors[weight.tensor];
        let rows = weight.shape.rows();
        sources[id.0 as usize] = Some(RowSource {
            name: weight.name.clone(),
            file: info.file,
            start: info.range.start,
            row_bytes: (info.range.end - info.range.start) / rows,
            rows,
            tiles: first_use(id).unwrap_or(0..0),
        });
    }
    sources
}
