//! `pintpot plan --sweep`: many budgets, before a weight is read.
//!
//! What it is: the library's [`Curve`] as a table and as JSON. What it is not: a measurement, which is `bench sweep`. The
//! one design choice: a budget that is too small is a row like any other, and names the smallest that works.

use host::format_bytes;
use pintpot::{Curve, CurvePoint, Engine, Exchange, LoadOptions, Opened};
use serde_json::{Value, json};

use crate::exit::Failure;
use crate::flags::{self, Args, Flag};
use crate::{profile, refusal, report, size};

/// What a sweep is told.
pub(super) const FLAGS: &[&Flag] = &[&flags::SWEEP, &flags::BUDGETS, &flags::N_PROMPT, &flags::N_GEN];

/// Whether many budgets are asked for.
pub(super) fn is_wanted(args: &Args) -> bool {
    args.is_on(&flags::SWEEP) || args.typed(&flags::BUDGETS).is_some()
}

/// The exchange that the flags name; what they leave out is that of `otherwise`.
pub(super) fn exchange(args: &Args, otherwise: Exchange) -> Result<Exchange, Failure> {
    const TOKENS: &str = "one number of tokens, at least 1";
    let read = |flag, otherwise| match args.read(flag, TOKENS)? {
        Some(0) => Err(flags::wrong(flag, "0", TOKENS)),
        tokens => Ok(tokens.unwrap_or(otherwise)),
    };
    Ok(Exchange {
        prompt: read(&flags::N_PROMPT, otherwise.prompt)?,
        answer: read(&flags::N_GEN, otherwise.answer)?,
    })
}

/// Prints what each budget would give.
pub(super) fn print(
    name: &str,
    engine: &Engine,
    opened: &Opened,
    options: &LoadOptions,
    args: &Args,
) -> Result<(), Failure> {
    let amounts = args.get(&flags::BUDGETS).map_or(Ok(Default::default()), str::parse)?;
    let exchange = exchange(args, Exchange::TYPICAL)?;
    let reuse = profile::reuse(opened);
    let profiled = opened.has_routers().then_some(reuse.is_some());
    let curve = engine.curve(opened, options, &amounts, (exchange, reuse))?;
    if args.is_on(&flags::JSON) {
        let rows = curve.points.iter().map(|point| row(name, &curve, point));
        let value = json!({
            "model": name,
            "file_bytes": curve.file_bytes,
            "smallest_budget_bytes": curve.smallest,
            "disk_bytes_per_second": curve.disk_bytes,
            "disk_measured": opened.is_here(),
            "experts_profiled": profiled,
            "table": rows.collect::<Vec<Value>>(),
        });
        return crate::print(&format!("{value}\n"));
    }
    crate::print(&(text(name, opened, exchange, &curve) + profile::remark(profiled)))
}

/// A budget as programs read it.
fn row(name: &str, curve: &Curve, point: &CurvePoint) -> Value {
    let mut row = match &point.placement {
        Ok(placement) => report::placement(placement),
        Err(refused) => refusal::json(name, refused),
    };
    row["budget_bytes"] = json!(point.budget);
    row["file_share"] = json!(point.budget as f64 / curve.file_bytes.max(1) as f64);
    row["prompt_tokens_per_second"] =
        json!(point.placement.as_ref().ok().map(|placement| placement.forecast.prompt_rate()));
    row
}

fn text(name: &str, opened: &Opened, exchange: Exchange, curve: &Curve) -> String {
    let Exchange { prompt, answer } = exchange;
    let disk = if opened.is_here() { "" } else { ", a guess, as the model is not here" };
    let mut text = format!(
        "{name}: {}; a prompt of {prompt} tokens and an answer of {answer}; the disk gives {}/s{disk}\n",
        format_bytes(curve.file_bytes),
        format_bytes(curve.disk_bytes as u64)
    );
    text += &format!("smallest budget: --memory {}\n\n", size::budget(curve.smallest));
    text += "      budget  of file        kept    streamed  read/token  prompt t/s  answer t/s  bound\n";
    for point in &curve.points {
        let share = point.budget as f64 / curve.file_bytes.max(1) as f64 * 100.0;
        text += &format!("{:>12}  {share:>6.0}%  ", format_bytes(point.budget));
        text += &match &point.placement {
            Err(_) => format!("refused: the smallest budget is {}\n", size::budget(curve.smallest)),
            Ok(placement) => format!(
                "{:>10}  {:>10}  {:>10}  {:>10.2}  {:>10.2}  {}\n",
                format_bytes(placement.resident_bytes()),
                format_bytes(placement.streamed_bytes()),
                format_bytes(placement.forecast.flash_bytes_per_token),
                placement.forecast.prompt_rate(),
                placement.forecast.tokens_per_second,
                placement.forecast.bound.name(),
            ),
        };
    }
    text
}
