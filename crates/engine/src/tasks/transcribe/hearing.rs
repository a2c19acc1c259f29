//! The half minute that is being looked at, of a sound that streams in.
//!
//! The one design choice: as many samples are held as one look needs, with the few that its first and last windows reach
//! beyond it; before the sound stands its mirror image, as Whisper was taught.

use std::io::Read;

use processors::audio::{FRAME_STEP, RATE, Sound, WINDOW};

use crate::Error;

/// Samples that a window reaches beyond its place.
const EDGE: usize = WINDOW / 2;
/// Windows that are too few to have words in them.
const FEW: usize = 10;

/// A sound and where in it we are.
pub(super) struct Hearing<R> {
    sound: Sound<R>,
    /// From [`EDGE`] before the place that is looked at.
    held: Vec<f32>,
    room: usize,
    ended: bool,
    /// Windows before this look.
    passed: u64,
    /// Windows of this look.
    frames: usize,
    /// Samples that were read.
    total: u64,
}

impl<R: Read> Hearing<R> {
    /// Listens to looks of so many moments, of two windows each.
    pub fn new(sound: Sound<R>, moments: usize) -> Hearing<R> {
        let room = room(moments);
        let mut held = Vec::with_capacity(room);
        held.resize(EDGE, 0.0);
        Hearing { sound, held, room, ended: false, passed: 0, frames: 0, total: 0 }
    }

    /// Bytes that it holds.
    pub fn bytes(moments: usize) -> u64 {
        (room(moments) * size_of::<f32>()) as u64
    }

    /// Reads what belongs to this look; whether there is something to look at.
    pub fn listen(&mut self) -> Result<bool, Error> {
        let first = self.total == 0;
        if !self.ended {
            let had = self.held.len();
            self.held.resize(self.room, 0.0);
            let count = self.sound.read(&mut self.held[had..])?;
            self.total += count as u64;
            self.ended = had + count < self.room;
            self.held.truncate(had + count);
        }
        if first && self.held.len() > 2 * EDGE {
            (0..EDGE).for_each(|at| self.held[at] = self.held[2 * EDGE - at]);
        }
        let most = (self.room - 2 * EDGE) / FRAME_STEP;
        let left = (self.total / FRAME_STEP as u64).saturating_sub(self.passed);
        self.frames = usize::try_from(left).map_or(most, |left| left.min(most));
        if self.frames < FEW {
            return Ok(false);
        }
        let needed = (self.frames - 1) * FRAME_STEP + WINDOW;
        self.held.resize(self.held.len().max(needed), 0.0);
        Ok(true)
    }

    /// The samples of this look's windows.
    pub fn samples(&self) -> &[f32] {
        &self.held[..(self.frames - 1) * FRAME_STEP + WINDOW]
    }

    /// Windows of this look.
    pub fn frames(&self) -> usize {
        self.frames
    }

    /// When this look begins, seconds.
    pub fn start(&self) -> f64 {
        self.passed as f64 * FRAME_STEP as f64 / f64::from(RATE)
    }

    /// How long the sound was so far.
    pub fn seconds(&self) -> f64 {
        self.total as f64 / f64::from(RATE)
    }

    /// Goes on by so many windows, at least one.
    pub fn pass(&mut self, frames: usize) {
        let frames = frames.clamp(1, self.frames.max(1));
        self.passed += frames as u64;
        self.held.drain(..(frames * FRAME_STEP).min(self.held.len()));
    }
}

fn room(moments: usize) -> usize {
    2 * moments * FRAME_STEP + 2 * EDGE
}
