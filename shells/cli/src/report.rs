//! Plans and answers, as JSON and for people.
//!
//! What it is: the library's figures under their printed names. What it is not: arithmetic beyond a ratio. The one
//! design choice: people read the very JSON that programs get, with units, so that the two cannot disagree.

use host::format_bytes;
pub(crate) use pintpot::report::{ledger, placement};
use pintpot::{Completion, Engine, Line, Model, Phase, Placement};
use serde_json::{Map, Value, json};

/// The account, a part a line.
pub(crate) fn ledger_text(lines: &[Line]) -> String {
    let shown = lines.iter().filter(|line| line.bytes > 0);
    shown.map(|line| format!("  {:<12}{:>11}\n", line.part.name(), format_bytes(line.bytes))).collect()
}

/// One line before the first word: what is where.
pub(crate) fn start_line(placement: &Placement) -> String {
    use pintpot::Part;
    let (resident, state) = (placement.bytes_of(Part::Weights), placement.bytes_of(Part::State));
    let experts = placement.bytes_of(Part::Experts);
    let other = placement.peak() - resident - experts - state;
    let experts = match experts {
        0 => String::new(),
        bytes => format!(" | experts {}", format_bytes(bytes)),
    };
    let rate = placement.forecast.flash_bytes_per_token as f64 / 1e6;
    format!(
        "budget {} | weights kept {}{experts} | KV {} ({} tokens, {}) | other {} | reads {rate:.1} MB/token",
        format_bytes(placement.budget),
        format_bytes(resident),
        format_bytes(state),
        placement.context,
        placement.kv.name(),
        format_bytes(other),
    )
}

/// Everything about an answer.
pub(crate) fn answer(name: &str, engine: &Engine, model: &Model, answer: &Completion) -> Value {
    let (placement, timing) = (model.placement(), answer.timing);
    let rate = (answer.ids.len() > 1).then(|| timing.answer_rate());
    let per_token = timing.answer_flash_bytes / (answer.ids.len() as u64).saturating_sub(1).max(1);
    let phases = Phase::ALL.into_iter().zip(timing.phase_seconds);
    let mut phases: Map<_, _> =
        phases.map(|(phase, seconds)| (phase.name().to_string(), json!(seconds))).collect();
    phases.insert("wait".to_string(), json!(timing.wait_seconds));
    let experts = (timing.expert_hits + timing.expert_misses > 0).then(|| {
        json!({
            "hits": timing.expert_hits,
            "misses": timing.expert_misses,
            "foreseen": timing.experts_foreseen,
            "vain_bytes": timing.vain_bytes,
            "stood_in": timing.experts_stood_in, "skipped": timing.experts_skipped,
        })
    });
    let mut answer = json!({
        "model": name,
        "text": answer.text,
        "ids": answer.ids,
        "finish": answer.finish.name(),
        "logits_digest": answer.digest.to_string(),
        "prompt_tokens": timing.prompt_tokens,
        "cached_tokens": timing.cached_tokens,
        "answer_tokens": timing.answer_tokens,
        "prompt_seconds": timing.prompt_seconds,
        "answer_seconds": timing.answer_seconds,
        "prompt_tokens_per_second": timing.prompt_rate(),
        "tokens_per_second": rate,
        "budget_bytes": placement.budget,
        "predicted_peak_bytes": placement.peak(),
        "peak_charge_bytes": host::cgroup::charge().map(|charge| charge.peak),
        "heap_peak_bytes": host::heap_peak(),
        "major_faults": host::major_faults(),
        "answer_major_faults": timing.answer_major_faults,
        "ledger": ledger(&placement.lines),
        "chunk": placement.chunk(),
        "context": placement.context,
        "kv": placement.kv.name(),
        "isa": engine.isa(),
        "threads": engine.threads(),
        "resident_bytes": placement.resident_bytes(),
        "streamed_bytes": placement.streamed_bytes(),
        "flash_bytes_per_token": per_token,
        "flash_bytes_prompt": timing.prompt_flash_bytes,
        "phases": phases,
        "bound": placement.forecast.bound.name(),
        "bound_tokens_per_second": placement.forecast.tokens_per_second,
        "bound_share": rate.map(|rate| rate / placement.forecast.tokens_per_second.max(1e-9)),
    });
    if let (Some(map), Some(experts)) = (answer.as_object_mut(), experts) {
        map.insert("experts".to_string(), experts);
    }
    answer
}

/// An object, a key a line, for people; long texts and lists are left out.
pub(crate) fn lines(value: &Value) -> String {
    let mut text = String::new();
    for (key, value) in value.as_object().into_iter().flatten() {
        match value {
            Value::Object(inner) => {
                text += &format!("{key}\n");
                for (name, value) in inner {
                    text += &format!("  {name:<24}{}\n", amount(value, Unit::of(key)));
                }
            }
            Value::Array(_) => {}
            _ if key == "text" => {}
            value => text += &format!("{key:<26}{}\n", amount(value, Unit::of(key))),
        }
    }
    text
}

/// What a number counts.
#[derive(Clone, Copy, PartialEq)]
enum Unit {
    Bytes,
    Seconds,
    None,
}

impl Unit {
    /// A key tells the unit of its value, or of all values of its object.
    fn of(key: &str) -> Unit {
        match key {
            "ledger" => Unit::Bytes,
            "phases" => Unit::Seconds,
            _ if key.ends_with("_bytes") || key.contains("_bytes_") => Unit::Bytes,
            _ if key.ends_with("seconds") => Unit::Seconds,
            _ => Unit::None,
        }
    }
}

/// A value with its unit.
fn amount(value: &Value, unit: Unit) -> String {
    match value {
        Value::Number(number) => match (number.as_u64(), number.as_f64()) {
            (Some(bytes), _) if unit == Unit::Bytes => format_bytes(bytes),
            (Some(count), _) => count.to_string(),
            (None, Some(seconds)) if unit == Unit::Seconds => format!("{seconds:.3} s"),
            (None, Some(x)) => format!("{x:.2}"),
            (None, None) => number.to_string(),
        },
        Value::Null => "unknown".to_string(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_read_units() {
        let value = json!({"peak_bytes": 1 << 20, "prompt_seconds": 0.5, "answer_tokens": 3, "ids": [1], "text": "x",
            "tokens_per_second": 2.0, "ledger": {"heap": 1024}, "phases": {"wait": 0.25}, "peak_charge_bytes": null});
        let text = lines(&value);
        for part in ["1.0 MiB", "0.500 s", " 3\n", "2.00\n", "1.0 KiB", "0.250 s", "unknown"] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(!text.contains("ids"));
    }
}
