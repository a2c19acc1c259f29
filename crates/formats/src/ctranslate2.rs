//! CTranslate2's `model.bin`: a plain list of names, extents, types and bytes, with `config.json` beside it.
//!
//! Not a loader. The one design choice: lone numbers, which are settings here (`decoder/num_heads`), become metadata like
//! those of other formats; tensors stay in the file. Layout: OpenNMT/CTranslate2, `python/ctranslate2/specs/model_spec.py`,
//! `ModelSpec._serialize`, binary version 6.

use host::ReadAt;
use tensor::{DType, Shape};

use crate::folder::{self, Folder, naming};
use crate::limits::Meter;
use crate::metadata::Builder;
use crate::reader::Reader;
use crate::{Error, FilePart, Format, ModelFile, TensorInfo, Value, config};

/// The file in a folder.
pub(crate) const WEIGHTS: &str = "model.bin";
const CONFIG: &str = "config.json";
/// The version of the layout.
const VERSION: u32 = 6;
/// The longest name of a tensor.
const NAME_MAX: usize = 1 << 10;
const TENSORS_MAX: u32 = 1 << 20;
/// What the name of a model's kind ends with.
const KIND: &str = "Spec";

/// Types by their number.
const DTYPES: [DType; 6] = [DType::F32, DType::I8, DType::I16, DType::I32, DType::F16, DType::BF16];

/// Whether the first bytes are those of such a file.
pub(crate) fn is_model(source: &dyn ReadAt) -> bool {
    let mut reader = Reader::new(source, 0, source.len());
    reader.u32().is_ok_and(|version| version == VERSION)
        && name(&mut reader).is_ok_and(|kind| kind.ends_with(KIND) && kind.len() < 64)
}

/// Reads the model that a file is.
pub(crate) fn read(folder: &dyn Folder, file: &str, meter: &mut Meter) -> Result<ModelFile, Error> {
    let mut builder = Builder::default();
    if let Some(source) = folder::find(folder, CONFIG)? {
        naming(CONFIG, config::read(&*source, "", &mut builder, meter))?;
    }
    let source = folder::open(folder, file)?;
    let (architecture, tensors) = naming(file, read_tensors(&*source, &mut builder, meter))?;
    let files = vec![FilePart { path: file.into(), bytes: source.len() }];
    ModelFile::new(Format::Ctranslate2, architecture, builder.finish()?, tensors, files, meter)
}

fn read_tensors(
    source: &dyn ReadAt,
    builder: &mut Builder,
    meter: &mut Meter,
) -> Result<(Box<str>, Vec<TensorInfo>), Error> {
    let mut reader = Reader::new(source, 0, source.len());
    let version = reader.u32()?;
    let kind = name(&mut reader)?;
    let (_revision, count) = (reader.u32()?, reader.u32()?);
    if version != VERSION || count > TENSORS_MAX {
        return Err(Error::Malformed { what: "not version 6 of CTranslate2's layout", offset: 0 });
    }
    let mut tensors = Vec::new();
    for _ in 0..count {
        let name = name(&mut reader)?;
        let [rank] = reader.array()?;
        let mut extents = Vec::with_capacity(usize::from(rank).min(8));
        for _ in 0..rank {
            extents.push(u64::from(reader.u32()?));
        }
        let [number] = reader.array()?;
        let bytes = u64::from(reader.u32()?);
        let start = reader.offset();
        let tensor = || name.clone();
        let dtype = *DTYPES.get(usize::from(number)).ok_or_else(|| Error::UnsupportedDType {
            tensor: tensor(),
            dtype: format!("{number} of CTranslate2").into(),
        })?;
        if rank == 0 {
            builder.add(&name, Value::I64(lone(&mut reader, bytes)?), meter)?;
            continue;
        }
        let shape = Shape::new(&extents).map_err(|source| Error::Shape { tensor: tensor(), source })?;
        meter.charge_block(name.len())?;
        meter.make_room(&mut tensors)?;
        let mut info = TensorInfo { name: tensor(), dtype, shape, file: 0, range: start..start };
        info.settle(0, source.len())?;
        let expected = info.range.end - start;
        if expected != bytes {
            return Err(Error::Size { tensor: tensor(), expected, found: bytes });
        }
        tensors.push(info);
        reader.skip(bytes)?;
    }
    Ok((kind.trim_end_matches(KIND).to_lowercase().into(), tensors))
}

