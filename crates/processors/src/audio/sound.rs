//! A sound as networks hear it: one channel, 16,000 samples a second mostly, from a stream, a piece at a time.

use std::io::Read;

use super::resample::Resampler;
use super::wav::WavReader;
use crate::Error;

/// Samples a second that networks of speech want.
pub const RATE: u32 = 16_000;

/// A sound that is being read.
pub struct Sound<R> {
    wav: WavReader<R>,
    resampler: Resampler,
    /// What was read and not made another rate's yet.
    old: Vec<f32>,
    /// What was made and not asked for yet.
    new: Vec<f32>,
    ended: bool,
}

impl<R: Read> Sound<R> {
    /// Reads up to the samples.
    ///
    /// # Errors
    /// What is no WAV, or one that is not read, by name.
    pub fn new(from: R) -> Result<Sound<R>, Error> {
        Sound::of_rate(from, RATE)
    }

    /// As [`Sound::new`], heard at another rate.
    ///
    /// # Errors
    /// As there.
    pub fn of_rate(from: R, rate: u32) -> Result<Sound<R>, Error> {
        let wav = WavReader::new(from)?;
        let resampler = Resampler::new(wav.rate(), rate);
        Ok(Sound { wav, resampler, old: Vec::new(), new: Vec::new(), ended: false })
    }

    /// Bytes on the heap, at most: the table of a resampler, and blocks, which a higher rate makes larger.
    pub const fn heap_bytes(rate: u32) -> u64 {
        (1 << 20) + (64 << 10) * (rate as u64).div_ceil(1000)
    }

    /// The same, of [`RATE`].
    pub const HEAP_BYTES: u64 = Sound::<R>::heap_bytes(RATE);

    /// Fills `out` with the next samples; how many there were. Fewer than asked for means that the sound has ended.
    ///
    /// # Errors
    /// If the stream cannot be read.
    pub fn read(&mut self, out: &mut [f32]) -> Result<usize, Error> {
        let mut filled = 0;
        loop {
            let take = self.new.len().min(out.len() - filled);
            out[filled..filled + take].copy_from_slice(&self.new[..take]);
            self.new.drain(..take);
            filled += take;
            if filled == out.len() || self.ended {
                return Ok(filled);
            }
            self.old.clear();
            if self.wav.read(&mut self.old)? {
                self.resampler.push(&self.old, &mut self.new);
            } else {
                self.ended = true;
                self.resampler.finish(&mut self.new);
            }
        }
    }
}
