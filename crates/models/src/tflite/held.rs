//! What is known of a tensor while a network is built: its value with channels last as in the file, with channels first, or
//! where it lies in the file.
//!
//! The one design choice: a value is turned when somebody asks for the other order, once, and remembered.

use super::{Importer, kind_of, name};
use crate::Error;
use crate::network::{Place, Turned, places};
use formats::tflite::Tensor;
use graph::array::Array;
use graph::{ArrayType, Elem, Extents, ValueId};

/// Axes of a picture with channels first, by those with channels last.
pub(super) const FIRST: [usize; 4] = [0, 3, 1, 2];
/// The way back.
pub(super) const LAST: [usize; 4] = [0, 2, 3, 1];

/// What is known of a tensor.
#[derive(Clone, Debug, Default)]
pub(super) struct Held {
    /// As in the file.
    plain: Option<ValueId>,
    /// Of four axes, with channels first.
    first: Option<ValueId>,
    /// A constant in the file.
    stored: Option<Stored>,
    /// A state that is carried from run to run, by its number.
    variable: Option<usize>,
}

/// A constant that lies in the file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stored {
    /// The number of the tensor that has it.
    pub number: u32,
    /// What its elements are to be.
    pub elem: Elem,
    /// Its extents, as the file has them or reshaped.
    pub extents: Extents,
}

impl Held {
    pub fn plain(id: ValueId) -> Held {
        Held { plain: Some(id), ..Held::default() }
    }

    pub fn first(id: ValueId) -> Held {
        Held { first: Some(id), ..Held::default() }
    }

    /// The value, and whether it has channels first.
    pub fn value(&self) -> Option<(ValueId, bool)> {
        self.plain.map(|id| (id, false)).or(self.first.map(|id| (id, true)))
    }

    pub fn variable(number: usize) -> Held {
        Held { variable: Some(number), ..Held::default() }
    }

    pub fn stored(stored: Stored) -> Held {
        Held { stored: Some(stored), ..Held::default() }
    }
}

impl<'a> Importer<'a> {
    /// Says what a tensor is.
    pub(super) fn hold(&mut self, number: u32, held: Held) {
        self.held[number as usize] = held;
    }

