//! FlatBuffers as bytes: tables, vectors and texts at places in a file, read where they lie.
//!
//! What it is: the layout. What it is not: a schema, or a copy; a vector is a place until somebody asks. The one
//! design choice: a few small pages of the file are kept, the latest used, since offsets lead everywhere but mostly
//! near. Every access is checked: inside the file, aligned, inside its table. Offsets lead only
//! forward, so nothing can be read in a circle. Layout: FlatBuffers, "Internals".

use std::io;

use host::ReadAt;

use crate::Error;
use crate::limits::Meter;
use crate::reader::STRING_MAX;

const PAGE: usize = 4 << 10;
const PAGES: usize = 8;

/// What the place of a number must be a multiple of, or of its size if that is less. The layout says of its size;
/// some writers know four bytes only.
const ALIGNMENT: u64 = 4;

/// A file of FlatBuffers.
pub(crate) struct Flat<'a> {
    source: &'a dyn ReadAt,
    len: u64,
    pages: Vec<Page>,
    clock: u64,
}

/// A piece of the file that is held.
struct Page {
    start: u64,
    held: Vec<u8>,
    used: u64,
}

/// Fields in slots.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Table {
    pub(crate) at: u64,
    vtable: u64,
    /// Bytes of the list of slots, and of the table.
    vtable_len: u16,
    len: u16,
}

/// Elements in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Vector {
    pub(crate) start: u64,
    pub(crate) len: u64,
    /// Bytes of one element.
    pub(crate) size: u64,
}

impl Vector {
    /// Where its elements lie.
    pub(crate) fn range(&self) -> std::ops::Range<u64> {
        self.start..self.start + self.len * self.size
    }
}

