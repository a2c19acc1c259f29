//! `pintpot ocr`: what is written on a picture.
//!
//! What it is: the folder of networks and the picture that the command line names, and the lines told or drawn. What it is not:
//! the reading. The one design choice: without a flag it prints text and nothing else, so that it can be piped.

use std::path::Path;

use host::format_bytes;
use pintpot::image::Source;
use pintpot::tasks::{Ocr, Page};
use serde_json::{Value, json};

use super::Verb;
use crate::exit::{Code, Failure};
use crate::flags::{self, Args};
use crate::{pictures, report, setup, size};

pub(super) const VERB: Verb = Verb {
    name: "ocr",
    operands: &["PICTURE"],
    summary: "read what is written on a picture, with the networks of a folder",
    flags: &[&[&flags::MODELS, &flags::OUT], setup::ENGINE, &[&flags::PLAN, &flags::JSON, &flags::STATS]],
    run,
};

/// What a line is drawn in.
const MARK: pintpot::image::Colour = [255, 0, 80];

fn run(args: &Args) -> Result<(), Failure> {
    let [image] = &*args.operands else {
        return Err(Failure::usage("no picture is named\n  pintpot ocr page.png --models FOLDER"));
    };
    let folder = args.get(&flags::MODELS).ok_or_else(|| {
        Failure::usage(
            "no networks are named\n  --models FOLDER has those of PP-OCR: det.onnx, rec.onnx, keys.txt",
        )
    })?;
    let engine = setup::engine(args)?;
    let ocr = Ocr::in_folder(Path::new(folder))?;
    let source = Source::open(Path::new(image)).map_err(pintpot::Error::from)?;
    let budget = engine.budget().bytes;
    let plan = ocr.plan_in(&engine, &source, budget)?;
    let lines = plan.map_err(|refused| {
        let mut text = format!("{image} cannot be read in {}; nothing was loaded\n", format_bytes(budget));
        text += &format!("  needs at least {}\n", format_bytes(refused.needed));
        text += &report::ledger_text(&refused.lines);
        text += &format!("  smallest budget: --memory {}", size::budget(refused.needed));
        Failure::new(Code::Budget, text)
    })?;
    if args.is_on(&flags::PLAN) {
        let smallest = ocr.plan_in(&engine, &source, 0)?.map_or_else(|refused| refused.needed, |_| 0);
        let value = json!({
            "smallest_budget_bytes": smallest,
            "peak_bytes": lines.iter().map(|line| line.bytes).sum::<u64>(),
            "ledger": report::ledger(&lines),
        });
        return crate::print(&format!("{value}\n"));
    }
    let start = std::time::Instant::now();
    let mut page = ocr.read(&engine, &source)?;
    let seconds = start.elapsed().as_secs_f64();
    if let Some(out) = args.get(&flags::OUT) {
        page.lines.iter().for_each(|line| page.picture.draw_outline(&line.corners, MARK));
        pictures::write(&page.picture, Path::new(out))?;
    }
    if args.is_on(&flags::JSON) {
        let mut value = told(&page);
        value["image"] = json!(image);
        value["seconds"] = json!(seconds);
        value["budget_bytes"] = json!(budget);
        return crate::print(&format!("{value}\n"));
    }
    crate::print(&page.lines.iter().map(|line| format!("{}\n", line.text)).collect::<String>())?;
    if args.is_on(&flags::STATS) {
        eprint!("{seconds:.3} s\n{}", report::ledger_text(&page.account));
    }
    Ok(())
}

fn told(page: &Page) -> Value {
    let lines = page
        .lines
        .iter()
        .map(|line| json!({"text": line.text, "score": line.score, "corners": line.corners}));
    json!({
        "lines": lines.collect::<Vec<_>>(),
        "planned_peak_bytes": page.account.iter().map(|line| line.bytes).sum::<u64>(),
        "ledger": report::ledger(&page.account),
    })
}