    pub(super) fn tensor(&self, number: u32) -> &'a Tensor {
        &self.graph.tensors[number as usize]
    }

    /// A tensor as in the file.
    pub(super) fn plain(&mut self, number: u32) -> Result<ValueId, Error> {
        let held = &self.held[number as usize];
        if let Some(id) = held.plain {
            return Ok(id);
        }
        let id = match held.first {
            Some(first) => self.builder.turned(first, &LAST)?,
            None => self.constant(number, None)?,
        };
        self.held[number as usize].plain = Some(id);
        Ok(id)
    }

    /// A tensor of four axes with channels first.
    pub(super) fn first(&mut self, number: u32) -> Result<ValueId, Error> {
        let held = &self.held[number as usize];
        if let Some(id) = held.first {
            return Ok(id);
        }
        let id = match held.plain {
            Some(plain) => self.builder.turned(plain, &FIRST)?,
            None => self.constant(number, Some(&FIRST))?,
        };
        self.held[number as usize].first = Some(id);
        Ok(id)
    }

    /// Whether a tensor is known with channels first alone.
    pub(super) fn is_first(&self, number: u32) -> bool {
        let held = &self.held[number as usize];
        held.first.is_some() && held.plain.is_none()
    }

    /// A constant in the file, and what it stands for.
    pub(super) fn stored(&self, number: u32) -> Option<Stored> {
        let held = &self.held[number as usize];
        if held.plain.is_some() || held.first.is_some() {
            return None;
        }
        held.stored.or_else(|| {
            let tensor = self.tensor(number);
            let kind = kind_of(&tensor.name, tensor).ok()?;
            tensor.data.as_ref().map(|_| Stored { number, elem: kind.elem, extents: kind.extents })
        })
    }

    /// A constant with its axes in an order; one that already is a value is turned.
    pub(super) fn constant(&mut self, number: u32, order: Option<&[usize]>) -> Result<ValueId, Error> {
        let Some(stored) = self.stored(number) else {
            let held = &self.held[number as usize];
            if held.value().is_none() {
                // Nothing needs no place in the file.
                let kind = kind_of(&name(self.graph, number), self.tensor(number))?;
                if kind.bytes() == 0 {
                    return Ok(self.builder.constant(Array { kind, bytes: Box::default() }));
                }
            }
            if held.value().is_none() {
                return Err(Error::UnknownValue { name: name(self.graph, number).into() });
            }
            let plain = self.plain(number)?;
            return order.map_or(Ok(plain), |order| self.builder.turned(plain, order));
        };
        let tensor = self.tensor(stored.number);
        let title = name(self.graph, stored.number);
        let own = kind_of(&title, tensor)?;
        let damaged = || Error::UnknownValue { name: title.clone().into() };
        let range = tensor.data.clone().ok_or_else(damaged)?;
        let straight: Vec<usize> = (0..stored.extents.len()).collect();
        let places = match &tensor.sparsity {
            None => None,
            Some(sparsity) => {
                let most = (range.end - range.start) as usize / own.elem.bytes();
                let file = *self.builder.files().first().ok_or_else(damaged)?;
                Some(places(sparsity, &own.extents, file, most).ok_or_else(damaged)?)
            }
        };
        let order = order.unwrap_or(&straight).to_vec();
        let turned = Turned { elems: (own.elem, stored.elem), extents: stored.extents, order, places };
        let axis = Error::Axis { axis: 3, rank: stored.extents.len() };
        let extents = turned.made().ok_or(axis)?;
        let place = Place { file: 0, range, form: turned.form() };
        self.builder.constant_in_file(&title, ArrayType { elem: stored.elem, extents }, place)
    }

    /// The state that a tensor is a handle of.
    pub(super) fn variable(&self, number: u32) -> Result<usize, Error> {
        let name = || name(self.graph, number).into();
        self.held[number as usize].variable.ok_or_else(|| Error::UnknownValue { name: name() })
    }

    /// Inputs that belong together, repeated where another is longer, in one order: with channels first if one of them is known
    /// so, and whether they are.
    pub(super) fn together(&mut self, numbers: &[u32]) -> Result<(Vec<ValueId>, bool), Error> {
        let ranks: Vec<usize> = numbers.iter().map(|number| self.rank(*number)).collect();
        let first =
            ranks.iter().all(|rank| *rank <= 4) && numbers.iter().any(|number| self.is_first(*number));
        let mut values = Vec::with_capacity(numbers.len());
        for (&number, &rank) in numbers.iter().zip(&ranks) {
            values.push(match first {
                false => self.plain(number)?,
                true if rank == 4 => self.first(number)?,
                true => {
                    let plain = self.plain(number)?;
                    let own = self.builder.extents(plain)?;
                    let long = [&[1; 4][..4 - rank], &own[..]].concat();
                    let long = self.builder.reshaped(plain, &long)?;
                    if rank == 0 { long } else { self.builder.turned(long, &FIRST)? }
                }
            });
        }
        Ok((values, first))
    }

    /// Either order of a value, whichever is there, and whether it has channels first.
    pub(super) fn either(&mut self, number: u32) -> Result<(ValueId, bool), Error> {
        if self.is_first(number) { Ok((self.first(number)?, true)) } else { Ok((self.plain(number)?, false)) }
    }

    /// How many axes a tensor has.
    pub(super) fn rank(&self, number: u32) -> usize {
        let held = &self.held[number as usize];
        match held.plain.or(held.first) {
            Some(id) => self.builder.rank(id),
            None => self.stored(number).map_or(0, |stored| stored.extents.len()),
        }
    }

    /// The extents of a tensor, as in the file.
    pub(super) fn extents(&mut self, number: u32) -> Result<Extents, Error> {
        let held = &self.held[number as usize];
        if let (Some(first), None) = (held.first, held.plain) {
            let own = self.builder.extents(first)?;
            let list = LAST.map(|axis| own[axis]);
            return Ok(Extents::new(&list).unwrap_or_default());
        }
        if let Some(stored) = self.stored(number) {
            return Ok(stored.extents);
        }
        let plain = self.plain(number)?;
        self.builder.extents(plain)
    }

    /// The kind of element of a tensor.
    pub(super) fn elem(&self, number: u32) -> Result<Elem, Error> {
        super::elem(&name(self.graph, number), self.tensor(number).element)
    }

    /// The whole numbers of a tensor that must be known now.
    pub(super) fn integers(&mut self, number: u32) -> Result<Vec<i64>, Error> {
        let id = self.plain(number)?;
        self.builder.integers(id)
    }
}

/// An axis of a file's order where channels are first.
pub(super) fn axis_first(axis: usize) -> usize {
    FIRST.iter().position(|own| *own == axis).unwrap_or(axis)
}

/// A list for each axis in the order that a value has.
pub(super) fn in_order<T: Copy>(list: &[T], first: bool) -> Vec<T> {
    if first && list.len() == 4 { FIRST.iter().map(|axis| list[*axis]).collect() } else { list.to_vec() }
}
