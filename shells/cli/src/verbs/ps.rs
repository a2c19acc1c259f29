//! `pintpot ps`: the models of a running server, and what each holds.
//!
//! What it is: a table of what the server tells. What it is not: a look at processes. The one design choice: models that are not
//! loaded are listed too, since they are a request away.

use host::format_bytes;
use serde_json::Value;

use super::Verb;
use crate::client;
use crate::exit::Failure;
use crate::flags::{self, Args};

pub(super) const VERB: Verb = Verb {
    name: "ps",
    operands: &[],
    summary: "list the models of a running server, and what they hold",
    flags: &[&[&flags::HOST, &flags::PORT, &flags::API_KEY, &flags::JSON]],
    run,
};

fn run(args: &Args) -> Result<(), Failure> {
    let status = client::ask(args, "GET", "/v1/pintpot/status", None)?;
    if args.is_on(&flags::JSON) {
        return crate::print(&format!("{status}\n"));
    }
    crate::print(&table(&status))
}

fn table(status: &Value) -> String {
    let bytes = |value: &Value| format_bytes(value.as_u64().unwrap_or(0));
    let models = status["models"].as_array().map_or([].as_slice(), Vec::as_slice);
    let width = models.iter().filter_map(|model| Some(model["id"].as_str()?.len())).max().unwrap_or(0).max(5);
    let mut text =
        format!("{:<width$}  {:>11}  {:>7}  {:>9}  stays\n", "model", "memory", "context", "answering");
    for model in models {
        let (held, stays) = match (model["loaded"] == true, model["stays_seconds"].as_f64()) {
            (false, _) => ("not loaded".to_string(), String::new()),
            (true, None) if model["running"].is_null() => (bytes(&model["held_bytes"]), "always".to_string()),
            (true, None) => (bytes(&model["held_bytes"]), "as long as there is room".to_string()),
            (true, Some(seconds)) => (bytes(&model["held_bytes"]), format!("{seconds:.0} s")),
        };
        let context = model["context"].to_string();
        let running = model["running"].as_u64().map_or(String::new(), |running| running.to_string());
        let name = model["id"].as_str().unwrap_or("");
        text += format!("{name:<width$}  {held:>11}  {context:>7}  {running:>9}  {stays}").trim_end();
        text += "\n";
    }
    text + &format!("{} of {} are held\n", bytes(&status["held_bytes"]), bytes(&status["budget_bytes"]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn models_are_a_line_each() {
        let status = json!({
            "held_bytes": 1 << 20, "budget_bytes": 1 << 30,
            "models": [
                { "id": "smollm2", "loaded": true, "held_bytes": 1 << 20, "context": 512, "running": 2, "stays_seconds": 12.4 },
                { "id": "w", "loaded": true, "held_bytes": 1 << 19, "context": 448, "running": null, "stays_seconds": null },
                { "id": "b", "loaded": false, "held_bytes": 0, "context": 64, "running": 0, "stays_seconds": null },
            ],
        });
        let lines = [
            "model         memory  context  answering  stays",
            "smollm2      1.0 MiB      512          2  12 s",
            "w          512.0 KiB      448             always",
            "b         not loaded       64          0",
            "1.0 MiB of 1.00 GiB are held",
        ];
        assert_eq!(table(&status).lines().collect::<Vec<_>>(), lines);
    }
}
