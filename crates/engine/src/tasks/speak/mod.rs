//! Text to speech: phonemes become a sound (VITS, arXiv 2106.06103, as Piper exports it).
//!
//! What it is: one network in two halves, which are in memory one after the other. What it is not: how words are spoken, which the
//! program espeak-ng knows. The one design choice: the first half says how long each phoneme lasts; the second is built for that many
//! moments, so that nothing is computed for more, and the account is that of the larger half.

mod espeak;
mod parts;
mod voice;

use std::path::{Path, PathBuf};

use formats::onnx::Model;
use graph::array::{Random, RandomKind, evaluate};
use graph::{ArrayType, Elem, Extents};
use host::as_bytes;
use planner::{Line, Refusal};

use self::parts::Parts;
use self::voice::Voice;
use super::values::only;
use crate::network::Upkeep;
use crate::{BuiltNetwork, Engine, Error, Examined, Feed, NetworkFile};

/// Phonemes of a sentence, and moments of it, at most.
const IDS: usize = 4096;
const MOMENTS: usize = 1 << 16;

/// A voice that was opened.
pub struct Speak {
    path: PathBuf,
    voice: Voice,
}

/// How something is said.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SpeakOptions {
    /// Another seed is another way to say it.
    pub seed: u64,
    /// How much is left to chance, 0 for nothing; as the voice has it if not said.
    pub noise: Option<f32>,
}

/// The first half, done.
struct Timed {
    /// What each sound is like on average, and the logarithm of how much that varies, (ids, width).
    sounds: [Vec<f32>; 2],
    width: usize,
    /// For how many moments each lasts.
    lengths: Vec<usize>,
    account: Vec<Line>,
}

impl Engine {
    /// Opens a voice: a network in ONNX, and its settings beside it.
    ///
    /// # Errors
    /// If one is missing or damaged.
    pub fn open_speak(&self, path: &Path) -> Result<Speak, Error> {
        Ok(Speak { path: path.to_path_buf(), voice: Voice::beside(path)? })
    }
}

impl Speak {
    /// Samples a second.
    pub fn rate(&self) -> u32 {
        self.voice.audio.sample_rate
    }

    /// What espeak-ng calls the language, if phonemes are its.
    pub fn language(&self) -> Option<&str> {
        self.voice.espeak.as_ref().map(|espeak| &*espeak.voice)
    }

    /// The phonemes of each sentence of a text, as espeak-ng has them.
    ///
    /// # Errors
    /// If that program is not installed.
    pub fn phonemes(&self, text: &str) -> Result<Vec<String>, Error> {
        espeak::sentences(text, self.language().unwrap_or("en-us"))
    }

    /// Says phonemes of the International Phonetic Alphabet; `each` hears the samples. Gives the account of the half that took more.
    ///
    /// # Errors
    /// [`Error::Refused`] if a half does not fit the budget, before its weights are read; what is no voice.
    pub fn say(
        &self,
        engine: &Engine,
        phonemes: &str,
        options: &SpeakOptions,
        each: &mut dyn FnMut(&[f32]),
    ) -> Result<Vec<Line>, Error> {
        let ids = self.voice.ids(phonemes);
        if ids.len() > IDS {
            return Err(Error::TextTooLong { bytes: phonemes.len() });
        }
        let timed = self.timed(engine, &ids, options)?;
        let moments = timed.lengths.iter().sum::<usize>().max(1);
        if moments > MOMENTS {
            return Err(Error::TextTooLong { bytes: phonemes.len() });
        }
        let (model, parts) = self.model(engine)?;
        let lengths = [moments as f32];
        let feeds = vec![
            feed(&parts.latent, Elem::F32, &[1, timed.width, moments], None),
            feed(&parts.lengths, Elem::F32, &[1, 1, 1], Some(as_bytes(&lengths))),
        ];
        let built = half(engine, model, &[&parts.latent, &parts.lengths], &[&parts.output], &feeds)?;
        // What is random is made as it is and as bytes.
        let heap = (3 * timed.width * (moments + ids.len()) * 4) as u64;
        let built = built.with_upkeep(Upkeep { heap, ..Upkeep::default() });
        engine.plan_network(&built).map_err(|refused| Error::Refused(Box::new(refused)))?;
        let latent = timed.latent(moments, options.seed, self.noise(options))?;
        let mut network = engine.load_network(built)?;
        network.run(&[(&parts.latent, as_bytes(&latent)), (&parts.lengths, as_bytes(&lengths))])?;
        each(only(&network, None)?.1);
        let peak = |lines: &[Line]| lines.iter().map(|line| line.bytes).sum::<u64>();
        let own = network.lines().to_vec();
        Ok(if peak(&own) > peak(&timed.account) { own } else { timed.account })
    }

    /// How much of each sound is chance.
    fn noise(&self, options: &SpeakOptions) -> f32 {
        options.noise.unwrap_or(self.voice.inference.noise_scale)
    }

    /// The account of the first half for so many phonemes in a budget, or why it does not fit; the second's is known when that has run.
    ///
    /// # Errors
    /// What is no voice.
    pub fn plan_in(
        &self,
        engine: &Engine,
        phonemes: &str,
        budget: u64,
    ) -> Result<Result<Vec<Line>, Refusal>, Error> {
        let (model, parts) = self.model(engine)?;
        Ok(engine.plan_network_in(&first(engine, model, &parts, self.voice.ids(phonemes).len())?, budget))
    }

