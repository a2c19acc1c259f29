//! Types of elements and of values.
//!
//! Not what pintpot can compute with: all that ONNX has is here, so that the rest can be refused by name. The one
//! design choice: an extent of a shape is a number, a name or unknown, never a number that means something else.

use std::fmt;

use crate::Error;
use crate::limits::Meter;
use crate::protobuf::Message;

/// How deep types may nest.
const DEPTH_MAX: u32 = 16;

/// The most dimensions that a tensor may have.
pub(super) const RANK_MAX: u64 = 64;

/// Type of the elements of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum DataType {
    /// The file does not say.
    Undefined,
    Float,
    Uint8,
    Int8,
    Uint16,
    Int16,
    Int32,
    Int64,
    String,
    Bool,
    Float16,
    Double,
    Uint32,
    Uint64,
    Complex64,
    Complex128,
    Bfloat16,
    Float8E4M3Fn,
    Float8E4M3FnUz,
    Float8E5M2,
    Float8E5M2FnUz,
    Uint4,
    Int4,
    Float4E2M1,
    Float8E8M0,
    Uint2,
    Int2,
}

/// Type, name, bits of one element (0 where that has no meaning), in the order of the ids.
const TYPES: [(DataType, &str, u64); 27] = [
    (DataType::Undefined, "undefined", 0),
    (DataType::Float, "float", 32),
    (DataType::Uint8, "uint8", 8),
    (DataType::Int8, "int8", 8),
    (DataType::Uint16, "uint16", 16),
    (DataType::Int16, "int16", 16),
    (DataType::Int32, "int32", 32),
    (DataType::Int64, "int64", 64),
    (DataType::String, "string", 0),
    (DataType::Bool, "bool", 8),
    (DataType::Float16, "float16", 16),
    (DataType::Double, "double", 64),
    (DataType::Uint32, "uint32", 32),
    (DataType::Uint64, "uint64", 64),
    (DataType::Complex64, "complex64", 64),
    (DataType::Complex128, "complex128", 128),
    (DataType::Bfloat16, "bfloat16", 16),
    (DataType::Float8E4M3Fn, "float8e4m3fn", 8),
    (DataType::Float8E4M3FnUz, "float8e4m3fnuz", 8),
    (DataType::Float8E5M2, "float8e5m2", 8),
    (DataType::Float8E5M2FnUz, "float8e5m2fnuz", 8),
    (DataType::Uint4, "uint4", 4),
    (DataType::Int4, "int4", 4),
    (DataType::Float4E2M1, "float4e2m1", 4),
    (DataType::Float8E8M0, "float8e8m0", 8),
    (DataType::Uint2, "uint2", 2),
    (DataType::Int2, "int2", 2),
];

impl DataType {
    /// The type with this id, if there is one.
    pub fn from_id(id: u64) -> Option<DataType> {
        TYPES.get(usize::try_from(id).ok()?).map(|row| row.0)
    }

    /// How ONNX calls it, in small letters.
    pub fn name(self) -> &'static str {
        TYPES[self as usize].1
    }

    /// Bits of one element; 0 if elements have no size (strings) or are not known.
    pub fn bits(self) -> u64 {
        TYPES[self as usize].2
    }

    /// Bytes of `elements` elements without gaps, those of less than a byte packed, the lowest bits first. `None`
    /// if elements have no size or the sum is too large.
    pub fn bytes_of(self, elements: u64) -> Option<u64> {
        match self.bits() {
            0 => None,
            bits => Some(elements.checked_mul(bits)?.div_ceil(8)),
        }
    }
}

impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An extent of a shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dim {
    /// Known by a name; equal names are equal extents.
    Param(Box<str>),
    /// Not known.
    Unknown,
    /// Known.
    Value(u64),
}

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Dim::Param(name) => f.write_str(name),
            Dim::Unknown => f.write_str("?"),
            Dim::Value(value) => value.fmt(f),
        }
    }
}

