//! What is in a model file: names, types, shapes, places of tensors, and the facts beside them.
//!
//! What it is: readers of GGUF, safetensors, ONNX and TFLite headers that turn bytes from anywhere (a disk, a download, an
//! enemy) into a [`ModelFile`] or an [`Error`] that says where and what to do (floor 2). What it is not: a
//! loader. No weight is ever read here. The one design choice: a header passes through a small window and
//! what is long stays in the file. A vocabulary of 262,144 words becomes an [`ArrayRef`] of a few bytes, read
//! later by streaming, so that parsing costs kilobytes whatever the file holds, and [`Limits`] bound it.
//!
//! ```no_run
//! # use pintpot_formats as formats;
//! # fn main() -> Result<(), formats::Error> {
//! let file = formats::open("model.gguf".as_ref(), formats::Limits::default())?;
//! let layers: u32 = file.metadata.get("llama.block_count")?;
//! let query = file.tensor("blk.0.attn_q.weight")?;
//! println!("{layers} layers; {} is {} {}", query.name, query.dtype, query.shape);
//! # Ok(())
//! # }
//! ```

#![forbid(unsafe_code)]

mod array;
mod config;
mod ctranslate2;
mod error;
mod flat;
mod folder;
mod gguf;
mod json;
mod limits;
mod metadata;
mod model;
pub mod onnx;
mod open;
mod protobuf;
mod reader;
mod safetensors;
mod source;
mod split;
pub mod tflite;
pub mod write;

pub use array::{ArrayRef, Element, Number, Numbers, Strings};
pub use error::{Error, Kind};
pub use folder::Folder;
pub use gguf::{RawKey, raw_keys as gguf_keys, read as read_gguf};
pub use limits::Limits;
pub use metadata::{FromValue, Metadata, Value};
pub use model::{FilePart, Format, ModelFile, TensorInfo};
pub use open::{Contents, examine, examine_in, open, read};
pub use source::Bytes;
