//! What experts are made of: for each layer that has them, where the matrices of each lie and how they are cut.

use crate::Error;
use formats::ModelFile;
use graph::op::{Stack, WeightUse};
use graph::{Graph, WeightId};
use host::Extent;
use tensor::DType;

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
    /// What a step takes of an expert, piece by piece: rows of its first matrix, of its second, of its third.
    pub pieces: Vec<Piece>,
    /// Bytes of one expert where it is kept.
    pub slot_bytes: u64,
    places: [Places; 3],
}

/// Some rows of one matrix of any expert of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Which of the three matrices.
    pub matrix: usize,
    /// Type of its elements.
    pub dtype: DType,
    /// The first row.
    pub first_row: u32,
    /// How many rows.
    pub rows: u32,
    /// How many bytes.
    pub bytes: u64,
    /// Where they begin in the matrix.
    in_matrix: u64,
    /// Where they begin in a slot.
    pub(super) in_slot: u64,
}

/// Where the matrices of a stack begin.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Places {
    /// One after another.
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
        for (used, _) in graph::plan::weight_uses(graph) {
            if let WeightUse::OneOf { set, of, at_most } = used {
                sets.push(ExpertSet::new(graph, file, set, of, at_most, piece_bytes)?);
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

    /// The largest pieces of a set, as extents of a file: what a window must have room for.
    pub fn largest_piece(&self) -> u64 {
        self.sets.iter().flat_map(|set| &set.pieces).map(|piece| piece.bytes).max().unwrap_or(0)
    }

    /// Bytes on the heap, for the ledger.
    pub fn heap_bytes(&self) -> u64 {
        let places = |places: &Places| match places {
            Places::Whole { .. } => 0,
            Places::Each(list) => list.capacity() * size_of::<(u32, u64)>(),
        };
        let of = |set: &ExpertSet| {
            set.pieces.capacity() * size_of::<Piece>() + set.places.iter().map(places).sum::<usize>()
        };
        (self.sets.capacity() * size_of::<ExpertSet>() + self.sets.iter().map(of).sum::<usize>()) as u64
    }
}

impl ExpertSet {
    fn new(
        graph: &Graph,
        file: &ModelFile,
        stacks: [Stack; 3],
        count: u32,
        used: u32,
        limit: u64,
    ) -> Result<ExpertSet, Error> {
        let mut pieces = Vec::new();
        let mut slot = 0u64;
        for (matrix, stack) in stacks.iter().enumerate() {
            let weight = graph.weight_of(stack.first());
            let (rows, _) = stack.matrix(graph, count).unwrap_or((0, 0));
            let row_bytes = weight.dtype.bytes_of(weight.shape.columns()).unwrap_or(0);
            if row_bytes > limit {
                return Err(Error::WideRow { tensor: weight.name.clone(), bytes: row_bytes, limit });
            }
            let step = crate::tiling::even_rows(u64::from(rows), limit / row_bytes.max(1));
            for first_row in (0..u64::from(rows)).step_by(step as usize) {
                let rows = step.min(u64::from(rows) - first_row);
                pieces.push(Piece {
                    matrix,
                    dtype: weight.dtype,
                    first_row: first_row as u32,
                    rows: rows as u32,
                    bytes: rows * row_bytes,
                    in_matrix: first_row * row_bytes,
                    in_slot: slot + first_row * row_bytes,
                });
            }
            slot = (slot + u64::from(rows) * row_bytes).next_multiple_of(64);
        }
        pieces.shrink_to_fit();
        let places = stacks.map(|stack| Places::new(graph, file, stack, count));
        Ok(ExpertSet { count, used, pieces, slot_bytes: slot, places })
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
            Stack::Whole(id) => {
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
