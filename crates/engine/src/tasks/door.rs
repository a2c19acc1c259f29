//! A thread that does one job after another, and the bounded way to it.
//!
//! What it is: what services of tasks share. What it is not: what a job is. The one design choice: whoever asks never waits; where there
//! is no room he is told, and nobody hears of the job.

use crate::Error;
use crate::service::lock;
use std::sync::Mutex;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

/// The way to a thread.
pub(super) struct Door<J> {
    /// `None` once it is closed.
    way: Mutex<Option<SyncSender<J>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    queue: usize,
}

impl<J: Send + 'static> Door<J> {
    /// Starts the thread, which does `work` with every job. Up to `queue` jobs may wait for their turn.
    ///
    /// # Errors
    /// If there is no thread to be had.
    pub fn open(
        name: &str,
        queue: usize,
        mut work: impl FnMut(J) + Send + 'static,
    ) -> Result<Door<J>, Error> {
        let (way, jobs) = sync_channel::<J>(queue.max(1));
        let run = move || jobs.into_iter().for_each(&mut work);
        let thread = std::thread::Builder::new().name(name.into()).spawn(run);
        let thread = thread.map_err(|source| host::Error::Worker { source })?;
        Ok(Door { way: Mutex::new(Some(way)), thread: Mutex::new(Some(thread)), queue })
    }

    /// Hands in a job.
    ///
    /// # Errors
    /// [`Error::QueueFull`] or [`Error::Ended`], with nobody told.
    pub fn hand_in(&self, job: J) -> Result<(), Error> {
        let way = lock(&self.way);
        let Some(way) = way.as_ref() else {
            return Err(Error::Ended { why: "the service is closing".into() });
        };
        way.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => Error::QueueFull { most: self.queue },
            TrySendError::Disconnected(_) => Error::Ended { why: "the service has ended".into() },
        })
    }
}

impl<J> Door<J> {
    /// Takes no jobs from now on; those that were taken are done.
    pub fn close(&self) {
        lock(&self.way).take();
    }
}

impl<J> Drop for Door<J> {
    fn drop(&mut self) {
        self.close();
        if let Some(thread) = lock(&self.thread).take() {
            let _ = thread.join();
        }
    }
}
