//! Writes GGUF.
//!
//! Not a checker: what is declared is written, twice if asked, so that tests can write files which readers
//! must refuse. The one design choice: a value keeps the exact type it is given, since other readers insist.
//! Layout: ggml, `docs/gguf.md`.

use std::io::{self, Write};

use tensor::DType;

use crate::array::{Element, GGUF_ARRAY};
use crate::gguf::{DEFAULT_ALIGNMENT, MAGIC};

/// A value to be written under a key, with GGUF's own types.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Item {
    Bool(bool),
    F32(f32),
    F32s(Vec<f32>),
    I32s(Vec<i32>),
    /// A value as a file encodes it, its type first.
    Raw(Box<[u8]>),
    Str(String),
    Strs(Vec<Vec<u8>>),
    U32(u32),
    U32s(Vec<u32>),
    U64(u64),
}

impl From<&str> for Item {
    fn from(text: &str) -> Item {
        Item::Str(text.to_owned())
    }
}

impl From<bool> for Item {
    fn from(value: bool) -> Item {
        Item::Bool(value)
    }
}

impl From<f32> for Item {
    fn from(value: f32) -> Item {
        Item::F32(value)
    }
}

impl From<u32> for Item {
    fn from(value: u32) -> Item {
        Item::U32(value)
    }
}

impl From<u64> for Item {
    fn from(value: u64) -> Item {
        Item::U64(value)
    }
}

/// A file to be: its keys and the types and shapes of its tensors.
#[derive(Clone, Debug)]
pub struct Gguf {
    version: u32,
    alignment: u64,
    keys: Vec<(String, Item)>,
    tensors: Vec<(String, DType, Vec<u64>)>,
}

impl Default for Gguf {
    fn default() -> Gguf {
        Gguf::new()
    }
}

impl Gguf {
    /// An empty file of version 3.
    pub fn new() -> Gguf {
        Gguf { version: 3, alignment: DEFAULT_ALIGNMENT, keys: Vec::new(), tensors: Vec::new() }
    }

    /// Writes another version number; the layout stays the same (2 and 3 differ in nothing else).
    pub fn set_version(&mut self, version: u32) {
        self.version = version;
    }

    /// Adds a key. `general.alignment` also moves the data.
    pub fn set(&mut self, key: &str, item: impl Into<Item>) {
        let item = item.into();
        if let ("general.alignment", Item::U32(alignment)) = (key, &item) {
            self.alignment = (*alignment).max(1).into();
        }
        self.keys.push((key.to_owned(), item));
    }

    /// Adds a tensor of the given extents, outermost first.
    pub fn declare(&mut self, name: &str, dtype: DType, extents: &[u64]) {
        self.tensors.push((name.to_owned(), dtype, extents.to_vec()));
    }

    /// Bytes of each declared tensor, in order; 0 where they are not whole blocks.
    pub fn tensors(&self) -> impl Iterator<Item = u64> {
        self.tensors.iter().map(|(_, dtype, extents)| dtype.bytes_of(extents.iter().product()).unwrap_or(0))
    }

    /// Where in the file the value of a key begins, its type aside.
    pub fn value_offset(&self, key: &str) -> Option<u64> {
        let at = self.keys.iter().position(|(have, _)| have == key)?;
        let before = Gguf { keys: self.keys[..at].to_vec(), tensors: Vec::new(), ..*self };
        Some((before.header().len() + 8 + key.len() + 4) as u64)
    }

    /// Writes the header; the data of the tensors must follow, in the order of declaration.
    pub fn start<W: Write>(&self, mut to: W) -> io::Result<TensorWriter<W>> {
        let header = self.header();
        to.write_all(&header)?;
        Ok(TensorWriter { to, alignment: self.alignment, at: header.len() as u64 })
    }

    /// The whole file, given the bytes of every tensor.
    pub fn to_bytes(&self, tensors: &[&[u8]]) -> Vec<u8> {
        let mut file = Vec::new();
        // Writing to a vector cannot fail.
        if let Ok(mut writer) = self.start(&mut file) {
            for tensor in tensors {
                let _ = writer.tensor(tensor);
            }
        }
        file
    }

    fn header(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend(self.version.to_le_bytes());
        out.extend((self.tensors.len() as u64).to_le_bytes());
        out.extend((self.keys.len() as u64).to_le_bytes());
        for (key, item) in &self.keys {
            string(&mut out, key.as_bytes());
            value(&mut out, item);
        }
        let mut offset = 0u64;
        for ((name, dtype, extents), bytes) in self.tensors.iter().zip(self.tensors()) {
            string(&mut out, name.as_bytes());
            out.extend((extents.len() as u32).to_le_bytes());
            out.extend(extents.iter().rev().flat_map(|extent| extent.to_le_bytes()));
            out.extend(dtype.gguf_id().to_le_bytes());
            out.extend(offset.to_le_bytes());
            offset = (offset + bytes).next_multiple_of(self.alignment);
        }
        out
    }
}

/// Takes the data of tensors, one after the other.
#[derive(Debug)]
pub struct TensorWriter<W> {
    to: W,
    alignment: u64,
    at: u64,
}

impl<W: Write> TensorWriter<W> {
    /// Pads to the alignment and writes all bytes of the next tensor.
    pub fn tensor(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.begin()?;
        self.more(bytes)
    }

    /// Pads to the alignment: the next tensor begins.
    pub fn begin(&mut self) -> io::Result<()> {
        let start = self.at.next_multiple_of(self.alignment);
        io::copy(&mut io::Read::take(io::repeat(0), start - self.at), &mut self.to)?;
        self.at = start;
        Ok(())
    }

    /// Writes more bytes of the tensor that was begun.
    pub fn more(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.to.write_all(bytes)?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    /// Pads the end, as readers want it that map whole files, and gives back what was written to.
    pub fn end(mut self) -> io::Result<W> {
        self.begin()?;
        Ok(self.to)
    }
}

fn string(out: &mut Vec<u8>, text: &[u8]) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text);
}

fn value(out: &mut Vec<u8>, item: &Item) {
    let mut scalar = |element: Element, bytes: &[u8]| {
        out.extend(element.gguf_id().to_le_bytes());
        out.extend(bytes);
    };
    match item {
        Item::Bool(b) => scalar(Element::Bool, &[u8::from(*b)]),
        Item::F32(x) => scalar(Element::F32, &x.to_le_bytes()),
        Item::U32(u) => scalar(Element::U32, &u.to_le_bytes()),
        Item::U64(u) => scalar(Element::U64, &u.to_le_bytes()),
        Item::Raw(bytes) => out.extend(bytes),
        Item::Str(text) => {
            scalar(Element::Str, &[]);
            string(out, text.as_bytes());
        }
        Item::F32s(list) => array(out, Element::F32, list, |out, x| out.extend(x.to_le_bytes())),
        Item::I32s(list) => array(out, Element::I32, list, |out, i| out.extend(i.to_le_bytes())),
        Item::U32s(list) => array(out, Element::U32, list, |out, u| out.extend(u.to_le_bytes())),
        Item::Strs(list) => array(out, Element::Str, list, |out, text| string(out, text)),
    }
}

fn array<T>(out: &mut Vec<u8>, element: Element, list: &[T], write: impl Fn(&mut Vec<u8>, &T)) {
    out.extend(GGUF_ARRAY.to_le_bytes());
    out.extend(element.gguf_id().to_le_bytes());
    out.extend((list.len() as u64).to_le_bytes());
    list.iter().for_each(|item| write(out, item));
}
