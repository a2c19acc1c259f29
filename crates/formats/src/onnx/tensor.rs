//! A tensor as the file has it: type, extents, and where its values lie.
//!
//! Not its values; `read.rs` walks those. The one design choice: there are three places, bytes as memory has
//! them (here or in a file beside), or numbers in fields of the message, and floats that were written in one
//! packed run are the first of these, so that a weight can be streamed however it was written.

use std::ops::Range;

use super::external::{self, Entry};
use super::types::{self, DataType, RANK_MAX};
use crate::limits::Meter;
use crate::protobuf::{Message, Packed, Payload, Wire};
use crate::{Error, FilePart};

/// One tensor: where its values lie, not the values.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorInfo {
    /// Its name; often empty for that of an attribute.
    pub name: Box<str>,
    /// Its extents, outermost first; none for a single number; 0 is allowed.
    pub dims: Box<[u64]>,
    /// The type of its elements.
    pub element: DataType,
    /// Which of [`super::Model::files`] its values lie in.
    pub file: u32,
    /// Where in that file.
    pub data: Data,
}

/// Where values lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data {
    /// Little-endian elements without gaps, those of less than a byte packed, the lowest bits first.
    Bytes(Range<u64>),
    /// Fields of the number `field` in a part of a message.
    Fields {
        /// From the first of them to the last, others between.
        range: Range<u64>,
        /// The fields to take.
        field: u32,
    },
}

impl TensorInfo {
    /// How many elements it has.
    pub fn elements(&self) -> u64 {
        self.dims.iter().product()
    }

    /// Bytes of its elements without gaps; `None` for strings.
    pub fn bytes(&self) -> Option<u64> {
        self.element.bytes_of(self.elements())
    }

    /// Bytes that its values take in the file.
    pub fn stored_bytes(&self) -> u64 {
        match &self.data {
            Data::Bytes(range) | Data::Fields { range, .. } => range.end - range.start,
        }
    }
}

/// A tensor of which only what is not zero is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct SparseTensor {
    /// Its extents.
    pub dims: Box<[u64]>,
    /// What is not zero; its name is the tensor's.
    pub values: TensorInfo,
    /// Where that stands: positions, counted through or one coordinate a column.
    pub indices: TensorInfo,
}

/// Which field holds values of a type, how they are written there, and bytes in memory that one stands for.
pub(super) fn typed_field(element: DataType) -> Option<(u32, Wire, u64)> {
    Some(match element {
        DataType::Undefined => return None,
        DataType::Float => (FLOATS, Wire::Fixed32, 4),
        DataType::Complex64 => (FLOATS, Wire::Fixed32, 4),
        DataType::Double | DataType::Complex128 => (DOUBLES, Wire::Fixed64, 8),
        DataType::Int64 => (INT64S, Wire::Varint, 8),
        DataType::Uint64 => (UINT64S, Wire::Varint, 8),
        DataType::Uint32 => (UINT64S, Wire::Varint, 4),
        DataType::String => (STRINGS, Wire::Varint, 0),
        DataType::Int32 => (INT32S, Wire::Varint, 4),
        DataType::Int16 | DataType::Uint16 | DataType::Float16 | DataType::Bfloat16 => {
            (INT32S, Wire::Varint, 2)
        }
        DataType::Bool
        | DataType::Float4E2M1
        | DataType::Float8E4M3Fn
        | DataType::Float8E4M3FnUz
        | DataType::Float8E5M2
        | DataType::Float8E5M2FnUz
        | DataType::Float8E8M0
        | DataType::Int2
        | DataType::Int4
        | DataType::Int8
        | DataType::Uint2
        | DataType::Uint4
        | DataType::Uint8 => (INT32S, Wire::Varint, 1),
    })
}

const FLOATS: u32 = 4;
const INT32S: u32 = 5;
const STRINGS: u32 = 6;
const INT64S: u32 = 7;
const RAW: u32 = 9;
const DOUBLES: u32 = 10;
const UINT64S: u32 = 11;

