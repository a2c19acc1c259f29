//! A constant of a network as it lies in a file, and how it becomes what the graph says.
//!
//! Not an operator. The one design choice: what a format stores otherwise than kernels want it (narrow floats, another order
//! of axes, only what is not zero) is turned as it is read, piece by piece, once: no run does it, and nothing is there twice.

use formats::tflite::{SparseDim, Sparsity};
use graph::{Elem, Extents};
use half::f16;
use host::ReadAt;
use std::io;
use std::ops::Range;

/// Bytes that are read at a time.
const PIECE: usize = 32 << 10;
/// Elements of a sparse tensor, at most.
const DENSE_MAX: usize = 1 << 28;

/// A piece of a file, and how it lies there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Which of the model's files.
    pub file: u32,
    /// Where in it.
    pub range: Range<u64>,
    /// How the elements lie there.
    pub form: Form,
}

/// How elements lie in a file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// Without gaps, as the graph has them.
    AsItIs,
    /// Otherwise.
    Turned(Box<Turned>),
}

/// Elements that lie otherwise than the graph has them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Turned {
    /// The kind that the file has, and the kind that the graph has: the same, or a wider one.
    pub elems: (Elem, Elem),
    /// Extents as the file has them.
    pub extents: Extents,
    /// The axis of the file that each axis of the graph is.
    pub order: Vec<usize>,
    /// Where what is not zero belongs, if nothing else is stored: its place among all, by the file's order.
    pub places: Option<Box<[u32]>>,
}

impl Place {
    /// The elements as the graph has them.
    ///
    /// # Errors
    /// If they cannot be read, or are not as many as they must be.
    pub fn read(&self, file: &dyn ReadAt, to: &mut [u8]) -> io::Result<()> {
        let Form::Turned(turned) = &self.form else { return file.read_exact_at(self.range.start, to) };
        let (stored, made) = (turned.elems.0.bytes(), turned.elems.1.bytes());
        let count = turned.places.as_ref().map_or(turned.extents.elements(), |places| places.len());
        let long = (self.range.end.saturating_sub(self.range.start)) as usize;
        if long < count * stored || to.len() != turned.extents.elements() * made {
            return Err(io::ErrorKind::InvalidData.into());
        }
        if turned.places.is_some() {
            to.fill(0);
        }
        let mut piece = vec![0; PIECE.min(count * stored)];
        let mut targets = turned.targets();
        let mut next = 0;
        while next < count {
            let now = (piece.len() / stored).min(count - next);
            file.read_exact_at(self.range.start + (next * stored) as u64, &mut piece[..now * stored])?;
            for element in piece[..now * stored].chunks_exact(stored) {
                let target = match &turned.places {
                    None => targets.step(),
                    Some(places) => targets.at(places[next] as usize),
                };
                let to = to.get_mut(target * made..(target + 1) * made).ok_or(io::ErrorKind::InvalidData)?;
                match (element, turned.elems) {
                    ([low, high], (Elem::F16, Elem::F32)) => {
                        to.copy_from_slice(&f16::from_le_bytes([*low, *high]).to_f32().to_le_bytes());
                    }
                    ([byte], (Elem::I8, Elem::F32)) => {
                        to.copy_from_slice(&f32::from(*byte as i8).to_le_bytes())
                    }
                    ([byte], (Elem::U8, Elem::F32)) => to.copy_from_slice(&f32::from(*byte).to_le_bytes()),
                    ([byte], (Elem::I8, Elem::F64)) => {
                        to.copy_from_slice(&f64::from(*byte as i8).to_le_bytes())
                    }
                    _ if stored != made => return Err(io::ErrorKind::InvalidData.into()),
                    _ => to.copy_from_slice(element),
                }
                next += 1;
            }
        }
        Ok(())
    }
}

impl Form {
    /// Bytes on the heap, for the ledger.
    pub fn heap_bytes(&self) -> u64 {
        match self {
            Form::AsItIs => 0,
            Form::Turned(turned) => {
                let places = turned.places.as_ref().map_or(0, |places| size_of_val(&**places));
                (size_of::<Turned>() + turned.order.capacity() * size_of::<usize>() + places) as u64
            }
        }
    }
}

impl Turned {
    /// The form of elements of `extents`: as it is, if nothing has to be turned.
    pub fn form(self) -> Form {
        let straight = self.order.iter().enumerate().all(|(at, axis)| at == *axis);
        let same = self.elems.0 == self.elems.1 && self.places.is_none() && straight;
        if same { Form::AsItIs } else { Form::Turned(Box::new(self)) }
    }

    /// Extents as the graph has them.
    pub fn made(&self) -> Option<Extents> {
        let list = self.order.iter().map(|&axis| self.extents.get(axis).copied());
        Extents::new(&list.collect::<Option<Vec<usize>>>()?)
    }

    fn targets(&self) -> Targets {
        let rank = self.extents.len();
        let mut strides = vec![0; rank];
        let mut stride = 1;
        for &axis in self.order.iter().rev() {
            strides[axis] = stride;
            stride *= self.extents[axis];
        }
        Targets { extents: self.extents.to_vec(), strides, index: vec![0; rank], target: 0 }
    }
}

