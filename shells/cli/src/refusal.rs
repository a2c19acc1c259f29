//! A budget that is too small, in words and as JSON.
//!
//! What it is: need, breakdown, what would fit, the smallest budget that works. What it is not: the search; every
//! suggestion was placed by the planner before it is named. The one design choice: the smallest budget is printed as
//! it has to be typed.

use host::format_bytes;
pub(crate) use pintpot::report::refusal as json;
use pintpot::{Engine, KvFormat, LoadOptions, Opened, Refusal};

use crate::exit::{Code, Failure};
use crate::{report, size};

/// Contexts that are offered, largest first.
const OFFERED: [u32; 6] = [2048, 1024, 512, 256, 128, 64];

/// What would fit this engine's budget instead.
fn alternatives(
    engine: &Engine,
    opened: &Opened,
    options: &LoadOptions,
    refusal: &Refusal,
) -> Vec<(LoadOptions, u64)> {
    let fits = |options: LoadOptions| match engine.plan_in(opened, &options, refusal.budget) {
        Ok(Ok(placement)) => Some((options, placement.peak())),
        _ => None,
    };
    let mut offers: Vec<(LoadOptions, u64)> = Vec::new();
    for kv in [options.kv, KvFormat::Q8_0] {
        let smaller = OFFERED.into_iter().filter(|context| *context < refusal.context);
        let contexts = std::iter::once(refusal.context).chain(smaller);
        let offer = contexts
            .filter_map(|context| fits(LoadOptions { context: Some(context), kv, ..*options }))
            .next();
        offers.extend(
            offer.filter(|(offer, _)| offers.iter().all(|(other, _)| other.context != offer.context)),
        );
    }
    offers
}

/// What has to be typed for these options, with a space after each word.
fn flags_of(options: &LoadOptions) -> String {
    let context = options.context.map_or(String::new(), |context| format!("-c {context} "));
    if options.kv == KvFormat::default() { context } else { format!("{context}--kv {} ", options.kv.name()) }
}

/// The refusal as a failure, in the words of the project's rules for refusals.
pub(crate) fn failure(
    name: &str,
    engine: &Engine,
    opened: &Opened,
    options: &LoadOptions,
    refusal: &Refusal,
) -> Failure {
    failure_beside(0, name, engine, opened, options, refusal)
}

/// A refusal in figures of the whole process, of which other things hold so much.
pub(crate) fn of_all(refusal: Refusal, engine: &Engine, beside: u64) -> Refusal {
    match beside {
        0 => refusal,
        _ => Refusal { needed: refusal.needed + beside, budget: engine.budget().bytes, ..refusal },
    }
}

/// As [`failure`], for a refusal of what other things leave that hold so much.
pub(crate) fn failure_beside(
    beside: u64,
    name: &str,
    engine: &Engine,
    opened: &Opened,
    options: &LoadOptions,
    refusal: &Refusal,
) -> Failure {
    let offers = alternatives(engine, opened, options, refusal);
    let refusal = &of_all(refusal.clone(), engine, beside);
    let budget = format_bytes(refusal.budget);
    let mut text = format!("{name} cannot run in {budget}; nothing was loaded\n");
    text += &format!(
        "  needs at least {} (weights streamed from disk, {} tokens of context, {} KV)\n",
        format_bytes(refusal.needed),
        refusal.context,
        options.kv.name()
    );
    for line in report::ledger_text(&refusal.lines).lines() {
        text += &format!("  {line}\n");
    }
    if beside > 0 {
        text += &format!("  what is loaded whole beside it  {}\n", format_bytes(beside));
    }
    for (offer, peak) in offers {
        text += &format!("  would fit in {budget}: {}({})\n", flags_of(&offer), format_bytes(peak + beside));
    }
    text += &format!("  smallest budget: --memory {}\n", size::budget(refusal.needed));
    if options.crowd.is_some() {
        return Failure::new(Code::Budget, text.trim_end());
    }
    let asked = flags_of(options);
    text += &format!("  see: pintpot plan {name} {asked}--memory {}", size::budget(refusal.needed));
    Failure::new(Code::Budget, text)
}
