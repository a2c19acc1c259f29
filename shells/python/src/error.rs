//! The library's errors as Python's exceptions, with their facts.
//!
//! What it is: the way from one to the other. What it is not: the exceptions, which are Python (`pintpot/errors.py`). The one design
//! choice: facts are fields there, too; nobody has to read numbers out of a message.

use engine::{Error, Trouble, report};
use pyo3::prelude::*;
use serde_json::json;

/// The exception of an error.
pub(crate) fn raise(py: Python<'_>, error: &Error) -> PyErr {
    let (kind, facts) = match error {
        Error::Refused(refused) => ("Refused", report::refusal("", refused)),
        Error::PromptTooLong { tokens, context } => {
            ("PromptTooLong", json!({ "tokens": tokens, "context": context }))
        }
        Error::QueueFull { most } => ("QueueFull", json!({ "most": most })),
        _ => (name(error.trouble()), json!({})),
    };
    make(py, kind, &error.to_string(), &facts.to_string()).unwrap_or_else(|failed| failed)
}

fn name(trouble: Trouble) -> &'static str {
    match trouble {
        Trouble::Failure => "Failure",
        Trouble::Usage => "UsageError",
        Trouble::Budget => "OverBudget",
        Trouble::Unsupported => "Missing",
        Trouble::Damaged => "Damaged",
        Trouble::Network => "NetworkError",
    }
}

fn make(py: Python<'_>, kind: &str, message: &str, facts: &str) -> PyResult<PyErr> {
    let made = py.import("pintpot.errors")?.call_method1("make", (kind, message, facts))?;
    Ok(PyErr::from_value(made))
}
