//! Wake words: whether one was just said in a sound that streams in (openWakeWord).
//!
//! What it is: three networks, a picture of 80 ms of sound, what the last 76 rows of the picture sound like, and whether the last
//! of those are the word. What it is not: other words. The one design choice: it begins as if silence had been heard, so that the
//! same sound gives the same scores; openWakeWord begins with noise of its own, and agrees once that has passed.

use std::io::Read;
use std::path::{Path, PathBuf};

use host::{Part, Reservation, as_bytes};
use planner::{Line, Refusal};
use processors::audio::{RATE, Sound};

use super::values::only;
use crate::generate::Flow;
use crate::network::Beside;
use crate::{ArrayType, BuiltNetwork, Elem, Engine, Error, Examined, Extents, Feed, Network, NetworkFile};

/// Samples that come at once, and those before them that the picture needs again.
const FRAME: usize = 1280;
const BEFORE: usize = 480;
/// Rows of the picture that 80 ms make, those that are listened to, and numbers of a row.
const NEW: usize = 8;
const ROWS: usize = 76;
const BANDS: usize = 32;
/// Numbers of what a piece sounds like.
const WIDTH: usize = 96;
/// Pieces that a word may be made of.
const LONGEST: usize = 1024;
/// Frames at the beginning whose scores are none.
const DEAF: u64 = 5;
/// Frames that must be below the threshold before the word counts again.
const REST: u32 = 12;
/// Networks that belong to every word, without their extensions.
const SHARED: [&str; 2] = ["melspectrogram", "embedding_model"];

/// The networks of a wake word that were built, not loaded.
pub struct BuiltWake {
    picture: BuiltNetwork,
    listen: BuiltNetwork,
    word: BuiltNetwork,
    pieces: usize,
}

/// A word that was said.
#[derive(Clone, Debug, PartialEq)]
pub struct Woken {
    /// When it was over, seconds.
    pub at: f64,
    /// Which of the network's words; there is but one mostly.
    pub word: usize,
    /// How likely it was, at that moment.
    pub score: f32,
}

/// Networks that hear a word.
pub struct Wake {
    picture: Network,
    listen: Network,
    word: Network,
    lines: Vec<Line>,
    /// (BEFORE + FRAME), as whole numbers of 16 bits.
    heard: Vec<f32>,
    /// (ROWS, BANDS)
    rows: Vec<f32>,
    /// (pieces, WIDTH)
    pieces: Vec<f32>,
    /// What silence sounds like.
    silence: Vec<f32>,
    scores: Vec<f32>,
    frames: u64,
    _held: Reservation,
}

impl Engine {
    /// Whether a network is a wake word's: pieces of sound in, as openWakeWord has them.
    pub fn is_wake(&self, file: &NetworkFile) -> bool {
        pieces(file).is_some()
    }

    /// Builds a word's network and the two that lie beside it, or in another folder.
    ///
    /// # Errors
    /// If one is missing or is another network.
    pub fn build_wake(&self, word: &Path, folder: Option<&Path>) -> Result<BuiltWake, Error> {
        let folder = folder.or(word.parent()).unwrap_or(Path::new("."));
        let [picture, listen] = SHARED.map(|name| shared(folder, name));
        let missing = |what| Error::NoPart { folder: folder.to_path_buf(), what };
        let picture = picture.ok_or_else(|| missing("melspectrogram.onnx"))?;
        let listen = listen.ok_or_else(|| missing("embedding_model.onnx"))?;
        let file = self.network_at(word)?;
        let pieces = pieces(&file).ok_or_else(|| Error::NoSuchInput {
            name: "1xNx96".into(),
            inputs: file.inputs().iter().map(|input| &*input.name).collect::<Vec<_>>().join(", "),
        })?;
        let listen = self.network_at(&listen)?;
        let picture = self.network_at(&picture)?;
        let heap = Sound::<&[u8]>::HEAP_BYTES + (pieces * WIDTH * 4) as u64;
        let kept = heap.next_multiple_of(host::page_size() as u64);
        let mut picture = self.for_extents(&picture, &[1, BEFORE + FRAME])?;
        picture.beside = Beside { kept, passing: kept };
        let listen = self.for_extents(&listen, &[1, ROWS, BANDS, 1])?;
        Ok(BuiltWake { picture, listen, word: self.for_extents(&file, &[1, pieces, WIDTH])?, pieces })
    }

    fn network_at(&self, path: &Path) -> Result<NetworkFile, Error> {
        match self.examine(path)? {
            Examined::Network(file) => Ok(file),
            Examined::Model(_) => Err(Error::NoPart { folder: path.to_path_buf(), what: "network in it" }),
        }
    }

    fn for_extents(&self, file: &NetworkFile, extents: &[usize]) -> Result<BuiltNetwork, Error> {
        let name = file.inputs().first().map(|input| input.name.clone()).unwrap_or_default();
        let kind = ArrayType { elem: Elem::F32, extents: Extents::new(extents).unwrap_or_default() };
        self.build_network(file, &[Feed { name, kind, bytes: None }])
    }

    /// The account of a wake word in this engine's budget, or why it does not fit.
    pub fn plan_wake(&self, built: &BuiltWake) -> Result<Vec<Line>, Refusal> {
        self.plan_together(&[&built.picture, &built.listen, &built.word], self.budget.bytes)
    }

