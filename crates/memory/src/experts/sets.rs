//! What experts are made of: for each layer that has them, where the matrices of each lie and how they are cut.

use crate::Error;
use formats::ModelFile;
use graph::op::{Op, Stack, WeightUse};
use graph::{Graph, WeightId};
use host::Extent;
use kernels::KernelSet;
use std::ops::Range;
use tensor::{DType, PanelOrder};

/// Bytes of small experts that are read together, at most.
const TOGETHER: u64 = 64 << 10;

/// The experts of every layer that has some, in the order of a step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExpertSets {
    sets: Vec<ExpertSet>,
}

/// The experts of one layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpertSet {
    /// How many there are.
    pub count: u32,
    /// How many a row needs, at most.
    pub used: u32,
    /// What a step reads of an expert, piece by piece: rows of its first matrix, of its second, of its third if it has one.
    pub pieces: Vec<Piece>,
    /// What it takes of one that is kept: its matrices, each as a whole.
    pub whole: Vec<Piece>,
    /// Bytes of one expert where it is kept.
    pub slot_bytes: u64,
    /// The same experts in a coarser type, if the file has them.
    pub stand_in: Option<Box<ExpertSet>>,
    places: Vec<Places>,
}

/// Some rows of one matrix of any expert of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Which of the matrices.
    pub matrix: usize,
    /// Type of its elements.
    pub dtype: DType,
    /// The first row.
    pub first_row: u32,
    /// How many rows.
    pub rows: u32,
    /// How many bytes.
    pub bytes: u64,
    /// Whether they lie sixteen side by side where they are kept ([`tensor::PanelOrder`]).
    pub panels: bool,
    /// Where they begin in the matrix.
    in_matrix: u64,
    /// Where they begin in a slot.
    pub(super) in_slot: u64,
}

impl Piece {
    /// Copies its rows, which lie as in a file, to where they are kept.
    pub(super) fn put(&self, set: &KernelSet, rows: &[u8], to: &mut [u8]) {
        match PanelOrder::of(self.dtype).filter(|_| self.panels) {
            Some(order) => set.interleave(order, rows, rows.len() / self.rows as usize, to),
            None => to.copy_from_slice(rows),
        }
    }
}

/// Where the matrices of a stack begin.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Places {
    /// One after another, so many bytes each.
    Whole { file: u32, start: u64, bytes: u64 },
    /// Each somewhere.
    Each(Vec<(u32, u64)>),
}

impl ExpertSets {
    /// The experts of `graph`, whose tensors lie in `file`, in pieces of at most `piece_bytes`.
    ///
    /// # Errors
    /// [`Error::WideRow`] if a single row is larger than a piece may be.
    pub fn new(graph: &Graph, file: &ModelFile, piece_bytes: u64) -> Result<ExpertSets, Error> {
        let mut sets = Vec::new();
        let uses = graph.nodes.iter().flat_map(|node| {
            let panels = matches!(node.op, Op::Experts(_));
            node.op.weights().into_iter().map(move |used| (used, panels))
        });
        for (used, panels) in uses {
            if let WeightUse::OneOf { set, stand_ins, of, at_most } = used {
                let cut =
                    |set: &[Stack]| ExpertSet::new(graph, file, set, of, at_most, (piece_bytes, panels));
                let stand_in = if stand_ins.is_empty() { None } else { Some(Box::new(cut(&stand_ins)?)) };
                sets.push(ExpertSet { stand_in, ..cut(&set)? });
            }
        }
        Ok(ExpertSets { sets })
    }

    /// Set by set.
    pub fn iter(&self) -> impl Iterator<Item = &ExpertSet> {
        self.sets.iter()
    }

    /// One of them.
    pub fn get(&self, set: usize) -> &ExpertSet {
        &self.sets[set]
    }

    /// How many layers have experts.
    pub fn len(&self) -> usize {
        self.sets.len()
    }

    /// Whether no layer has any.
    pub fn is_empty(&self) -> bool {
        self.sets.is_empty()
    }

    /// Bytes of all experts where they are kept.
    pub fn bytes(&self) -> u64 {
        self.sets.iter().map(|set| u64::from(set.count) * set.slot_bytes).sum()
    }

    /// Bytes that so many of each set take where they are kept.
    pub fn held_bytes(&self, slots: &[u32]) -> u64 {
        self.sets.iter().zip(slots).map(|(set, &slots)| set.held_bytes(slots)).sum()
    }

    /// All sets, and those that may stand in for them.
    fn kinds(&self) -> impl Iterator<Item = &ExpertSet> {
        self.sets.iter().flat_map(|set| [Some(set), set.stand_in.as_deref()]).flatten()
    }

    /// Bytes of the largest read, alignment aside: what a window must have room for a few times.
    pub fn largest_read(&self) -> u64 {
        let of = |set: &ExpertSet| match set.is_small() {
            true => TOGETHER,
            false => set.pieces.iter().map(|piece| piece.bytes).max().unwrap_or(0),
        };
        self.kinds().map(of).max().unwrap_or(0)
    }

    /// Whether all sets are of experts so small that neighbours are read together.
    pub fn are_small(&self) -> bool {
        !self.is_empty() && self.sets.iter().all(ExpertSet::is_small)
    }

    /// Ranges of a file in one read, at most.
    pub fn most_extents(&self) -> usize {
        self.kinds().filter(|set| set.is_small()).map(|set| set.pieces.len()).max().unwrap_or(1)
    }