/// Where in the graph's order the elements of the file's order belong.
struct Targets {
    extents: Vec<usize>,
    strides: Vec<usize>,
    index: Vec<usize>,
    target: usize,
}

impl Targets {
    /// Of the next element.
    fn step(&mut self) -> usize {
        let now = self.target;
        for axis in (0..self.extents.len()).rev() {
            self.index[axis] += 1;
            self.target += self.strides[axis];
            if self.index[axis] < self.extents[axis] {
                break;
            }
            self.target -= self.strides[axis] * self.extents[axis];
            self.index[axis] = 0;
        }
        now
    }

    /// Of the element at a place of the file's order.
    fn at(&self, place: usize) -> usize {
        let (mut left, mut target) = (place, 0);
        for axis in (0..self.extents.len()).rev() {
            let extent = self.extents[axis].max(1);
            target += left % extent * self.strides[axis];
            left /= extent;
        }
        target
    }
}

/// Where each value of a sparse tensor belongs among all of its `extents`; `None` if its lists make no sense.
///
/// Layout: tensorflow, `schema.fbs`, `SparsityParameters`; arXiv 1804.10112 names the idea.
pub(crate) fn places(
    sparsity: &Sparsity,
    extents: &Extents,
    file: &dyn ReadAt,
    most: usize,
) -> Option<Box<[u32]>> {
    let (rank, levels) = (extents.len(), sparsity.dims.len());
    let axes: Vec<usize> =
        sparsity.traversal_order.iter().map(|&axis| usize::try_from(axis)).collect::<Result<_, _>>().ok()?;
    let blocks: Vec<usize> =
        sparsity.block_map.iter().map(|&axis| usize::try_from(axis)).collect::<Result<_, _>>().ok()?;
    let whole =
        rank + blocks.len() == levels && axes.len() == levels && blocks.iter().all(|axis| *axis < rank);
    if !whole || axes.iter().any(|axis| *axis >= levels) || extents.elements() > DENSE_MAX {
        return None;
    }
    // How far a step along a level goes: of a block's inside one element, of blocks as many as a block has.
    let strides = extents.strides();
    let mut sizes = vec![1usize; rank];
    let mut steps = vec![0usize; levels];
    for level in (0..levels).rev() {
        if let Some(&axis) = axes[level].checked_sub(rank).and_then(|block| blocks.get(block)) {
            let SparseDim::Dense { size } = sparsity.dims[level] else { return None };
            steps[level] = strides[axis].checked_mul(sizes[axis])?;
            sizes[axis] = sizes[axis].checked_mul(size as usize)?;
        }
    }
    for level in (0..levels).filter(|level| axes[*level] < rank) {
        let axis = axes[level];
        steps[level] = strides[axis].checked_mul(sizes[axis])?;
        if let SparseDim::Dense { size } = sparsity.dims[level]
            && (size as usize).checked_mul(sizes[axis]) != Some(extents[axis])
        {
            return None;
        }
    }
    let lists = |dim: &SparseDim| match dim {
        SparseDim::Dense { size } => Some(Level::Dense(*size as usize)),
        SparseDim::Csr { segments, indices } => {
            let list = |array: &formats::ArrayRef| {
                let fits = array.len() <= most as u64 + 1;
                fits.then(|| array.u32s(file).collect::<Result<Vec<u32>, _>>().ok()).flatten()
            };
            Some(Level::Some { segments: list(segments)?, indices: list(indices)? })
        }
    };
    let dims: Vec<Level> = sparsity.dims.iter().map(lists).collect::<Option<_>>()?;
    let mut found = Vec::new();
    let end = extents.elements();
    walk(&dims, &steps, (0, 0), &mut |place| {
        found.push(u32::try_from(place).ok().filter(|_| place < end)?);
        (found.len() <= most).then_some(())
    })?;
    Some(found.into())
}

/// A level of a sparse tensor.
enum Level {
    Dense(usize),
    Some { segments: Vec<u32>, indices: Vec<u32> },
}

/// Visits the places below one of a level, in the order of the values; `None` if lists end early or `visit` has enough.
fn walk(
    dims: &[Level],
    steps: &[usize],
    (run, place): (usize, usize),
    visit: &mut dyn FnMut(usize) -> Option<()>,
) -> Option<()> {
    let (Some(dim), Some(step)) = (dims.first(), steps.first()) else { return visit(place) };
    match dim {
        Level::Dense(size) => {
            for index in 0..*size {
                let below = (run.checked_mul(*size)?.checked_add(index)?, place.checked_add(index * step)?);
                walk(&dims[1..], &steps[1..], below, visit)?;
            }
        }
        Level::Some { segments, indices } => {
            let range = *segments.get(run)? as usize..*segments.get(run + 1)? as usize;
            for (at, index) in indices.get(range.clone())?.iter().enumerate() {
                let below = (range.start + at, place.checked_add((*index as usize).checked_mul(*step)?)?);
                walk(&dims[1..], &steps[1..], below, visit)?;
            }
        }
    }
    Some(())
}
