//! `pintpot rerank`: texts in the order in which they answer a query.
//!
//! What it is: find, load, ask, sort. What it is not: the task, which is the library's. The one design choice: of each text only
//! its beginning is kept, to be shown beside its score.

use serde_json::json;

use super::Verb;
use crate::encoders::{self, Texts};
use crate::exit::Failure;
use crate::flags::{self, Args};
use crate::{report, setup};

pub(super) const VERB: Verb = Verb {
    name: "rerank",
    operands: &["MODEL", "[TEXT...]"],
    summary: "score how well texts answer a query, best first",
    flags: &[encoders::FLAGS, setup::ENGINE, &[&flags::QUERY, &flags::INPUT, &flags::JSON, &flags::STATS]],
    run,
};

/// Characters of a text that are shown.
const SHOWN: usize = 100;

fn run(args: &Args) -> Result<(), Failure> {
    let query = args.get(&flags::QUERY).filter(|query| !query.is_empty());
    let query =
        query.ok_or_else(|| Failure::usage("there is no query\n  say what is looked for with --query"))?;
    let found = encoders::found(args)?;
    let mut texts = Texts::new(&found.words, args)?;
    let longest = found.options.longest.unwrap_or(found.file.longest());
    if let Err(refused) =
        found.engine.plan_rerank(&found.file, &found.options, found.engine.budget().bytes)?
    {
        return Err(encoders::refusal(&found.name, longest, &refused));
    }
    let mut task = found.engine.load_rerank(found.file, &found.options)?;
    let start = std::time::Instant::now();
    let (mut scored, mut tokens) = (Vec::new(), 0);
    loop {
        let some = texts.next()?;
        if some.is_empty() {
            break;
        }
        let own: Vec<&str> = some.iter().map(String::as_str).collect();
        let mut scores = Vec::new();
        tokens += task.score(query, &own, |score| scores.push(score))?;
        for (text, score) in own.into_iter().zip(scores) {
            scored.push((score, scored.len(), text.chars().take(SHOWN).collect::<String>()));
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let (lines, engine) = (task.lines(), &found.engine);
    if args.is_on(&flags::JSON) {
        let result = |(score, index, _): &(f32, usize, String)| json!({"index": index, "score": score});
        let value = json!({
            "model": found.name,
            "results": scored.iter().map(result).collect::<Vec<_>>(),
            "tokens": tokens,
            "seconds": seconds,
            "planned_peak_bytes": encoders::peak(lines),
            "budget_bytes": engine.budget().bytes,
            "ledger": report::ledger(lines),
        });
        return crate::print(&format!("{value}\n"));
    }
    let shown = scored.iter().map(|(score, index, text)| format!("{score:>10.4}  {index:>4}  {text}\n"));
    crate::print(&shown.collect::<String>())?;
    if args.is_on(&flags::STATS) {
        eprint!("{} texts, {tokens} tokens, {seconds:.3} s\n{}", scored.len(), report::ledger_text(lines));
    }
    Ok(())
}
