//! Small things that importers build again and again out of operators.

use super::Builder;
use crate::Error;
use graph::array::{Along, Array, Binary, BinaryKind, Cast, Join, Reshape, Restride, Unary, UnaryKind};
use graph::{ArrayType, Elem, Extents, ValueId};

/// Arrays that are joined at once, at most.
const JOINED: usize = 16;

impl Builder<'_> {
    /// One array element by element.
    pub fn of_each(&mut self, kind: UnaryKind, x: ValueId) -> Result<ValueId, Error> {
        self.one(Unary { kind }, &[x])
    }

    /// Two arrays element by element.
    pub fn of_both(&mut self, kind: BinaryKind, a: ValueId, b: ValueId) -> Result<ValueId, Error> {
        self.one(Binary { kind }, &[a, b])
    }

    /// An array and a number of its kind.
    pub fn with_number(&mut self, kind: BinaryKind, a: ValueId, b: f64) -> Result<ValueId, Error> {
        let b = self.number(self.elem(a), b);
        self.of_both(kind, a, b)
    }

    /// The same numbers as another kind of element.
    pub fn cast(&mut self, x: ValueId, to: Elem) -> Result<ValueId, Error> {
        if self.elem(x) == to { Ok(x) } else { self.one(Cast { to }, &[x]) }
    }

    /// A constant.
    pub fn table(&mut self, elem: Elem, extents: &[usize], numbers: &[f64]) -> Result<ValueId, Error> {
        let overflow = graph::Error::Overflow { op: "Constant", what: "the number of elements" };
        let extents = Extents::new(extents).filter(|extents| extents.elements() == numbers.len());
        let bytes = numbers.iter().flat_map(|&number| Array::number(elem, number).bytes).collect();
        let kind = ArrayType { elem, extents: extents.ok_or(overflow)? };
        Ok(self.constant(Array { kind, bytes }))
    }

    /// The same elements under other extents.
    pub fn reshaped(&mut self, id: ValueId, extents: &[usize]) -> Result<ValueId, Error> {
        if *self.extents(id)? == *extents {
            return Ok(id);
        }
        let extents = extents.iter().map(|extent| Some(*extent)).collect();
        self.one(Reshape { extents }, &[id])
    }

    /// An array with its axes in another order.
    pub fn turned(&mut self, id: ValueId, order: &[usize]) -> Result<ValueId, Error> {
        let own = self.extents(id)?;
        if own.len() != order.len() {
            return Err(Error::Axis { axis: order.len() as i64 - 1, rank: own.len() });
        }
        // Axes of one element may go anywhere.
        let long: Vec<usize> = order.iter().copied().filter(|axis| own[*axis] != 1).collect();
        if long.is_sorted() {
            let extents: Vec<usize> = order.iter().map(|axis| own[*axis]).collect();
            return self.reshaped(id, &extents);
        }
        self.one(Restride::transpose(order), &[id])
    }

    /// Arrays one behind another.
    pub fn join(&mut self, inputs: &[ValueId], axis: usize) -> Result<ValueId, Error> {
        let mut inputs = inputs.to_vec();
        while inputs.len() > 1 {
            let joined = inputs.chunks(JOINED).map(|some| match some {
                [only] => Ok(*only),
                some => self.one(Join { axis }, some),
            });
            inputs = joined.collect::<Result<_, _>>()?;
        }
        inputs.first().copied().ok_or(Error::MissingInput { input: 0 })
    }

    /// A part of an array: along each axis from where on, how many elements, and to the next.
    pub fn part(&mut self, input: ValueId, parts: &[(usize, usize, isize)]) -> Result<ValueId, Error> {
        let own = self.extents(input)?;
        if own.iter().zip(parts).all(|(extent, part)| *part == (0, *extent, 1)) {
            return Ok(input);
        }
        let along = parts.iter().enumerate();
        let axes = along.map(|(axis, &(start, len, step))| Along::Axis { axis, len: Some(len), start, step });
        self.one(Restride { axes: axes.collect(), at: vec![0; parts.len()] }, &[input])
    }

    /// A part along one axis.
    pub fn part_along(
        &mut self,
        input: ValueId,
        axis: usize,
        start: usize,
        len: usize,
    ) -> Result<ValueId, Error> {
        let whole = self.extents(input)?;
        let mut parts: Vec<_> = whole.iter().map(|extent| (0, *extent, 1)).collect();
        let part = parts.get_mut(axis).ok_or(Error::Axis { axis: axis as i64, rank: whole.len() })?;
        (part.0, part.1) = (start, len);
        self.part(input, &parts)
    }

    /// An array repeated along axes where it has one element.
    pub fn repeated(&mut self, input: ValueId, extents: &[usize]) -> Result<ValueId, Error> {
        let own = self.extents(input)?;
        if *own == *extents {
            return Ok(input);
        }
        let rank = self.rank(input);
        let shift =
            extents.len().checked_sub(rank).ok_or(Error::Axis { axis: extents.len() as i64, rank })?;
        let axes = extents.iter().enumerate().map(|(axis, extent)| match axis.checked_sub(shift) {
            Some(axis) if own[axis] != 1 => Along::Axis { axis, len: Some(*extent), start: 0, step: 1 },
            _ => Along::Repeat(*extent),
        });
        self.one(Restride { axes: axes.collect(), at: vec![0; rank] }, &[input])
    }
}
