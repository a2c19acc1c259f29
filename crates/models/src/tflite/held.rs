//! What is known of a tensor while a network is built: its value with channels last as in the file, with channels first, or
//! where it lies in the file.
//!
//! The one design choice: a value is turned when somebody asks for the other order, once, and remembered.

use super::{Importer, kind_of, name};
use crate::Error;
use crate::network::{Place, Turned, places};
use formats::tflite::Tensor;
use graph::array::{Reshape, Restride};
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
            Some(first) => self.turned(first, &LAST)?,
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
            Some(plain) => self.turned(plain, &FIRST)?,
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
            if held.plain.is_none() && held.first.is_none() {
                return Err(Error::UnknownValue { name: name(self.graph, number).into() });
            }
            let plain = self.plain(number)?;
            return order.map_or(Ok(plain), |order| self.turned(plain, order));
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

    /// An array with its axes in another order.
    pub(super) fn turned(&mut self, id: ValueId, order: &[usize]) -> Result<ValueId, Error> {
        let own = self.builder.extents(id)?;
        if own.len() != order.len() {
            return Err(Error::Axis { axis: order.len() as i64 - 1, rank: own.len() });
        }
        // Axes of one element may go anywhere.
        let long: Vec<usize> = order.iter().copied().filter(|axis| own[*axis] != 1).collect();
        if long.is_sorted() {
            let extents: Vec<usize> = order.iter().map(|axis| own[*axis]).collect();
            return self.reshaped(id, &extents);
        }
        self.builder.one(Restride::transpose(order), &[id])
    }

    /// An array with other extents of as many elements.
    pub(super) fn reshaped(&mut self, id: ValueId, extents: &[usize]) -> Result<ValueId, Error> {
        if *self.builder.extents(id)? == *extents {
            return Ok(id);
        }
        let extents = extents.iter().map(|extent| Some(*extent)).collect();
        self.builder.one(Reshape { extents }, &[id])
    }
}
