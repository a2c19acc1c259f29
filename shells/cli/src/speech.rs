//! Models of speech that the command line names: where they are, and why one is refused.
//!
//! What it is not: what is done with them, which the verbs know. The one design choice: a folder is a model as a whole.

use std::path::PathBuf;

use host::format_bytes;
use hub::Reference;
use pintpot::Refusal;
use pintpot::tasks::Speech;

use crate::exit::{Code, Failure};
use crate::flags::Args;
use crate::{find, report, size};

/// Where the model is: a folder is one as a whole.
pub(crate) fn place(reference: &Reference, args: &Args) -> Result<PathBuf, Failure> {
    match reference {
        Reference::Path(path) if path.is_dir() => Ok(path.clone()),
        _ => Ok(find::local(reference, args)?.path),
    }
}

/// Why a model of speech cannot run.
pub(crate) fn refusal(name: &str, speech: &Speech, refused: &Refusal) -> Failure {
    let mut text = format!("{name} cannot run in {}; nothing was loaded\n", format_bytes(refused.budget));
    let (needed, weights) = (format_bytes(refused.needed), format_bytes(speech.weight_bytes()));
    text += &format!("  needs at least {needed} (weights {weights})\n");
    text += &report::ledger_text(&refused.lines);
    text += &format!("  smallest budget: --memory {}", size::budget(refused.needed));
    Failure::new(Code::Budget, text)
}
