//! Outcomes as a table, as JSON and as comma-separated values.
//!
//! What it is: the names of llama-bench's columns, and ours after them. What it is not: arithmetic. The one design choice:
//! an outcome is one JSON object; the other formats pick from it, so that they cannot disagree.

use std::path::Path;

use host::format_bytes;
use pintpot::Phase;
use pintpot::bench::{Measured, Outcome};
use serde_json::{Map, Value, json};

use crate::exit::Failure;
use crate::flags::{self, Args, wrong};

/// How outcomes are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Csv,
    Json,
    Markdown,
}

impl Format {
    /// The one that the flags name.
    pub fn of(args: &Args) -> Result<Format, Failure> {
        match args.get(&flags::OUTPUT) {
            None | Some("md") => Ok(Format::Markdown),
            Some("json") => Ok(Format::Json),
            Some("csv") => Ok(Format::Csv),
            Some(other) => Err(wrong(&flags::OUTPUT, other, "md, json or csv")),
        }
    }
}

/// All outcomes of the model at `path`.
pub(super) fn text(format: Format, path: &Path, measured: &Measured) -> String {
    let rows: Vec<Value> = measured.outcomes.iter().map(|outcome| row(path, measured, outcome)).collect();
    print(format, COLUMNS, &rows)
}

/// Objects with the same keys; `columns` are what a table shows of them.
pub(super) fn print(format: Format, columns: &[Column], rows: &[Value]) -> String {
    match format {
        Format::Csv => csv(rows),
        Format::Json => format!("{:#}\n", Value::from(rows)),
        Format::Markdown => markdown(columns, rows),
    }
}

/// One outcome under llama-bench's names, then under ours.
pub(super) fn row(path: &Path, measured: &Measured, outcome: &Outcome) -> Value {
    let (rate, deviation) = outcome.rate();
    let (seconds, spread) = outcome.seconds();
    let ns = |seconds: f64| json!((seconds * 1e9).round() as u64);
    let placement = &outcome.placement;
    json!({
        "model_filename": path.display().to_string(),
        "model_type": measured.kind,
        "model_size": measured.bytes,
        "model_n_params": measured.parameters,
        "backends": format!("CPU ({})", outcome.isa),
        "n_batch": placement.chunk(),
        "n_ubatch": placement.chunk(),
        "n_threads": outcome.threads,
        "type_k": placement.kv.name(),
        "type_v": placement.kv.name(),
        "n_prompt": outcome.test.prompt,
        "n_gen": outcome.test.answer,
        "n_depth": outcome.test.depth,
        "avg_ns": ns(seconds),
        "stddev_ns": ns(spread),
        "avg_ts": rate,
        "stddev_ts": deviation,
        "samples_ns": outcome.samples.iter().map(|sample| ns(sample.seconds)).collect::<Vec<_>>(),
        "samples_ts": outcome.samples.iter().map(|sample| outcome.rate_of(sample)).collect::<Vec<_>>(),
        "test": outcome.test.name(),
        "budget_bytes": placement.budget,
        "predicted_peak_bytes": placement.peak(),
        "peak_charge_bytes": outcome.charge_peak,
        "resident_bytes": placement.resident_bytes(),
        "streamed_bytes": placement.streamed_bytes(),
        "touched_bytes_per_token": outcome.touched_per_token(),
        "flash_bytes_per_token": outcome.flash_per_token(),
        "bandwidth_share": outcome.bandwidth_share(),
        "arithmetic_share": outcome.arithmetic_share(),
        "memory_bytes_per_second": outcome.silicon.memory_bytes,
        "peak_byte_macs_per_second": outcome.silicon.byte_macs,
        "peak_float_macs_per_second": outcome.silicon.float_macs,
        "macs_per_second": outcome.macs as f64 / outcome.seconds().0.max(1e-9),
        "page_cache_share": measured.cached,
        "phases": phases(outcome),
    })
}

/// Seconds of a run by phase, on average; what products waited for flash is apart.
fn phases(outcome: &Outcome) -> Value {
    let mut phases: Map<_, _> = outcome
        .phase_seconds()
        .into_iter()
        .zip(Phase::ALL)
        .map(|(seconds, phase)| (phase.name().to_string(), json!(seconds)))
        .collect();
    phases.insert("wait".to_string(), json!(outcome.wait_seconds()));
    Value::Object(phases)
}

