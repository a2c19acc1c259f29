//! Element types, shapes, and the definition of every quantised block.
//!
//! What it is: the vocabulary that all other crates speak (floor 1). What it is not: fast. The code in
//! [`block`] is plain scalar Rust that *defines* what the bytes of a weight mean; kernels are tested for
//! equality against it. The one design choice: a block format is data in a list, [`BLOCK_FORMATS`], so that
//! adding a format is one file and one line.

#![forbid(unsafe_code)]

pub mod block;
mod dtype;
mod panel;
mod shape;

pub use block::{BLOCK_FORMATS, BlockFormat, Groups};
pub use dtype::DType;
pub use panel::PanelOrder;
pub use shape::{Shape, ShapeError};
