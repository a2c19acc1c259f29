//! The decision: from a graph, a machine and a budget to a placement, or a refusal that says what would work.
//!
//! What it is: sizes, residency, chunk and window, predicted bytes and seconds, and the words for them. What it is not:
//! a doer; nothing here reads a weight or takes memory. The one design choice: the smallest budget is found by the
//! very function that places a model in a large one, so that what a refusal names is sure to run.

#![forbid(unsafe_code)]

mod cost;
pub mod network;
mod placement;
mod profile;
mod request;
mod reuse;
mod search;

pub use cost::{Bound, Forecast, StepBounds, step_bounds};
pub use placement::{Line, Placement};
pub use profile::{FlashWay, ProductRate, Profile};
pub use request::{Exchange, Fixed, Request};
pub use reuse::{LayerReuse, Reuse};
pub use search::{RUN_BYTES, Refusal, adapt, forecast, place, smallest};
