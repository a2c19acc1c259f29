//! Does what was planned: walks a graph's nodes over an arena, a store of weights and the caches of sequences.
//!
//! What it is: [`Executor::step`]. What it is not: a decision; sizes, residency and order come from above. The one
//! design choice: a step is rows of many sequences with their positions ([`Batch`]), so that prefill, decoding and, later,
//! serving and speculation are one path. Nothing inside a step allocates.

#![forbid(unsafe_code)]

mod arena;
mod arrays;
mod batch;
mod economy;
mod error;
mod executor;
mod gates;
mod ops;
mod routes;
mod stats;
mod trial;

pub use arrays::{ArrayExecutor, ArrayParts, MAX_INPUTS, PassingWeights};
pub use batch::{Batch, Sequence, Span, Wanted};
pub use economy::Economy;
pub use error::Error;
pub use executor::{Executor, Parts};
pub use gates::Gates;
pub use routes::Routes;
pub use stats::{Phase, StepStats};
pub use trial::Foresee;
