//! Arrays of metadata: where they lie, and how to walk them without holding them.
//!
//! Not tensors: these are vocabularies, scores, merges, per-layer settings. The one design choice: an array is
//! a type, a length and a place in GGUF's own encoding (little-endian elements; a string is its length as u64
//! and its bytes). Short ones are held, long ones stay in the file; walking is the same. JSON arrays are
//! turned into that encoding, so that nobody above has to know which format a model came in.

use std::marker::PhantomData;
use std::ops::Range;

use host::ReadAt;

use crate::limits::heap_block;
use crate::reader::{Reader, STRING_MAX};
use crate::{Error, Value};

/// Type of the elements of an array, as GGUF stores them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Element {
    Bool,
    F32,
    F64,
    I8,
    I16,
    I32,
    I64,
    Str,
    U8,
    U16,
    U32,
    U64,
}

/// GGUF's value type that is no element: an array.
pub(crate) const GGUF_ARRAY: u32 = 9;

/// Type, GGUF id, least bytes of one element.
const ELEMENTS: [(Element, u32, u64); 12] = [
    (Element::Bool, 7, 1),
    (Element::F32, 6, 4),
    (Element::F64, 12, 8),
    (Element::I8, 1, 1),
    (Element::I16, 3, 2),
    (Element::I32, 5, 4),
    (Element::I64, 11, 8),
    (Element::Str, 8, 8),
    (Element::U8, 0, 1),
    (Element::U16, 2, 2),
    (Element::U32, 4, 4),
    (Element::U64, 10, 8),
];

impl Element {
    /// The type with this GGUF id.
    pub(crate) fn from_gguf_id(id: u32) -> Option<Element> {
        ELEMENTS.iter().find(|row| row.1 == id).map(|row| row.0)
    }

    /// The id under which GGUF stores this type.
    pub(crate) fn gguf_id(self) -> u32 {
        ELEMENTS[self as usize].1
    }

    /// Bytes of one element; of a string, the least.
    pub(crate) fn least_bytes(self) -> u64 {
        ELEMENTS[self as usize].2
    }

    /// Reads one element. A string is held.
    pub(crate) fn read(self, reader: &mut Reader<'_>) -> Result<Value, Error> {
        Ok(match self {
            Element::Bool => Value::Bool(reader.array::<1>()?[0] != 0),
            Element::F32 => Value::F64(f32::from_le_bytes(reader.array()?).into()),
            Element::F64 => Value::F64(f64::from_le_bytes(reader.array()?)),
            Element::I8 => Value::I64(i8::from_le_bytes(reader.array()?).into()),
            Element::I16 => Value::I64(i16::from_le_bytes(reader.array()?).into()),
            Element::I32 => Value::I64(i32::from_le_bytes(reader.array()?).into()),
            Element::I64 => Value::I64(i64::from_le_bytes(reader.array()?)),
            Element::Str => Value::Str(reader.text(STRING_MAX)?.into()),
            Element::U8 => Value::U64(u8::from_le_bytes(reader.array()?).into()),
            Element::U16 => Value::U64(u16::from_le_bytes(reader.array()?).into()),
            Element::U32 => Value::U64(reader.u32()?.into()),
            Element::U64 => Value::U64(reader.u64()?),
        })
    }
}

/// A metadata array: held if short, otherwise a place in a file.
#[derive(Clone, Debug, PartialEq)]
pub struct ArrayRef {
    element: Element,
    len: u64,
    place: Place,
}

#[derive(Clone, Debug, PartialEq)]
enum Place {
    Held(Box<[u8]>),
    File { file: u32, range: Range<u64> },
}

impl ArrayRef {
    /// An array whose encoding is at hand. The encoding must be whole: `len` elements and no more.
    pub(crate) fn held(element: Element, len: u64, encoded: Box<[u8]>) -> ArrayRef {
        ArrayRef { element, len, place: Place::Held(encoded) }
    }

    /// An array that stays in file number `file` at `range`.
    pub(crate) fn in_file(element: Element, len: u64, file: u32, range: Range<u64>) -> ArrayRef {
        ArrayRef { element, len, place: Place::File { file, range } }
    }

    /// The type of the elements.
    pub fn element(&self) -> Element {
        self.element
    }

    /// How many elements there are.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes of all elements as encoded. A string takes eight more than its text.
    pub fn encoded_bytes(&self) -> u64 {
        match &self.place {
            Place::Held(encoded) => encoded.len() as u64,
            Place::File { range, .. } => range.end - range.start,
        }
    }

    /// The number (in [`crate::ModelFile::files`]) of the file to give to the walks below; `None` if the array
    /// is held and any source will do.
    pub fn file(&self) -> Option<u32> {
        match self.place {
            Place::Held(_) => None,
            Place::File { file, .. } => Some(file),
        }
    }

    /// Walks numbers that fit in 32 bits, such as token types.
    pub fn i32s<'a>(&'a self, source: &'a dyn ReadAt) -> Numbers<'a, i32> {
        self.numbers(source)
    }

    /// Walks unsigned numbers that fit in 32 bits, such as token ids.
    pub fn u32s<'a>(&'a self, source: &'a dyn ReadAt) -> Numbers<'a, u32> {
        self.numbers(source)
    }

    /// Walks floats, such as scores.
    pub fn f32s<'a>(&'a self, source: &'a dyn ReadAt) -> Numbers<'a, f32> {
        self.numbers(source)
    }

    /// Walks numbers of any kind. A window of at most 32 KiB is held meanwhile.
    pub fn numbers<'a, T: Number>(&'a self, source: &'a dyn ReadAt) -> Numbers<'a, T> {
        Numbers { walk: self.walk(source), kind: PhantomData }
    }

