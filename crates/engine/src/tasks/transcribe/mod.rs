//! Speech to text: a sound that streams in becomes segments that stream out (Whisper, arXiv 2212.04356).
//!
//! What it is: a model of speech that is loaded, and what it writes down. What it is not: the files of sound, which
//! [`processors::audio`] reads. The one design choice: half a minute is in memory, however long the sound is; where the next
//! one begins, the times say that the model itself wrote.

mod hearing;
mod rules;
mod speech;
mod subtitles;
mod words;

use crate::Error;
use crate::generate::Flow;
use crate::live::Reserved;
use graph::ValueId;
use hearing::Hearing;
use host::as_bytes;
use models::Whisper;
use planner::Line;
use processors::audio::{Mel, Sound};
use rules::Rules;
use runtime::ArrayExecutor;
use speech::Ports;
use std::io::Read;
use words::Words;

pub use speech::Speech;
pub use subtitles::clock;

/// How speech is to be written down.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TranscribeOptions {
    /// The language, as `en` or `de`; found out from the first half minute if not said.
    pub language: Option<String>,
    /// Write down in English what was said in another language.
    pub translate: bool,
    /// What the model is told to have written before each half minute: names and words as they are spelled.
    pub prompt: Option<String>,
}

/// Something that was said.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Passage {
    /// When it begins, seconds.
    pub start: f64,
    /// When it ends.
    pub end: f64,
    /// The words, with the space before them.
    pub text: String,
    /// Their tokens.
    pub tokens: Vec<u32>,
    /// How likely its half minute's tokens were, on average: the natural logarithm.
    pub likelihood: f32,
    /// How likely it is that nothing was said.
    pub silence: f32,
    /// When the half minute begins in which it was heard.
    pub look: f64,
}

/// What is known when a sound is over.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Transcript {
    /// The language, if the model knows several.
    pub language: Option<String>,
    /// How long the sound was.
    pub seconds: f64,
}

/// A model of speech that writes down what it hears.
pub struct Transcribe {
    whisper: Whisper,
    encoder: ArrayExecutor,
    decoder: ArrayExecutor,
    ports: Ports,
    words: Words,
    rules: Rules,
    mel: Mel,
    /// (bands, twice the moments)
    picture: Vec<f32>,
    /// (context)
    mask: Vec<f32>,
    lines: Vec<Line>,
    _reserved: Vec<Reserved>,
}

impl Transcribe {
    /// The account, in printing order.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// Writes down a sound in WAV; `each` is given what was said, half a minute at a time, and may stop it.
    ///
    /// # Errors
    /// If the sound cannot be read, or the model does not know the language.
    pub fn run(
        &mut self,
        sound: impl Read,
        options: &TranscribeOptions,
        each: &mut dyn FnMut(&Passage) -> Flow,
    ) -> Result<Transcript, Error> {
        self.run_while(sound, options, &|| true, each)
    }

    /// As [`Transcribe::run`], as long as `wanted` says so, which is asked before every token.
    ///
    /// # Errors
    /// As [`Transcribe::run`].
    pub fn run_while(
        &mut self,
        sound: impl Read,
        options: &TranscribeOptions,
        wanted: &dyn Fn() -> bool,
        each: &mut dyn FnMut(&Passage) -> Flow,
    ) -> Result<Transcript, Error> {
        let mut language = options.language.as_deref().map(|name| self.words.language(name)).transpose()?;
        let task = self.words.task(options.translate)?;
        let told = self.words.told(options.prompt.as_deref(), self.whisper.context / 2)?;
        let mut hearing = Hearing::new(Sound::new(sound)?, self.whisper.moments);
        while wanted() && hearing.listen()? {
            self.mel.draw(hearing.samples(), &mut self.picture);
            self.encoder.run([(self.ports.picture, as_bytes(&self.picture))])?;
            let window = self.write(&mut language, task, &told, wanted)?;
            let (segments, passed) = rules::segments(&self.words, &window, hearing.frames());
            for segment in segments {
                let segment = segment.since(hearing.start());
                if let Flow::Stop = each(&segment) {
                    return Ok(self.transcript(language, &hearing));
                }
            }
            hearing.pass(passed);
        }
        Ok(self.transcript(language, &hearing))
    }

    fn transcript<R: Read>(&self, language: Option<u32>, hearing: &Hearing<R>) -> Transcript {
        Transcript { language: language.map(|id| self.words.name(id)), seconds: hearing.seconds() }
    }

    /// Writes down the half minute that was encoded last, behind what the model was told.
    fn write(
        &mut self,
        language: &mut Option<u32>,
        task: Option<u32>,
        told: &[u32],
        wanted: &dyn Fn() -> bool,
    ) -> Result<rules::Window, Error> {
        let marks = self.words.marks;
        if task.is_some() && language.is_none() && !told.is_empty() {
            // Which language it is, only the sound is to say.
            self.step(marks.start, 0)?;
            *language = Some(rules::likeliest(self.logits(), self.words.languages()));
        }
        for (position, token) in told.iter().enumerate() {
            self.step(*token, position)?;
        }
        let mut position = told.len();
        self.step(marks.start, position)?;
        position += 1;
        let silence = rules::chance(self.logits(), marks.silence);
        if let Some(task) = task {
            let spoken = match *language {
                Some(spoken) => spoken,
                None => rules::likeliest(self.logits(), self.words.languages()),
            };
            *language = Some(spoken);
            self.step(spoken, position)?;
            self.step(task, position + 1)?;
            position += 2;
        }
        let mut window = rules::Window { silence, ..rules::Window::default() };
        let most = self.whisper.context / 2;
        while window.tokens.len() < most && position < self.whisper.context && wanted() {
            let (logits, rules) = (logits(&self.decoder, &self.ports), &mut self.rules);
            let (token, likelihood) = rules.choose(logits, &window.tokens);
            window.sum += likelihood;
            if token == marks.end {
                break;
            }
            window.tokens.push(token);
            self.step(token, position)?;
            position += 1;
        }
        Ok(window)
    }

    /// Puts a token at a position; with the first comes what was heard.
    fn step(&mut self, token: u32, position: usize) -> Result<(), Error> {
        if position == 0 {
            self.mask.fill(f32::NEG_INFINITY);
        }
        if let Some(open) = self.mask.get_mut(position) {
            *open = 0.0;
        }
        let (token, place) = ((token as i32).to_le_bytes(), (position as i32).to_le_bytes());
        let ports = &self.ports;
        let mut given: Vec<(ValueId, &[u8])> =
            vec![(ports.token, &token), (ports.position, &place), (ports.mask, as_bytes(&self.mask))];
        if position == 0 {
            let heard = ports.attended.iter();
            given.extend(heard.filter_map(|(from, to)| Some((*to, self.encoder.value(*from)?.1))));
        }
        Ok(self.decoder.run(given)?)
    }

    fn logits(&self) -> &[f32] {
        logits(&self.decoder, &self.ports)
    }
}

fn logits<'d>(decoder: &'d ArrayExecutor, ports: &Ports) -> &'d [f32] {
    decoder.value(ports.logits).and_then(|(_, bytes)| host::cast(bytes)).unwrap_or_default()
}
