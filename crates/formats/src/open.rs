//! From a path to a model: which format is it, and which files belong to it?
//!
//! Not a parser. The one design choice: the first bytes decide, never the ending of a name, since caches and
//! downloads name files as they please.

use std::path::Path;

use host::ReadAt;

use crate::folder::{self, Folder, Local, naming, under};
use crate::limits::Meter;
use crate::reader::Reader;
use crate::{Error, Limits, ModelFile, ctranslate2, gguf, onnx, safetensors, split, tflite};

/// What a file, or a folder of files, turned out to hold.
#[derive(Clone, Debug)]
pub enum Contents {
    /// A network with its weights.
    Onnx(Box<onnx::Model>),
    /// A network with its weights.
    Tflite(Box<tflite::Model>),
    /// Weights and settings; what is computed with them the architecture's name says.
    Weights(Box<ModelFile>),
}

/// As [`open`], and networks as well.
pub fn examine(path: &Path, limits: Limits) -> Result<Contents, Error> {
    let (local, name) = place(path)?;
    let mut found = examine_in(&local, name, limits).map_err(|error| under(&local.path, error))?;
    let files = match &mut found {
        Contents::Onnx(model) => &mut model.files[..],
        Contents::Tflite(model) => std::slice::from_mut(&mut model.file),
        Contents::Weights(model) => &mut model.files[..],
    };
    files.iter_mut().for_each(|file| file.path = local.path.join(&file.path));
    Ok(found)
}

/// As [`read`], and networks as well.
pub fn examine_in(folder: &dyn Folder, name: &str, limits: Limits) -> Result<Contents, Error> {
    let format = match read(folder, name, limits) {
        Ok(model) => return Ok(Contents::Weights(Box::new(model))),
        Err(Error::In { path, source }) => match *source {
            Error::Network { format } => format,
            source => return Err(Error::In { path, source: Box::new(source) }),
        },
        Err(error) => return Err(error),
    };
    if format == ONNX {
        return onnx::open(folder, name, limits).map(|model| Contents::Onnx(Box::new(model)));
    }
    let source = folder::open(folder, name)?;
    let mut model = naming(name, tflite::read(&*source, limits))?;
    model.file.path = name.into();
    Ok(Contents::Tflite(Box::new(model)))
}

/// How messages call networks.
const ONNX: &str = "an ONNX network";
const TFLITE: &str = "a TFLite network";

/// Reads the headers of the model at `path`: a GGUF file (any part, if it is split), a safetensors file, its
/// index, CTranslate2's `model.bin`, or a folder with `config.json` and one of these. No weight is read.
pub fn open(path: &Path, limits: Limits) -> Result<ModelFile, Error> {
    let (local, name) = place(path)?;
    let mut model = read(&local, name, limits).map_err(|error| under(&local.path, error))?;
    for file in &mut model.files {
        file.path = local.path.join(&file.path);
    }
    Ok(model)
}

/// The folder of a path, and the name in it; of a folder as a whole the name is empty.
fn place(path: &Path) -> Result<(Local, &str), Error> {
    let missing = || Error::MissingFile { path: path.to_owned() };
    let (folder, name) = match path.file_name() {
        Some(name) if !path.is_dir() => (path.parent().unwrap_or(Path::new("")), name.to_str()),
        _ => (path, Some("")),
    };
    Ok((Local { path: folder.to_owned() }, name.ok_or_else(missing)?))
}

/// As [`open`], from a place that need not be on this machine. `name` is a file in it, or empty for the folder as
/// a whole; the paths of [`ModelFile::files`] are names in it.
pub fn read(folder: &dyn Folder, name: &str, limits: Limits) -> Result<ModelFile, Error> {
    let mut meter = Meter::new(limits);
    if name.is_empty() {
        return match safetensors::read_folder(folder, &mut meter) {
            Err(Error::NoWeights { .. }) if folder::find(folder, ctranslate2::WEIGHTS)?.is_some() => {
                ctranslate2::read(folder, ctranslate2::WEIGHTS, &mut meter)
            }
            read => read,
        };
    }
    let source = folder::open(folder, name)?;
    match naming(name, sniff(&*source))? {
        Content::Ctranslate2 => ctranslate2::read(folder, name, &mut meter),
        Content::Gguf => split::read(folder, name, &*source, &mut meter),
        Content::Json => safetensors::read_index(folder, name, &mut meter),
        Content::Network(format) => naming(name, Err(Error::Network { format })),
        Content::Safetensors => safetensors::read_file(folder, name, &mut meter),
    }
}

/// What a file seems to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    Ctranslate2,
    Gguf,
    Json,
    /// What is no model of language, yet.
    Network(&'static str),
    Safetensors,
}

fn sniff(source: &dyn ReadAt) -> Result<Content, Error> {
    let mut reader = Reader::new(source, 0, source.len());
    let magic = reader.array()?;
    if magic == gguf::MAGIC {
        return Ok(Content::Gguf);
    }
    if ctranslate2::is_model(source) {
        return Ok(Content::Ctranslate2);
    }
    if tflite::is_model(source) {
        return Ok(Content::Network(TFLITE));
    }
    let other = || match onnx::is_model(source) {
        true => Ok(Content::Network(ONNX)),
        false => Err(Error::NotAModel { magic }),
    };
    if reader.remaining() < 5 {
        return other();
    }
    let high: [u8; 4] = reader.array()?;
    let next: [u8; 1] = reader.array()?;
    // A safetensors header is far shorter than 4 GiB, so the upper half of its length is zero; text has no zeros.
    match (magic[0], next[0]) {
        (b'{', _) if !high.contains(&0) => Ok(Content::Json),
        (_, b'{') => Ok(Content::Safetensors),
        _ => other(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Bytes;

    #[test]
    fn the_first_bytes_decide() {
        let network = Some(Content::Network(ONNX));
        let cases: [(&[u8], Option<Content>); 16] = [
            (b"\x20\0\0\0TFL3", Some(Content::Network(TFLITE))),
            (b"\x08\x08\x3a\x00", network),
            (b"\x08\x0a\x12\x07writer\x20\x3a\x02\x12\x00\x42\x02\x10\x11", network),
            (b"\x3a\x02\x12\x00\x42\x02\x10\x11", network),
            // A graph that is cut is a graph.
            (b"\x08\x08\x3a\xff\x01 and so on", network),
            (b"\x08\x08\x12\x02hi", None),
            (b"\x08\x00\x3a\x00", None),
            (b"\x12\x02hi\x3a\x00\x7a\x00", None),
            (b"GGUF", Some(Content::Gguf)),
            (b"{\"metadata\": {}}", Some(Content::Json)),
            (b"{\"abcd\":{}}", Some(Content::Json)),
            (b"{\x01\0\0\0\0\0\0{}", Some(Content::Safetensors)),
            (b"\x08\0\0\0\0\0\0\x80{}", Some(Content::Safetensors)),
            (b"PK\x03\x04 and so on", None),
            (b"hello\n", None),
            (b"", None),
        ];
        for (bytes, want) in cases {
            assert_eq!(sniff(&Bytes::new(bytes)).ok(), want, "{bytes:?}");
        }
    }
}
