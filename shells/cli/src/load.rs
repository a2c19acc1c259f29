//! A model, loaded as the command line wants it, or refused in words.
//!
//! What it is: what the verbs that answer have in common. What it is not: the finding of its files. The one design choice: a
//! refusal says what would fit, as it has to be typed.

use pintpot::{Engine, LoadOptions, Model, Opened, Placement};
use serde_json::Value;

use crate::exit::{Code, Failure};
use crate::flags::{self, Args};
use crate::{profile, refusal, setup};

/// Loads the model; a refusal says what would fit.
pub(crate) fn opened(
    name: &str,
    engine: &Engine,
    opened: Opened,
    options: &LoadOptions,
    args: &Args,
) -> Result<Model, Failure> {
    planned(name, engine, &opened, options, args)?;
    let frugal = setup::frugal(args, profile::reuse(&opened))?;
    let mut model = engine.load_opened(opened, options)?;
    frugal.apply(&mut model)?;
    frugal.tell();
    Ok(model)
}

/// Where the model would lie; a refusal says what would fit.
pub(crate) fn planned(
    name: &str,
    engine: &Engine,
    opened: &Opened,
    options: &LoadOptions,
    args: &Args,
) -> Result<Placement, Failure> {
    planned_beside(0, name, engine, opened, options, args)
}

/// As [`planned`], where other things hold so much of the budget.
pub(crate) fn planned_beside(
    beside: u64,
    name: &str,
    engine: &Engine,
    opened: &Opened,
    options: &LoadOptions,
    args: &Args,
) -> Result<Placement, Failure> {
    let refused = match engine.plan_in(opened, options, engine.budget().bytes.saturating_sub(beside))? {
        Ok(placement) => return Ok(placement),
        Err(refused) => refused,
    };
    let failure = refusal::failure_beside(beside, name, engine, opened, options, &refused);
    let refused = refusal::of_all(refused, engine, beside);
    if args.is_on(&flags::JSON) {
        let mut value = refusal::json(name, &refused);
        value["message"] = Value::String(failure.message.clone());
        crate::print(&format!("{value}\n"))?;
    }
    Err(Failure::new(Code::Budget, failure.message))
}