    /// Bytes on the heap, for the ledger.
    pub fn heap_bytes(&self) -> u64 {
        let places = |places: &Places| match places {
            Places::Whole { .. } => 0,
            Places::Each(list) => list.capacity() * size_of::<(u32, u64)>(),
        };
        let of = |set: &ExpertSet| {
            (set.pieces.capacity() + set.whole.capacity()) * size_of::<Piece>()
                + set.places.capacity() * size_of::<Places>()
                + set.places.iter().map(places).sum::<usize>()
        };
        (self.kinds().count() * size_of::<ExpertSet>() + self.kinds().map(of).sum::<usize>()) as u64
    }
}

impl ExpertSet {
    fn new(
        graph: &Graph,
        file: &ModelFile,
        stacks: &[Stack],
        count: u32,
        used: u32,
        (limit, panels): (u64, bool),
    ) -> Result<ExpertSet, Error> {
        let (mut pieces, mut whole) = (Vec::new(), Vec::with_capacity(stacks.len()));
        let mut slot = 0u64;
        for (matrix, stack) in stacks.iter().enumerate() {
            let weight = graph.weight_of(stack.first());
            let (rows, _) = stack.matrix(graph, count).unwrap_or((0, 0));
            let row_bytes = weight.dtype.bytes_of(weight.shape.columns()).unwrap_or(0);
            if row_bytes > limit {
                return Err(Error::WideRow { tensor: weight.name.clone(), bytes: row_bytes, limit });
            }
            let step = crate::tiling::even_rows(u64::from(rows), limit / row_bytes.max(1));
            let sixteens = [u64::from(rows), step.min(u64::from(rows))];
            let sixteens = sixteens.iter().all(|rows| rows.is_multiple_of(PanelOrder::ROWS as u64));
            let panels = panels && weight.dtype.is_quantized() && sixteens;
            let piece = |first_row: u64, rows: u64| Piece {
                matrix,
                dtype: weight.dtype,
                first_row: first_row as u32,
                rows: rows as u32,
                bytes: rows * row_bytes,
                panels,
                in_matrix: first_row * row_bytes,
                in_slot: slot + first_row * row_bytes,
            };
            let all = u64::from(rows);
            pieces.extend((0..all).step_by(step as usize).map(|first| piece(first, step.min(all - first))));
            whole.push(piece(0, all));
            slot = (slot + u64::from(rows) * row_bytes).next_multiple_of(64);
        }
        pieces.shrink_to_fit();
        let places = stacks.iter().map(|&stack| Places::new(graph, file, stack, count)).collect();
        Ok(ExpertSet { count, used, pieces, whole, slot_bytes: slot, stand_in: None, places })
    }

    /// How many matrices an expert has.
    pub fn matrices(&self) -> usize {
        self.places.len()
    }

    /// Whether experts are so small that neighbours are read together.
    pub fn is_small(&self) -> bool {
        self.slot_bytes <= TOGETHER / 2
    }

    /// Bytes of some pieces of an expert.
    pub(super) fn bytes_of(&self, pieces: Range<usize>) -> u64 {
        self.pieces[pieces].iter().map(|piece| piece.bytes).sum()
    }

    /// Where the pieces number `first` and later of the experts from `order[at]` on lie that one read brings, as ranges of
    /// a file put into `extents`; gives how many pieces of how many experts that is. Those that are not of this set, `alike`
    /// says.
    pub(super) fn read(
        &self,
        order: &[(u32, Option<u32>)],
        (at, first): (usize, usize),
        alike: impl Fn(u32) -> bool,
        extents: &mut Vec<Extent>,
    ) -> usize {
        let expert = order[at].0;
        extents.clear();
        if first > 0 || !self.is_small() {
            extents.push(self.extent(expert, &self.pieces[first]));
            return 1;
        }
        extents.extend(self.pieces.iter().map(|piece| self.extent(expert, piece)));
        let mut experts = 1;
        while let Some(&(next, None)) = order.get(at + experts) {
            let all = (experts as u64 + 1) * self.slot_bytes <= TOGETHER;
            let follows = |(extent, piece): (&Extent, &Piece)| {
                let next = self.extent(next, piece);
                (next.file, next.offset) == (extent.file, extent.offset + extent.len)
            };
            if !all || !alike(next) || !extents.iter().zip(&self.pieces).all(follows) {
                break;
            }
            extents.iter_mut().zip(&self.pieces).for_each(|(extent, piece)| extent.len += piece.bytes);
            experts += 1;
        }
        experts * self.pieces.len()
    }

    /// Bytes that so many take where they are kept, in pages of their own.
    pub fn held_bytes(&self, slots: u32) -> u64 {
        (u64::from(slots) * self.slot_bytes).next_multiple_of(host::page_size() as u64)
    }

    /// Where a piece of an expert lies.
    pub fn extent(&self, expert: u32, piece: &Piece) -> Extent {
        let (file, start) = match &self.places[piece.matrix] {
            Places::Whole { file, start, bytes } => (*file, start + u64::from(expert) * bytes),
            Places::Each(list) => list[expert as usize],
        };
        Extent { file, offset: start + piece.in_matrix, len: piece.bytes }
    }
}

impl Places {
    fn new(graph: &Graph, file: &ModelFile, stack: Stack, count: u32) -> Places {
        let info = |id: WeightId| &file.tensors[graph.weight_of(id).tensor];
        match stack {
            Stack::Whole(id) | Stack::Rows { weight: id, .. } => {
                let info = info(id);
                let bytes = (info.range.end - info.range.start) / u64::from(count.max(1));
                Places::Whole { file: info.file, start: info.range.start, bytes }
            }
            Stack::Each(_) => Places::Each(
                (0..count)
                    .map(|e| {
                        let info = info(stack.of(e).0);
                        (info.file, info.range.start)
                    })
                    .collect(),
            ),
        }
    }
}