/// What a `TensorProto` says, before it is made sense of.
#[derive(Default)]
struct Draft {
    name: Box<str>,
    dims: Vec<i64>,
    element: u64,
    raw: Option<Range<u64>>,
    /// The number of the fields with values, from where to where they lie, how many fields, bytes in them.
    typed: Option<(u32, Range<u64>, u64, Range<u64>)>,
    entry: Entry,
    is_external: bool,
    is_segment: bool,
    offset: u64,
}

/// Reads a `TensorProto`. A file beside that it names is added to `files`.
pub(super) fn tensor(
    mut message: Message<'_, '_>,
    files: &mut Vec<FilePart>,
    meter: &mut Meter,
) -> Result<TensorInfo, Error> {
    let mut draft = Draft::default();
    while let Some(field) = message.next()? {
        draft.offset = field.start;
        let number = u32::try_from(field.number).unwrap_or(0);
        match number {
            1 => message.numbers(&mut draft.dims, meter, Packed::i64, Wire::Varint)?,
            2 => draft.element = field.u64()?,
            3 => draft.is_segment = true,
            8 => draft.name = message.text(meter)?,
            13 => external::entry(message.message()?, &mut draft.entry, meter)?,
            14 => draft.is_external = field.u64()? == 1,
            RAW => draft.raw = Some(message.range()?),
            FLOATS | INT32S | STRINGS | INT64S | DOUBLES | UINT64S => {
                let inside = message.range().unwrap_or(field.start..field.start);
                // The end of a single number is not its range's but where the next field begins.
                let end = message.end_of_field();
                let packed = matches!(field.payload, Payload::Bytes) && number != STRINGS;
                let inside = if packed { inside } else { 0..0 };
                draft.typed = Some(match draft.typed.take() {
                    None => (number, field.start..end, 1, inside),
                    Some((have, range, count, _)) if have == number => {
                        (have, range.start..end, count + 1, 0..0)
                    }
                    Some(_) => return Err(two_kinds(field.start)),
                });
            }
            _ => {}
        }
        if draft.dims.len() as u64 > RANK_MAX {
            let rank = draft.dims.len() as u64;
            return Err(Error::Rank { tensor: draft.name, rank, max: RANK_MAX });
        }
    }
    draft.settle(files, meter)
}

fn two_kinds(offset: u64) -> Error {
    Error::Malformed { what: "a tensor has values of two kinds", offset }
}

impl Draft {
    fn settle(mut self, files: &mut Vec<FilePart>, meter: &mut Meter) -> Result<TensorInfo, Error> {
        let offset = self.offset;
        if self.is_segment {
            return Err(Error::Malformed {
                what: "a tensor is in segments, which no known writer does",
                offset,
            });
        }
        let element = types::element(&self.name, self.element)?;
        meter.charge_block(self.dims.len().saturating_mul(8))?;
        let negative = || Error::Malformed { what: "a tensor has a negative extent", offset };
        let dims: Result<Box<[u64]>, _> = self.dims.iter().map(|&dim| u64::try_from(dim)).collect();
        let dims = dims.map_err(|_| negative())?;
        meter.give_back_list(&self.dims);
        let elements = dims.iter().try_fold(1, |product: u64, &dim| product.checked_mul(dim));
        let elements =
            elements.filter(|&elements| element.bits() == 0 || element.bytes_of(elements).is_some());
        let too_many = || Error::Malformed { what: "a tensor has more elements than can be counted", offset };
        let elements = elements.ok_or_else(too_many)?;
        if self.raw.is_some() && self.typed.is_some() {
            return Err(two_kinds(offset));
        }
        let (file, data) = match self.is_external {
            true => self.beside(element, elements, files, meter)?,
            false => (0, self.within(element, elements)?),
        };
        let name = std::mem::take(&mut self.name);
        Ok(TensorInfo { name, dims, element, file, data })
    }