/// What a value is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ValueType {
    /// Keys and values.
    Map {
        /// Integers or strings.
        key: DataType,
        /// What stands under each key.
        value: Box<ValueType>,
    },
    /// A value or none.
    Optional(Box<ValueType>),
    /// A list of values of one type.
    Sequence(Box<ValueType>),
    /// A tensor of which only what is not zero is stored.
    SparseTensor {
        /// Type of its elements.
        element: DataType,
        /// Its extents; `None` if not even their number is known.
        shape: Option<Box<[Dim]>>,
    },
    /// A tensor.
    Tensor {
        /// Type of its elements.
        element: DataType,
        /// Its extents, outermost first; `None` if not even their number is known.
        shape: Option<Box<[Dim]>>,
    },
    /// The file does not say.
    #[default]
    Unknown,
}

impl fmt::Display for ValueType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tensor = |f: &mut fmt::Formatter<'_>, element: &DataType, shape: &Option<Box<[Dim]>>| {
            element.fmt(f)?;
            let Some(shape) = shape else { return f.write_str("[*]") };
            f.write_str("[")?;
            for (i, dim) in shape.iter().enumerate() {
                write!(f, "{}{dim}", if i == 0 { "" } else { ", " })?;
            }
            f.write_str("]")
        };
        match self {
            ValueType::Map { key, value } => write!(f, "map({key}, {value})"),
            ValueType::Optional(inner) => write!(f, "optional({inner})"),
            ValueType::Sequence(inner) => write!(f, "sequence({inner})"),
            ValueType::SparseTensor { element, shape } => {
                f.write_str("sparse ")?;
                tensor(f, element, shape)
            }
            ValueType::Tensor { element, shape } => tensor(f, element, shape),
            ValueType::Unknown => f.write_str("unknown"),
        }
    }
}

/// A value by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ValueInfo {
    /// Its name.
    pub name: Box<str>,
    /// What it is.
    pub value_type: ValueType,
}

/// Reads a `ValueInfoProto`.
pub(super) fn value_info(mut message: Message<'_, '_>, meter: &mut Meter) -> Result<ValueInfo, Error> {
    let mut info = ValueInfo::default();
    while let Some(field) = message.next()? {
        match field.number {
            1 => info.name = message.text(meter)?,
            2 => info.value_type = value_type(message.message()?, 0, meter)?,
            _ => {}
        }
    }
    Ok(info)
}

/// Reads a `TypeProto`.
pub(super) fn value_type(
    mut message: Message<'_, '_>,
    depth: u32,
    meter: &mut Meter,
) -> Result<ValueType, Error> {
    let mut found = ValueType::Unknown;
    while let Some(field) = message.next()? {
        if depth >= DEPTH_MAX {
            return Err(Error::Nesting { offset: field.start, max: DEPTH_MAX });
        }
        match field.number {
            1 => {
                let (element, shape) = tensor_type(message.message()?, meter)?;
                found = ValueType::Tensor { element, shape };
            }
            4 => found = ValueType::Sequence(inner(message.message()?, 1, depth, meter)?),
            5 => found = map_type(message.message()?, depth, meter)?,
            8 => {
                let (element, shape) = tensor_type(message.message()?, meter)?;
                found = ValueType::SparseTensor { element, shape };
            }
            9 => found = ValueType::Optional(inner(message.message()?, 1, depth, meter)?),
            _ => {}
        }
    }
    Ok(found)
}

/// The type that the field `number` of a message holds.
fn inner(
    mut message: Message<'_, '_>,
    number: u64,
    depth: u32,
    meter: &mut Meter,
) -> Result<Box<ValueType>, Error> {
    meter.charge_block(size_of::<ValueType>())?;
    let mut found = ValueType::Unknown;
    while let Some(field) = message.next()? {
        if field.number == number {
            found = value_type(message.message()?, depth + 1, meter)?;
        }
    }
    Ok(Box::new(found))
}

