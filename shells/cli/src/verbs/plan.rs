//! `pintpot plan`: what a budget would give, before a weight is read.
//!
//! What it is: the planner's account, forecast and a small table of other budgets. What it is not: a load; a model that
//! is not here is looked at where it is. The one design choice: the forecast is made with rates measured now, of the
//! types of these weights and of the very disk that holds them.

use host::format_bytes;
use pintpot::{Engine, Exchange, LoadOptions, Opened, Placement};
use serde_json::json;

use super::{Verb, curve};
use crate::exit::{Code, Failure};
use crate::flags::{self, Args};
use crate::{arrays, find, pictures, profile, refusal, report, setup, sounds};

pub(super) const VERB: Verb = Verb {
    name: "plan",
    operands: &["MODEL"],
    summary: "say what a budget would give: memory by part, speed, what limits it",
    flags: &[
        setup::LOAD,
        setup::ENGINE,
        curve::FLAGS,
        arrays::FLAGS,
        pictures::FLAGS,
        sounds::FLAGS,
        &[&flags::OUT, &flags::JSON],
    ],
    run,
};

/// More than the table takes, in bytes.
const ROWS: u64 = 256 << 10;

fn run(args: &Args) -> Result<(), Failure> {
    let (reference, _) = find::named(args)?;
    if let Some(network) = arrays::found(&reference, args)? {
        return arrays::plan(&network, args);
    }
    let name = reference.to_string();
    let options = setup::load(args)?;
    let engine = setup::engine(args)?;
    let opened = find::opened(&reference, &engine)?;
    if curve::is_wanted(args) {
        return curve::print(&name, &engine, &opened, &options, args);
    }
    let smallest = match engine.plan_in(&opened, &options, 0)? {
        Ok(placement) => placement.peak(),
        Err(refused) => refused.needed,
    };
    let json = args.is_on(&flags::JSON);
    let mut placement = match engine.plan(&opened, &options)? {
        Ok(placement) => placement,
        Err(refused) => {
            if json {
                crate::print(&format!("{}\n", refusal::json(&name, &refused)))?;
            }
            return Err(refusal::failure(&name, &engine, &opened, &options, &refused));
        }
    };
    let mut table = table(&engine, &opened, &options, smallest)?;
    // What lies where is decided by what `run` knows too; how fast that is, by what is measured now.
    let mut measured = engine.measure_for(&opened, &placement)?;
    measured.reuse = profile::reuse(&opened);
    let profiled = opened.has_routers().then_some(measured.reuse.is_some());
    for row in table.iter_mut().chain([&mut placement]) {
        row.forecast = engine.forecast(&opened, &options, row, (&measured, Exchange::TYPICAL));
    }
    if json {
        let mut value = report::placement(&placement);
        value["model"] = json!(name);
        value["smallest_budget_bytes"] = json!(smallest);
        value["disk_measured"] = json!(opened.is_here());
        value["experts_profiled"] = json!(profiled);
        value["table"] = table.iter().map(report::placement).collect();
        return crate::print(&format!("{value}\n"));
    }
    let text = text(&name, &engine, &opened, &placement, smallest, &table);
    crate::print(&(text + profile::remark(profiled)))
}

/// Budgets from the smallest to all weights in memory.
fn table(
    engine: &Engine,
    opened: &Opened,
    options: &LoadOptions,
    smallest: u64,
) -> Result<Vec<Placement>, Failure> {
    let Ok(roomiest) = engine.plan_in(opened, options, u64::MAX / 4)? else {
        return Err(Failure::new(Code::Failure, "the model does not fit any budget"));
    };
    let span = roomiest.peak().saturating_sub(smallest);
    let mut rows = Vec::new();
    for quarter in 0..4 {
        let row = match engine.plan_in(opened, options, smallest + span / 4 * quarter)? {
            // The rows so far take memory too, by which the smallest budget has grown.
            Err(refused) => engine.plan_in(opened, options, refused.needed + ROWS)?,
            fits => fits,
        };
        rows.extend(row.ok());
    }
    rows.push(Placement { budget: roomiest.peak(), ..roomiest });
    Ok(rows)
}

fn text(
    name: &str,
    engine: &Engine,
    opened: &Opened,
    placement: &Placement,
    smallest: u64,
    table: &[Placement],
) -> String {
    let forecast = placement.forecast;
    let mut text = format!("{name}: fits in {} ({})\n", engine.budget(), context(placement));
    text += &report::ledger_text(&placement.lines);
    text += &format!("  {:<12}{:>11}\n", "peak", format_bytes(placement.peak()));
    text += &format!(
        "weights {}: {} stay in memory, ",
        format_bytes(opened.weight_bytes()),
        format_bytes(placement.resident_bytes())
    );
    text += &format!("{} are read for every token\n", format_bytes(forecast.flash_bytes_per_token));
    if let Some(reading) = &placement.reading {
        text += &format!(
            "a long prompt is read {} tokens at a time, while {} stay\n",
            reading.bounds.rows,
            format_bytes(reading.resident_bytes())
        );
    }
    text += &format!("{:.1} tokens/s, bound by {}; ", forecast.tokens_per_second, forecast.bound.name());
    text += &format!(
        "first token of a {}-token prompt after {:.2} s",
        forecast.prompt_tokens, forecast.first_token_seconds
    );
    text += if opened.is_here() { "\n" } else { " (with a guess at the disk, as the model is not here)\n" };
    text += &format!("smallest budget: --memory {}\n\n", crate::size::budget(smallest));
    text += "      budget  weights kept   read/token  tokens/s  first token  bound\n";
    for row in table {
        text += &format!(
            "{:>12}  {:>12}  {:>11}  {:>8.1}  {:>9.2} s  {}\n",
            format_bytes(row.budget),
            format_bytes(row.resident_bytes()),
            format_bytes(row.forecast.flash_bytes_per_token),
            row.forecast.tokens_per_second,
            row.forecast.first_token_seconds,
            row.forecast.bound.name(),
        );
    }
    text
}

fn context(placement: &Placement) -> String {
    format!("{} tokens of context, {} KV", placement.context, placement.kv.name())
}