/// A name: its length, its bytes and a zero.
fn name(reader: &mut Reader<'_>) -> Result<Box<str>, Error> {
    let (offset, len) = (reader.offset(), usize::from(u16::from_le_bytes(reader.array()?)));
    if len > NAME_MAX {
        return Err(Error::StringTooLong { offset, len: len as u64, max: NAME_MAX as u64 });
    }
    let text = std::str::from_utf8(reader.take(len)?).map_err(|_| Error::NotUtf8 { offset })?;
    Ok(text.trim_end_matches('\0').into())
}

/// A lone whole number.
fn lone(reader: &mut Reader<'_>, bytes: u64) -> Result<i64, Error> {
    let offset = reader.offset();
    match bytes {
        1 => Ok(i64::from(i8::from_le_bytes(reader.array()?))),
        2 => Ok(i64::from(i16::from_le_bytes(reader.array()?))),
        4 => Ok(i64::from(i32::from_le_bytes(reader.array()?))),
        _ => Err(Error::Malformed { what: "a lone number of a strange width", offset }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Limits;
    use crate::folder::Files;

    fn text(out: &mut Vec<u8>, text: &str) {
        out.extend((text.len() as u16 + 1).to_le_bytes());
        out.extend(text.as_bytes());
        out.push(0);
    }

    fn tensor(out: &mut Vec<u8>, name: &str, extents: &[u32], dtype: u8, data: &[u8]) {
        text(out, name);
        out.push(extents.len() as u8);
        extents.iter().for_each(|extent| out.extend(extent.to_le_bytes()));
        out.push(dtype);
        out.extend((data.len() as u32).to_le_bytes());
        out.extend(data);
    }

    fn file() -> Vec<u8> {
        let mut out = 6u32.to_le_bytes().to_vec();
        text(&mut out, "WhisperSpec");
        [3u32, 3].iter().for_each(|number| out.extend(number.to_le_bytes()));
        tensor(&mut out, "decoder/num_heads", &[], 2, &[6, 0]);
        tensor(&mut out, "a/weight", &[2, 3], 4, &[0; 12]);
        tensor(&mut out, "a/bias", &[2], 0, &[0; 8]);
        out.extend(0u32.to_le_bytes());
        out
    }

    fn model(bytes: Vec<u8>) -> Result<ModelFile, Error> {
        let config = br#"{"suppress_ids": [1, 2]}"#.to_vec();
        let files = Files::from([("config.json".into(), config), ("model.bin".into(), bytes)]);
        crate::open::read(&files, "", Limits::default())
    }

    #[test]
    fn settings_and_tensors_are_found() {
        let model = model(file()).unwrap();
        assert_eq!((model.format, &*model.architecture), (Format::Ctranslate2, "whisper"));
        assert_eq!(model.metadata.get::<u32>("decoder/num_heads").unwrap(), 6);
        assert_eq!(model.metadata.get::<Vec<u32>>("suppress_ids").unwrap(), [1, 2]);
        let weight = model.tensor("a/weight").unwrap();
        assert_eq!((weight.dtype, weight.range.end - weight.range.start), (DType::F16, 12));
        assert_eq!(model.tensor("a/bias").unwrap().dtype, DType::F32);
    }

    #[test]
    fn damage_is_told_and_never_panics() {
        let whole = file();
        for end in 0..whole.len() - 4 {
            assert!(model(whole[..end].to_vec()).is_err(), "{end}");
        }
        for at in 0..whole.len() {
            for value in [0, 1, 0x7F, 0xFF] {
                let mut bytes = whole.clone();
                bytes[at] = value;
                let _ = model(bytes);
            }
        }
    }
}
