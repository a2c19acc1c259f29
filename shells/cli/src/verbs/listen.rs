//! `pintpot listen`: when somebody speaks, or says a word that wakes.
//!
//! What it is: a file of sound, or one that streams in, as pieces of speech, or words, with their times. What it is not: other words, which
//! `transcribe` writes down. The one design choice: what is listened for the network says by what it takes; each is a line that is
//! printed when it is over.

use std::path::Path;

use pintpot::tasks::{Spoken, VoiceOptions, Woken, clock};
use pintpot::{Engine, Examined, Flow, Refusal};
use serde_json::json;

use super::Verb;
use crate::exit::{Code, Failure};
use crate::flags::{self, Args, Flag};
use crate::sound::open;
use crate::{find, report, setup, size};

const FLAGS: &[&Flag] = &[&flags::THRESHOLD, &flags::MODELS, &flags::JSON];

pub(super) const VERB: Verb = Verb {
    name: "listen",
    operands: &["MODEL", "SOUND.wav"],
    summary: "say when somebody speaks in a sound, or says a word that wakes; - reads standard input",
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
    let path = find::local(&reference, args)?.path;
    let Examined::Network(file) = engine.examine(&path)? else {
        return Err(Failure::new(
            Code::Missing,
            format!("{name} hears no voices\n  a Silero VAD in ONNX does, or a wake word of openWakeWord's"),
        ));
    };
    if engine.is_wake(&file) {
        drop(file);
        return wake(&engine, (&name, &path), sound, options.threshold, args);
    }
    let built = engine.build_voice(&file)?;
    drop(file);
    if let Err(refused) = engine.plan_network(&built) {
        return Err(refusal(&name, &refused));
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

/// Says when a word is said.
fn wake(
    engine: &Engine,
    (name, path): (&str, &Path),
    sound: &str,
    threshold: f32,
    args: &Args,
) -> Result<(), Failure> {
    let built = engine.build_wake(path, args.get(&flags::MODELS).map(Path::new))?;
    if let Err(refused) = engine.plan_wake(&built) {
        return Err(refusal(name, &refused));
    }
    let sound = open(sound)?;
    let mut wake = engine.load_wake(built)?;
    let (is_json, mut words, mut failure) = (args.is_on(&flags::JSON), Vec::new(), None);
    let seconds = wake.run(sound, threshold, &mut |Woken { at, word, score }| {
        if is_json {
            words.push(json!({"at": at, "word": word, "score": score}));
            return Flow::Continue;
        }
        let which = if word == 0 { String::new() } else { format!(" {word}") };
        failure = crate::print(&format!("[{}] word{which} {score:.2}\n", clock(at, false, "."))).err();
        if failure.is_none() { Flow::Continue } else { Flow::Stop }
    })?;
    if let Some(failure) = failure {
        return Err(failure);
    }
    if is_json {
        crate::print(&format!("{}\n", json!({"model": name, "seconds": seconds, "words": words})))?;
    }
    if args.is_on(&flags::STATS) {
        eprint!("{seconds:.1} s of sound\n{}", report::ledger_text(wake.lines()));
    }
    Ok(())
}

fn refusal(name: &str, refused: &Refusal) -> Failure {
    let (lines, needed) = (report::ledger_text(&refused.lines), size::budget(refused.needed));
    let text = format!("{name} cannot listen in this budget; nothing was loaded\n{lines}");
    Failure::new(Code::Budget, format!("{text}  smallest budget: --memory {needed}"))
}
