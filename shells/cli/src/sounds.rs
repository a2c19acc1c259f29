//! A network that hears a sound window by window: `--audio`.
//!
//! What it is: the pipeline that the command line names, or the network's name, and what is heard told as it is heard. What it is
//! not: networks that remember what they heard, which `listen` knows, nor those that write words down, which `transcribe` does. The
//! one design choice: the JSON is printed window by window, so that it takes the same however long the sound is.

use std::path::Path;

use pintpot::tasks::{Class, Hear, Heard, Input, Pipeline, clock};
use pintpot::{BuiltNetwork, Flow};
use serde_json::json;

use crate::arrays::{self, Found};
use crate::exit::Failure;
use crate::flags::{self, Args, Flag};
use crate::sound::open;
use crate::{pictures, report};

/// The flags of networks that hear sounds, which both `run` and `plan` take.
pub(crate) const FLAGS: &[&Flag] = &[&flags::AUDIO];

/// Whether the model of that name is fed by a pipeline of sounds: by the one that is named, or by one that is built in.
pub(crate) fn is_fed(model: &Path, args: &Args) -> bool {
    let stem = model.file_stem().and_then(|stem| stem.to_str()).unwrap_or("");
    let is_sound = |pipeline: Pipeline| matches!(pipeline.input, Input::Sound(_));
    args.get(&flags::PIPELINE).is_some() || Pipeline::of(stem).is_some_and(is_sound)
}

/// Calls `work` with what the command line says of how the network hears.
fn with<T>(
    found: &Found,
    args: &Args,
    work: impl FnOnce(&Hear<'_>) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let pipeline = pictures::pipeline(found, true, args)?;
    let top = args.read(&flags::TOP, "a number of classes")?.unwrap_or(1);
    work(&Hear { file: &found.file, pipeline: &pipeline, top })
}

/// The network, built for windows of sound.
pub(crate) fn built(found: &Found, args: &Args) -> Result<BuiltNetwork, Failure> {
    with(found, args, |hear| Ok(hear.build(&found.engine)?))
}

/// `pintpot run` of a network that hears a sound.
pub(crate) fn run(found: &Found, sound: &str, args: &Args) -> Result<(), Failure> {
    let threshold: f32 = args.read(&flags::THRESHOLD, "a share from 0 to 1")?.unwrap_or(0.0);
    let is_json = args.is_on(&flags::JSON);
    let (mut failure, mut told) = (None, 0u64);
    let heard = with(found, args, |hear| {
        let built = hear.build(&found.engine)?;
        if let Err(refused) = found.engine.plan_network(&built) {
            return Err(arrays::refusal(found, &built, &refused));
        }
        let from = open(sound)?;
        if is_json {
            crate::print(&format!(
                "{{\"model\":{},\"audio\":{},\"windows\":[",
                json!(found.name),
                json!(sound)
            ))?;
        }
        Ok(hear.run(&found.engine, built, from, &mut |heard| {
            if heard.classes.first().is_none_or(|class| class.score < threshold) {
                return Flow::Continue;
            }
            let line = match is_json {
                true => format!("{}{}", if told > 0 { "," } else { "" }, json(&heard)),
                false => shown(&heard),
            };
            told += 1;
            failure = crate::print(&line).err();
            if failure.is_none() { Flow::Continue } else { Flow::Stop }
        })?)
    })?;
    if let Some(failure) = failure {
        return Err(failure);
    }
    if is_json {
        let peak: u64 = heard.lines.iter().map(|line| line.bytes).sum();
        let (ledger, budget) = (report::ledger(&heard.lines), found.engine.budget().bytes);
        let seconds = json!(heard.seconds);
        return crate::print(&format!(
            "],\"seconds\":{seconds},\"planned_peak_bytes\":{peak},\"budget_bytes\":{budget},\"ledger\":{ledger}}}\n"
        ));
    }
    if args.is_on(&flags::STATS) {
        eprint!("{:.1} s of sound\n{}", heard.seconds, report::ledger_text(&heard.lines));
    }
    Ok(())
}

/// A window, as JSON.
fn json(heard: &Heard) -> serde_json::Value {
    let classes = heard.classes.iter().map(pictures::class).collect::<Vec<_>>();
    json!({"start": heard.start, "end": heard.end, "classes": classes})
}

/// A window, for people: when, and what it is.
fn shown(heard: &Heard) -> String {
    let [from, to] = [heard.start, heard.end].map(|time| clock(time, false, "."));
    let class = |class: &Class| format!("{:6.2} %  {}", class.score * 100.0, class.label);
    let classes: Vec<String> = heard.classes.iter().map(class).collect();
    format!("[{from} --> {to}] {}\n", classes.join("  "))
}
