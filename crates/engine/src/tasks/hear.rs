//! A network hears a sound, window by window.
//!
//! What it is: the way from a stream of sound to what each window of it is, within the budget. What it is not: networks that
//! remember what they heard, see [`Voice`](super::Voice) and [`Wake`](super::Wake). The one design choice: windows are all of one
//! length, silence behind the last, so that what a sound takes does not depend on how long it is.

use std::io::Read;

use graph::{ArrayType, Elem, Extents};
use host::{Part, as_bytes};
use planner::Line;
use processors::audio::{Mel, RATE, Sound, Spectrogram};
use serde::Deserialize;

use super::values::only_input;
use super::{Class, Pipeline, Task};
use crate::generate::Flow;
use crate::network::Beside;
use crate::{BuiltNetwork, DeclaredInput, Engine, Error, Feed, NetworkFile};

/// Samples a second that a network may want.
const RATES: std::ops::RangeInclusive<u32> = 8_000..=48_000;
/// Samples of a window at most.
const LONGEST: usize = 1 << 20;

/// What a sound becomes before a network takes it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SoundInput {
    /// The input's name; the network's only one, if not said.
    pub name: Option<String>,
    /// Samples a second; a sound of another rate is made one of this.
    #[serde(default = "rate")]
    pub rate: u32,
    /// Samples that are heard at once; those that the picture of them needs, if not said.
    pub samples: Option<usize>,
    /// Seconds from one window to the next; half a window, if not said.
    pub hop: Option<f64>,
    /// What the samples of a window are divided by.
    #[serde(default)]
    pub loudness: Loudness,
    /// The picture that they become; without, the network takes them as they are, from -1 to 1.
    pub mel: Option<Spectrogram>,
}

/// What the samples of a window are divided by.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Loudness {
    /// Nothing.
    #[default]
    AsItIs,
    /// The largest of them, if it is above zero, as MLPerf Tiny does.
    Largest,
    /// The size of the one that is farthest from zero.
    Loudest,
}

fn rate() -> u32 {
    RATE
}

impl SoundInput {
    pub(super) fn check(&self) -> Result<(), String> {
        if !RATES.contains(&self.rate) {
            return Err(format!("rate must be from {} to {}", RATES.start(), RATES.end()));
        }
        let needed = match &self.mel {
            Some(mel) => {
                mel.check(self.rate)?;
                mel.samples(self.rate)
            }
            None => 1,
        };
        if self.samples.is_none() && self.mel.is_none() {
            return Err(
                "samples must say how many the network takes, or [sound.mel] what becomes of them".into()
            );
        }
        if !(needed..=LONGEST).contains(&self.samples()) {
            let most =
                format!("samples must be from {needed}, which is what the picture needs, to {LONGEST}");
            return Err(most);
        }
        let seconds = self.samples() as f64 / f64::from(self.rate);
        let wrong = self.hop.is_some_and(|hop| !(hop > 0.0 && hop <= seconds));
        match wrong {
            true => Err(format!("hop must be more than 0 and at most {seconds} seconds, which a window has")),
            false => Ok(()),
        }
    }

    /// Samples of a window.
    fn samples(&self) -> usize {
        self.samples.unwrap_or_else(|| self.mel.as_ref().map_or(0, |mel| mel.samples(self.rate)))
    }

    /// Samples from one window to the next.
    fn hop(&self) -> usize {
        let samples = self.samples();
        let hop = self.hop.map_or(samples / 2, |seconds| (seconds * f64::from(self.rate)).round() as usize);
        hop.clamp(1, samples)
    }

    /// Numbers that a window becomes.
    fn numbers(&self) -> usize {
        self.mel.as_ref().map_or(self.samples(), |mel| mel.frames * mel.rows())
    }

    /// Bytes on the heap while it is heard.
    fn heap_bytes(&self) -> u64 {
        let mel = self.mel.as_ref().map_or(0, |mel| mel.heap_bytes(self.rate));
        let held = (2 * self.samples() + self.numbers()) * size_of::<f32>();
        Sound::<&[u8]>::heap_bytes(self.rate) + mel + held as u64
    }

    /// What the network is fed with: the extents are its own, and of those that are open the last has what is left.
    fn kind(&self, input: &DeclaredInput) -> Result<ArrayType, Error> {
        let numbers = self.numbers();
        let mut extents = input.extents.clone().unwrap_or(vec![None]);
        let fixed: usize =
            extents.iter().flatten().fold(1, |product, extent| product.saturating_mul(*extent));
        if let Some(open) = extents.iter_mut().rev().find(|extent| extent.is_none()) {
            *open = Some(numbers / fixed.max(1));
        }
        let extents: Vec<usize> = extents.into_iter().map(|extent| extent.unwrap_or(1)).collect();
        let extents = Extents::new(&extents).filter(|extents| extents.iter().product::<usize>() == numbers);
        let made = match &self.mel {
            Some(mel) => [mel.frames, mel.rows()],
            None => [numbers, 1],
        };
        let DeclaredInput { name, text, .. } = input;
        let other = || Error::OtherWindow { name: name.clone(), text: text.clone(), made };
        Ok(ArrayType { elem: Elem::F32, extents: extents.ok_or_else(other)? })
    }
}