fn map_type(mut message: Message<'_, '_>, depth: u32, meter: &mut Meter) -> Result<ValueType, Error> {
    meter.charge_block(size_of::<ValueType>())?;
    let (mut key, mut value) = (DataType::Undefined, ValueType::Unknown);
    while let Some(field) = message.next()? {
        match field.number {
            1 => key = element("", field.u64()?)?,
            2 => value = value_type(message.message()?, depth + 1, meter)?,
            _ => {}
        }
    }
    Ok(ValueType::Map { key, value: Box::new(value) })
}

type TensorType = (DataType, Option<Box<[Dim]>>);

fn tensor_type(mut message: Message<'_, '_>, meter: &mut Meter) -> Result<TensorType, Error> {
    let (mut kind, mut shape) = (DataType::Undefined, None);
    while let Some(field) = message.next()? {
        match field.number {
            1 => kind = element("", field.u64()?)?,
            2 => shape = Some(dims(message.message()?, meter)?),
            _ => {}
        }
    }
    Ok((kind, shape))
}

/// The type of a tensor's elements, or a refusal that names the tensor.
pub(super) fn element(tensor: &str, id: u64) -> Result<DataType, Error> {
    DataType::from_id(id).ok_or_else(|| Error::ElementType { tensor: tensor.into(), id })
}

/// Reads a `TensorShapeProto`.
fn dims(mut message: Message<'_, '_>, meter: &mut Meter) -> Result<Box<[Dim]>, Error> {
    let mut dims = Vec::new();
    while let Some(field) = message.next()? {
        if field.number != 1 {
            continue;
        }
        if dims.len() as u64 >= RANK_MAX {
            return Err(Error::Rank { tensor: "".into(), rank: RANK_MAX + 1, max: RANK_MAX });
        }
        meter.make_room(&mut dims)?;
        dims.push(dim(message.message()?, meter)?);
    }
    Ok(dims.into())
}

fn dim(mut message: Message<'_, '_>, meter: &mut Meter) -> Result<Dim, Error> {
    let mut dim = Dim::Unknown;
    while let Some(field) = message.next()? {
        match field.number {
            // Some exporters write -1 for what they do not know.
            1 => dim = u64::try_from(field.i64()?).map_or(Dim::Unknown, Dim::Value),
            2 => {
                let name = message.text(meter)?;
                dim = if name.is_empty() { Dim::Unknown } else { Dim::Param(name) };
            }
            _ => {}
        }
    }
    Ok(dim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_follow_the_enum() {
        for (id, row) in TYPES.iter().enumerate() {
            assert_eq!(row.0 as usize, id);
            assert_eq!(DataType::from_id(id as u64), Some(row.0));
        }
        let cases = [
            (DataType::Float, 3, Some(12)),
            (DataType::Int4, 3, Some(2)),
            (DataType::Int2, 5, Some(2)),
            (DataType::String, 3, None),
            (DataType::Complex128, u64::MAX, None),
        ];
        for (kind, elements, want) in cases {
            assert_eq!(kind.bytes_of(elements), want, "{kind}");
        }
    }

    #[test]
    fn types_are_told_in_a_line() {
        let shape = Some([Dim::Param("batch".into()), Dim::Unknown, Dim::Value(3)].into());
        let tensor = ValueType::Tensor { element: DataType::Float16, shape };
        let cases = [
            (tensor.clone(), "float16[batch, ?, 3]"),
            (ValueType::Sequence(Box::new(tensor)), "sequence(float16[batch, ?, 3])"),
            (ValueType::Tensor { element: DataType::Int64, shape: None }, "int64[*]"),
            (ValueType::Tensor { element: DataType::Bool, shape: Some([].into()) }, "bool[]"),
            (ValueType::Unknown, "unknown"),
        ];
        for (value, want) in cases {
            assert_eq!(value.to_string(), want);
        }
    }
}
