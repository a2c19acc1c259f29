//! The budget as the user names it, and as it changes while the program runs.
//!
//! What it is: an amount, or `@FILE` that holds one, and SIGUSR1, at which it is read anew. What it is not: the change
//! itself, which is the library's. The one design choice: a signal carries no number, so the number is in a file.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use host::Memory;
use pintpot::{BudgetSource, Refusal, format_bytes};

use crate::exit::Failure;

/// The amount that `text` names: itself, or what stands in the file after an `@`.
pub(crate) fn amount(text: &str) -> Result<Memory, Failure> {
    let named = match text.strip_prefix('@') {
        Some(path) => std::fs::read_to_string(path)
            .map_err(|error| Failure::usage(format!("--memory: cannot read '{path}': {error}")))?,
        None => text.to_string(),
    };
    named.trim().parse().map_err(|error| Failure::usage(format!("--memory: {error}")))
}

/// Reads the budget anew when SIGUSR1 came.
pub(crate) struct Reread {
    raised: Arc<AtomicBool>,
    text: String,
}

impl Reread {
    /// From now on the signal is noted; it is obeyed once a model follows this.
    pub fn new(text: &str) -> Result<Reread, Failure> {
        let raised = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register(signal_hook::consts::SIGUSR1, Arc::clone(&raised))
            .map_err(|error| Failure::io("listen for SIGUSR1", error))?;
        Ok(Reread { raised, text: text.to_string() })
    }
}

impl BudgetSource for Reread {
    fn wanted(&mut self) -> Option<u64> {
        if !self.raised.swap(false, Ordering::Relaxed) {
            return None;
        }
        match amount(&self.text).map(|memory| memory.resolve()) {
            Ok(Ok(budget)) => Some(budget.bytes),
            Ok(Err(error)) => {
                eprintln!("the budget stays as it was: {error}");
                None
            }
            Err(failure) => {
                eprintln!("the budget stays as it was: {}", failure.message);
                None
            }
        }
    }

    fn refused(&mut self, refusal: &Refusal) {
        let (needed, budget) = (format_bytes(refusal.needed), format_bytes(refusal.budget));
        eprintln!(
            "the budget stays as it was: {budget} is too little, the model needs {needed} as it is loaded"
        );
    }
}
