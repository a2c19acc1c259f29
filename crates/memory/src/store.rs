//! The weights of a model while it runs: some runs in memory for good, the others passing through a window.
//!
//! A step names its tiles in the order of the [`Tiling`]; the store walks the same list ahead of it and keeps the
//! window full of reads. After the last tile of a step it goes on with the first run of the next one.

use crate::tiling::{Tile, Tiling};
use crate::{Error, Vectors};
use formats::ModelFile;
use graph::op::WeightUse;
use graph::{Graph, WeightId};
use host::{Extent, RunId, Stream, StreamOptions};
use host::{FlashFile, Ledger, Part, ReadAt, Region};
use std::collections::VecDeque;
use std::sync::Arc;

/// Where the bytes of a run are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// In the region of resident weights, from this byte on, its tiles one after another.
    Resident(usize),
    /// In the file, fetched for every step.
    Streamed,
}

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
    places: Vec<Place>,
    resident: Region,
    /// Offset of each tile in the region, for tiles of resident runs.
    tile_offsets: Vec<usize>,
    vectors: Vectors,
    files: Vec<Arc<FlashFile>>,
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
    tiles: std::ops::Range<u32>,
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
        let Residency { tiling, resident, window_bytes, options } = residency;
        let vectors = Vectors::load(ledger, graph, file, &files)?;
        let mut end = 0;
        let mut places = Vec::with_capacity(tiling.runs.len());
        let mut tile_offsets = vec![0; tiling.tiles.len()];
        for (run, &stays) in tiling.runs.iter().zip(resident) {
            places.push(if stays { Place::Resident(end) } else { Place::Streamed });
            if stays {
                for t in run.tiles.clone() {
                    tile_offsets[t as usize] = end;
                    end = (end + tiling.tiles[t as usize].bytes as usize).next_multiple_of(64);
                }
            }
        }
        let region = Region::new(ledger, Part::Weights, end.max(1))?.huge();
        let rows = row_sources(graph, file, &tiling);
        let order: Vec<u32> =
            (0..places.len() as u32).filter(|&r| places[r as usize] == Place::Streamed).collect();
        let common = order.iter().filter(|&&r| !tiling.runs[r as usize].logits_only).count();
        let ahead = Ahead { order, common, queue: VecDeque::with_capacity(64), ..Ahead::default() };
        let stream = Stream::new(ledger, files.clone(), window_bytes as usize, options)?;
        let mut store = WeightStore {
            tiling,
            places,
            resident: region,
            tile_offsets,
            vectors,
            files,
            rows,
            stream: Some(stream),
            ahead,
        };
        store.load_resident()?;
        if store.ahead.order.is_empty() {
            store.stream = None; // nothing passes through it any more; its memory goes back
        }
        Ok(store)
    }

    /// Reads every run that stays, through the window.
    fn load_resident(&mut self) -> Result<(), Error> {
        let Some(stream) = &mut self.stream else { return Ok(()) };
        let stays = |r: &usize| matches!(self.places[*r], Place::Resident(_));
        let runs: Vec<usize> = (0..self.places.len()).filter(stays).collect();
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
                let bytes = streamed(stream, id, &tile)?;
                self.resident.as_mut_bytes()[self.tile_offsets[t as usize]..][..bytes.len()]
                    .copy_from_slice(bytes);
            }
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
        let of_run = size_of::<Place>() + size_of::<u32>();
        (tiling.runs.len() * of_run + tiling.tiles.len() * size_of::<usize>()) as u64
    }

    /// Waits until a tile's bytes are in memory. Tiles are to be asked for in the order of the tiling.
    pub fn acquire(&mut self, tile: u32) -> Result<(), Error> {
        let run = self.tiling.tiles[tile as usize].run;
        if self.places[run as usize] != Place::Streamed {
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

    /// The bytes of an acquired tile: whole rows as they lie in the file.
    pub fn bytes(&self, tile: u32) -> Result<&[u8], Error> {
        let t = &self.tiling.tiles[tile as usize];
        match (self.places[t.run as usize], &self.stream, self.ahead.queue.front()) {
            (Place::Resident(_), _, _) => {
                Ok(&self.resident.as_bytes()[self.tile_offsets[tile as usize]..][..t.bytes as usize])
            }
            (Place::Streamed, Some(stream), Some(&(_, id))) => streamed(stream, id, t),
            _ => Err(Error::OutOfOrder { run: t.run, next: None }),
        }
    }

    /// The bytes of a tile, if there is one with that number and it stays in memory.
    pub fn resident(&self, tile: u32) -> Option<&[u8]> {
        let t = self.tiling.tiles.get(tile as usize)?;
        (self.places[t.run as usize] != Place::Streamed).then(|| self.bytes(tile).ok())?
    }

    /// Says that a tile is done with; the last tile of a run frees its room for the next read.
    pub fn release(&mut self, tile: u32) -> Result<(), Error> {
        let run = self.tiling.tiles[tile as usize].run;
        let last = self.tiling.runs[run as usize].tiles.end == tile + 1;
        if last && self.places[run as usize] == Place::Streamed {
            if let (Some(stream), Some((_, id))) = (&mut self.stream, self.ahead.queue.pop_front()) {
                stream.release(id);
            }
            self.fill()?;
        }
        Ok(())
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
            if inside && matches!(self.places[tile.run as usize], Place::Resident(_)) {
                let at = self.tile_offsets[t as usize] + (row - tile.first_row) as usize * out.len();
                out.copy_from_slice(&self.resident.as_bytes()[at..at + out.len()]);
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

/// The bytes of a tile in a run that has arrived.
fn streamed<'a>(stream: &'a Stream, id: RunId, tile: &Tile) -> Result<&'a [u8], Error> {
    let Extent { file, offset, len } = Extent { file: tile.file, offset: tile.offset, len: tile.bytes };
    stream.bytes(id, file, offset, len).ok_or(Error::OutOfOrder { run: tile.run, next: None })
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
