//! GGUF, versions 2 and 3: a table of keys and a table of tensors before the data.
//!
//! Not a loader, and not for big-endian files. The one design choice: one pass forward; arrays are stepped
//! over, and every count is held against what the rest of the file could hold before anything is allocated.
//! Layout: ggml, `docs/gguf.md`.

use std::ops::Range;

use host::ReadAt;
use tensor::{DType, Shape, ShapeError};

use crate::array::{ArrayRef, Element, GGUF_ARRAY};
use crate::limits::Meter;
use crate::metadata::{Builder, Metadata, Value};
use crate::reader::{Reader, STRING_MAX};
use crate::{Error, FilePart, Format, Limits, ModelFile, TensorInfo};

/// The first four bytes of every file.
pub(crate) const MAGIC: [u8; 4] = *b"GGUF";

/// Bytes to a multiple of which data is aligned where the file does not say.
pub(crate) const DEFAULT_ALIGNMENT: u64 = 32;

/// The longest key or tensor name that is read.
const NAME_MAX: u64 = 1 << 10;

/// Arrays whose encoding is at most this long are held.
const HELD_MAX: u64 = 4 << 10;

/// The least a key with a value can take: the key's length, one letter, a type and a byte.
const LEAST_ENTRY: u64 = 8 + 1 + 4 + 1;

/// The least a tensor can take in the table: the name's length, one letter, rank, type and offset.
const LEAST_TENSOR: u64 = 8 + 1 + 4 + 4 + 8;

/// Reads the header of a single GGUF file.
pub fn read(source: &dyn ReadAt, limits: Limits) -> Result<ModelFile, Error> {
    let mut meter = Meter::new(limits);
    let mut tensors = Vec::new();
    let part = read_part(source, 0, &mut tensors, &mut meter)?;
    let files = vec![FilePart { path: Default::default(), bytes: source.len() }];
    assemble(part, tensors, files, &mut meter)
}

/// One file of a model: what it says, besides its tensors.
pub(crate) struct Part {
    pub(crate) version: u32,
    pub(crate) metadata: Metadata,
}

/// Makes a model of the first part's metadata and the tensors of all parts.
pub(crate) fn assemble(
    first: Part,
    tensors: Vec<TensorInfo>,
    files: Vec<FilePart>,
    meter: &mut Meter,
) -> Result<ModelFile, Error> {
    let architecture: Box<str> = first.metadata.get::<&str>("general.architecture")?.into();
    let format = Format::Gguf { version: first.version };
    ModelFile::new(format, architecture, first.metadata, tensors, files, meter)
}

/// Reads the header of one file and adds its tensors to `tensors`.
pub(crate) fn read_part(
    source: &dyn ReadAt,
    file: u32,
    tensors: &mut Vec<TensorInfo>,
    meter: &mut Meter,
) -> Result<Part, Error> {
    let mut reader = Reader::new(source, 0, source.len());
    let magic = reader.array()?;
    if magic != MAGIC {
        return Err(Error::NotAModel { magic });
    }
    let version = reader.u32()?;
    match version {
        2 | 3 => {}
        swapped if matches!(swapped.swap_bytes(), 1..=3) => return Err(Error::BigEndian),
        _ => return Err(Error::UnsupportedVersion { version }),
    }
    let offset = reader.offset();
    let tensor_count = reader.u64()?;
    let key_count = reader.u64()?;
    check_count("tensors", tensor_count, offset, LEAST_TENSOR, reader.remaining())?;
    check_count("keys", key_count, offset + 8, LEAST_ENTRY, reader.remaining())?;
    let metadata = read_metadata(&mut reader, file, key_count, meter)?;
    let alignment = metadata.find("general.alignment")?.unwrap_or(DEFAULT_ALIGNMENT);
    if !alignment.is_power_of_two() {
        return Err(Error::Alignment { alignment });
    }
    read_tensors(&mut reader, Data { file, alignment, bytes: source.len() }, tensor_count, tensors, meter)?;
    Ok(Part { version, metadata })
}

/// A key, and where in the file its value lies, type first.
pub type RawKey = (Box<str>, Range<u64>);

/// The keys of a single GGUF file, in its order: what a copy of it needs.
///
/// # Errors
/// As [`read`].
pub fn raw_keys(source: &dyn ReadAt) -> Result<Vec<RawKey>, Error> {
    let mut reader = Reader::new(source, 0, source.len());
    reader.skip(8)?; // magic and version
    let _tensors = reader.u64()?;
    let count = reader.u64()?;
    check_count("keys", count, 16, LEAST_ENTRY, reader.remaining())?;
    let mut keys = Vec::new();
    for _ in 0..count {
        let key: Box<str> = reader.text(NAME_MAX)?.into();
        let start = reader.offset();
        let id = reader.u32()?;
        match Element::from_gguf_id(id) {
            Some(element) => drop(element.read(&mut reader)?),
            None if id == GGUF_ARRAY => drop(read_array(&mut reader, 0, &key)?),
            None => return Err(Error::ValueType { key, id }),
        }
        keys.push((key, start..reader.offset()));
    }
    Ok(keys)
}