    fn model(&self, engine: &Engine) -> Result<(Model, Parts), Error> {
        let Examined::Network(NetworkFile::Onnx(model)) = engine.examine(&self.path)? else {
            return Err(Error::NotAVoice { what: "a network in ONNX" });
        };
        let parts = Parts::of(&model)?;
        Ok((*model, parts))
    }

    /// Runs the first half: what is to be heard at each moment.
    fn timed(&self, engine: &Engine, ids: &[i64], options: &SpeakOptions) -> Result<Timed, Error> {
        let (model, parts) = self.model(engine)?;
        let built = first(engine, model, &parts, ids.len())?;
        let mut network = engine.load_network(built)?;
        let scales = self.voice.inference;
        let noise_w = options.noise.unwrap_or(scales.noise_w);
        let (count, given) = ([ids.len() as i64], [self.noise(options), scales.length_scale, noise_w]);
        let chance = random(options.seed, 2 * ids.len())?;
        network.run(&[
            (&parts.inputs[0], as_bytes(ids)),
            (&parts.inputs[1], as_bytes(&count)),
            (&parts.inputs[2], as_bytes(&given)),
            (&parts.noise, as_bytes(&chance)),
        ])?;
        let [means, spreads] = [&parts.sounds[0], &parts.sounds[1]].map(|name| only(&network, Some(name)));
        let ((extents, means), (_, spreads)) = (means?, spreads?);
        let (_, lengths) = only(&network, Some(&parts.lengths))?;
        let width = extents.last().copied().unwrap_or(0).max(1);
        if lengths.len() != ids.len() || means.len() != width * ids.len() || spreads.len() != means.len() {
            return Err(Error::NotAVoice { what: "a sound for each id" });
        }
        let lengths = lengths.iter().map(|length| length.clamp(0.0, MOMENTS as f32) as usize).collect();
        let sounds = [means.to_vec(), spreads.to_vec()];
        Ok(Timed { sounds, width, lengths, account: network.lines().to_vec() })
    }
}

impl Timed {
    /// What is to be heard, (width, moments): each sound as long as it lasts, and chance.
    fn latent(&self, moments: usize, seed: u64, noise: f32) -> Result<Vec<f32>, Error> {
        let (width, [means, spreads]) = (self.width, &self.sounds);
        let mut latent = random(seed.wrapping_add(1), width * moments)?;
        let mut at = 0;
        let rows = means.chunks_exact(width).zip(spreads.chunks_exact(width));
        for ((mean, spread), length) in rows.zip(&self.lengths) {
            for ((mean, spread), band) in mean.iter().zip(spread).zip(latent.chunks_exact_mut(moments)) {
                let moments = band.iter_mut().skip(at).take(*length);
                moments.for_each(|x| *x = mean + *x * libm::expf(*spread) * noise);
            }
            at += length;
        }
        Ok(latent)
    }
}

/// The first half, for so many ids.
fn first(engine: &Engine, model: Model, parts: &Parts, ids: usize) -> Result<BuiltNetwork, Error> {
    let count = [ids as i64];
    let [input, lengths, scales] = &parts.inputs;
    let feeds = vec![
        feed(input, Elem::I64, &[1, ids], None),
        feed(lengths, Elem::I64, &[1], Some(as_bytes(&count))),
        feed(scales, Elem::F32, &[3], None),
        feed(&parts.noise, Elem::F32, &[1, 2, ids], None),
    ];
    let outputs = [&*parts.lengths, &*parts.sounds[0], &*parts.sounds[1]];
    let built = half(engine, model, &[&parts.noise], &outputs, &feeds)?;
    // What comes out is kept, and what is random is made.
    let width = built.outputs().last().and_then(|port| port.kind.extents.last().copied()).unwrap_or(0);
    let heap = (ids * (2 * width + 8) * 4) as u64;
    Ok(built.with_upkeep(Upkeep { heap, ..Upkeep::default() }))
}

/// A half of a network.
fn half(
    engine: &Engine,
    mut model: Model,
    inputs: &[&str],
    outputs: &[&str],
    feeds: &[Feed],
) -> Result<BuiltNetwork, Error> {
    models::onnx::cut(&mut model, inputs, outputs);
    engine.build_network(&NetworkFile::Onnx(Box::new(model)), feeds)
}

fn feed(name: &str, elem: Elem, extents: &[usize], bytes: Option<&[u8]>) -> Feed {
    let kind = ArrayType { elem, extents: Extents::new(extents).unwrap_or_default() };
    Feed { name: name.to_string(), kind, bytes: bytes.map(Into::into) }
}

/// Numbers around zero that look random.
fn random(seed: u64, count: usize) -> Result<Vec<f32>, Error> {
    let extents = Extents::new(&[count]).unwrap_or_default();
    let made = ArrayType { elem: Elem::F32, extents };
    let made = evaluate(&Random { made, kind: RandomKind::Normal(0.0, 1.0), seed }.into(), &[]);
    let made = made.map_err(models::Error::from)?;
    let bytes = made.first().map(|array| &array.bytes[..]).unwrap_or_default();
    Ok(bytes.chunks_exact(4).map(|x| x.try_into().map_or(0.0, f32::from_le_bytes)).collect())
}
