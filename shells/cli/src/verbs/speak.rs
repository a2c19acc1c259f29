//! `pintpot speak`: text to speech.
//!
//! What it is: words, or phonemes, and a voice, as a WAV. What it is not: a player. The one design choice: each sentence is written as
//! soon as it is made, so a long text takes the memory of its longest sentence.

use std::io::{self, Write};
use std::path::Path;

use host::NewFile;
use pintpot::Engine;
use pintpot::tasks::{Speak, SpeakOptions, wav_header};

use super::Verb;
use crate::exit::{Code, Failure};
use crate::flags::{self, Args, Flag};
use crate::{find, report, setup, size};

const FLAGS: &[&Flag] = &[&flags::OUT, &flags::PHONEMES, &flags::NOISE, &flags::SEED];

pub(super) const VERB: Verb = Verb {
    name: "speak",
    operands: &["MODEL", "[TEXT...]"],
    summary: "say a text with a voice of Piper's, as a WAV; words become phonemes by espeak-ng",
    flags: &[FLAGS, setup::ENGINE, &[&flags::MODEL, &flags::STATS]],
    run,
};

/// Seconds between sentences.
const PAUSE: f64 = 0.2;

fn run(args: &Args) -> Result<(), Failure> {
    let (reference, words) = find::named(args)?;
    let out = args
        .get(&flags::OUT)
        .ok_or_else(|| Failure::usage("--out FILE.wav is missing; - is standard output"))?;
    let options = SpeakOptions {
        seed: args.read(&flags::SEED, "a whole number")?.unwrap_or(0),
        noise: args.read(&flags::NOISE, "a number such as 0.5")?,
    };
    let path = find::local(&reference, args)?.path;
    let engine = setup::engine(args)?;
    let speak = engine.open_speak(&path)?;
    let sentences = match (args.get(&flags::PHONEMES), words) {
        (Some(phonemes), []) => vec![phonemes.to_string()],
        (None, [_, ..]) => speak.phonemes(&words.join(" "))?,
        _ => return Err(Failure::usage("give words, or --phonemes")),
    };
    let longest = sentences.iter().max_by_key(|sentence| sentence.len());
    let longest = longest.ok_or_else(|| Failure::usage("there is nothing to say"))?;
    if let Err(refused) = speak.plan_in(&engine, longest, engine.budget().bytes)? {
        return Err(refusal(&reference.to_string(), &refused));
    }
    let mut wav = Wav::new(out, speak.rate())?;
    let start = std::time::Instant::now();
    let mut account = Vec::new();
    for (number, sentence) in sentences.iter().enumerate() {
        if number > 0 {
            wav.add(&vec![0.0; (PAUSE * f64::from(speak.rate())) as usize])?;
        }
        account = say(&engine, &speak, sentence, &options, &mut wav, &reference.to_string())?;
    }
    let samples = wav.end()?;
    if args.is_on(&flags::STATS) {
        let (seconds, long) = (start.elapsed().as_secs_f64(), f64::from(samples) / f64::from(speak.rate()));
        eprint!("{long:.1} s of speech in {seconds:.2} s\n{}", report::ledger_text(&account));
    }
    Ok(())
}

fn say(
    engine: &Engine,
    speak: &Speak,
    sentence: &str,
    options: &SpeakOptions,
    wav: &mut Wav,
    name: &str,
) -> Result<Vec<pintpot::Line>, Failure> {
    let mut failure = None;
    let said = speak.say(engine, sentence, options, &mut |samples| failure = wav.add(samples).err());
    match (said, failure) {
        (Err(pintpot::Error::Refused(refused)), _) => Err(refusal(name, &refused)),
        (Err(error), _) => Err(error.into()),
        (_, Some(failure)) => Err(failure),
        (Ok(account), None) => Ok(account),
    }
}

fn refusal(name: &str, refused: &pintpot::Refusal) -> Failure {
    let (lines, needed) = (report::ledger_text(&refused.lines), size::budget(refused.needed));
    let text = format!("{name} cannot speak in this budget\n{lines}");
    Failure::new(Code::Budget, format!("{text}  smallest budget: --memory {needed}"))
}

/// A WAV that is being written; what it is long is known in the end, and only then it has its name.
struct Wav {
    to: To,
    rate: u32,
    samples: u32,
}

enum To {
    File(NewFile),
    Output(io::Stdout),
}

impl Wav {
    fn new(name: &str, rate: u32) -> Result<Wav, Failure> {
        let to = match name {
            "-" => To::Output(io::stdout()),
            name => To::File(NewFile::replace(Path::new(name)).map_err(pintpot::Error::from)?),
        };
        let mut wav = Wav { to, rate, samples: 0 };
        wav.write(&wav_header(rate, u32::MAX / 2))?;
        Ok(wav)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let written = match &mut self.to {
            To::File(file) => file.write_all(bytes),
            To::Output(output) => output.write_all(bytes),
        };
        written.map_err(|error| Failure::io("write the sound", error))
    }

    fn add(&mut self, samples: &[f32]) -> Result<(), Failure> {
        self.samples = self.samples.saturating_add(samples.len() as u32);
        let mut bytes = [0; 4096];
        for samples in samples.chunks(bytes.len() / 2) {
            for (to, x) in bytes.chunks_exact_mut(2).zip(samples) {
                to.copy_from_slice(&((x.clamp(-1.0, 1.0) * 32_767.0) as i16).to_le_bytes());
            }
            self.write(&bytes[..2 * samples.len()])?;
        }
        Ok(())
    }

    fn end(self) -> Result<u32, Failure> {
        match self.to {
            To::File(mut file) => {
                let header = wav_header(self.rate, self.samples);
                file.patch(0, &header).and_then(|()| file.finish()).map_err(pintpot::Error::from)?;
            }
            To::Output(mut output) => {
                output.flush().map_err(|error| Failure::io("write the sound", error))?;
            }
        }
        Ok(self.samples)
    }
}
