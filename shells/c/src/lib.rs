//! pintpot for C: an engine with a budget, models in it, answers out of them.
//!
//! What it is: the library behind `include/pintpot.h`, which is made from this crate. What it is not: logic; every function
//! turns C's words into a call of the crate `pintpot`. The one design choice: a call returns a code, whose values are the
//! program's exit codes, and the thread that made it can ask for the words ([`pintpot_error`]).
//!
//! What every function promises: pointers that are passed in are only read during the call, texts are UTF-8 that ends with
//! a zero byte, and what is given out is freed by the function of that name and by nothing else.

mod answer;
mod code;
mod handles;
mod text;

pub use answer::{PintpotOnText, PintpotOptions, pintpot_chat, pintpot_generate, pintpot_options};
pub use code::{PintpotCode, pintpot_error};
pub use handles::{
    PintpotEngine, PintpotLoadOptions, PintpotModel, pintpot_engine_free, pintpot_engine_new,
    pintpot_host_bytes, pintpot_load, pintpot_load_options, pintpot_model_context, pintpot_model_free,
    pintpot_plan,
};
pub use text::{pintpot_text_free, pintpot_version};

/// Counts what this library has on the heap, so that templates end where they should.
#[global_allocator]
static ALLOCATOR: host::CountingAlloc = host::CountingAlloc;
