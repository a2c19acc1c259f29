//! `pintpot bench kernels`: every kernel set of this CPU on one shape.
//!
//! What it is: a shape and types into the library's [`ProductBench`], and its times into a table. What it is not: a choice;
//! the mark stands where dispatch chose. The one design choice: the columns are rates, since seconds of different shapes
//! cannot be compared.

use pintpot::bench::{Order, ProductBench, ProductTime};
use serde_json::{Value, json};

use super::table::{self, Column, Format, number, percent, word};
use crate::exit::Failure;
use crate::flags::{self, Args};
use crate::setup;
use crate::verbs::Verb;

pub(crate) const VERB: Verb = Verb {
    name: "bench kernels",
    operands: &["M,K[,N]"],
    summary: "time every kernel set on M rows of K columns times N columns",
    flags: &[&[&flags::TYPE, &flags::THREADS, &flags::ISA, &flags::OUTPUT]],
    run,
};

const COLUMNS: &[Column] = &[
    ("type", false, |row| word(&row["type"])),
    ("shape", true, |row| word(&row["shape"])),
    ("kernels", false, |row| word(&row["isa"])),
    ("rows", false, |row| word(&row["order"])),
    ("threads", true, |row| row["n_threads"].to_string()),
    ("GB/s", true, |row| giga(&row["bytes_per_second"])),
    ("of reading", true, |row| percent(&row["bandwidth_share"])),
    ("G multiply-adds/s", true, |row| giga(&row["macs_per_second"])),
    ("of the peak", true, |row| percent(&row["arithmetic_share"])),
    ("in cache", true, |row| giga(&row["cache_macs_per_second"])),
    ("", false, note),
];

fn run(args: &Args) -> Result<(), Failure> {
    let format = Format::of(args)?;
    let mut bench = shape(args)?;
    bench.types = args.all(&flags::TYPE).flat_map(|list| list.split(',')).map(str::to_string).collect();
    if bench.types.is_empty() {
        bench.types.push("q4_0".to_string());
    }
    let mut rows = Vec::new();
    for engine in setup::engines(args, host::Memory::Auto)? {
        rows.extend(bench.run(&engine)?.iter().map(|time| row(&bench, time)));
    }
    crate::print(&table::print(format, COLUMNS, &rows))
}

fn shape(args: &Args) -> Result<ProductBench, Failure> {
    let text = args.operands.first().map_or("", String::as_str);
    let numbers: Option<Vec<u32>> = text.split(',').map(|number| number.trim().parse().ok()).collect();
    let (rows, columns, activations) = match numbers.as_deref() {
        Some(&[rows, columns]) => (rows, columns, 1),
        Some(&[rows, columns, activations]) => (rows, columns, activations),
        _ => {
            let said = format!("{text:?} is no shape; write rows, columns and columns of activations");
            return Err(Failure::usage(format!("{said}\n  pintpot bench kernels 4096,4096,1 --type q4_0")));
        }
    };
    Ok(ProductBench { rows, columns, activations, types: Vec::new() })
}

fn row(bench: &ProductBench, time: &ProductTime) -> Value {
    json!({
        "type": time.dtype.name(),
        "shape": format!("{},{},{}", bench.rows, bench.columns, bench.activations),
        "isa": time.isa,
        "order": match time.order {
            Order::Rows => "as in a file",
            Order::Panels => "side by side",
        },
        "n_threads": time.threads,
        "is_chosen": time.is_chosen,
        "is_fast": time.is_fast,
        "bytes": time.bytes,
        "median_seconds": time.memory.median,
        "best_seconds": time.memory.best,
        "bytes_per_second": time.bytes_per_second(),
        "macs_per_second": time.macs_per_second(),
        "cache_rows": time.cache_rows,
        "cache_median_seconds": time.cache.median,
        "cache_best_seconds": time.cache.best,
        "cache_macs_per_second": time.cache_macs_per_second(bench.rows),
        "memory_bytes_per_second": time.silicon.memory_bytes,
        "peak_macs_per_second": time.silicon.macs(time.dtype),
        "bandwidth_share": time.bandwidth_share(),
        "arithmetic_share": time.arithmetic_share(),
    })
}

fn giga(value: &Value) -> String {
    format!("{:.1}", number(value) / 1e9)
}

/// Marks what dispatch takes, and what has no kernel of its own.
fn note(row: &Value) -> String {
    match (row["is_chosen"] == true, row["is_fast"] == true) {
        (true, true) => "<- taken",
        (true, false) => "<- taken, by the definition",
        (false, true) => "",
        (false, false) => "by the definition",
    }
    .to_string()
}
