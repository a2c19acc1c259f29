//! `pintpot transcribe`: speech to text.
//!
//! What it is: a file of sound, or one that streams in, written down as it is heard. What it is not: another format than WAV.
//! The one design choice: words are printed as soon as a half minute is done, in whatever form, so that a stream needs no end;
//! a JSON object alone waits for it.

use std::io::{self, Write};

use pintpot::Flow;
use pintpot::tasks::{Passage, TranscribeOptions, Transcript, clock};
use serde_json::{Value, json};

use super::Verb;
use crate::exit::Failure;
use crate::flags::{self, Args, Flag};
use crate::sound::open;
use crate::{find, report, setup, speech};

const FLAGS: &[&Flag] = &[&flags::LANGUAGE, &flags::TASK, &flags::TIMESTAMPS, &flags::FORMAT];

pub(super) const VERB: Verb = Verb {
    name: "transcribe",
    operands: &["MODEL", "SOUND.wav"],
    summary: "write down what is said in a sound; - reads standard input",
    flags: &[FLAGS, setup::ENGINE, &[&flags::MODEL, &flags::JSON, &flags::STATS]],
    run,
};

/// How words are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Json,
    Srt,
    Text,
    Timed,
    Vtt,
}

fn run(args: &Args) -> Result<(), Failure> {
    let (form, options) = (form(args)?, options(args)?);
    let (reference, operands) = find::named(args)?;
    let [sound] = operands else {
        return Err(Failure::usage("no sound is named\n  give a WAV file, or - for standard input"));
    };
    let engine = setup::engine(args)?;
    let name = reference.to_string();
    let opened = engine.open_speech(&speech::place(&reference, args)?)?;
    if let Err(refused) = engine.plan_speech(&opened) {
        return Err(speech::refusal(&name, &opened, &refused));
    }
    // What is wrong with the sound is said before much is read.
    let sound = open(sound)?;
    let mut transcribe = engine.load_speech(opened)?;
    let start = std::time::Instant::now();
    let mut printer = Printer { form, count: 0, segments: Vec::new(), failure: None };
    printer.begin()?;
    let said = transcribe.run(sound, &options, &mut |segment| printer.each(segment))?;
    if let Some(failure) = printer.failure.take() {
        return Err(failure);
    }
    printer.end(&name, &said)?;
    if args.is_on(&flags::STATS) {
        let seconds = start.elapsed().as_secs_f64();
        eprint!(
            "{:.1} s of sound in {seconds:.2} s, {:.1} times as fast as it was said\n{}",
            said.seconds,
            said.seconds / seconds.max(1e-9),
            report::ledger_text(transcribe.lines())
        );
    }
    Ok(())
}

fn form(args: &Args) -> Result<Form, Failure> {
    let timed = args.is_on(&flags::TIMESTAMPS);
    let plain = if args.is_on(&flags::JSON) { "json" } else { "text" };
    match args.get(&flags::FORMAT).unwrap_or(plain) {
        "json" => Ok(Form::Json),
        "srt" => Ok(Form::Srt),
        "text" if timed => Ok(Form::Timed),
        "text" => Ok(Form::Text),
        "vtt" => Ok(Form::Vtt),
        other => Err(flags::wrong(&flags::FORMAT, other, "text, json, srt or vtt")),
    }
}

fn options(args: &Args) -> Result<TranscribeOptions, Failure> {
    let translate = match args.get(&flags::TASK).unwrap_or("transcribe") {
        "transcribe" => false,
        "translate" => true,
        other => return Err(flags::wrong(&flags::TASK, other, "transcribe or translate")),
    };
    let language = args.get(&flags::LANGUAGE).map(str::to_string);
    Ok(TranscribeOptions { language, translate, prompt: None })
}

struct Printer {
    form: Form,
    count: usize,
    segments: Vec<Value>,
    failure: Option<Failure>,
}

impl Printer {
    fn begin(&self) -> Result<(), Failure> {
        if self.form == Form::Vtt { crate::print("WEBVTT\n\n") } else { Ok(()) }
    }

    fn each(&mut self, segment: &Passage) -> Flow {
        self.count += 1;
        let (text, times) = (segment.text.trim(), [segment.start, segment.end]);
        let printed = match self.form {
            Form::Json => {
                self.segments.push(told(self.count - 1, segment));
                return Flow::Continue;
            }
            Form::Srt => segment.srt(self.count),
            Form::Text => format!("{text}\n"),
            Form::Timed => {
                let [from, to] = times.map(|time| clock(time, false, "."));
                format!("[{from} --> {to}] {text}\n")
            }
            Form::Vtt => segment.vtt(),
        };
        // Nobody reads any more: that is no failure, but there is nothing more to do.
        let mut out = io::stdout().lock();
        match out.write_all(printed.as_bytes()).and_then(|()| out.flush()) {
            Ok(()) => Flow::Continue,
            Err(error) => {
                let broken = error.kind() == io::ErrorKind::BrokenPipe;
                self.failure = (!broken).then(|| Failure::io("write to standard output", error));
                Flow::Stop
            }
        }
    }

    fn end(&self, name: &str, said: &Transcript) -> Result<(), Failure> {
        if self.form != Form::Json {
            return Ok(());
        }
        let texts = self.segments.iter().filter_map(|segment| segment["text"].as_str());
        let value = json!({
            "model": name,
            "text": texts.collect::<String>().trim(),
            "language": said.language,
            "seconds": said.seconds,
            "segments": self.segments,
        });
        crate::print(&format!("{value}\n"))
    }
}

fn told(id: usize, segment: &Passage) -> Value {
    json!({
        "id": id,
        "start": hundredths(segment.start),
        "end": hundredths(segment.end),
        "text": segment.text,
        "tokens": segment.tokens,
        "avg_logprob": segment.likelihood,
        "no_speech_prob": segment.silence,
    })
}

/// Times are known to two hundredths of a second.
fn hundredths(seconds: f64) -> f64 {
    (seconds * 100.0).round() / 100.0
}
