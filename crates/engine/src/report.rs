//! Plans, refusals and answers as JSON: the same names wherever they are printed or handed over.
//!
//! What it is: the library's figures under their names. What it is not: arithmetic, or words for people. The one design choice:
//! one place for the names, so that programs in every language read what `--json` prints.

use crate::{Completion, Line, Placement, Refusal};
use serde_json::{Map, Value, json};

/// The account as `{part: bytes}`.
pub fn ledger(lines: &[Line]) -> Value {
    let parts = lines.iter().map(|line| (line.part.name().to_string(), json!(line.bytes)));
    Value::Object(parts.collect::<Map<_, _>>())
}

/// A placement and its forecast.
pub fn placement(placement: &Placement) -> Value {
    let forecast = placement.forecast;
    json!({
        "fits": true,
        "budget_bytes": placement.budget,
        "peak_bytes": placement.peak(),
        "ledger": ledger(&placement.lines),
        "context": placement.context,
        "kv": placement.kv.name(),
        "chunk": placement.chunk(),
        "resident_bytes": placement.resident_bytes(),
        "streamed_bytes": placement.streamed_bytes(),
        "flash_bytes_per_token": forecast.flash_bytes_per_token,
        "tokens_per_second": forecast.tokens_per_second,
        "first_token_seconds": forecast.first_token_seconds,
        "prompt_tokens": forecast.prompt_tokens,
        "bound": forecast.bound.name(),
    })
}

/// A budget that is too small for the model of that name.
pub fn refusal(name: &str, refusal: &Refusal) -> Value {
    json!({
        "model": name,
        "fits": false,
        "error": "memory_budget_exceeded",
        "budget_bytes": refusal.budget,
        "smallest_budget_bytes": refusal.needed,
        "peak_bytes": refusal.needed,
        "ledger": ledger(&refusal.lines),
        "context": refusal.context,
        "tokens_per_second": null,
        "first_token_seconds": null,
        "bound": null,
    })
}

/// An answer, with what it took.
pub fn completion(answer: &Completion) -> Value {
    let timing = answer.timing;
    json!({
        "text": answer.text,
        "ids": answer.ids,
        "finish": answer.finish.name(),
        "stop": answer.stop,
        "logits_digest": answer.digest.to_string(),
        "prompt_tokens": timing.prompt_tokens,
        "cached_tokens": timing.cached_tokens,
        "answer_tokens": timing.answer_tokens,
        "queue_seconds": timing.queue_seconds,
        "prompt_seconds": timing.prompt_seconds,
        "answer_seconds": timing.answer_seconds,
        "prompt_tokens_per_second": timing.prompt_rate(),
        "tokens_per_second": (answer.ids.len() > 1).then(|| timing.answer_rate()),
    })
}
