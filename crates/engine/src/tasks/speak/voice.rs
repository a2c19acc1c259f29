//! What is beside a voice: its rate, how it varies, and the numbers of its phonemes (Piper's `.onnx.json`).

use crate::Error;
use host::{FlashFile, ReadAt};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Bytes of such a file.
const LONGEST: u64 = 1 << 20;
/// Samples a second that there may be.
const RATES: std::ops::RangeInclusive<u32> = 4_000..=192_000;

#[derive(Deserialize)]
pub(super) struct Voice {
    pub audio: Audio,
    pub espeak: Option<Espeak>,
    pub inference: Inference,
    pub phoneme_id_map: BTreeMap<String, Vec<i64>>,
}

#[derive(Deserialize)]
pub(super) struct Audio {
    pub sample_rate: u32,
}

#[derive(Deserialize)]
pub(super) struct Espeak {
    pub voice: String,
}

/// How a voice varies.
#[derive(Clone, Copy, Deserialize)]
pub(super) struct Inference {
    pub noise_scale: f32,
    pub length_scale: f32,
    pub noise_w: f32,
}

impl Voice {
    /// Reads what is beside a network.
    pub fn beside(network: &Path) -> Result<Voice, Error> {
        let mut name = network.as_os_str().to_owned();
        name.push(".json");
        let path = PathBuf::from(name);
        let failed = |reason: String| Error::Pipeline { name: path.display().to_string(), reason };
        let file = FlashFile::open(&path)?;
        if file.len() > LONGEST {
            return Err(failed(format!("a voice's settings have at most {LONGEST} bytes")));
        }
        let mut bytes = vec![0; file.len() as usize];
        file.read_exact_at(0, &mut bytes).map_err(|error| failed(error.to_string()))?;
        let voice: Voice = serde_json::from_slice(&bytes).map_err(|error| failed(error.to_string()))?;
        if !RATES.contains(&voice.audio.sample_rate) {
            return Err(failed(format!("a sound of {} samples a second", voice.audio.sample_rate)));
        }
        Ok(voice)
    }

    /// The ids of phonemes: a mark at either end, and a pause after each.
    pub fn ids(&self, phonemes: &str) -> Vec<i64> {
        let of = |symbol: &str| self.phoneme_id_map.get(symbol).map_or(&[][..], Vec::as_slice);
        let pause = of("_");
        let mut ids = [of("^"), pause].concat();
        let mut symbol = [0; 4];
        for found in
            phonemes.chars().map(|c| of(c.encode_utf8(&mut symbol)).to_vec()).filter(|ids| !ids.is_empty())
        {
            ids.extend(found);
            ids.extend(pause);
        }
        ids.extend(of("$"));
        ids
    }
}
