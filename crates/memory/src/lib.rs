//! Who holds bytes: weights in tiles, resident or streamed through a window, and what a sequence remembers.
//!
//! What it is: the places where a plan's bytes lie while it runs (floor 3). What it is not: a policy; the planner says
//! which runs stay, this crate holds and fetches them. The one design choice: the order in which a step reads its
//! weights is fixed before the first byte is read ([`Tiling`]), so reading ahead is a matter of walking a list, and
//! nothing is ever guessed; experts, whose choice is made in the step, have a store of their own ([`ExpertStore`]).

#![forbid(unsafe_code)]

mod error;
mod experts;
mod kv;
mod store;
mod tiling;
mod vectors;

pub use error::Error;
pub use experts::{ExpertOptions, ExpertSet, ExpertSets, ExpertStats, ExpertStore, Piece, Wanted};
pub use kv::{KvCache, KvFormat, slots_of};
pub use store::{Residency, StoreStats, WeightStore};
pub use tiling::{Run, Tile, Tiling, TilingOptions};
pub use vectors::Vectors;
