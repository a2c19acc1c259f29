//! People's data to tensors and back: text, arrays, pictures, sound.
//!
//! What it is: the outer edge of the spine (floor 2), where a prompt becomes token ids and ids become text. What it
//! is not: a reader of model files; whoever has the file feeds its vocabulary in, one token at a time. The one
//! design choice: everything is built by streaming into tables of known size, so that the budget can be charged
//! before the first byte is read.

#![forbid(unsafe_code)]

pub mod audio;
mod error;
pub mod image;
pub mod npy;
pub mod text;

pub use error::{Error, Kind};
