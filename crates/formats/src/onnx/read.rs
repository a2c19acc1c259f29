//! The values of a tensor, in order, as memory has them.
//!
//! Not a loader of weights: those that are bytes in a file already are read as ranges by who owns the memory.
//! The one design choice: however values are written (bytes, numbers in packed runs, one field each), a walk gives
//! little-endian elements without gaps into a buffer of the caller's, so nothing here grows with a tensor.

use host::ReadAt;

use super::tensor::{Data, TensorInfo, typed_field};
use super::types::DataType;
use crate::limits::heap_block;
use crate::protobuf::{Message, Payload, Wire};
use crate::reader::{Reader, STRING_MAX, WINDOW};
use crate::{ArrayRef, Element, Error};

impl TensorInfo {
    /// Walks the values; `source` is the file of number [`TensorInfo::file`]. A window of at most 32 KiB is held
    /// meanwhile. Strings have [`TensorInfo::strings`].
    pub fn read<'a>(&'a self, source: &'a dyn ReadAt) -> Result<Elements<'a>, Error> {
        let Some(bytes) = self.bytes() else {
            return Err(Error::NotNumbers { tensor: self.name.clone(), element: self.element.name() });
        };
        let form = match (&self.data, typed_field(self.element)) {
            (Data::Fields { field, .. }, Some((_, wire, width))) => {
                Some(Form { field: u64::from(*field), wire, width: width as usize })
            }
            _ => None,
        };
        Ok(Elements { tensor: self, walk: Walk::new(&self.data, source), form, left: bytes })
    }

    /// Walks the texts of a tensor of strings; `source` is the file of number [`TensorInfo::file`].
    pub fn strings<'a>(&'a self, source: &'a dyn ReadAt) -> Result<Strings<'a>, Error> {
        match self.element {
            DataType::String => Ok(Strings { walk: Walk::new(&self.data, source) }),
            element => {
                Err(Error::WrongType { key: self.name.clone(), expected: "strings", found: element.name() })
            }
        }
    }

    /// All values, if they take no more than `max` bytes: a shape, an axis, a scale.
    pub fn literal(&self, source: &dyn ReadAt, max: u64) -> Result<Literal, Error> {
        let mut elements = self.read(source)?;
        let bytes = elements.left;
        let Some(len) = usize::try_from(bytes).ok().filter(|_| bytes <= max) else {
            return Err(Error::LongTensor { tensor: self.name.clone(), bytes, max });
        };
        let mut bytes = vec![0; len.next_multiple_of(8)];
        let mut at = 0;
        while at < len {
            match elements.read(&mut bytes[at..])? {
                0 => break,
                read => at += read,
            }
        }
        bytes.truncate(len);
        elements.finish()?;
        Ok(Literal { dims: self.dims.clone(), element: self.element, bytes: bytes.into() })
    }
}

/// Where a walk stands.
struct Walk<'a> {
    reader: Reader<'a>,
    /// End of all.
    end: u64,
    /// End of the packed run that is being walked.
    run: u64,
    /// The field to take, if values are in fields.
    field: u64,
}

impl<'a> Walk<'a> {
    fn new(data: &Data, source: &'a dyn ReadAt) -> Walk<'a> {
        let (range, field) = match data {
            Data::Bytes(range) => (range, 0),
            Data::Fields { range, field } => (range, u64::from(*field)),
        };
        Walk { reader: Reader::new(source, range.start, range.end), end: range.end, run: 0, field }
    }

    /// The next field of the number; behind a field with bytes stands the walk at their beginning.
    fn next(&mut self) -> Result<Option<Payload>, Error> {
        loop {
            let mut message = Message::new(&mut self.reader, self.end);
            let Some(field) = message.next()? else { return Ok(None) };
            let end = message.end_of_field();
            if field.number == self.field {
                self.run = end;
                return Ok(Some(field.payload));
            }
            self.reader.skip(end.saturating_sub(self.reader.offset()))?;
        }
    }
}

/// How numbers in fields are written.
#[derive(Clone, Copy)]
struct Form {
    field: u64,
    wire: Wire,
    /// Bytes in memory of one of them.
    width: usize,
}

/// A walk over the values of a tensor of numbers.
pub struct Elements<'a> {
    tensor: &'a TensorInfo,
    walk: Walk<'a>,
    form: Option<Form>,
    /// Bytes that have not been given yet.
    left: u64,
}

