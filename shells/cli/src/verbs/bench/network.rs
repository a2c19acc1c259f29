//! `pintpot bench` of a network: how long a run takes, and which operators take it.
//!
//! The one design choice: inputs that are not given are numbers between -1 and 1 that are always the same, and ones where
//! they are whole; what a network does with them is nobody's concern here.

use pintpot::bench::NetworkTimes;
use pintpot::{Array, Elem, PortType};
use serde_json::json;

use super::{Format, repetitions};
use crate::arrays::{self, Found};
use crate::exit::Failure;
use crate::flags::Args;

/// Timed runs, if not said.
const RUNS: u32 = 10;

/// Times a network.
pub(super) fn run(found: &Found, args: &Args, format: Format) -> Result<(), Failure> {
    let feeds = arrays::feeds(found, args)?;
    let built = arrays::built(found, &feeds)?;
    let given: Vec<(String, Box<[u8]>)> = built
        .inputs()
        .into_iter()
        .map(|port| {
            let fed = feeds.iter().find(|feed| feed.name == port.name).and_then(|feed| feed.bytes.clone());
            let bytes = fed.unwrap_or_else(|| numbers(&port));
            (port.name, bytes)
        })
        .collect();
    drop(feeds);
    let mut network = arrays::loaded(found, built)?;
    let given: Vec<(&str, &[u8])> = given.iter().map(|(name, bytes)| (&**name, &**bytes)).collect();
    let times = network.bench(&given, repetitions(args)?.unwrap_or(RUNS))?;
    let text = if matches!(format, Format::Json) { json(&found.name, &times) } else { plain(&times) };
    crate::print(&text)
}

/// Numbers for an input that was not given.
fn numbers(port: &PortType) -> Box<[u8]> {
    let mut state = 1u32;
    let count = port.kind.extents.elements();
    let numbers = (0..count).flat_map(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let number = f64::from(state >> 8) / f64::from(1 << 23) - 1.0;
        if port.kind.elem == Elem::F32 {
            return (number as f32).to_le_bytes().to_vec();
        }
        let number = if port.kind.elem.is_float() { number } else { 1.0 };
        Array::number(port.kind.elem, number).bytes.into_vec()
    });
    numbers.collect()
}

/// Least, median and most.
fn spread(seconds: &[f64]) -> [f64; 3] {
    let mut sorted = seconds.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |place: usize| sorted.get(place).copied().unwrap_or_default();
    [at(0), at(sorted.len() / 2), at(sorted.len().saturating_sub(1))]
}

fn json(name: &str, times: &NetworkTimes) -> String {
    let operators = times.operators.iter().map(|operator| {
        json!({
            "name": operator.name,
            "nodes": operator.nodes,
            "seconds": operator.seconds,
            "multiply_adds": operator.macs,
            "slowest": {"seconds": operator.slowest.0, "shapes": operator.slowest.1},
        })
    });
    let nodes = times.nodes.iter().map(|node| {
        json!({"name": node.name, "shapes": node.shapes, "seconds": node.seconds, "multiply_adds": node.macs})
    });
    let [least, median, most] = spread(&times.seconds);
    let value = json!({
        "model": name,
        "seconds": {"least": least, "median": median, "most": most, "runs": times.seconds.len()},
        "multiply_adds": times.macs,
        "operators": operators.collect::<Vec<_>>(),
        "nodes": nodes.collect::<Vec<_>>(),
    });
    format!("{value}\n")
}

fn plain(times: &NetworkTimes) -> String {
    let [least, median, most] = spread(&times.seconds);
    let mut text = format!(
        "{:.3} ms a run, median of {} ({:.3} to {:.3}); {:.1} billion multiply-adds a second\n\n",
        median * 1e3,
        times.seconds.len(),
        least * 1e3,
        most * 1e3,
        times.macs as f64 / median.max(1e-9) / 1e9,
    );
    text += "operator          nodes         ms   share      G/s  slowest\n";
    let all: f64 = times.operators.iter().map(|operator| operator.seconds).sum();
    for operator in &times.operators {
        let rate = operator.macs as f64 / operator.seconds.max(1e-9) / 1e9;
        let rate = if operator.macs > 0 { format!("{rate:.1}") } else { String::new() };
        text += &format!(
            "{:<18}{:>5}{:>11.3}{:>7.1}%{:>9}  {:.3} ms: {}\n",
            operator.name,
            operator.nodes,
            operator.seconds * 1e3,
            operator.seconds / all.max(1e-12) * 100.0,
            rate,
            operator.slowest.0 * 1e3,
            operator.slowest.1,
        );
    }
    text
}
