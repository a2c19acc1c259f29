//! A model, loaded as the command line wants it, or refused in words.
//!
//! What it is: what the verbs that answer have in common. What it is not: the finding of its files. The one design choice: a
//! refusal says what would fit, as it has to be typed.

use pintpot::{Engine, LoadOptions, Model, Opened};
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
    if let Err(refused) = engine.plan(&opened, options)? {
        let failure = refusal::failure(name, engine, &opened, options, &refused);
        if args.is_on(&flags::JSON) {
            let mut value = refusal::json(name, &refused);
            value["message"] = Value::String(failure.message.clone());
            crate::print(&format!("{value}\n"))?;
        }
        return Err(Failure::new(Code::Budget, failure.message));
    }
    let reuse = profile::reuse(&opened);
    let mut model = engine.load_opened(opened, options)?;
    let economy = setup::economize(&mut model, args, reuse)?;
    if !economy.is_off() {
        eprintln!(
            "experts are left out as asked, so answers differ: eval --text with the same flags says how much"
        );
    }
    Ok(model)
}
