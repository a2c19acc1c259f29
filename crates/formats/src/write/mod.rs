//! Writers of small, valid files: for tests, and for programs that make models.
//!
//! Not a converter. The one design choice: the header is declared first, the data follows in the order of
//! declaration, so that a model of any size can be written while holding one tensor.

mod gguf;
mod safetensors;

pub use gguf::{Gguf, Item, TensorWriter};
pub use safetensors::safetensors;
