//! Protocol Buffers as bytes: the fields of a message, one after the other, through a window.
//!
//! What it is: the wire format. What it is not: a schema; who reads a message knows what its numbers mean. The one
//! design choice: a field that holds bytes is lent as a place, and what nobody reads is stepped over, so that a
//! message of gigabytes costs no more than what is kept of it. Unlike in other readers a field of the wrong wire
//! type is damage, not an unknown field. Layout: Protocol Buffers, "Encoding".

use std::ops::Range;

use crate::Error;
use crate::limits::Meter;
use crate::reader::{Reader, STRING_MAX};

/// What stands behind a tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Payload {
    /// Bytes, not read yet; [`Message`] knows where.
    Bytes,
    Fixed32([u8; 4]),
    Fixed64([u8; 8]),
    Varint(u64),
}

/// A field that has come up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    pub(crate) number: u64,
    /// Where its tag begins.
    pub(crate) start: u64,
    pub(crate) payload: Payload,
}

impl Field {
    fn wrong(&self) -> Error {
        Error::Malformed { what: "a field is not of the kind that its number says", offset: self.start }
    }

    /// Its value as an unsigned number.
    pub(crate) fn u64(&self) -> Result<u64, Error> {
        match self.payload {
            Payload::Varint(value) => Ok(value),
            _ => Err(self.wrong()),
        }
    }

    /// Its value as a signed number (two's complement, not zigzag).
    pub(crate) fn i64(&self) -> Result<i64, Error> {
        Ok(self.u64()? as i64)
    }

    /// Its value as a float.
    pub(crate) fn f32(&self) -> Result<f32, Error> {
        match self.payload {
            Payload::Fixed32(bytes) => Ok(f32::from_le_bytes(bytes)),
            _ => Err(self.wrong()),
        }
    }
}

/// A message that is being read, up to and with the field that came up last.
pub(crate) struct Message<'r, 'a> {
    reader: &'r mut Reader<'a>,
    end: u64,
    field: Field,
    /// Where the latest field's payload ends.
    next: u64,
}

impl<'r, 'a> Message<'r, 'a> {
    /// A message that begins where the reader stands.
    pub(crate) fn new(reader: &'r mut Reader<'a>, end: u64) -> Message<'r, 'a> {
        let next = reader.offset();
        Message { reader, end, field: Field { number: 0, start: next, payload: Payload::Varint(0) }, next }
    }

    /// The next field, or `None` at the end. What was not read of the one before is stepped over.
    pub(crate) fn next(&mut self) -> Result<Option<Field>, Error> {
        self.reader.skip(self.next.saturating_sub(self.reader.offset()))?;
        let start = self.reader.offset();
        if start >= self.end {
            return Ok(None);
        }
        let tag = self.reader.varint()?;
        let (number, mut len) = (tag >> 3, 0);
        let payload = match tag & 7 {
            0 => Payload::Varint(self.reader.varint()?),
            1 => Payload::Fixed64(self.reader.array()?),
            2 => {
                len = self.reader.varint()?;
                Payload::Bytes
            }
            5 => Payload::Fixed32(self.reader.array()?),
            _ => return Err(Error::Malformed { what: "a field has an unknown wire type", offset: start }),
        };
        if number == 0 {
            return Err(Error::Malformed { what: "a field has the number 0", offset: start });
        }
        let at = self.reader.offset();
        // A message that should go on behind the end of the file is cut, one behind its parent's end is a lie.
        self.reader.demand(len)?;
        self.next = at + len;
        if self.next > self.end {
            return Err(Error::Malformed { what: "a field is longer than what it lies in", offset: start });
        }
        self.field = Field { number, start, payload };
        Ok(Some(self.field))
    }

    /// Where reading stands.
    pub(crate) fn offset(&self) -> u64 {
        self.reader.offset()
    }

    /// Where the latest field ends.
    pub(crate) fn end_of_field(&self) -> u64 {
        match self.field.payload {
            Payload::Bytes => self.next,
            _ => self.reader.offset(),
        }
    }

    /// Where the bytes of the latest field lie.
    pub(crate) fn range(&self) -> Result<Range<u64>, Error> {
        match self.field.payload {
            Payload::Bytes => Ok(self.reader.offset()..self.next),
            _ => Err(self.field.wrong()),
        }
    }

    /// The message that the latest field holds.
    pub(crate) fn message(&mut self) -> Result<Message<'_, 'a>, Error> {
        let end = self.range()?.end;
        Ok(Message::new(self.reader, end))
    }

    /// Lends the bytes of the latest field.
    pub(crate) fn lend(&mut self) -> Result<&[u8], Error> {
        let range = self.range()?;
        let (offset, len) = (range.start, range.end - range.start);
        match usize::try_from(len) {
            Ok(short) if len <= STRING_MAX => self.reader.take(short),
            _ => Err(Error::StringTooLong { offset, len, max: STRING_MAX }),
        }
    }

    /// The bytes of the latest field, to keep.
    pub(crate) fn bytes(&mut self, meter: &mut Meter) -> Result<Box<[u8]>, Error> {
        let range = self.range()?;
        meter.charge_block(usize::try_from(range.end - range.start).unwrap_or(usize::MAX))?;
        Ok(self.lend()?.into())
    }

