//! What a model file holds, whatever its format.
//!
//! Not the weights. The one design choice: tensors keep the order in which they lie in the files, because that
//! is the order in which flash is fast; a sorted list of numbers beside them finds one by name.

use std::ops::Range;
use std::path::PathBuf;

use tensor::{DType, Shape};

use crate::limits::{Meter, heap_block};
use crate::metadata::Metadata;
use crate::{ArrayRef, Error, Value};

/// Bytes that a path is counted with, at least: a budget is the same by whichever path a file is named.
const PATH: usize = 256;

/// The format of a model file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// CTranslate2's: a plain list of tensors, with `config.json` beside it.
    Ctranslate2,
    /// ggml's: one header with everything, tokenizer included.
    Gguf {
        /// 2 or 3.
        version: u32,
    },
    /// Hugging Face's: tensors only, with JSON files beside them.
    Safetensors,
}

/// One tensor: where its bytes lie, not the bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorInfo {
    /// Its name as spelt in the file.
    pub name: Box<str>,
    /// The type of its elements or blocks.
    pub dtype: DType,
    /// Its extents, outermost first.
    pub shape: Shape,
    /// Which of [`ModelFile::files`] it lies in.
    pub file: u32,
    /// Its bytes in that file.
    pub range: Range<u64>,
}

impl TensorInfo {
    /// Moves the tensor `base` bytes further and gives it its end. Checks what must hold in every format:
    /// rows are whole blocks, and the bytes lie in the file.
    pub(crate) fn settle(&mut self, base: u64, file_bytes: u64) -> Result<(), Error> {
        let columns = self.shape.columns();
        if self.dtype.bytes_of(columns).is_none() {
            return Err(Error::RaggedRows { tensor: self.name.clone(), columns, dtype: self.dtype });
        }
        let start = base.checked_add(self.range.start);
        let bytes = self.dtype.bytes_of(self.shape.elements());
        let end = start.zip(bytes).and_then(|(start, bytes)| start.checked_add(bytes)).unwrap_or(u64::MAX);
        if end > file_bytes {
            return Err(Error::OutOfFile { tensor: self.name.clone(), end, bytes: file_bytes });
        }
        self.range = start.unwrap_or(0)..end;
        Ok(())
    }
}

/// A file that a model consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilePart {
    /// Where it is; empty if it was read from a nameless source.
    pub path: PathBuf,
    /// Its length.
    pub bytes: u64,
}

/// What a model file, or a set of them, holds.
#[derive(Clone, Debug)]
pub struct ModelFile {
    /// The format.
    pub format: Format,
    /// What the weights are meant for, such as `llama`; empty if the file does not say.
    pub architecture: Box<str>,
    /// Everything else that the file says.
    pub metadata: Metadata,
    /// All tensors, in the order of the files and of their bytes.
    pub tensors: Vec<TensorInfo>,
    /// The files that tensors and long arrays lie in.
    pub files: Vec<FilePart>,
    /// Numbers into `tensors`, sorted by name.
    by_name: Vec<u32>,
}

impl ModelFile {
    /// Puts a model together. Refuses tensors of one name and tensors that share bytes.
    pub(crate) fn new(
        format: Format,
        architecture: Box<str>,
        metadata: Metadata,
        mut tensors: Vec<TensorInfo>,
        files: Vec<FilePart>,
        meter: &mut Meter,
    ) -> Result<ModelFile, Error> {
        meter.charge(tensors.len() as u64, size_of::<u32>())?;
        tensors.sort_unstable_by_key(|tensor| (tensor.file, tensor.range.start));
        for pair in tensors.windows(2) {
            if pair[0].file == pair[1].file && pair[1].range.start < pair[0].range.end {
                return Err(Error::Overlap { tensor: pair[0].name.clone(), other: pair[1].name.clone() });
            }
        }
        let name = |number: &u32| &*tensors[*number as usize].name;
        let mut by_name: Vec<u32> = (0u32..).take(tensors.len()).collect();
        by_name.sort_unstable_by_key(name);
        if let Some(pair) = by_name.windows(2).find(|pair| name(&pair[0]) == name(&pair[1])) {
            return Err(Error::DuplicateTensor { tensor: name(&pair[0]).into() });
        }
        Ok(ModelFile { format, architecture, metadata, tensors, files, by_name })
    }

    /// The tensor of this name.
    pub fn tensor(&self, name: &str) -> Result<&TensorInfo, Error> {
        self.find_tensor(name).ok_or_else(|| Error::MissingTensor { tensor: name.into() })
    }

    /// The tensor of this name, if there is one.
    pub fn find_tensor(&self, name: &str) -> Option<&TensorInfo> {
        self.tensors.get(self.tensor_index(name)?)
    }

    /// Where in [`ModelFile::tensors`] the tensor of this name stands, if there is one.
    pub fn tensor_index(&self, name: &str) -> Option<usize> {
        let at = |number: u32| self.tensors.get(number as usize);
        let place = self.by_name.binary_search_by(|&number| at(number).map(|t| &*t.name).cmp(&Some(name)));
        Some(*self.by_name.get(place.ok()?)? as usize)
    }

    /// Bytes of all tensors together.
    pub fn tensor_bytes(&self) -> u64 {
        self.tensors.iter().map(|tensor| tensor.range.end - tensor.range.start).sum()
    }

    /// Heap bytes that this value holds.
    pub fn heap_bytes(&self) -> u64 {
        let tables = heap_block(self.tensors.capacity() * size_of::<TensorInfo>())
            + heap_block(self.by_name.capacity() * size_of::<u32>())
            + heap_block(self.files.capacity() * size_of::<FilePart>());
        let names: u64 = self.tensors.iter().map(|tensor| heap_block(tensor.name.len())).sum();
        let paths: u64 =
            self.files.iter().map(|file| heap_block(file.path.as_os_str().len().max(PATH))).sum();
        tables + names + paths + heap_block(self.architecture.len()) + self.metadata.heap_bytes()
    }

    /// The long arrays, by key: what a caller may want to stream from [`ModelFile::files`].
    pub fn long_arrays(&self) -> impl Iterator<Item = (&str, &ArrayRef)> {
        self.metadata.iter().filter_map(|(key, value)| match value {
            Value::Array(array) if array.file().is_some() => Some((key, array)),
            _ => None,
        })
    }
}
