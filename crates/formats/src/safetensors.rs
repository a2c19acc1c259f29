//! safetensors: one file or several with an index, and the JSON files beside them.
//!
//! Not a loader. The one design choice: the header's JSON streams through a small window straight into the list
//! of tensors; neither its text nor a tree of it is ever held. Layout: huggingface/safetensors, README, "Format".

use std::fmt;

use host::ReadAt;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use tensor::{DType, Shape, ShapeError};

use crate::folder::{self, Folder, naming};
use crate::limits::Meter;
use crate::metadata::Builder;
use crate::reader::Reader;
use crate::{Error, FilePart, Format, ModelFile, TensorInfo, config, json};

const CONFIG: &str = "config.json";
const GENERATION: &str = "generation_config.json";
const INDEX: &str = "model.safetensors.index.json";
const WEIGHTS: &str = "model.safetensors";

/// The longest header that the format allows.
const HEADER_MAX: u64 = 100_000_000;

/// The most files that a model may be split into.
const SHARDS_MAX: usize = 10_000;

/// Types as safetensors spells them; the rest is refused by name.
const DTYPES: [(&str, DType); 8] = [
    ("BF16", DType::BF16),
    ("F16", DType::F16),
    ("F32", DType::F32),
    ("F64", DType::F64),
    ("I16", DType::I16),
    ("I32", DType::I32),
    ("I64", DType::I64),
    ("I8", DType::I8),
];

/// Reads the model that a folder as a whole is.
pub(crate) fn read_folder(folder: &dyn Folder, meter: &mut Meter) -> Result<ModelFile, Error> {
    for (name, read) in [(INDEX, read_index as fn(_, _, _) -> _), (WEIGHTS, read_file)] {
        if folder::find(folder, name)?.is_some() {
            return read(folder, name, meter);
        }
    }
    Err(Error::NoWeights { path: Default::default() })
}

/// Reads a model of one file.
pub(crate) fn read_file(folder: &dyn Folder, name: &str, meter: &mut Meter) -> Result<ModelFile, Error> {
    read_shards(folder, vec![name.into()], meter)
}

/// Reads a model whose files are named in an index. A JSON file that is no index stands for its folder.
pub(crate) fn read_index(folder: &dyn Folder, name: &str, meter: &mut Meter) -> Result<ModelFile, Error> {
    let source = folder::open(folder, name)?;
    let mut shards: Vec<Box<str>> = Vec::new();
    naming(name, read_weight_map(&*source, |_, shard| note_shard(&mut shards, shard, meter)))?;
    if shards.is_empty() {
        return if name == INDEX {
            Err(Error::NoWeights { path: name.into() })
        } else {
            read_folder(folder, meter)
        };
    }
    let model = read_shards(folder, shards, meter)?;
    let check = |tensor: &str, shard: &str| {
        let found = model.find_tensor(tensor).and_then(|found| model.files.get(found.file as usize));
        match found {
            Some(file) if file.path.to_str() == Some(shard) => Ok(()),
            _ => Err(Error::MissingTensor { tensor: tensor.into() }),
        }
    };
    naming(name, read_weight_map(&*source, check))?;
    Ok(model)
}

/// Remembers a shard, once, in order of names.
fn note_shard(shards: &mut Vec<Box<str>>, shard: &str, meter: &mut Meter) -> Result<(), Error> {
    let Err(place) = shards.binary_search_by(|have| (**have).cmp(shard)) else { return Ok(()) };
    if shard.is_empty() || shard.contains(['/', '\\', ':']) || shard.starts_with('.') {
        return Err(Error::ShardName { file: shard.into() });
    }
    if shards.len() >= SHARDS_MAX {
        return Err(Error::Count { what: "files in an index", count: SHARDS_MAX as u64 + 1, offset: 0 });
    }
    meter.charge_block(shard.len())?;
    meter.make_room(shards)?;
    shards.insert(place, shard.into());
    Ok(())
}

fn read_shards(folder: &dyn Folder, shards: Vec<Box<str>>, meter: &mut Meter) -> Result<ModelFile, Error> {
    let mut builder = Builder::default();
    for (name, prefix) in [(CONFIG, ""), (GENERATION, "generation.")] {
        if let Some(source) = folder::find(folder, name)? {
            naming(name, config::read(&*source, prefix, &mut builder, meter))?;
        }
    }
    let metadata = naming(CONFIG, builder.finish())?;
    let architecture: Box<str> = metadata.find::<&str>("model_type")?.unwrap_or("").into();
    let mut tensors = Vec::new();
    let mut files = Vec::new();
    for (number, name) in (0u32..).zip(&shards) {
        let source = folder::open(folder, name)?;
        naming(name, read_header(&*source, number, &mut tensors, meter))?;
        meter.make_room(&mut files)?;
        files.push(FilePart { path: (**name).into(), bytes: source.len() });
    }
    ModelFile::new(Format::Safetensors, architecture, metadata, tensors, files, meter)
}

