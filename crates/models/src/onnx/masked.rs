//! What is computed where a mask is true, and put back there: `x[mask] = f(x[mask])`, as exports of PyTorch write it.
//!
//! What it is: NonZero, GatherND with what it found, rows that stay rows, ScatterND. What it is not: other uses of places that only a
//! run knows, which are refused as before. The one design choice: every place has a row, be it wanted or not, so that all extents are
//! known; rows that are not wanted are of zeros, and in the end the mask chooses. Nothing that mixes rows may come between.

use super::{Importer, OWN};
use crate::Error;
use crate::network::Item;
use crate::onnx::call::Call;
use graph::array::{Along, Array, NonZero, Select};
use graph::op::Op;
use graph::{ArrayOp, ArrayType, Elem, ValueId};
use std::collections::HashMap;

/// Places of a mask that may be masked.
const MOST: usize = 1 << 16;

/// What is known of values that are about masks.
#[derive(Default)]
pub(super) struct Masked {
    /// Whether masks are met at all.
    pub is_on: bool,
    /// All places of a mask, a row of a place each (`false`) or a column (`true`), by the mask.
    pub places: HashMap<ValueId, (ValueId, bool)>,
    /// Values with a row for each place of a mask, by the mask.
    pub rows: HashMap<ValueId, ValueId>,
}

/// Operators that make each element of the elements in its place.
const ELEMENTWISE: &[&str] = &[
    "Abs",
    "Add",
    "And",
    "Cast",
    "Div",
    "Equal",
    "Erf",
    "Exp",
    "Greater",
    "GreaterOrEqual",
    "Less",
    "LessOrEqual",
    "Log",
    "Max",
    "Min",
    "Mul",
    "Neg",
    "Not",
    "Or",
    "Pow",
    "Relu",
    "Sigmoid",
    "Softplus",
    "Sqrt",
    "Sub",
    "Tanh",
    "Where",
];

impl<'a> Importer<'a> {
    /// What a node makes if it is about a mask; `None` if it is like any other.
    pub(super) fn masked(&mut self, call: &Call<'a>) -> Result<Option<Vec<Item>>, Error> {
        if !self.masked.is_on || call.domain != OWN {
            return Ok(None);
        }
        let id = |at: usize| call.optional(at).ok().flatten();
        let place = |at: usize| id(at).and_then(|id| self.masked.places.get(&id).copied());
        let (Some(first), second) = (id(0), place(1)) else { return Ok(None) };
        match (call.operator, second) {
            ("NonZero", _) if self.builder.graph.constant_of(first).is_none() => {
                self.every_place(first).map(Some)
            }
            ("Transpose", _) if place(0).is_some() => self.turned(first).map(Some),
            ("GatherND", Some((mask, false))) => self.picked(first, mask).map(Some),
            ("ScatterND", Some((mask, false))) => self.put_back(first, mask, call.value(2)?).map(Some),
            _ => Ok(None),
        }
    }

    /// Whether an item has rows that are not wanted.
    pub(super) fn is_masked(&self, item: &Item) -> bool {
        match item {
            Item::Value(id) => self.masked.rows.contains_key(id) || self.masked.places.contains_key(id),
            _ => false,
        }
    }

    /// After a node: if rows of a mask went in, rows of it came out.
    pub(super) fn stay_rows(&mut self, call: &Call<'a>, made: &[Item]) -> Result<(), Error> {
        if !self.masked.is_on || call.operator == "Shape" {
            return Ok(());
        }
        let inputs: Vec<ValueId> =
            (0..call.inputs.len()).filter_map(|at| call.optional(at).ok().flatten()).collect();
        if inputs.iter().any(|id| self.masked.places.contains_key(id)) {
            return Err(Error::DataDependent);
        }
        let masks: Vec<ValueId> = inputs.iter().filter_map(|id| self.masked.rows.get(id).copied()).collect();
        let Some(&mask) = masks.first() else { return Ok(()) };
        let count = self.builder.most(mask).extents.elements();
        let same = masks.iter().all(|other| *other == mask) && self.keeps_rows(call, count)?;
        for item in made {
            let id = self.builder.value(item)?;
            if !same || self.builder.most(id).extents.first() != Some(&count) {
                return Err(Error::DataDependent);
            }
            self.masked.rows.insert(id, mask);
        }
        Ok(())
    }

