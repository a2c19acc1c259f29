//! A model of speech on a thread of its own, for those who must not wait for half a minute: a server's connections.
//!
//! What it is: a bounded way in, one sound after another, and somebody who is told what each says. What it is not: a protocol. The
//! one design choice: whoever has gone is asked about before every token, so a sound that nobody waits for costs no more.

use std::io::Read;

use super::door::Door;
use super::{Passage, Transcribe, TranscribeOptions, Transcript};
use crate::Error;
use crate::generate::Flow;

/// A sound that is to be written down.
pub struct SpeechAsked {
    /// The sound, in WAV.
    pub sound: Box<dyn Read + Send>,
    /// How.
    pub options: TranscribeOptions,
}

/// Who is told what was said.
pub trait SpeechListener: Send {
    /// Whether somebody still wants to know.
    fn is_here(&self) -> bool;
    /// Something was said.
    fn hear(&self, passage: &Passage);
    /// The sound is over, or could not be heard.
    fn done(self: Box<Self>, result: Result<Transcript, Error>);
}

type Job = (SpeechAsked, Box<dyn SpeechListener>);

/// A model of speech at the service of many.
pub struct SpeechService(Door<Job>);

impl SpeechService {
    /// Starts the thread. Up to `queue` sounds may wait for their turn.
    ///
    /// # Errors
    /// If there is no thread to be had.
    pub fn start(mut transcribe: Transcribe, queue: usize) -> Result<SpeechService, Error> {
        Door::open("speech", queue, move |job| answer(&mut transcribe, job)).map(SpeechService)
    }

    /// Asks; `listener` hears what is said.
    ///
    /// # Errors
    /// [`Error::QueueFull`], with nobody told.
    pub fn ask(&self, asked: SpeechAsked, listener: Box<dyn SpeechListener>) -> Result<(), Error> {
        self.0.hand_in((asked, listener))
    }

    /// Takes no sounds from now on; those that were taken are written down.
    pub fn close(&self) {
        self.0.close();
    }
}

fn answer(transcribe: &mut Transcribe, (asked, listener): Job) {
    let SpeechAsked { sound, options } = asked;
    let wanted = || listener.is_here();
    let result = transcribe.run_while(sound, &options, &wanted, &mut |passage| {
        listener.hear(passage);
        Flow::Continue
    });
    // The sound is gone, and what held it goes back before somebody else's comes.
    host::trim_heap();
    listener.done(result);
}