    /// Walks strings. A window of at most 32 KiB, or one string of up to 1 MiB, is held meanwhile.
    pub fn strings<'a>(&'a self, source: &'a dyn ReadAt) -> Strings<'a> {
        Strings { walk: self.walk(source) }
    }

    /// Heap bytes held.
    pub(crate) fn heap_bytes(&self) -> u64 {
        match &self.place {
            Place::Held(encoded) => heap_block(encoded.len()),
            Place::File { .. } => 0,
        }
    }

    fn walk<'a>(&'a self, source: &'a dyn ReadAt) -> Walk<'a> {
        let reader = match &self.place {
            Place::Held(encoded) => Reader::held(encoded),
            Place::File { range, .. } => Reader::new(source, range.start, range.end),
        };
        Walk { reader, element: self.element, left: self.len }
    }
}

/// A walk over elements of either kind.
struct Walk<'a> {
    reader: Reader<'a>,
    element: Element,
    left: u64,
}

impl Walk<'_> {
    /// Counts one element down; false at the end.
    fn step(&mut self) -> bool {
        let more = self.left > 0;
        self.left = self.left.saturating_sub(1);
        more
    }

    fn wrong(&self, offset: u64, expected: &'static str) -> Error {
        Error::WrongElement { offset, expected, found: self.element }
    }
}

/// A walk over the numbers of an array; ends at the first error.
pub struct Numbers<'a, T> {
    walk: Walk<'a>,
    kind: PhantomData<T>,
}

impl<T: Number> Iterator for Numbers<'_, T> {
    type Item = Result<T, Error>;

    fn next(&mut self) -> Option<Result<T, Error>> {
        if !self.walk.step() {
            return None;
        }
        let offset = self.walk.reader.offset();
        let number = match self.walk.element {
            Element::Str => Err(self.walk.wrong(offset, T::NAME)),
            element => element
                .read(&mut self.walk.reader)
                .and_then(|value| T::from_scalar(&value).ok_or_else(|| self.walk.wrong(offset, T::NAME))),
        };
        if number.is_err() {
            self.walk.left = 0;
        }
        Some(number)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, usize::try_from(self.walk.left).ok())
    }
}

/// A walk over the strings of an array, each lent until the next.
pub struct Strings<'a> {
    walk: Walk<'a>,
}

impl Strings<'_> {
    /// The next string, as bytes of any encoding; `None` at the end.
    #[allow(clippy::should_implement_trait)] // It lends, which `Iterator` cannot.
    pub fn next(&mut self) -> Result<Option<&[u8]>, Error> {
        if !self.walk.step() {
            return Ok(None);
        }
        if self.walk.element != Element::Str {
            return Err(self.walk.wrong(self.walk.reader.offset(), "a string"));
        }
        self.walk.reader.string(STRING_MAX).map(Some)
    }
}

/// A number or truth value that an array or a key can be asked for.
pub trait Number: Sized + sealed::Sealed {
    /// How messages call it.
    const NAME: &'static str;

    /// The number in `value`, if it is one and fits. Integers turn into floats, never floats into integers.
    fn from_scalar(value: &Value) -> Option<Self>;
}

mod sealed {
    pub trait Sealed {}
}

/// `$type, "$name", |value| ...` for each kind of number.
macro_rules! numbers {
    ($($type:ty, $name:literal, $from:expr;)*) => {$(
        impl sealed::Sealed for $type {}
        impl Number for $type {
            const NAME: &'static str = $name;
            fn from_scalar(value: &Value) -> Option<$type> {
                let from: fn(&Value) -> Option<$type> = $from;
                from(value)
            }
        }
    )*};
}

numbers! {
    bool, "a truth value", |value| match value { Value::Bool(b) => Some(*b), _ => None };
    f32, "a number", |value| float(value).map(|f| f as f32);
    f64, "a number", float;
    i32, "a 32-bit integer", |value| integer(value)?.try_into().ok();
    i64, "a 64-bit integer", |value| integer(value)?.try_into().ok();
    u32, "an unsigned 32-bit integer", |value| integer(value)?.try_into().ok();
    u64, "an unsigned integer", |value| integer(value)?.try_into().ok();
    usize, "an unsigned integer", |value| integer(value)?.try_into().ok();
}

fn integer(value: &Value) -> Option<i128> {
    match value {
        Value::I64(i) => Some((*i).into()),
        Value::U64(u) => Some((*u).into()),
        _ => None,
    }
}

fn float(value: &Value) -> Option<f64> {
    match value {
        Value::F64(f) => Some(*f),
        other => integer(other).map(|i| i as f64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Bytes;

    #[test]
    fn elements_follow_the_enum() {
        for (i, row) in ELEMENTS.iter().enumerate() {
            assert_eq!(row.0 as usize, i);
            assert_eq!(Element::from_gguf_id(row.1), Some(row.0));
        }
    }

    #[test]
    fn numbers_convert_when_they_fit() {
        let bytes: Box<[u8]> = [1i32, -2, 3].iter().flat_map(|i| i.to_le_bytes()).collect();
        let array = ArrayRef::held(Element::I32, 3, bytes);
        let none = Bytes::new(&[]);
        assert_eq!(array.i32s(&none).collect::<Result<Vec<_>, _>>().unwrap(), [1, -2, 3]);
        assert_eq!(array.f32s(&none).collect::<Result<Vec<_>, _>>().unwrap(), [1.0, -2.0, 3.0]);
        let unsigned: Vec<_> = array.u32s(&none).collect();
        assert_eq!(unsigned.len(), 2);
        assert!(matches!(unsigned[1], Err(Error::WrongElement { offset: 4, .. })));
        assert!(array.strings(&none).next().is_err());
    }
}