/// Refuses a count of things of at least `least` bytes that `room` bytes cannot hold.
fn check_count(what: &'static str, count: u64, offset: u64, least: u64, room: u64) -> Result<(), Error> {
    if count > room / least {
        return Err(Error::Count { what, count, offset });
    }
    Ok(())
}

fn read_metadata(
    reader: &mut Reader<'_>,
    file: u32,
    count: u64,
    meter: &mut Meter,
) -> Result<Metadata, Error> {
    let mut builder = Builder::default();
    builder.reserve(count, meter)?;
    for _ in 0..count {
        let key: Box<str> = reader.text(NAME_MAX)?.into();
        meter.charge_block(key.len())?;
        let id = reader.u32()?;
        let value = match Element::from_gguf_id(id) {
            Some(element) => element.read(reader)?,
            None if id == GGUF_ARRAY => Value::Array(read_array(reader, file, &key)?),
            None => return Err(Error::ValueType { key, id }),
        };
        meter.charge(value.heap_bytes(), 1)?;
        builder.push(key, value);
    }
    builder.finish()
}

/// Reads the type and length of an array and steps over its elements, or holds them if they are few.
fn read_array(reader: &mut Reader<'_>, file: u32, key: &str) -> Result<ArrayRef, Error> {
    let id = reader.u32()?;
    let element = match Element::from_gguf_id(id) {
        Some(element) => element,
        None if id == GGUF_ARRAY => return Err(Error::NestedArray { key: key.into() }),
        None => return Err(Error::ValueType { key: key.into(), id }),
    };
    let offset = reader.offset();
    let len = reader.u64()?;
    check_count("array elements", len, offset, element.least_bytes(), reader.remaining())?;
    let start = reader.offset();
    if element == Element::Str {
        for _ in 0..len {
            reader.string(STRING_MAX)?;
        }
    } else {
        reader.skip(len * element.least_bytes())?;
    }
    let range = start..reader.offset();
    if range.end - range.start > HELD_MAX {
        return Ok(ArrayRef::in_file(element, len, file, range));
    }
    Ok(ArrayRef::held(element, len, reader.since(start)?))
}

/// Where the tensors of a file may lie.
#[derive(Clone, Copy)]
struct Data {
    file: u32,
    alignment: u64,
    /// Length of the file.
    bytes: u64,
}

fn read_tensors(
    reader: &mut Reader<'_>,
    data: Data,
    count: u64,
    tensors: &mut Vec<TensorInfo>,
    meter: &mut Meter,
) -> Result<(), Error> {
    meter.charge(count, size_of::<TensorInfo>())?;
    let first = tensors.len();
    tensors.reserve_exact(usize::try_from(count).unwrap_or(0));
    for _ in 0..count {
        let name: Box<str> = reader.text(NAME_MAX)?.into();
        meter.charge_block(name.len())?;
        let shape = read_shape(reader, &name)?;
        let id = reader.u32()?;
        let offset = reader.u64()?;
        let Some(dtype) = DType::from_gguf_id(id) else {
            return Err(Error::UnsupportedType { tensor: name, id });
        };
        if offset % data.alignment != 0 {
            return Err(Error::Misaligned { tensor: name, offset, alignment: data.alignment });
        }
        tensors.push(TensorInfo { name, dtype, shape, file: data.file, range: offset..offset });
    }
    let base = reader.offset().checked_next_multiple_of(data.alignment).unwrap_or(u64::MAX);
    tensors[first..].iter_mut().try_for_each(|tensor| tensor.settle(base, data.bytes))
}

