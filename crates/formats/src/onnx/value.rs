//! A value in a file of its own: an input or an expected output of the conformance suite.
//!
//! Not part of a model. The one design choice: what kind of value such a file holds it does not say; the model's
//! input or output does. Layout: onnx/onnx, `onnx-data.proto`.

use host::ReadAt;

use super::tensor::{self, SparseTensor, TensorInfo};
use super::types::{DataType, ValueType, element};
use crate::limits::Meter;
use crate::protobuf::{Message, Packed, Wire};
use crate::reader::Reader;
use crate::{Error, Limits};

/// How deep values may nest.
const DEPTH_MAX: u32 = 16;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Keys, as numbers or as texts, and the values under them in the same order.
    Map {
        /// The type of the keys.
        key: DataType,
        /// Keys that are numbers.
        numbers: Vec<i64>,
        /// Keys that are texts.
        texts: Vec<Box<[u8]>>,
        /// What stands under them.
        values: Vec<Value>,
    },
    /// A value or none.
    Optional(Option<Box<Value>>),
    /// A list of values.
    Sequence(Vec<Value>),
    /// A tensor of which only what is not zero is stored.
    SparseTensor(Box<SparseTensor>),
    /// A tensor.
    Tensor(Box<TensorInfo>),
}

/// Reads a value of the kind that `value_type` says; types of elements and shapes are the file's.
pub fn read_value(source: &dyn ReadAt, value_type: &ValueType, limits: Limits) -> Result<Value, Error> {
    let mut meter = Meter::new(limits);
    let mut reader = Reader::new(source, 0, source.len());
    let mut message = Message::new(&mut reader, source.len());
    match value_type {
        ValueType::Tensor { .. } | ValueType::Unknown => tensor_value(message, &mut meter),
        ValueType::SparseTensor { .. } => sparse_value(message, &mut meter),
        ValueType::Sequence(_) => sequence(&mut message, 0, &mut meter),
        ValueType::Optional(_) => optional(&mut message, 0, &mut meter),
        ValueType::Map { .. } => map(&mut message, 0, &mut meter),
    }
}

fn tensor_value(message: Message<'_, '_>, meter: &mut Meter) -> Result<Value, Error> {
    let mut files = Vec::from([crate::FilePart { path: Default::default(), bytes: 0 }]);
    meter.charge_block(size_of::<TensorInfo>())?;
    let tensor = tensor::tensor(message, &mut files, meter)?;
    inside(&files, &tensor)?;
    Ok(Value::Tensor(Box::new(tensor)))
}

fn sparse_value(message: Message<'_, '_>, meter: &mut Meter) -> Result<Value, Error> {
    let mut files = Vec::from([crate::FilePart { path: Default::default(), bytes: 0 }]);
    meter.charge_block(size_of::<SparseTensor>())?;
    let sparse = tensor::sparse(message, &mut files, meter)?;
    inside(&files, &sparse.values)?;
    Ok(Value::SparseTensor(Box::new(sparse)))
}

/// A value has no files beside it.
fn inside(files: &[crate::FilePart], tensor: &TensorInfo) -> Result<(), Error> {
    match files.get(1) {
        None => Ok(()),
        Some(part) => Err(Error::ExternalPath {
            tensor: tensor.name.clone(),
            location: part.path.to_string_lossy().into(),
        }),
    }
}

fn deeper(message: &Message<'_, '_>, depth: u32) -> Result<u32, Error> {
    if depth >= DEPTH_MAX {
        return Err(Error::Nesting { offset: message.offset(), max: DEPTH_MAX });
    }
    Ok(depth + 1)
}

/// Reads the field that holds a value of any kind; the numbers of such fields are alike in lists and options.
fn any(
    number: u64,
    message: &mut Message<'_, '_>,
    depth: u32,
    meter: &mut Meter,
) -> Result<Option<Value>, Error> {
    let depth = deeper(message, depth)?;
    Ok(Some(match number {
        3 => tensor_value(message.message()?, meter)?,
        4 => sparse_value(message.message()?, meter)?,
        5 => sequence(&mut message.message()?, depth, meter)?,
        6 => map(&mut message.message()?, depth, meter)?,
        7 => optional(&mut message.message()?, depth, meter)?,
        _ => return Ok(None),
    }))
}

fn sequence(message: &mut Message<'_, '_>, depth: u32, meter: &mut Meter) -> Result<Value, Error> {
    let mut values = Vec::new();
    while let Some(field) = message.next()? {
        if let Some(value) = any(field.number, message, depth, meter)? {
            meter.make_room(&mut values)?;
            values.push(value);
        }
    }
    Ok(Value::Sequence(values))
}

fn optional(message: &mut Message<'_, '_>, depth: u32, meter: &mut Meter) -> Result<Value, Error> {
    let (mut kind, mut held) = (0, None);
    while let Some(field) = message.next()? {
        if field.number == 2 {
            kind = field.u64()?;
        } else if let Some(value) = any(field.number, message, depth, meter)? {
            meter.charge_block(size_of::<Value>())?;
            held = Some(Box::new(value));
        }
    }
    // Of kind 0 is what holds nothing.
    Ok(Value::Optional(held.filter(|_| kind != 0)))
}

fn map(message: &mut Message<'_, '_>, depth: u32, meter: &mut Meter) -> Result<Value, Error> {
    let (mut key, mut numbers, mut texts, mut values) =
        (DataType::Undefined, Vec::new(), Vec::new(), Vec::new());
    while let Some(field) = message.next()? {
        match field.number {
            2 => key = element("", field.u64()?)?,
            3 => message.numbers(&mut numbers, meter, Packed::i64, Wire::Varint)?,
            4 => {
                let text = message.bytes(meter)?;
                meter.make_room(&mut texts)?;
                texts.push(text);
            }
            5 => {
                let depth = deeper(message, depth)?;
                if let Value::Sequence(list) = sequence(&mut message.message()?, depth, meter)? {
                    values = list;
                }
            }
            _ => {}
        }
    }
    Ok(Value::Map { key, numbers, texts, values })
}
