//! Voice activity: when somebody speaks in a sound that streams in (Silero VAD, versions 5 and 6).
//!
//! What it is: 32 ms at a time to how likely they are speech, with what the network remembers, and pieces of speech with
//! their times. What it is not: words. The one design choice: pieces are those of Silero's own `get_speech_timestamps`,
//! found without the end of the sound, since a pause that counts is longer than the margins around speech.

use std::io::Read;

use graph::{ArrayType, Elem, Extents};
use host::{Part, Reservation, as_bytes};
use planner::Line;
use processors::audio::{RATE, Sound};

use crate::generate::Flow;
use crate::network::Beside;
use crate::{BuiltNetwork, Engine, Error, Feed, Network, NetworkFile};

/// Samples that are looked at, and those before them that the network sees again.
const FRAME: usize = 512;
const BEFORE: usize = 64;
/// What the network remembers.
const STATE: [usize; 3] = [2, 1, 128];

/// What counts as speech; the fields' defaults are Silero's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VoiceOptions {
    /// How likely speech must be to begin; it ends 0.15 below.
    pub threshold: f32,
    /// Seconds of speech at least.
    pub shortest: f64,
    /// Seconds of a pause that ends a piece.
    pub pause: f64,
    /// Seconds that are added on both sides of a piece.
    pub margin: f64,
}

impl Default for VoiceOptions {
    fn default() -> VoiceOptions {
        VoiceOptions { threshold: 0.5, shortest: 0.25, pause: 0.1, margin: 0.03 }
    }
}

/// A piece of speech.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spoken {
    /// When it begins, seconds.
    pub start: f64,
    /// When it ends.
    pub end: f64,
}

/// A network that hears voices.
pub struct Voice {
    network: Network,
    /// What it takes besides: the rate, if it wants to know.
    knows_rate: bool,
    /// (BEFORE + FRAME)
    heard: Vec<f32>,
    /// (2, 1, 128)
    state: Vec<u8>,
    _held: Reservation,
}

impl Engine {
    /// Whether a network hears voices: a frame of sound and what it remembers in.
    pub fn is_voice(&self, file: &NetworkFile) -> bool {
        let inputs = file.inputs();
        ["input", "state"].iter().all(|name| inputs.iter().any(|input| input.name == *name))
    }

    /// Builds a network that hears voices, as it is in ONNX.
    ///
    /// # Errors
    /// If it is another network.
    pub fn build_voice(&self, file: &NetworkFile) -> Result<BuiltNetwork, Error> {
        let knows_rate = file.inputs().iter().any(|input| input.name == "sr");
        let feed = |name: &str, elem, extents: &[usize], bytes| Feed {
            name: name.to_string(),
            kind: ArrayType { elem, extents: Extents::new(extents).unwrap_or_default() },
            bytes,
        };
        let mut feeds = vec![
            feed("input", Elem::F32, &[1, BEFORE + FRAME], None),
            feed("state", Elem::F32, &STATE, None),
        ];
        if knows_rate {
            feeds.push(feed("sr", Elem::I64, &[], Some(rate().into())));
        }
        let mut built = self.build_network(file, &feeds)?;
        let kept = Sound::<&[u8]>::HEAP_BYTES.next_multiple_of(host::page_size() as u64);
        built.beside = Beside { kept, passing: kept };
        Ok(built)
    }

    /// Loads what [`Engine::build_voice`] has built, or refuses before a weight is read.
    ///
    /// # Errors
    /// As [`Engine::load_network`].
    pub fn load_voice(&self, built: BuiltNetwork) -> Result<Voice, Error> {
        let knows_rate = built.inputs().iter().any(|input| input.name == "sr");
        let held = self.ledger.reserve(Part::Data, built.beside.kept).map_err(host::Error::from)?;
        let network = self.load_network(built)?;
        let (heard, state) = (vec![0.0; BEFORE + FRAME], vec![0; STATE.iter().product::<usize>() * 4]);
        Ok(Voice { network, knows_rate, heard, state, _held: held })
    }
}

fn rate() -> [u8; 8] {
    i64::from(RATE).to_le_bytes()
}

impl Voice {
    /// Samples of a frame.
    pub const FRAME: usize = FRAME;

    /// The account, in printing order.
    pub fn lines(&self) -> &[Line] {
        self.network.lines()
    }

    /// Forgets what was heard.
    pub fn forget(&mut self) {
        self.heard.fill(0.0);
        self.state.fill(0);
    }

