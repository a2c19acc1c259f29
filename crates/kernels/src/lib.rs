//! What a CPU can do: the arithmetic of neural networks, written once and compiled for every instruction set.
//!
//! Not a place for graphs, files or decisions: functions here take slices and sizes. Start at [`Cpu`], the safe face,
//! which splits work over threads. The one design choice is that **every result is a function of its inputs alone**:
//! the same bits on every instruction set, for any number of threads, alone or beside other columns. So the order of
//! every sum is part of the definition:
//!
//! - *Activations* become int8 in groups of 32 along a column: with `amax` the largest magnitude, the scale is
//!   `amax / 127` and `q = round(x * (127 / amax))`, ties to even, which lies within +-127. A group whose `amax` is below
//!   2^-100 counts as zero; a group with an infinity or a NaN has scale NaN and zero integers, so that it shows.
//! - *Quantised products* go through the groups of a weight row in ascending order: `acc = fma(scale * da, isum, acc)`
//!   with the exact integer sum `isum`; where the format has minimums, also `accm = fma(min, da * asum, accm)` with
//!   the sum `asum` of the integers of the activations. Both start at 0; the result is `acc - accm`.
//! - *Sixteen chains*: a sum of products of floats keeps sixteen sums, element `i` going to number `i % 16` by fused
//!   multiply-add in ascending order, zeros filling up the end; then sum `i` takes in `i + 8`, `i + 4`, `i + 2`, `i + 1`.
//! - *Attention* works through tiles of 64 keys at absolute positions; see [`Attention`].
//! - *Functions* such as exp are polynomials with explicit fused multiply-adds.
//! - *WebAssembly* has no fused multiply-add. There each of them is two operations, so that its sets give the same bits as
//!   each other, but not the same as other targets.
//!
//! Every other operation is one correctly rounded f32 operation per element. Equality means equal bits, but for NaNs:
//! where a result is NaN its sign and payload are not promised. Flushing of subnormals must be off.
//!
//! Laws of this crate: no `cfg(target_arch)` outside `isa/`; every `unsafe` block says why it is sound.

// Vectors in arrays are indexed: what iterators make of them is not always inlined where the target features are.
#![allow(clippy::needless_range_loop)]

mod activation;
mod arrays;
mod attention;
mod cpu;
mod dense;
mod dot;
mod elementwise;
mod fixed;
mod float;
mod isa;
mod job;
mod map;
mod narrow;
mod norm;
mod product;
mod quantize;
mod rope;
mod rows;
mod set;
mod silicon;

pub use activation::Activation;
pub use attention::{Attention, KvFormat, KvShape};
pub use cpu::Cpu;
pub use dense::{
    Attend, Bytes, Dense, Finish, Heads, Image, Mask, Meaning, PlaneKind, Right, Scaled, Tiles, Whole,
};
pub use fixed::{Fixed, Sums};
pub use isa::{available, best};
pub use job::{Activations, Matrix, NextRows, Output};
pub use map::{JoinKind, MapKind};
pub use product::{ACTIVATION_GROUP, Order, Quantized, QuantizedMut, Weights};
pub use rope::RopeStyle;
pub use rows::{Factor, RowKind, TotalKind};
pub use set::KernelSet;
pub use silicon::Peak;