impl Loudness {
    /// A window, divided.
    fn even(self, from: &[f32], to: &mut [f32]) {
        let by = match self {
            Loudness::AsItIs => 1.0,
            Loudness::Largest => from.iter().copied().fold(0.0, f32::max),
            Loudness::Loudest => from.iter().copied().map(f32::abs).fold(0.0, f32::max),
        };
        let by = if by > 0.0 { by } else { 1.0 };
        to.iter_mut().zip(from).for_each(|(to, from)| *to = from / by);
    }
}

/// A network, and how it is fed and read.
pub struct Hear<'a> {
    /// The network.
    pub file: &'a NetworkFile,
    /// How it is fed and read.
    pub pipeline: &'a Pipeline,
    /// Classes that are told of a window at most.
    pub top: usize,
}

/// What was heard in a window.
#[derive(Clone, Debug, PartialEq)]
pub struct Heard {
    /// When it begins, seconds.
    pub start: f64,
    /// When it ends, or the sound.
    pub end: f64,
    /// What it is, likeliest first.
    pub classes: Vec<Class>,
}

/// What came of a sound.
pub struct Listened {
    /// How long it was, as far as it was heard.
    pub seconds: f64,
    /// The account, in printing order.
    pub lines: Vec<Line>,
}

impl Hear<'_> {
    /// The network, built for windows of sound.
    ///
    /// # Errors
    /// What the network has that is not supported; a pipeline that does not make what it takes.
    pub fn build(&self, engine: &Engine) -> Result<BuiltNetwork, Error> {
        let settings = self.pipeline.sound()?;
        let input = only_input(self.file, settings.name.as_deref())?;
        let kind = settings.kind(&input)?;
        let mut built = engine.build_network(self.file, &[Feed { name: input.name, kind, bytes: None }])?;
        let told = match &self.pipeline.output {
            Task::Classify(task) => task.heap_bytes(),
            _ => 0,
        };
        let kept = (settings.heap_bytes() + told).next_multiple_of(host::page_size() as u64);
        built.beside = Beside { kept, passing: kept };
        Ok(built)
    }

    /// Hears a sound in WAV with the network that was built; `each` is given every window, and may stop it.
    ///
    /// # Errors
    /// [`Error::Refused`], before a weight is read; a sound that cannot be read; numbers that the task cannot read.
    pub fn run(
        &self,
        engine: &Engine,
        built: BuiltNetwork,
        sound: impl Read,
        each: &mut dyn FnMut(Heard) -> Flow,
    ) -> Result<Listened, Error> {
        let settings = self.pipeline.sound()?;
        let Task::Classify(task) = &self.pipeline.output else {
            return Err(Error::OtherInput { takes: "pictures" });
        };
        let input = only_input(self.file, settings.name.as_deref())?.name;
        let lines = engine.plan_network(&built).map_err(|refused| Error::Refused(Box::new(refused)))?;
        let _held = engine.ledger.reserve(Part::Data, built.beside.kept).map_err(host::Error::from)?;
        let mut network = engine.load_network(built)?;
        let mut sound = Sound::of_rate(sound, settings.rate)?;
        let mut mel = settings.mel.as_ref().map(|mel| Mel::new(mel, settings.rate));
        let (samples, hop) = (settings.samples(), settings.hop());
        let (mut heard, mut even) = (vec![0.0; samples], vec![0.0; samples]);
        let mut fed = vec![0.0; if mel.is_some() { settings.numbers() } else { 0 }];
        let seconds = |samples: u64| samples as f64 / f64::from(settings.rate);
        // The window begins at `start`, and has so many samples that were heard.
        let (mut start, mut filled) = (0, 0);
        loop {
            let count = sound.read(&mut heard[filled..])?;
            let is_over = count < samples - filled;
            filled += count;
            let end = start + filled as u64;
            if count > 0 {
                heard[filled..].fill(0.0);
                settings.loudness.even(&heard, &mut even);
                let numbers = match &mut mel {
                    Some(mel) => {
                        mel.draw(&even, &mut fed);
                        &fed
                    }
                    None => &even,
                };
                network.run(&[(&input, as_bytes(numbers))])?;
                let classes = task.read(&network, self.top)?;
                let heard = Heard { start: seconds(start), end: seconds(end), classes };
                if let Flow::Stop = each(heard) {
                    return Ok(Listened { seconds: seconds(end), lines });
                }
            }
            if is_over {
                return Ok(Listened { seconds: seconds(end), lines });
            }
            heard.copy_within(hop.., 0);
            (start, filled) = (start + hop as u64, samples - hop);
        }
    }
}