/// An element of a vector that fits in a register.
pub(crate) trait Scalar: Sized {
    const SIZE: u64;
    fn read(flat: &mut Flat<'_>, at: u64) -> Result<Self, Error>;
}

macro_rules! scalars {
    ($($type:ty)*) => {$(
        impl Scalar for $type {
            const SIZE: u64 = size_of::<$type>() as u64;
            fn read(flat: &mut Flat<'_>, at: u64) -> Result<$type, Error> {
                Ok(<$type>::from_le_bytes(flat.array(at)?))
            }
        }
    )*};
}

scalars! { f32 i16 i32 i64 i8 u16 u32 u64 u8 }

impl<'a> Flat<'a> {
    pub(crate) fn new(source: &'a dyn ReadAt) -> Flat<'a> {
        Flat { source, len: source.len(), pages: Vec::new(), clock: 0 }
    }

    /// The table at the root.
    pub(crate) fn root(&mut self) -> Result<Table, Error> {
        let at = self.follow(0)?;
        self.table(at)
    }

    /// The number at an aligned place.
    pub(crate) fn array<const N: usize>(&mut self, at: u64) -> Result<[u8; N], Error> {
        if !at.is_multiple_of(ALIGNMENT.min(N as u64)) {
            return Err(Error::Malformed { what: "a number is not aligned", offset: at });
        }
        self.inside(at, N as u64)?;
        let mut bytes = [0; N];
        let page = self.page(at - at % PAGE as u64)?;
        let skip = (at % PAGE as u64) as usize;
        match self.pages[page].held.get(skip..skip + N) {
            Some(held) => bytes.copy_from_slice(held),
            // The page goes on behind what has been fetched.
            None => self.read(at, &mut bytes)?,
        }
        Ok(bytes)
    }

    /// Checks that bytes lie in the file.
    pub(crate) fn inside(&self, at: u64, count: u64) -> Result<(), Error> {
        match at.checked_add(count) {
            Some(end) if end <= self.len => Ok(()),
            end => Err(Error::Truncated { needed: end.unwrap_or(u64::MAX), bytes: self.len }),
        }
    }

    fn read(&self, at: u64, into: &mut [u8]) -> Result<(), Error> {
        let bytes = into.len() as u64;
        self.source.read_exact_at(at, into).map_err(|source| match source.kind() {
            io::ErrorKind::UnexpectedEof => Error::NotFetched { needed: at + bytes },
            _ => Error::Read { offset: at, bytes, source },
        })
    }

    /// Which of the pages is the one that begins at `start`, fetched if need be.
    fn page(&mut self, start: u64) -> Result<usize, Error> {
        self.clock += 1;
        if let Some(page) = self.pages.iter().position(|page| page.start == start) {
            self.pages[page].used = self.clock;
            return Ok(page);
        }
        let page = match self.pages.len() {
            PAGES => {
                let oldest = self.pages.iter().enumerate().min_by_key(|(_, page)| page.used);
                oldest.map_or(0, |(page, _)| page)
            }
            fewer => {
                self.pages.push(Page { start, held: Vec::with_capacity(PAGE), used: 0 });
                fewer
            }
        };
        let mut held = std::mem::take(&mut self.pages[page].held);
        held.resize(PAGE.min(usize::try_from(self.len - start).unwrap_or(PAGE)), 0);
        match self.read(start, &mut held) {
            Err(Error::NotFetched { .. }) => held.clear(),
            done => done?,
        }
        self.pages[page] = Page { start, held, used: self.clock };
        Ok(page)
    }

    /// Where the offset at `at` leads.
    fn follow(&mut self, at: u64) -> Result<u64, Error> {
        match u32::read(self, at)? {
            0 => Err(Error::Malformed { what: "an offset leads nowhere", offset: at }),
            offset => Ok(at + u64::from(offset)),
        }
    }

    /// The table at `at`.
    pub(crate) fn table(&mut self, at: u64) -> Result<Table, Error> {
        let wrong = || Error::Malformed { what: "a table's list of slots is not one", offset: at };
        let back = i64::from(i32::read(self, at)?);
        let vtable = i64::try_from(at).ok().and_then(|at| at.checked_sub(back)).ok_or_else(wrong)?;
        let vtable = u64::try_from(vtable).map_err(|_| wrong())?;
        let vtable_len = u16::read(self, vtable)?;
        let len = u16::read(self, vtable + 2)?;
        if vtable_len < 4 || vtable_len % 2 != 0 || len < 4 {
            return Err(wrong());
        }
        self.inside(vtable, vtable_len.into())?;
        self.inside(at, len.into())?;
        Ok(Table { at, vtable, vtable_len, len })
    }

    /// Where the field in a slot lies, if it is set.
    pub(crate) fn slot(&mut self, table: &Table, slot: u16, size: u64) -> Result<Option<u64>, Error> {
        let place = 4 + 2 * u64::from(slot);
        if place + 2 > table.vtable_len.into() {
            return Ok(None);
        }
        let offset = u64::from(u16::read(self, table.vtable + place)?);
        match offset {
            0 => Ok(None),
            _ if offset >= 4 && offset + size <= table.len.into() => Ok(Some(table.at + offset)),
            _ => Err(Error::Malformed { what: "a field lies outside of its table", offset: table.at }),
        }
    }

    /// The number in a slot.
    pub(crate) fn scalar<T: Scalar>(&mut self, table: &Table, slot: u16, default: T) -> Result<T, Error> {
        match self.slot(table, slot, T::SIZE)? {
            Some(at) => T::read(self, at),
            None => Ok(default),
        }
    }

    /// The truth value in a slot.
    pub(crate) fn bool(&mut self, table: &Table, slot: u16, default: bool) -> Result<bool, Error> {
        Ok(self.scalar::<u8>(table, slot, default.into())? != 0)
    }

    /// The table that a slot leads to.
    pub(crate) fn child(&mut self, table: &Table, slot: u16) -> Result<Option<Table>, Error> {
        match self.slot(table, slot, 4)? {
            Some(at) => {
                let at = self.follow(at)?;
                self.table(at).map(Some)
            }
            None => Ok(None),
        }
    }

    /// The vector that a slot leads to, of elements of `size` bytes; without one, an empty vector.
    pub(crate) fn vector(&mut self, table: &Table, slot: u16, size: u64) -> Result<Vector, Error> {
        let Some(at) = self.slot(table, slot, 4)? else { return Ok(Vector { start: 0, len: 0, size }) };
        let at = self.follow(at)?;
        let len = u64::from(u32::read(self, at)?);
        let start = at + 4;
        // Both factors are below 2^33.
        self.inside(start, len * size)?;
        if len > 0 && size > 1 && !start.is_multiple_of(size.min(ALIGNMENT)) {
            return Err(Error::Malformed { what: "a vector is not aligned", offset: start });
        }
        Ok(Vector { start, len, size })
    }

    /// The vector of tables or texts that a slot leads to, as places of offsets.
    pub(crate) fn offsets(&mut self, table: &Table, slot: u16) -> Result<Vector, Error> {
        self.vector(table, slot, 4)
    }

    /// The table that element `index` of a vector leads to.
    pub(crate) fn element(&mut self, vector: &Vector, index: u64) -> Result<Table, Error> {
        if index >= vector.len {
            let what = "a number of an element is beyond the end of its list";
            return Err(Error::Malformed { what, offset: vector.start });
        }
        let at = self.follow(vector.start + 4 * index)?;
        self.table(at)
    }

    /// The numbers that a slot leads to, to keep.
    pub(crate) fn numbers<T: Scalar>(
        &mut self,
        table: &Table,
        slot: u16,
        meter: &mut Meter,
    ) -> Result<Box<[T]>, Error> {
        let vector = self.vector(table, slot, T::SIZE)?;
        meter.charge_block(usize::try_from(vector.len * T::SIZE).unwrap_or(usize::MAX))?;
        let mut numbers = Vec::with_capacity(usize::try_from(vector.len).unwrap_or(0));
        for index in 0..vector.len {
            numbers.push(T::read(self, vector.start + index * T::SIZE)?);
        }
        Ok(numbers.into())
    }

    /// The text that a slot leads to, to keep; empty if there is none.
    pub(crate) fn text(&mut self, table: &Table, slot: u16, meter: &mut Meter) -> Result<Box<str>, Error> {
        let vector = self.vector(table, slot, 1)?;
        let (offset, len) = (vector.start, vector.len);
        if len > STRING_MAX {
            return Err(Error::StringTooLong { offset, len, max: STRING_MAX });
        }
        meter.charge_block(len as usize)?;
        let mut text = vec![0; len as usize];
        self.read(offset, &mut text)?;
        String::from_utf8(text).map(Box::from).map_err(|_| Error::NotUtf8 { offset })
    }

    /// The bytes of a vector, to keep.
    pub(crate) fn bytes(&mut self, vector: &Vector) -> Result<Box<[u8]>, Error> {
        let mut bytes = vec![0; usize::try_from(vector.len * vector.size).unwrap_or(0)];
        self.read(vector.start, &mut bytes)?;
        Ok(bytes.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Bytes;

    /// A table with a u32 in slot 0 and nothing in slot 1.
    const SAMPLE: [u8; 24] =
        [16, 0, 0, 0, b'T', b'E', b'S', b'T', 8, 0, 8, 0, 4, 0, 0, 0, 8, 0, 0, 0, 7, 0, 0, 0];

    fn value(bytes: &[u8]) -> Result<(u32, u32), Error> {
        let source = Bytes::new(bytes);
        let mut flat = Flat::new(&source);
        let root = flat.root()?;
        Ok((flat.scalar(&root, 0, 1)?, flat.scalar(&root, 1, 2)?))
    }

    #[test]
    fn a_table_is_read_and_lies_are_refused() {
        assert_eq!(value(&SAMPLE).unwrap(), (7, 2));
        let cases: [(usize, u8, &str); 7] = [
            (0, 0, "leads nowhere"),
            (0, 17, "not aligned"),
            (0, 200, "ends at 24"),
            (16, 255, "not one"),
            (8, 3, "not one"),
            (10, 80, "ends at 24"),
            (12, 6, "outside of its table"),
        ];
        for (at, byte, want) in cases {
            let mut bytes = SAMPLE;
            bytes[at] = byte;
            let error = value(&bytes).unwrap_err().to_string();
            assert!(error.contains(want), "{at}: {error}");
        }
    }

    #[test]
    fn a_beginning_is_enough_until_it_is_not() {
        let source = Bytes::beginning(&SAMPLE, 1 << 40);
        let mut flat = Flat::new(&source);
        let root = flat.root().unwrap();
        assert_eq!(flat.scalar(&root, 0, 1u32).unwrap(), 7);
        assert!(matches!(flat.array::<4>(24), Err(Error::NotFetched { needed: 28 })));
    }
}