    /// The text of the latest field, to keep.
    pub(crate) fn text(&mut self, meter: &mut Meter) -> Result<Box<str>, Error> {
        let range = self.range()?;
        meter.charge_block(usize::try_from(range.end - range.start).unwrap_or(usize::MAX))?;
        let text = std::str::from_utf8(self.lend()?);
        text.map(Box::from).map_err(|_| Error::NotUtf8 { offset: range.start })
    }

    /// Adds what the latest field holds to a list of numbers: one, or many in a row.
    pub(crate) fn numbers<T>(
        &mut self,
        list: &mut Vec<T>,
        meter: &mut Meter,
        number: fn(&Packed) -> Option<T>,
        wire: Wire,
    ) -> Result<(), Error> {
        let field = self.field;
        let end = match field.payload {
            Payload::Bytes => self.next,
            single => {
                meter.make_room(list)?;
                list.push(number(&Packed(single)).ok_or_else(|| field.wrong())?);
                return Ok(());
            }
        };
        while self.reader.offset() < end {
            let offset = self.reader.offset();
            let one = wire.read(self.reader)?;
            if self.reader.offset() > end {
                return Err(Error::Malformed { what: "a list ends within a number", offset });
            }
            meter.make_room(list)?;
            list.push(number(&Packed(one)).ok_or_else(|| field.wrong())?);
        }
        Ok(())
    }
}

/// How the numbers of a packed list are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    Fixed32,
    Fixed64,
    Varint,
}

impl Wire {
    /// Reads one number of a packed list.
    pub(crate) fn read(self, reader: &mut Reader<'_>) -> Result<Payload, Error> {
        Ok(match self {
            Wire::Fixed32 => Payload::Fixed32(reader.array()?),
            Wire::Fixed64 => Payload::Fixed64(reader.array()?),
            Wire::Varint => Payload::Varint(reader.varint()?),
        })
    }

    /// Bytes of one number, at least and at most.
    pub(crate) fn bytes(self) -> (u64, u64) {
        match self {
            Wire::Fixed32 => (4, 4),
            Wire::Fixed64 => (8, 8),
            Wire::Varint => (1, 10),
        }
    }
}

/// A number of a list.
pub(crate) struct Packed(Payload);

impl Packed {
    /// As a signed number.
    pub(crate) fn i64(&self) -> Option<i64> {
        match self.0 {
            Payload::Varint(value) => Some(value as i64),
            _ => None,
        }
    }

    /// As a float.
    pub(crate) fn f32(&self) -> Option<f32> {
        match self.0 {
            Payload::Fixed32(bytes) => Some(f32::from_le_bytes(bytes)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Bytes, Limits};

    fn first(bytes: &[u8]) -> Result<Option<(u64, Payload)>, Error> {
        let source = Bytes::new(bytes);
        let mut reader = Reader::new(&source, 0, bytes.len() as u64);
        let field = Message::new(&mut reader, bytes.len() as u64).next()?;
        Ok(field.map(|field| (field.number, field.payload)))
    }

    #[test]
    fn fields() {
        let huge = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        let minus_one: Vec<u8> = [0x08].into_iter().chain(huge).collect();
        type Case<'a> = (&'a [u8], Option<(u64, Payload)>);
        let cases: [Case<'_>; 6] = [
            (b"", None),
            (&[0x08, 0x96, 0x01], Some((1, Payload::Varint(150)))),
            (&minus_one, Some((1, Payload::Varint(u64::MAX)))),
            (&[0x15, 1, 2, 3, 4], Some((2, Payload::Fixed32([1, 2, 3, 4])))),
            (&[0x19, 1, 2, 3, 4, 5, 6, 7, 8], Some((3, Payload::Fixed64([1, 2, 3, 4, 5, 6, 7, 8])))),
            (&[0x82, 0x01, 2, b'h', b'i'], Some((16, Payload::Bytes))),
        ];
        for (bytes, want) in cases {
            assert_eq!(first(bytes).unwrap(), want, "{bytes:?}");
        }
    }

    #[test]
    fn refusals() {
        let cases: [(&[u8], &str); 7] = [
            (&[0x08], "ends at 1"),
            (&[0x0a, 5, 1], "ends at 3"),
            (&[0x0b], "unknown wire type"),
            (&[0x0f, 0], "unknown wire type"),
            (&[0x02, 0], "the number 0"),
            (&[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02], "more than 64 bits"),
            (&[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], "ends at 11"),
        ];
        for (bytes, want) in cases {
            let error = first(bytes).unwrap_err().to_string();
            assert!(error.contains(want), "{bytes:?}: {error}");
        }
    }

    #[test]
    fn what_is_not_read_is_stepped_over_and_children_stay_inside() {
        let bytes = [0x0a, 4, 0x12, 2, b'h', b'i', 0x12, 1, b'!', 0x0a, 2, 0x12, 9];
        let source = Bytes::new(&bytes);
        let mut reader = Reader::new(&source, 0, bytes.len() as u64);
        let mut meter = Meter::new(Limits::default());
        let mut outer = Message::new(&mut reader, bytes.len() as u64);
        assert_eq!(outer.next().unwrap().unwrap().number, 1);
        assert_eq!(outer.next().unwrap().unwrap().number, 2);
        assert_eq!(&*outer.text(&mut meter).unwrap(), "!");
        assert_eq!(outer.next().unwrap().unwrap().number, 1);
        assert_eq!(outer.range().unwrap(), 11..13);
        let error = outer.message().unwrap().next().unwrap_err();
        assert!(matches!(error, Error::Truncated { .. }), "{error}");
    }
}