    /// How likely the next [`Voice::FRAME`] samples are speech.
    ///
    /// # Errors
    /// If the network is not what it said it was.
    pub fn frame(&mut self, samples: &[f32]) -> Result<f32, Error> {
        self.heard.copy_within(FRAME.., 0);
        let (filled, rest) = self.heard[BEFORE..].split_at_mut(samples.len().min(FRAME));
        filled.copy_from_slice(&samples[..filled.len()]);
        rest.fill(0.0);
        let rate = rate();
        let given = [("input", as_bytes(&self.heard)), ("state", &self.state[..]), ("sr", &rate[..])];
        self.network.run(&given[..2 + usize::from(self.knows_rate)])?;
        let outputs = || self.network.outputs().iter().map(|port| &*port.name).collect::<Vec<_>>().join(", ");
        let missing = |name: &str| Error::NoSuchOutput { name: name.to_string(), outputs: outputs() };
        let (_, state) = self.network.output("stateN").ok_or_else(|| missing("stateN"))?;
        if state.len() != self.state.len() {
            return Err(missing("stateN"));
        }
        self.state.copy_from_slice(state);
        let (_, likely) = self.network.output("output").ok_or_else(|| missing("output"))?;
        let first = host::cast::<f32>(likely).and_then(|likely| likely.first().copied());
        first.ok_or_else(|| missing("output"))
    }

    /// Listens to a sound in WAV; `each` is given every piece of speech when it is over, and may stop it. How many seconds
    /// were heard.
    ///
    /// # Errors
    /// If the sound cannot be read.
    pub fn run(
        &mut self,
        sound: impl Read,
        options: &VoiceOptions,
        each: &mut dyn FnMut(Spoken) -> Flow,
    ) -> Result<f64, Error> {
        self.forget();
        let mut sound = Sound::new(sound)?;
        let mut samples = [0.0; FRAME];
        let mut pieces = Pieces::new(options);
        loop {
            let count = sound.read(&mut samples)?;
            let over = count < FRAME;
            let mut found = None;
            if count > 0 {
                let likely = self.frame(&samples[..count])?;
                found = pieces.next(likely, count);
            }
            if over {
                found = found.or_else(|| pieces.last());
            }
            if let Some(piece) = found
                && let Flow::Stop = each(piece)
            {
                break;
            }
            if over {
                break;
            }
        }
        Ok(pieces.seconds(pieces.heard))
    }
}

/// Finds pieces of speech, in samples.
struct Pieces {
    options: VoiceOptions,
    heard: u64,
    /// Where the piece began that is being heard.
    start: Option<u64>,
    /// Where it may have ended.
    end: Option<u64>,
}

impl Pieces {
    fn new(options: &VoiceOptions) -> Pieces {
        Pieces { options: *options, heard: 0, start: None, end: None }
    }

    fn seconds(&self, samples: u64) -> f64 {
        samples as f64 / f64::from(RATE)
    }

    /// Hears so many samples more; a piece that is over now.
    fn next(&mut self, likely: f32, count: usize) -> Option<Spoken> {
        let at = self.heard;
        self.heard += count as u64;
        if likely >= self.options.threshold {
            self.end = None;
            self.start.get_or_insert(at);
            return None;
        }
        if likely >= self.options.threshold - 0.15 {
            return None;
        }
        let start = self.start?;
        let end = *self.end.get_or_insert(at);
        if self.seconds(at - end) < self.options.pause {
            return None;
        }
        (self.start, self.end) = (None, None);
        self.piece(start, end)
    }

    /// The piece that is not over when the sound is.
    fn last(&mut self) -> Option<Spoken> {
        let start = self.start.take()?;
        self.piece(start, self.heard)
    }

    /// A piece with its margins, if it is long enough. A pause that ends one is longer than both margins.
    fn piece(&self, start: u64, end: u64) -> Option<Spoken> {
        let (from, to) = (self.seconds(start), self.seconds(end));
        let margin = self.options.margin.min(self.options.pause / 2.0);
        let long = to - from > self.options.shortest;
        long.then(|| Spoken {
            start: (from - margin).max(0.0),
            end: (to + margin).min(self.seconds(self.heard)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pieces that these likelihoods make, one a frame.
    fn pieces(likely: &[f32]) -> Vec<(f64, f64)> {
        let mut pieces = Pieces::new(&VoiceOptions::default());
        let mut found: Vec<Spoken> = likely.iter().filter_map(|likely| pieces.next(*likely, FRAME)).collect();
        found.extend(pieces.last());
        found.iter().map(|piece| (piece.start, piece.end)).collect()
    }

    #[test]
    fn pauses_part_speech_and_short_noises_are_none() {
        let of = |parts: &[(f32, usize)]| -> Vec<f32> {
            parts.iter().flat_map(|(likely, count)| std::iter::repeat_n(*likely, *count)).collect()
        };
        // A short pause, and one that is not quite silent, are within a piece; a long one parts two.
        let all = of(&[(0.1, 10), (0.9, 10), (0.1, 2), (0.9, 10), (0.4, 20), (0.9, 1), (0.1, 10), (0.9, 10)]);
        let at = |frame: f64| frame * 512.0 / 16_000.0;
        assert_eq!(pieces(&all), [(at(10.0) - 0.03, at(53.0) + 0.03), (at(63.0) - 0.03, at(73.0))]);
        assert!(pieces(&of(&[(0.1, 10), (0.9, 7), (0.1, 10)])).is_empty());
        assert!(pieces(&[]).is_empty());
    }
}