/// Reads the rank and the extents, which GGUF stores innermost first.
fn read_shape(reader: &mut Reader<'_>, tensor: &str) -> Result<Shape, Error> {
    let refuse = |source| Error::Shape { tensor: tensor.into(), source };
    let rank = reader.u32()? as usize;
    if rank > Shape::MAX_RANK {
        return Err(refuse(ShapeError::Rank { rank, max: Shape::MAX_RANK }));
    }
    let mut extents = [0; Shape::MAX_RANK];
    for extent in extents[..rank].iter_mut().rev() {
        *extent = reader.u64()?;
    }
    Shape::new(&extents[..rank]).map_err(refuse)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::write::{Gguf, Item};
    use crate::{Bytes, Kind};

    /// A file with a bit of everything.
    fn sample() -> Vec<u8> {
        let mut file = Gguf::new();
        file.set("general.architecture", "llama");
        file.set("llama.block_count", 2u32);
        file.set("llama.rope.freq_base", 10_000.0f32);
        file.set("short", Item::I32s(vec![1, -2, 3]));
        file.set("tokens", Item::Strs((0..1000).map(|i| format!("token {i}").into_bytes()).collect()));
        file.set("scores", Item::F32s((0..2000).map(|i| i as f32).collect()));
        file.declare("a", DType::F32, &[3, 2]);
        file.declare("b", DType::Q8_0, &[2, 64]);
        file.to_bytes(&[&[1; 24], &[2; 136]])
    }

    fn parse(bytes: &[u8]) -> Result<ModelFile, Error> {
        read(&Bytes::new(bytes), Limits::default())
    }

    #[test]
    fn everything_arrives() {
        let bytes = sample();
        let file = parse(&bytes).unwrap();
        assert_eq!(file.format, Format::Gguf { version: 3 });
        assert_eq!(&*file.architecture, "llama");
        assert_eq!(file.metadata.get::<u32>("llama.block_count").unwrap(), 2);
        assert_eq!(file.metadata.get::<f32>("llama.rope.freq_base").unwrap(), 10_000.0);
        assert_eq!(file.metadata.get::<Vec<i32>>("short").unwrap(), [1, -2, 3]);
        let (a, b) = (file.tensor("a").unwrap(), file.tensor("b").unwrap());
        assert_eq!((a.dtype, a.shape.extents()), (DType::F32, &[3, 2][..]));
        assert_eq!(bytes[a.range.start as usize..a.range.end as usize], [1; 24]);
        assert_eq!(bytes[b.range.start as usize..b.range.end as usize], [2; 136]);
        assert_eq!(file.tensor_bytes(), 160);
        assert!(matches!(file.tensor("c"), Err(Error::MissingTensor { .. })));
        assert!(file.heap_bytes() < 4096, "{}", file.heap_bytes());
    }

    #[test]
    fn long_arrays_stay_in_the_file() {
        let bytes = sample();
        let file = parse(&bytes).unwrap();
        let keys: Vec<_> = file.long_arrays().map(|(key, array)| (key, array.len())).collect();
        assert_eq!(keys, [("scores", 2000), ("tokens", 1000)]);
        let source = Bytes::new(&bytes);
        let scores = file.metadata.get::<&ArrayRef>("scores").unwrap();
        let sum: f32 = scores.f32s(&source).map(Result::unwrap).sum();
        assert_eq!(sum, 1_999_000.0);
        let mut tokens = file.metadata.get::<&ArrayRef>("tokens").unwrap().strings(&source);
        for i in 0..1000 {
            assert_eq!(tokens.next().unwrap().unwrap(), format!("token {i}").as_bytes());
        }
        assert!(tokens.next().unwrap().is_none());
    }

    #[test]
    fn the_header_is_enough() {
        let bytes = sample();
        let header = parse(&bytes).unwrap().tensors[0].range.start as usize;
        let len = bytes.len() as u64;
        let file = read(&Bytes::beginning(&bytes[..header], len), Limits::default()).unwrap();
        assert_eq!(file.tensors.len(), 2);
        let error = read(&Bytes::beginning(&bytes[..200], len), Limits::default()).unwrap_err();
        assert_eq!(error.kind(), Kind::Incomplete);
    }

    #[test]
    fn refusals() {
        let with = |change: &dyn Fn(&mut Gguf)| {
            let mut file = Gguf::new();
            file.set("general.architecture", "llama");
            change(&mut file);
            let data = [0u8; 64];
            let tensors: Vec<&[u8]> = file.tensors().map(|bytes| &data[..bytes.min(64) as usize]).collect();
            parse(&file.to_bytes(&tensors)).map(|_| ()).map_err(|error| (error.kind(), error.to_string()))
        };
        type Case<'a> = (&'a dyn Fn(&mut Gguf), Kind, &'a str);
        let cases: [Case<'_>; 6] = [
            (&|file| file.set("general.alignment", 24u32), Kind::Damaged, "24, not a power of two"),
            (
                &|file| file.set("general.architecture", "x"),
                Kind::Damaged,
                "\"general.architecture\" occurs twice",
            ),
            (&|file| file.set_version(1), Kind::Unsupported, "version 1"),
            (&|file| file.set_version(3u32.swap_bytes()), Kind::Unsupported, "big-endian"),
            (&|file| file.set_version(4), Kind::Unsupported, "version 4"),
            (
                &|file| {
                    file.declare("t", DType::F32, &[2]);
                    file.declare("t", DType::F32, &[2]);
                },
                Kind::Damaged,
                "\"t\" occurs twice",
            ),
        ];
        for (change, kind, want) in cases {
            let (found, message) = with(change).unwrap_err();
            assert!(found == kind && message.contains(want), "{found:?} {message}");
        }
    }
}