/// Reads the header of one file and adds its tensors to `tensors`.
pub(crate) fn read_header(
    source: &dyn ReadAt,
    file: u32,
    tensors: &mut Vec<TensorInfo>,
    meter: &mut Meter,
) -> Result<(), Error> {
    let bytes = source.len();
    let len = Reader::new(source, 0, bytes).u64()?;
    if len > HEADER_MAX {
        return Err(Error::Count { what: "header bytes", count: len, offset: 0 });
    }
    let base = 8 + len;
    if base > bytes {
        return Err(Error::Truncated { needed: base, bytes });
    }
    let mut table = Table { file, base, file_bytes: bytes, tensors, meter, failure: None };
    let result = json::read(source, 8, base, &mut table);
    table.failure.map_or(result, Err)
}

/// The list of tensors being read.
struct Table<'a> {
    file: u32,
    /// Where the data begins.
    base: u64,
    file_bytes: u64,
    tensors: &'a mut Vec<TensorInfo>,
    meter: &'a mut Meter,
    /// What the parser's own error cannot carry.
    failure: Option<Error>,
}

impl Table<'_> {
    fn add(&mut self, name: &str, entry: &Entry) -> Result<(), Error> {
        let tensor = || Box::from(name);
        let Some(&(_, dtype)) = DTYPES.iter().find(|row| row.0 == &*entry.dtype) else {
            return Err(Error::UnsupportedDType { tensor: tensor(), dtype: entry.dtype.clone() });
        };
        let shape = entry.shape.check().map_err(|source| Error::Shape { tensor: tensor(), source })?;
        self.meter.charge_block(name.len())?;
        self.meter.make_room(self.tensors)?;
        let (start, end) = entry.data_offsets;
        let mut info = TensorInfo { name: tensor(), dtype, shape, file: self.file, range: start..start };
        info.settle(self.base, self.file_bytes)?;
        let expected = info.range.end - info.range.start;
        let found = end.saturating_sub(start);
        if found != expected {
            return Err(Error::Size { tensor: tensor(), expected, found });
        }
        self.tensors.push(info);
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for &mut Table<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for &mut Table<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<String>()? {
            if name == "__metadata__" {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let entry: Entry = map.next_value()?;
            self.add(&name, &entry).map_err(|failure| {
                self.failure = Some(failure);
                A::Error::custom("refused")
            })?;
        }
        Ok(())
    }
}

/// One tensor as the header describes it.
#[derive(Deserialize)]
struct Entry {
    dtype: Box<str>,
    shape: Extents,
    /// First byte and end, from the beginning of the data.
    data_offsets: (u64, u64),
}

/// Extents, outermost first; those beyond [`Shape::MAX_RANK`] are only counted.
struct Extents {
    kept: [u64; Shape::MAX_RANK],
    rank: usize,
}

impl Extents {
    fn check(&self) -> Result<Shape, ShapeError> {
        let kept = self.kept.get(..self.rank);
        Shape::new(kept.ok_or(ShapeError::Rank { rank: self.rank, max: Shape::MAX_RANK })?)
    }
}

impl<'de> Deserialize<'de> for Extents {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Extents, D::Error> {
        json.deserialize_seq(Extents { kept: [0; Shape::MAX_RANK], rank: 0 })
    }
}

impl<'de> Visitor<'de> for Extents {
    type Value = Extents;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of extents")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<Extents, A::Error> {
        while let Some(extent) = seq.next_element()? {
            if let Some(place) = self.kept.get_mut(self.rank) {
                *place = extent;
            }
            self.rank += 1;
        }
        Ok(self)
    }
}

/// Calls `visit` with every tensor and the file that the index in `source` says it is in.
fn read_weight_map(
    source: &dyn ReadAt,
    visit: impl FnMut(&str, &str) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut map = WeightMap { visit, inside: false, failure: None };
    let result = json::read(source, 0, source.len(), &mut map);
    map.failure.map_or(result, Err)
}

/// The object `weight_map`, or the object around it.
struct WeightMap<F> {
    visit: F,
    inside: bool,
    /// What the parser's own error cannot carry.
    failure: Option<Error>,
}