/// The columns of the table: title, whether it goes to the right, and what stands in it.
pub(super) type Column = (&'static str, bool, fn(&Value) -> String);

const COLUMNS: &[Column] = &[
    ("model", false, |row| word(&row["model_type"])),
    ("size", true, |row| bytes(&row["model_size"])),
    ("params", true, |row| millions(&row["model_n_params"])),
    ("backend", false, |row| word(&row["backends"])),
    ("threads", true, |row| row["n_threads"].to_string()),
    ("test", true, |row| word(&row["test"])),
    ("t/s", true, |row| format!("{:.2} ± {:.2}", number(&row["avg_ts"]), number(&row["stddev_ts"]))),
    ("budget", true, |row| bytes(&row["budget_bytes"])),
    ("peak", true, |row| bytes(&row["predicted_peak_bytes"])),
    ("group's peak", true, |row| bytes(&row["peak_charge_bytes"])),
    ("touched/token", true, |row| bytes(&row["touched_bytes_per_token"])),
    ("flash/token", true, |row| bytes(&row["flash_bytes_per_token"])),
    ("of bandwidth", true, |row| percent(&row["bandwidth_share"])),
    ("of arithmetic", true, |row| percent(&row["arithmetic_share"])),
    ("in page cache", true, |row| percent(&row["page_cache_share"])),
];

fn markdown(columns: &[Column], rows: &[Value]) -> String {
    let columns =
        columns.iter().map(|(title, right, cell)| (*title, *right, rows.iter().map(cell).collect()));
    lined_up(&columns.collect::<Vec<_>>())
}

/// A table whose columns, each with a title, a side and its cells, stand under each other.
fn lined_up(columns: &[(&str, bool, Vec<String>)]) -> String {
    let width = |text: &str| text.chars().count();
    let widest =
        |title: &str, cells: &[String]| cells.iter().map(|cell| width(cell)).fold(width(title), usize::max);
    let widths: Vec<usize> = columns.iter().map(|(title, _, cells)| widest(title, cells)).collect();
    let line = |cell: &dyn Fn(usize) -> String| {
        let cells = columns.iter().zip(&widths).enumerate().map(|(n, ((_, right, _), width))| match right {
            true => format!(" {:>width$} |", cell(n)),
            false => format!(" {:<width$} |", cell(n)),
        });
        format!("|{}\n", cells.collect::<String>())
    };
    let mut text = line(&|n| columns[n].0.to_string());
    let rules = columns.iter().zip(&widths).map(|((_, right, _), width)| match right {
        true => format!(" {}: |", "-".repeat(width - 1)),
        false => format!(" {} |", "-".repeat(*width)),
    });
    text += &format!("|{}\n", rules.collect::<String>());
    for row in 0..columns.first().map_or(0, |column| column.2.len()) {
        text += &line(&|n| columns[n].2[row].clone());
    }
    text
}

/// Every value that is no list and no object, in quotes as llama-bench has them.
fn csv(rows: &[Value]) -> String {
    let plain = |row: &Value| -> Vec<(String, String)> {
        let fields = row.as_object().into_iter().flatten();
        let plain = fields.filter(|(_, value)| !value.is_array() && !value.is_object());
        plain.map(|(key, value)| (key.clone(), word(value))).collect()
    };
    let mut text = String::new();
    for (number, row) in rows.iter().map(plain).enumerate() {
        if number == 0 {
            text += &row.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>().join(",");
            text.push('\n');
        }
        let values = row.iter().map(|(_, value)| format!("\"{}\"", value.replace('"', "\"\"")));
        text += &values.collect::<Vec<_>>().join(",");
        text.push('\n');
    }
    text
}

pub(super) fn word(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

pub(super) fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or(0.0)
}

pub(super) fn bytes(value: &Value) -> String {
    value.as_f64().map_or("-".to_string(), |bytes| format_bytes(bytes as u64))
}

pub(super) fn percent(value: &Value) -> String {
    value.as_f64().map_or("-".to_string(), |share| format!("{:.0}%", share * 100.0))
}

fn millions(value: &Value) -> String {
    match number(value) {
        count if count >= 1e9 => format!("{:.2} B", count / 1e9),
        count => format!("{:.2} M", count / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_under_each_other() {
        let columns = [
            ("a", false, vec!["long".to_string(), "b".to_string()]),
            ("t/s", true, vec!["1 ± 2".to_string(), "7".to_string()]),
        ];
        let expected = "\
            | a    |   t/s |\n\
            | ---- | ----: |\n\
            | long | 1 ± 2 |\n\
            | b    |     7 |\n";
        assert_eq!(lined_up(&columns), expected);
    }

    #[test]
    fn values_are_quoted_and_lists_left_out() {
        let rows = [json!({"a": "x, \"y\"", "list": [1], "b": 2.5, "none": null})];
        assert_eq!(csv(&rows), "a,b,none\n\"x, \"\"y\"\"\",\"2.5\",\"\"\n");
    }
}
