//! A model of speech on a thread of its own, for those who must not wait for half a minute: a server's connections.
//!
//! What it is: a bounded way in, one sound after another, and somebody who is told what each says. What it is not: a protocol. The
//! one design choice: whoever has gone is asked about before every token, so a sound that nobody waits for costs no more.

use std::io::Read;
use std::sync::Mutex;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use super::{Passage, Transcribe, TranscribeOptions, Transcript};
use crate::Error;
use crate::generate::Flow;
use crate::service::lock;

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
pub struct SpeechService {
    /// `None` once it is closed.
    door: Mutex<Option<SyncSender<Job>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    queue: usize,
}

impl SpeechService {
    /// Starts the thread. Up to `queue` sounds may wait for their turn.
    ///
    /// # Errors
    /// If there is no thread to be had.
    pub fn start(mut transcribe: Transcribe, queue: usize) -> Result<SpeechService, Error> {
        let (door, jobs) = sync_channel::<Job>(queue.max(1));
        let run = move || jobs.into_iter().for_each(|job| answer(&mut transcribe, job));
        let thread = std::thread::Builder::new().name("speech".into()).spawn(run);
        let thread = thread.map_err(|source| host::Error::Worker { source })?;
        Ok(SpeechService { door: Mutex::new(Some(door)), thread: Mutex::new(Some(thread)), queue })
    }

    /// Asks; `listener` hears what is said.
    ///
    /// # Errors
    /// [`Error::QueueFull`], with nobody told.
    pub fn ask(&self, asked: SpeechAsked, listener: Box<dyn SpeechListener>) -> Result<(), Error> {
        let door = lock(&self.door);
        let Some(door) = door.as_ref() else {
            return Err(Error::Ended { why: "the service is closing".into() });
        };
        door.try_send((asked, listener)).map_err(|error| match error {
            TrySendError::Full(_) => Error::QueueFull { most: self.queue },
            TrySendError::Disconnected(_) => Error::Ended { why: "the service has ended".into() },
        })
    }

    /// Takes no sounds from now on; those that were taken are written down.
    pub fn close(&self) {
        lock(&self.door).take();
    }
}

impl Drop for SpeechService {
    fn drop(&mut self) {
        self.close();
        if let Some(thread) = lock(&self.thread).take() {
            let _ = thread.join();
        }
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
