//! pintpot runs neural networks in the memory you give it.
//!
//! What it is: the Rust API (floor 6): an [`Engine`] with a budget, a [`Model`] in it, answers out of it. What it is not:
//! a program; the shells turn words and routes into these calls. The one design choice: one [`host::Ledger`] for the
//! whole process, filled with what the planner predicted before anything is loaded, so that a model that does not fit
//! is refused and one that fits stays inside.
//!
//! ```no_run
//! # fn main() -> Result<(), pintpot::Error> {
//! let engine = pintpot::Engine::builder().memory("64MiB".parse()?).build()?;
//! let mut model = engine.load("model.gguf".as_ref(), &pintpot::LoadOptions::default())?;
//! let prompt = model.encode_chat(&[pintpot::Message::new("user", "What is the capital of France?")])?;
//! model.generate(&prompt, &pintpot::GenerateOptions::default(), &mut |text| {
//!     print!("{text}");
//!     pintpot::Flow::Continue
//! })?;
//! # Ok(())
//! # }
//! ```

#![forbid(unsafe_code)]

mod admission;
mod answer;
mod batch;
pub mod bench;
mod calibrate;
mod chat;
mod counts;
mod curve;
mod digest;
mod engine;
mod error;
mod eval;
mod find;
mod generate;
mod grammars;
mod live;
mod load;
mod logprobs;
mod measure;
mod model;
mod network;
mod network_file;
pub mod numpy;
mod pack;
pub mod report;
mod routing;
mod sampler;
mod schedule;
mod sensitivity;
mod sequences;
mod service;
mod shelf;
mod survey;
pub mod tasks;
mod turns;
mod vocabulary;
mod yielding;

pub use batch::{Asked, Batch, BatchProgress, Protocol, Said};
pub use chat::{Calls, Chat, ToolChoice};
pub use counts::{Counts, Histogram};
pub use curve::{Amount, Amounts, Curve, CurvePoint};
pub use digest::Digest;
pub use engine::{Builder, Engine};
pub use error::{Error, Trouble};
pub use eval::{EvalOptions, Evaluation, Price};
pub use find::{find, pull};
pub use formats::{FilePart, Folder, ModelFile, onnx, tflite};
pub use generate::{Completion, Finish, Flow, GenerateOptions, Timing};
pub use graph::array::Array;
pub use graph::{ArrayType, Elem, Extents};
pub use host::{Budget, Ledger, Memory, Part, Reader, format_bytes};
pub use live::{BudgetSource, Standing};
pub use load::{Crowd, Examined, LoadOptions, Opened};
pub use logprobs::{Chosen, Likelihood};
pub use measure::measure;
pub use memory::KvFormat;
pub use model::Model;
pub use network::{BuiltNetwork, Feed, Network, PortType};
pub use network_file::{DeclaredInput, NetworkFile};
pub use pack::{PackOptions, Packed};
pub use planner::{
    Bound, Exchange, FlashWay, Forecast, LayerReuse, Line, Placement, ProductRate, Profile, Refusal, Reuse,
};
pub use processors::image;
pub use processors::npy;
pub use processors::text::{Grammar, Message, Tool, ToolCall};
pub use routing::{LayerRouting, Routing};
pub use runtime::{Economy, Foresee, Phase};
pub use sampler::{Candidates, Sampler, Sampling};
pub use schedule::{Attention, Listener, Schedule};
pub use service::{Prompt, Seat, Service, Shelved};
pub use shelf::{Held, Prepare, Shelf};
pub use tensor::DType;
pub use yielding::Yielding;