impl Elements<'_> {
    /// Bytes that are still to come.
    pub fn remaining(&self) -> u64 {
        self.left
    }

    /// Writes values to the beginning of `into`, which has 8 bytes at least, and gives the number of bytes; 0 at the
    /// end.
    pub fn read(&mut self, into: &mut [u8]) -> Result<usize, Error> {
        let room = into.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let written = match self.form {
            None => {
                let count = room.min(WINDOW);
                into[..count].copy_from_slice(self.walk.reader.take(count)?);
                count
            }
            Some(form) => {
                let mut written = 0;
                while room - written >= form.width {
                    let value = self.number(form)?;
                    into[written..written + form.width].copy_from_slice(&value[..form.width]);
                    written += form.width;
                }
                written
            }
        };
        self.left -= written as u64;
        Ok(written)
    }

    /// Checks that there is nothing behind the last value.
    pub fn finish(&mut self) -> Result<(), Error> {
        let Some(form) = self.form.filter(|_| self.left == 0) else { return Ok(()) };
        match self.walk.reader.offset() < self.walk.run || self.field(form)?.is_some() {
            false => Ok(()),
            true => Err(self.miscounted()),
        }
    }

    fn miscounted(&self) -> Error {
        let expected = self.tensor.bytes().unwrap_or(0);
        Error::Size { tensor: self.tensor.name.clone(), expected, found: expected - self.left }
    }

    /// The next field with values that is not an empty run.
    fn field(&mut self, form: Form) -> Result<Option<Payload>, Error> {
        debug_assert_eq!(form.field, self.walk.field);
        loop {
            match self.walk.next()? {
                Some(Payload::Bytes) if self.walk.reader.offset() >= self.walk.run => {}
                found => return Ok(found),
            }
        }
    }

    /// The next number, as the first bytes of eight.
    fn number(&mut self, form: Form) -> Result<[u8; 8], Error> {
        let payload = match self.walk.reader.offset() < self.walk.run {
            true => form.wire.read(&mut self.walk.reader)?,
            false => match self.field(form)? {
                Some(Payload::Bytes) => form.wire.read(&mut self.walk.reader)?,
                Some(single) => {
                    self.walk.run = 0;
                    single
                }
                None => return Err(self.miscounted()),
            },
        };
        let offset = self.walk.reader.offset();
        if self.walk.run != 0 && offset > self.walk.run {
            return Err(Error::Malformed { what: "a list ends within a number", offset });
        }
        let mut bytes = [0; 8];
        match (payload, form.wire) {
            (Payload::Fixed32(four), Wire::Fixed32) => bytes[..4].copy_from_slice(&four),
            (Payload::Fixed64(eight), Wire::Fixed64) => bytes = eight,
            (Payload::Varint(value), Wire::Varint) => {
                let bits = 8 * form.width as u32;
                // Either as a signed or as an unsigned number of that many bits.
                let unused = if bits < 64 { value as i64 >> bits } else { 0 };
                let is_negative = unused == -1 && value as i64 >> (bits - 1) == -1;
                if unused != 0 && !is_negative {
                    return Err(Error::Malformed { what: "a value does not fit its type", offset });
                }
                bytes = value.to_le_bytes();
            }
            _ => return Err(Error::Malformed { what: "a value is not of its kind", offset }),
        }
        Ok(bytes)
    }
}

/// A walk over the texts of a tensor, each lent until the next.
pub struct Strings<'a> {
    walk: Walk<'a>,
}

impl Strings<'_> {
    /// The next text, as bytes of any encoding; `None` at the end.
    #[allow(clippy::should_implement_trait)] // It lends, which `Iterator` cannot.
    pub fn next(&mut self) -> Result<Option<&[u8]>, Error> {
        if self.walk.field == 0 {
            return Ok(None);
        }
        match self.walk.next()? {
            None => Ok(None),
            Some(Payload::Bytes) => {
                let offset = self.walk.reader.offset();
                let len = self.walk.run - offset;
                match usize::try_from(len) {
                    Ok(short) if len <= STRING_MAX => self.walk.reader.take(short).map(Some),
                    _ => Err(Error::StringTooLong { offset, len, max: STRING_MAX }),
                }
            }
            Some(_) => {
                let offset = self.walk.reader.offset();
                Err(Error::Malformed { what: "a value is not of its kind", offset })
            }
        }
    }
}

/// A tensor with its values.
#[derive(Clone, Debug, PartialEq)]
pub struct Literal {
    /// Its extents, outermost first; none for a single number.
    pub dims: Box<[u64]>,
    /// The type of its elements.
    pub element: DataType,
    /// Little-endian elements without gaps, those of less than a byte packed, the lowest bits first.
    pub bytes: Box<[u8]>,
}

impl Literal {
    /// The values as whole numbers, if they are of a type of whole numbers or truth values.
    pub fn i64s(&self) -> Option<Vec<i64>> {
        fn each<const N: usize>(bytes: &[u8], value: fn([u8; N]) -> i64) -> Vec<i64> {
            let chunks = bytes.chunks_exact(N);
            chunks.filter_map(|chunk| chunk.try_into().ok()).map(value).collect()
        }
        let bytes = &self.bytes;
        Some(match self.element {
            DataType::Bool | DataType::Uint8 => each(bytes, |b| u8::from_le_bytes(b).into()),
            DataType::Int8 => each(bytes, |b| i8::from_le_bytes(b).into()),
            DataType::Int16 => each(bytes, |b| i16::from_le_bytes(b).into()),
            DataType::Uint16 => each(bytes, |b| u16::from_le_bytes(b).into()),
            DataType::Int32 => each(bytes, |b| i32::from_le_bytes(b).into()),
            DataType::Uint32 => each(bytes, |b| u32::from_le_bytes(b).into()),
            DataType::Int64 => each(bytes, i64::from_le_bytes),
            // Sizes and axes; what is beyond is not one.
            DataType::Uint64 => each(bytes, |b| i64::try_from(u64::from_le_bytes(b)).unwrap_or(i64::MAX)),
            _ => return None,
        })
    }

    /// The values as fractions, if they are of type float or double.
    pub fn f64s(&self) -> Option<Vec<f64>> {
        let (element, size) = match self.element {
            DataType::Float => (Element::F32, 4),
            DataType::Double => (Element::F64, 8),
            _ => return None,
        };
        let array = ArrayRef::held(element, (self.bytes.len() / size) as u64, self.bytes.clone());
        array.numbers(crate::source::NOTHING).collect::<Result<_, _>>().ok()
    }

    /// Heap bytes that this value holds.
    pub fn heap_bytes(&self) -> u64 {
        heap_block(8 * self.dims.len()) + heap_block(self.bytes.len())
    }
}
