//! Constants that do not stay in memory: read from the files in the order in which nodes need them, through a window.
//!
//! What it is: the reader of language models ([`host::Stream`]) with one constant to a run. What it is not: a choice of what passes. The one
//! design choice: what has come is copied to where its node finds it, aligned, so that its room in the window is free for what
//! comes next while the node computes; behind the last constant of a run the first of the next one is read.

use super::{kind_of, no_subnormals};
use crate::Error;
use ::memory::Error as MemoryError;
use graph::{Elem, Graph, ValueId};
use host::{Extent, FlashFile, Ledger, Part, Region, RunId, Stream, StreamOptions};
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

/// Which constants pass, and how.
pub struct PassingWeights {
    /// The files.
    pub files: Vec<Arc<FlashFile>>,
    /// Constants that one node each reads, and where they lie, as the graph has them.
    pub extents: Vec<(ValueId, Extent)>,
    /// Bytes of the window.
    pub window_bytes: u64,
    /// How it is read.
    pub options: StreamOptions,
}

/// Constants on their way.
pub(super) struct Passing {
    stream: Stream,
    files: Vec<Arc<FlashFile>>,
    /// What the node that is next needs.
    slot: Region,
    /// In order of use.
    items: Vec<Item>,
    /// Reads under way or waiting, the oldest first: those of the items from `first` on.
    queue: VecDeque<RunId>,
    first: usize,
}

/// One constant.
struct Item {
    value: ValueId,
    node: usize,
    extent: Extent,
    /// Where it comes in the slot.
    place: Range<usize>,
    elem: Elem,
}

impl Passing {
    pub fn new(ledger: &Ledger, graph: &Graph, weights: PassingWeights) -> Result<Passing, Error> {
        let mut items: Vec<Item> = Vec::with_capacity(weights.extents.len());
        let mut most = 0;
        for (index, node) in graph.nodes.iter().enumerate() {
            let mut end = 0usize;
            for id in &node.inputs {
                let Some((value, extent)) = weights.extents.iter().find(|(value, _)| value == id) else {
                    continue;
                };
                let kind = kind_of(graph, *value)?;
                if kind.bytes() as u64 != extent.len || items.iter().any(|item| item.value == *value) {
                    return Err(Error::Unplanned { value: value.0 });
                }
                let place = end..end + kind.bytes();
                end = place.end.next_multiple_of(64);
                items.push(Item { value: *value, node: index, extent: *extent, place, elem: kind.elem });
            }
            most = most.max(end);
        }
        let PassingWeights { files, window_bytes, options, .. } = weights;
        let stream = Stream::new(ledger, files.clone(), window_bytes as usize, options);
        let stream = stream.map_err(MemoryError::from)?;
        let slot = Region::new(ledger, Part::Window, most.max(1)).map_err(MemoryError::from)?;
        let queue = VecDeque::with_capacity(options.max_runs + 1);
        Ok(Passing { stream, files, slot, items, queue, first: 0 })
    }

    /// Where a constant comes, if it passes.
    pub fn offset(&self, value: ValueId) -> Option<usize> {
        self.items.iter().find(|item| item.value == value).map(|item| item.place.start)
    }

    /// What came.
    pub fn bytes(&self, place: Range<usize>) -> Option<&[u8]> {
        self.slot.as_bytes().get(place)
    }

    /// A run begins; one before it may not have ended.
    ///
    /// # Errors
    /// If somebody wrote to a file since it was opened, or the reader broke.
    pub fn begin(&mut self) -> Result<(), Error> {
        self.files.iter().try_for_each(|file| file.check()).map_err(MemoryError::from)?;
        if self.first != 0 {
            self.queue.clear();
            self.first = 0;
            self.stream.reset().map_err(MemoryError::from)?;
        }
        self.fill()
    }

    /// Asks for what comes next, as much as there is room for.
    fn fill(&mut self) -> Result<(), Error> {
        while self.queue.len() < self.items.len() {
            let next = (self.first + self.queue.len()) % self.items.len();
            let pushed = self.stream.push(&[self.items[next].extent]).map_err(MemoryError::from)?;
            match pushed {
                Some(id) => self.queue.push_back(id),
                None => break,
            }
        }
        Ok(())
    }

    /// Waits until all is there that a node needs.
    pub fn fetch(&mut self, node: usize) -> Result<(), Error> {
        while let Some(item) = self.items.get(self.first).filter(|item| item.node == node) {
            let unplanned = || Error::Unplanned { value: item.value.0 };
            let id = *self.queue.front().ok_or_else(unplanned)?;
            self.stream.wait(id).map_err(MemoryError::from)?;
            let Extent { file, offset, len } = item.extent;
            let from = self.stream.bytes(id, file, offset, len).ok_or_else(unplanned)?;
            let to = self.slot.as_mut_bytes().get_mut(item.place.clone()).ok_or_else(unplanned)?;
            to.copy_from_slice(from);
            if item.elem == Elem::F32 {
                no_subnormals(to);
            }
            self.stream.release(id);
            self.queue.pop_front();
            self.first += 1;
            let is_last = self.first == self.items.len();
            if is_last {
                self.first = 0;
            }
            self.fill()?;
            if is_last {
                break;
            }
        }
        Ok(())
    }
}