impl<'de, F: FnMut(&str, &str) -> Result<(), Error>> DeserializeSeed<'de> for &mut WeightMap<F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de, F: FnMut(&str, &str) -> Result<(), Error>> Visitor<'de> for &mut WeightMap<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.inside { "an object of tensors and files" } else { "an object" })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            if self.inside {
                let shard: Box<str> = map.next_value()?;
                (self.visit)(&key, &shard).map_err(|failure| {
                    self.failure = Some(failure);
                    A::Error::custom("refused")
                })?;
            } else if key == "weight_map" {
                self.inside = true;
                map.next_value_seed(&mut *self)?;
                self.inside = false;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::folder::Files;
    use crate::write::safetensors;
    use crate::{Kind, Limits, read};

    /// A folder with two shards, an index and settings.
    fn model() -> Files {
        let index = r#"{"metadata": {"total_size": 40},
            "weight_map": {"b": "s-2.safetensors", "a": "s-1.safetensors", "c": "s-2.safetensors"}}"#;
        let files: [(&str, Vec<u8>); 5] = [
            (CONFIG, br#"{"model_type": "llama", "eos_token_id": 1}"#.to_vec()),
            (GENERATION, br#"{"eos_token_id": [1, 2]}"#.to_vec()),
            (INDEX, index.into()),
            ("s-1.safetensors", safetensors(&[("a", DType::BF16, &[2, 3], &[1; 12])])),
            (
                "s-2.safetensors",
                safetensors(&[("b", DType::F32, &[4], &[2; 16]), ("c", DType::F16, &[], &[3; 2])]),
            ),
        ];
        files.into_iter().map(|(name, bytes)| (name.to_owned(), bytes)).collect()
    }

    #[test]
    fn a_folder_is_a_model() {
        let files = model();
        for name in ["", INDEX, CONFIG] {
            let model = read(&files, name, Limits::default()).unwrap();
            assert_eq!((model.format, &*model.architecture), (Format::Safetensors, "llama"));
            assert_eq!(model.metadata.get::<Vec<u32>>("generation.eos_token_id").unwrap(), [1, 2]);
            for (tensor, extents, byte) in [("a", &[2, 3][..], 1), ("b", &[4], 2), ("c", &[], 3)] {
                let tensor = model.tensor(tensor).unwrap();
                let file = &files[model.files[tensor.file as usize].path.to_str().unwrap()];
                let range = tensor.range.start as usize..tensor.range.end as usize;
                assert_eq!(tensor.shape.extents(), extents);
                assert!(file[range].iter().all(|&b| b == byte), "{}", tensor.name);
            }
        }
    }

    #[test]
    fn one_file_is_a_model() {
        let model = read(&model(), "s-2.safetensors", Limits::default()).unwrap();
        let names: Vec<_> = model.tensors.iter().map(|tensor| &*tensor.name).collect();
        assert_eq!((names, model.files.len()), (vec!["b", "c"], 1));
    }

    #[test]
    fn refusals() {
        let index = |map: &str| Some((INDEX, format!("{{\"weight_map\": {map}}}").into_bytes()));
        let shard = |header: &str| {
            let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
            bytes.extend(header.as_bytes());
            bytes.extend([0; 64]);
            Some(("s-1.safetensors", bytes))
        };
        let one = |fields: &str| shard(&format!("{{\"a\": {{{fields}}}}}"));
        type Case<'a> = (Option<(&'a str, Vec<u8>)>, Kind, &'a str);
        let cases: [Case<'_>; 14] = [
            (index(r#"{"a": "../x"}"#), Kind::Damaged, "not the plain name"),
            (index(r#"{"a": "s-9.safetensors"}"#), Kind::Missing, "s-9.safetensors is missing"),
            (index(r#"{"z": "s-1.safetensors"}"#), Kind::Damaged, "no tensor \"z\""),
            (index("{}"), Kind::Missing, "name the model's file"),
            (index("7"), Kind::Damaged, "line 1"),
            (
                one(r#""dtype": "F8_E4M3", "shape": [2], "data_offsets": [0, 2]"#),
                Kind::Unsupported,
                "F8_E4M3",
            ),
            (one(r#""dtype": "F16", "shape": [2, 0], "data_offsets": [0, 0]"#), Kind::Damaged, "is zero"),
            (one(r#""dtype": "F16", "shape": [1,1,1,1,1], "data_offsets": [0, 2]"#), Kind::Damaged, "5 dim"),
            (one(r#""dtype": "F16", "shape": [2], "data_offsets": [0, 2]"#), Kind::Damaged, "takes 4 bytes"),
            (one(r#""dtype": "F16", "shape": [2], "data_offsets": [90, 94]"#), Kind::Damaged, "the file has"),
            (one(r#""dtype": "F16", "shape": [-2], "data_offsets": [0, 4]"#), Kind::Damaged, "line 1"),
            (one(r#""dtype": "F16", "shape": [2]"#), Kind::Damaged, "data_offsets"),
            (shard("{"), Kind::Damaged, "EOF"),
            (Some(("s-1.safetensors", vec![255; 20])), Kind::Damaged, "more than the file can hold"),
        ];
        for (change, kind, want) in cases {
            let mut files = model();
            files.extend(change.map(|(name, bytes)| (name.to_owned(), bytes)));
            let error = read(&files, "", Limits::default()).unwrap_err();
            assert!(error.kind() == kind && error.to_string().contains(want), "{want}: {error}");
        }
    }
}