    /// Values in a file beside.
    fn beside(
        &mut self,
        element: DataType,
        elements: u64,
        files: &mut Vec<FilePart>,
        meter: &mut Meter,
    ) -> Result<(u32, Data), Error> {
        let tensor = || self.name.clone();
        let Some(expected) = element.bytes_of(elements) else {
            return Err(Error::NotNumbers { tensor: tensor(), element: element.name() });
        };
        let start = self.entry.offset;
        if let Some(found) = self.entry.length.filter(|&found| found != expected) {
            return Err(Error::Size { tensor: tensor(), expected, found });
        }
        let end = start.checked_add(expected);
        let end = end.ok_or_else(|| Error::OutOfFile { tensor: tensor(), end: u64::MAX, bytes: u64::MAX })?;
        let file = external::file(&self.name, &self.entry.location, files, meter)?;
        Ok((file, Data::Bytes(start..end)))
    }

    /// Values in the message.
    fn within(&mut self, element: DataType, elements: u64) -> Result<Data, Error> {
        let empty = Data::Bytes(self.offset..self.offset);
        let wrong = |expected, found| Error::Size { tensor: self.name.clone(), expected, found };
        if let Some(range) = self.raw.take() {
            let found = range.end - range.start;
            let Some(expected) = element.bytes_of(elements) else {
                return Err(Error::NotNumbers { tensor: self.name.clone(), element: element.name() });
            };
            return if found == expected { Ok(Data::Bytes(range)) } else { Err(wrong(expected, found)) };
        }
        let Some((field, wire, width)) = typed_field(element) else {
            // Nothing is known of a tensor without a type, so nothing may be in it.
            return match (elements, &self.typed) {
                (0, None) => Ok(empty),
                _ => Err(Error::ElementType { tensor: self.name.clone(), id: self.element }),
            };
        };
        let Some((number, range, count, packed)) = self.typed.take() else {
            return if elements == 0 {
                Ok(empty)
            } else {
                Err(wrong(element.bytes_of(elements).unwrap_or(elements), 0))
            };
        };
        if number != field {
            let what = "the values of a tensor are not of its type";
            return Err(Error::Malformed { what, offset: range.start });
        }
        if element == DataType::String {
            return if count == elements {
                Ok(Data::Fields { range, field })
            } else {
                Err(wrong(elements, count))
            };
        }
        let expected = element.bytes_of(elements).unwrap_or(0);
        // How many numbers are stored, and what one takes.
        let stored = expected.div_ceil(width);
        let (least, most) = wire.bytes();
        if !packed.is_empty() && least == most {
            let found = packed.end - packed.start;
            return if found == expected { Ok(Data::Bytes(packed)) } else { Err(wrong(expected, found)) };
        }
        // Fields one by one have tags between their values, which counts for them.
        let found = if packed.is_empty() { range.end - range.start } else { packed.end - packed.start };
        if found < stored.saturating_mul(least) {
            return Err(wrong(expected, found));
        }
        Ok(Data::Fields { range, field })
    }
}

/// Reads a `SparseTensorProto`.
pub(super) fn sparse(
    mut message: Message<'_, '_>,
    files: &mut Vec<FilePart>,
    meter: &mut Meter,
) -> Result<SparseTensor, Error> {
    let (mut values, mut indices, mut dims, mut offset) = (None, None, Vec::new(), 0);
    while let Some(field) = message.next()? {
        offset = field.start;
        match field.number {
            1 => values = Some(tensor(message.message()?, files, meter)?),
            2 => indices = Some(tensor(message.message()?, files, meter)?),
            3 => message.numbers(&mut dims, meter, Packed::i64, Wire::Varint)?,
            _ => {}
        }
    }
    let wrong = || Error::Malformed { what: "a sparse tensor lacks values, indices or a shape", offset };
    let dims: Result<Box<[u64]>, _> = dims.into_iter().map(u64::try_from).collect();
    match (values, indices, dims) {
        (Some(values), Some(indices), Ok(dims)) if dims.len() as u64 <= RANK_MAX => {
            Ok(SparseTensor { dims, values, indices })
        }
        _ => Err(wrong()),
    }
}
