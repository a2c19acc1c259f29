//! `pintpot listen`: when somebody speaks.
//!
//! What it is: a file of sound, or one that streams in, as pieces of speech with their times. What it is not: words, which
//! `transcribe` writes down. The one design choice: a piece is a line that is printed when it is over.

use pintpot::tasks::{Spoken, VoiceOptions, clock};
use pintpot::{Examined, Flow};
use serde_json::json;

use super::Verb;
use crate::exit::{Code, Failure};
use crate::flags::{self, Args, Flag};
use crate::sound::open;
use crate::{find, report, setup, size};

const FLAGS: &[&Flag] = &[&flags::THRESHOLD, &flags::JSON];

pub(super) const VERB: Verb = Verb {
    name: "listen",
    operands: &["MODEL", "SOUND.wav"],
    summary: "say when somebody speaks in a sound; - reads standard input",
    flags: &[FLAGS, setup::ENGINE, &[&flags::MODEL, &flags::STATS]],
    run,
};

fn run(args: &Args) -> Result<(), Failure> {
    let (reference, operands) = find::named(args)?;
    let [sound] = operands else {
        return Err(Failure::usage("no sound is named\n  give a WAV file, or - for standard input"));
    };
    let mut options = VoiceOptions::default();
    if let Some(threshold) = args.read(&flags::THRESHOLD, "a share from 0 to 1")? {
        options.threshold = threshold;
    }
    let (engine, name) = (setup::engine(args)?, reference.to_string());
    let Examined::Network(file) = find::examined(&reference, &engine)? else {
        return Err(Failure::new(
            Code::Missing,
            format!("{name} hears no voices\n  a Silero VAD in ONNX does"),
        ));
    };
    let built = engine.build_voice(&file)?;
    drop(file);
    if let Err(refused) = engine.plan_network(&built) {
        let (lines, needed) = (report::ledger_text(&refused.lines), size::budget(refused.needed));
        let text = format!("{name} cannot listen in this budget; nothing was loaded\n{lines}");
        return Err(Failure::new(Code::Budget, format!("{text}  smallest budget: --memory {needed}")));
    }
    let sound = open(sound)?;
    let mut voice = engine.load_voice(built)?;
    let is_json = args.is_on(&flags::JSON);
    let mut failure = None;
    let mut pieces = Vec::new();
    let seconds = voice.run(sound, &options, &mut |Spoken { start, end }| {
        if is_json {
            let thousandths = |seconds: f64| (seconds * 1000.0).round() / 1000.0;
            pieces.push(json!({"start": thousandths(start), "end": thousandths(end)}));
            return Flow::Continue;
        }
        let [from, to] = [start, end].map(|time| clock(time, false, "."));
        failure = crate::print(&format!("[{from} --> {to}] speech\n")).err();
        if failure.is_none() { Flow::Continue } else { Flow::Stop }
    })?;
    if let Some(failure) = failure {
        return Err(failure);
    }
    if is_json {
        crate::print(&format!("{}\n", json!({"model": name, "seconds": seconds, "speech": pieces})))?;
    }
    if args.is_on(&flags::STATS) {
        eprint!("{seconds:.1} s of sound\n{}", report::ledger_text(voice.lines()));
    }
    Ok(())
}