    /// Whether each row that an operator makes is made of the same row of what it takes.
    fn keeps_rows(&mut self, call: &Call<'a>, count: usize) -> Result<bool, Error> {
        let data = call.value(0)?;
        let rank = self.builder.rank(data);
        let is_rows = self.masked.rows.contains_key(&data);
        let axis = |default| call.axis("axis", default, rank).map(|axis| axis > 0);
        Ok(match call.operator {
            name if ELEMENTWISE.contains(&name) => {
                let inputs = call.values()?;
                let most = inputs.iter().map(|id| self.builder.rank(*id)).max().unwrap_or(0);
                inputs.iter().all(|id| self.is_even(*id, most, count))
            }
            "CumSum" => self.builder.integer(call.value(1)?)?.rem_euclid(rank.max(1) as i64) != 0,
            "Gather" => is_rows && axis(0)?,
            "GatherElements" => is_rows && axis(0)? && self.is_even(call.value(1)?, rank, count),
            "Pad" => {
                let pads = match call.ints("pads")? {
                    Some(pads) => pads.to_vec(),
                    None => self.builder.integers(call.value(1)?)?,
                };
                call.optional(3)?.is_none() && pads.first() == Some(&0) && pads.get(rank) == Some(&0)
            }
            "ReduceSum" => {
                let axes = match call.optional(1)? {
                    Some(axes) => self.builder.integers(axes)?,
                    None => call.ints("axes")?.unwrap_or_default().to_vec(),
                };
                !axes.is_empty() && axes.iter().all(|axis| axis.rem_euclid(rank.max(1) as i64) != 0)
            }
            // Elements stay in their order, and each row begins where it began.
            "Reshape" | "Squeeze" | "Unsqueeze" => true,
            "ScatterND" => {
                let (places, updates) = (self.builder.array(call.value(1)?)?, call.value(2)?);
                let width = places.kind.extents.last().copied().unwrap_or(1).max(1);
                let own =
                    places.integers().chunks_exact(width).enumerate().all(|(row, at)| at[0] == row as i64);
                is_rows && width > 1 && own && self.is_even(updates, 1, count)
            }
            // All rows, since they stay as many, or along another axis.
            "Slice" => match call.optional(4)? {
                Some(steps) => self.builder.integers(steps)?.iter().all(|step| *step == 1),
                None => call.ints("steps")?.is_none(),
            },
            "Expand" => self.builder.integers(call.value(1)?)?.len() <= rank,
            "Softmax" => axis(if call.version < 13 { 1 } else { -1 })?,
            _ => false,
        })
    }

    /// Whether a value has rows of the mask, or the same for each row of values of `rank`.
    fn is_even(&mut self, id: ValueId, rank: usize, count: usize) -> bool {
        let extents = self.builder.most(id).extents;
        if self.masked.rows.contains_key(&id) {
            return extents.len() == rank || rank == 1;
        }
        if extents.len() < rank || extents.first() == Some(&1) {
            return true;
        }
        // All rows of a constant may be equal.
        let Ok(array) = self.builder.array(id) else { return false };
        let mut rows = array.bytes.chunks_exact((array.bytes.len() / count.max(1)).max(1));
        let first = rows.next();
        extents.first() == Some(&count) && rows.all(|row| Some(row) == first)
    }

    /// All places of a mask, as NonZero gives them.
    fn every_place(&mut self, mask: ValueId) -> Result<Vec<Item>, Error> {
        let extents = self.builder.extents(mask)?;
        if extents.elements() > MOST || self.builder.elem(mask) != Elem::Bool {
            return Err(Error::DataDependent);
        }
        let ones = Array {
            kind: ArrayType { elem: Elem::Bool, extents },
            bytes: vec![1; extents.elements()].into(),
        };
        let ones = self.builder.constant(ones);
        let places = self.builder.one(ArrayOp::from(NonZero), &[ones])?;
        let mask = self.origin(mask);
        self.masked.places.insert(places, (mask, true));
        Ok(vec![Item::Value(places)])
    }

    fn turned(&mut self, id: ValueId) -> Result<Vec<Item>, Error> {
        let (mask, is_column) = self.masked.places.get(&id).copied().ok_or(Error::DataDependent)?;
        let turned = self.transposed(id, &[1, 0])?;
        self.masked.places.insert(turned, (mask, !is_column));
        Ok(vec![Item::Value(turned)])
    }

    /// The rows of an array at the places of a mask; zeros where it is false.
    fn picked(&mut self, data: ValueId, mask: ValueId) -> Result<Vec<Item>, Error> {
        let (whole, own) = (self.builder.extents(mask)?, self.builder.extents(data)?);
        if self.masked.rows.contains_key(&data) || !own.starts_with(&whole) {
            return Err(Error::DataDependent);
        }
        let (count, rest) = (whole.elements(), &own[whole.len()..]);
        let mask_of_rows = self.reshaped(mask, &[&whole[..], &vec![1; rest.len()]].concat())?;
        let zero = self.builder.number(self.builder.elem(data), 0.0);
        let chosen = self.builder.one(Select, &[mask_of_rows, data, zero])?;
        let rows = self.reshaped(chosen, &[&[count], rest].concat())?;
        self.masked.rows.insert(rows, mask);
        Ok(vec![Item::Value(rows)])
    }

    /// An array with rows of a mask in the mask's places.
    fn put_back(&mut self, base: ValueId, mask: ValueId, rows: ValueId) -> Result<Vec<Item>, Error> {
        let (whole, own) = (self.builder.extents(mask)?, self.builder.extents(base)?);
        let right = self.masked.rows.get(&rows) == Some(&mask) && own == whole;
        if !right || self.builder.most(rows).extents.elements() != own.elements() {
            return Err(Error::DataDependent);
        }
        let rows = self.reshaped(rows, &own)?;
        Ok(vec![Item::Value(self.builder.one(Select, &[mask, rows, base])?)])
    }

    /// A value before what changes neither its elements nor their order.
    fn origin(&self, mut id: ValueId) -> ValueId {
        let is_whole = |place: usize, along: &Along| match along {
            Along::Axis { axis, start, step, .. } => (*axis, *start, *step) == (place, 0, 1),
            Along::Repeat(times) => *times == 1,
        };
        while let Some(node) = self.builder.maker(id) {
            let (Op::Array(op), [input]) = (&node.op, &node.inputs[..]) else { break };
            let is_same = match op {
                ArrayOp::Reshape(_) => true,
                ArrayOp::Restride(part) => {
                    part.axes.iter().enumerate().all(|(place, along)| is_whole(place, along))
                }
                _ => false,
            };
            if !is_same || self.builder.most(*input) != self.builder.most(id) {
                break;
            }
            id = *input;
        }
        id
    }
}