    /// Loads what [`Engine::build_wake`] has built, or refuses before a weight is read.
    ///
    /// # Errors
    /// [`Error::Refused`] if it does not fit the budget; otherwise what is wrong with the disk, or a network that is not what its
    /// name says.
    pub fn load_wake(&self, built: BuiltWake) -> Result<Wake, Error> {
        let lines = self.plan_wake(&built).map_err(|refused| Error::Refused(Box::new(refused)))?;
        let BuiltWake { picture, listen, word, pieces } = built;
        let held = self.ledger.reserve(Part::Data, picture.beside.kept).map_err(host::Error::from)?;
        let mut wake = Wake {
            picture: self.load_network(picture)?,
            listen: self.load_network(listen)?,
            word: self.load_network(word)?,
            lines,
            heard: vec![0.0; BEFORE + FRAME],
            rows: vec![1.0; ROWS * BANDS],
            pieces: vec![0.0; pieces * WIDTH],
            silence: Vec::new(),
            scores: Vec::new(),
            frames: 0,
            _held: held,
        };
        wake.silence = wake.sounds_like()?.to_vec();
        wake.forget();
        Ok(wake)
    }
}

/// How many pieces of sound a network takes, if that is what it takes.
fn pieces(file: &NetworkFile) -> Option<usize> {
    let inputs = file.inputs();
    let [input] = &*inputs else { return None };
    match input.extents.as_deref()? {
        [Some(1) | None, Some(pieces), Some(WIDTH)] if (1..=LONGEST).contains(pieces) => Some(*pieces),
        _ => None,
    }
}

/// One of the networks that belong to every word.
fn shared(folder: &Path, name: &str) -> Option<PathBuf> {
    let places = ["onnx", "tflite"].map(|extension| folder.join(name).with_extension(extension));
    places.into_iter().find(|place| place.exists())
}

impl Wake {
    /// Samples of a frame.
    pub const FRAME: usize = FRAME;

    /// The account, in printing order.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// Forgets what was heard.
    pub fn forget(&mut self) {
        self.heard.fill(0.0);
        self.rows.fill(1.0);
        let width = self.silence.len().max(1);
        self.pieces.chunks_exact_mut(width).for_each(|piece| piece.copy_from_slice(&self.silence));
        self.frames = 0;
    }

    /// How likely each of the network's words was just said, after the next [`Wake::FRAME`] samples; silence follows fewer.
    ///
    /// # Errors
    /// If a network is not what its name says.
    pub fn frame(&mut self, samples: &[f32]) -> Result<&[f32], Error> {
        self.heard.copy_within(FRAME.., 0);
        let (filled, rest) = self.heard[BEFORE..].split_at_mut(samples.len().min(FRAME));
        filled.iter_mut().zip(samples).for_each(|(to, from)| *to = from * 32_768.0);
        rest.fill(0.0);
        run(&mut self.picture, &self.heard)?;
        let picture = numbers(&self.picture, NEW * BANDS)?;
        self.rows.copy_within(NEW * BANDS.., 0);
        let new = &mut self.rows[(ROWS - NEW) * BANDS..];
        new.iter_mut().zip(picture).for_each(|(to, from)| *to = from / 10.0 + 2.0);
        self.sounds_like()?;
        self.pieces.copy_within(WIDTH.., 0);
        let at = self.pieces.len() - WIDTH;
        self.pieces[at..].copy_from_slice(numbers(&self.listen, WIDTH)?);
        run(&mut self.word, &self.pieces)?;
        self.scores.clear();
        self.scores.extend_from_slice(only(&self.word, None)?.1);
        self.frames += 1;
        if self.frames <= DEAF {
            self.scores.fill(0.0);
        }
        Ok(&self.scores)
    }

    /// What the rows of the picture sound like.
    fn sounds_like(&mut self) -> Result<&[f32], Error> {
        run(&mut self.listen, &self.rows)?;
        numbers(&self.listen, WIDTH)
    }

    /// Listens to a sound in WAV; `each` is given every word when it is heard, and may stop it. How many seconds were heard.
    ///
    /// # Errors
    /// If the sound cannot be read.
    pub fn run(
        &mut self,
        sound: impl Read,
        threshold: f32,
        each: &mut dyn FnMut(Woken) -> Flow,
    ) -> Result<f64, Error> {
        self.forget();
        let mut sound = Sound::new(sound)?;
        let (mut samples, mut heard, mut rest) = ([0.0; FRAME], 0u64, 0);
        loop {
            let count = sound.read(&mut samples)?;
            heard += count as u64;
            let seconds = heard as f64 / f64::from(RATE);
            if count > 0 {
                let likely = likeliest(self.frame(&samples[..count])?);
                let is_said = likely.is_some_and(|(_, score)| score >= threshold);
                if let Some((word, score)) = likely.filter(|_| is_said && rest == 0)
                    && let Flow::Stop = each(Woken { at: seconds, word, score })
                {
                    return Ok(seconds);
                }
                rest = if is_said { REST } else { rest.saturating_sub(1) };
            }
            if count < FRAME {
                return Ok(seconds);
            }
        }
    }
}

/// The likeliest word; of several scores the first is that none was said.
fn likeliest(scores: &[f32]) -> Option<(usize, f32)> {
    let words = scores.iter().copied().enumerate().skip(usize::from(scores.len() > 1));
    words.max_by(|a, b| a.1.total_cmp(&b.1))
}

fn run(network: &mut Network, numbers: &[f32]) -> Result<(), Error> {
    let name = network.inputs().first().map(|input| input.name.clone()).unwrap_or_default();
    network.run(&[(&name, as_bytes(numbers))])
}

/// The numbers that a network made, if it made so many.
fn numbers(network: &Network, count: usize) -> Result<&[f32], Error> {
    let (extents, numbers) = only(network, None)?;
    let kind = ArrayType { elem: Elem::F32, extents };
    if numbers.len() == count { Ok(numbers) } else { Err(Error::OutputKind { kind: Box::new(kind) }) }
}
