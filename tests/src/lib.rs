//! The kit that the tests of the whole share: source text to check, reference logits, the program under a cap.
//!
//! What it is: helpers without a verdict. What it is not: part of the product. The one design choice: what a machine
//! lacks (trained models, the right to make a cgroup) makes a test say so and pass; see [`skip`] and [`absent`].

#![forbid(unsafe_code)]

pub mod corpus;
mod golden;
mod program;
pub mod served;
mod source;
mod tall;

pub use golden::{Logits, Run, small, small_names, texts_of_tiny, tiny, tiny_names, trained};
pub use program::{Answer, Program, can_cap, drops_cold_pages, published};
pub use source::{Source, root, sources, texts};
pub use tall::tall;

/// Says on standard error that a test, or a part of it, did not run, and why.
///
/// # Panics
/// If `PINTPOT_TEST_STRICT` is set: then nothing may be left out.
pub fn skip(what: &str, why: &str) {
    assert!(std::env::var_os("PINTPOT_TEST_STRICT").is_none(), "{what}: {why}");
    eprintln!("skipped: {what}: {why}");
}

/// Says on standard error that a test did not run for want of a trained network. Those are fetched from packages, which may be
/// gone one day: never a failure.
pub fn absent(what: &str) {
    eprintln!("skipped: {what}: PINTPOT_TEST_MODELS names no folder that holds it");
}
