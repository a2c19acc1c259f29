//! From a path to a model: which format is it, and which files belong to it?
//!
//! Not a parser. The one design choice: the first bytes decide, never the ending of a name, since caches and
//! downloads name files as they please.

use std::path::Path;

use host::ReadAt;

use crate::folder::{self, Folder, Local, naming, under};
use crate::limits::Meter;
use crate::reader::Reader;
use crate::{Error, Limits, ModelFile, gguf, safetensors, split};

/// Reads the headers of the model at `path`: a GGUF file (any part, if it is split), a safetensors file, its
/// index, or a folder with `config.json` and safetensors. No weight is read.
pub fn open(path: &Path, limits: Limits) -> Result<ModelFile, Error> {
    let missing = || Error::MissingFile { path: path.to_owned() };
    let (folder, name) = match path.file_name() {
        Some(name) if !path.is_dir() => (path.parent().unwrap_or(Path::new("")), name.to_str()),
        _ => (path, Some("")),
    };
    let local = Local { path: folder.to_owned() };
    let mut model = read(&local, name.ok_or_else(missing)?, limits).map_err(|error| under(folder, error))?;
    for file in &mut model.files {
        file.path = folder.join(&file.path);
    }
    Ok(model)
}

/// As [`open`], from a place that need not be on this machine. `name` is a file in it, or empty for the folder as
/// a whole; the paths of [`ModelFile::files`] are names in it.
pub fn read(folder: &dyn Folder, name: &str, limits: Limits) -> Result<ModelFile, Error> {
    let mut meter = Meter::new(limits);
    if name.is_empty() {
        return safetensors::read_folder(folder, &mut meter);
    }
    let source = folder::open(folder, name)?;
    match naming(name, sniff(&*source))? {
        Content::Gguf => split::read(folder, name, &*source, &mut meter),
        Content::Json => safetensors::read_index(folder, name, &mut meter),
        Content::Safetensors => safetensors::read_file(folder, name, &mut meter),
    }
}

/// What a file seems to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    Gguf,
    Json,
    Safetensors,
}

fn sniff(source: &dyn ReadAt) -> Result<Content, Error> {
    let mut reader = Reader::new(source, 0, source.len());
    let magic = reader.array()?;
    if magic == gguf::MAGIC {
        return Ok(Content::Gguf);
    }
    if reader.remaining() < 5 {
        return Err(Error::NotAModel { magic });
    }
    let high: [u8; 4] = reader.array()?;
    let next: [u8; 1] = reader.array()?;
    // A safetensors header is far shorter than 4 GiB, so the upper half of its length is zero; text has no zeros.
    match (magic[0], next[0]) {
        (b'{', _) if !high.contains(&0) => Ok(Content::Json),
        (_, b'{') => Ok(Content::Safetensors),
        _ => Err(Error::NotAModel { magic }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Bytes;

    #[test]
    fn the_first_bytes_decide() {
        let cases: [(&[u8], Option<Content>); 8] = [
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
