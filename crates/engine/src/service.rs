//! A model on a thread of its own, for those who must not wait for a step: a server's connections, an interface.
//!
//! What it is: a bounded way in, and a [`Schedule`] behind it. What it is not: a protocol, or a runtime for tasks. The one
//! design choice: whoever asks leaves a [`Listener`] and goes; all that is costly, the template and the tokenizer
//! included, happens on the one thread, one request at a time, so that what it takes is known.

use crate::{Chat, Counts, Error, GenerateOptions, Listener, Memory, Model, Schedule, Standing};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long the thread sleeps when all those who are being answered are too busy to hear more.
const PAUSE: Duration = Duration::from_millis(2);

/// What is to be answered.
#[derive(Clone, Debug, PartialEq)]
pub enum Prompt {
    /// A conversation whose next turn is the model's.
    Chat(Chat),
    /// Ids as they are.
    Ids(Vec<u32>),
    /// A text that goes on.
    Text(String),
}

/// Who is told what became of a job.
type Told<T> = Box<dyn FnOnce(Result<T, Error>) + Send>;

/// A request on its way.
enum Job {
    /// One answer for each listener, each with a seed of its own.
    Answer(Prompt, Box<GenerateOptions>, Vec<Box<dyn Listener + Send>>),
    /// How many tokens the prompt has.
    Count(Prompt, Told<usize>),
    /// Another budget, in bytes.
    Memory(u64, Told<()>),
}

/// A model that is at the service of many.
pub struct Service {
    /// `None` once it is closed.
    door: Mutex<Option<SyncSender<Job>>>,
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<Model>>>,
    queue: usize,
    /// The budget that it was started with.
    budget: u64,
}

struct Shared {
    counts: Mutex<Counts>,
    /// Where the model lies, and the budget and peak that this was said of.
    standing: Mutex<(Standing, (u64, u64))>,
    /// Requests at the door, not yet with the schedule.
    entering: AtomicUsize,
    /// All is to end at once.
    stop: AtomicBool,
    failure: Mutex<Option<String>>,
}

impl Service {
    /// Starts the thread. Up to `queue` requests may wait for their turn.
    ///
    /// # Errors
    /// If there is no thread to be had.
    pub fn start(model: Model, queue: usize) -> Result<Service, Error> {
        let (door, jobs) = sync_channel(queue.max(1));
        let budget = model.live.ledger.budget();
        let shared = Arc::new(Shared {
            counts: Mutex::default(),
            standing: Mutex::new((model.standing()?, (0, 0))),
            entering: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            failure: Mutex::default(),
        });
        let ours = Arc::clone(&shared);
        let serve = move || serve(model, &jobs, queue, &ours);
        let thread = std::thread::Builder::new().name("engine".into()).spawn(serve);
        let thread = thread.map_err(|source| host::Error::Worker { source })?;
        Ok(Service { door: Mutex::new(Some(door)), shared, thread: Mutex::new(Some(thread)), queue, budget })
    }

    /// Asks for as many answers to `prompt` as there are listeners; the second draws with the next seed, and so on.
    ///
    /// # Errors
    /// [`Error::QueueFull`], at once, with nobody told; all else is said to the listeners.
    pub fn ask(
        &self,
        prompt: Prompt,
        options: GenerateOptions,
        listeners: Vec<Box<dyn Listener + Send>>,
    ) -> Result<(), Error> {
        let asked = listeners.len();
        let waiting = self.counts().waiting + self.shared.entering.load(SeqCst);
        if waiting + asked > self.queue {
            return Err(Error::QueueFull { most: self.queue });
        }
        self.send(Job::Answer(prompt, Box::new(options), listeners), asked)
    }

    /// Counts the tokens of a prompt and tells `done`.
    ///
    /// # Errors
    /// [`Error::QueueFull`], with nobody told.
    pub fn count(
        &self,
        prompt: Prompt,
        done: impl FnOnce(Result<usize, Error>) + Send + 'static,
    ) -> Result<(), Error> {
        self.send(Job::Count(prompt, Box::new(done)), 0)
    }

    /// Changes the budget of the whole process between two steps, and tells `done`: [`Error::Refused`] if the model cannot run
    /// in so little, with nothing changed.
    ///
    /// # Errors
    /// With nobody told: [`Error::BeyondMachine`] for more than this machine can spare and than it was started with,
    /// [`Error::QueueFull`].
    pub fn set_memory(
        &self,
        memory: Memory,
        done: impl FnOnce(Result<(), Error>) + Send + 'static,
    ) -> Result<(), Error> {
        let (asked, most) = (memory.resolve()?.bytes, self.most_memory()?);
        if asked > most {
            return Err(Error::BeyondMachine { asked, most });
        }
        self.send(Job::Memory(asked, Box::new(done)), 0)
    }

    /// The largest budget that it takes: what this machine can spare, or what it was started with.
    ///
    /// # Errors
    /// If the system does not tell.
    pub fn most_memory(&self) -> Result<u64, Error> {
        Ok(Memory::Auto.resolve()?.bytes.max(self.budget))
    }

    fn send(&self, job: Job, answers: usize) -> Result<(), Error> {
        let door = lock(&self.door);
        let Some(door) = door.as_ref() else {
            return Err(Error::Ended { why: "the service is closing".into() });
        };
        self.shared.entering.fetch_add(answers, SeqCst);
        door.try_send(job).map_err(|error| {
            self.shared.entering.fetch_sub(answers, SeqCst);
            match error {
                TrySendError::Full(_) => Error::QueueFull { most: self.queue },
                TrySendError::Disconnected(_) => Error::Ended { why: "the service has ended".into() },
            }
        })
    }

    /// What it has done, and what it does now.
    pub fn counts(&self) -> Counts {
        *lock(&self.shared.counts)
    }

    /// Where the model lies.
    pub fn standing(&self) -> Standing {
        lock(&self.shared.standing).0
    }

    /// What went wrong with the last step, if it failed: requests are still taken, but are likely to fail, too.
    pub fn failure(&self) -> Option<String> {
        lock(&self.shared.failure).clone()
    }

    /// Takes no requests from now on; those that were taken are answered.
    pub fn close(&self) {
        lock(&self.door).take();
    }

    /// Whether all that was asked is answered after [`Service::close`].
    pub fn is_done(&self) -> bool {
        lock(&self.thread).as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Ends all answers at once, and gives the model back; `None` if its thread is gone.
    pub fn stop(&self) -> Option<Model> {
        self.close();
        self.shared.stop.store(true, SeqCst);
        let thread = lock(&self.thread).take();
        thread.and_then(|thread| thread.join().ok())
    }
}

impl Shared {
    /// Writes down where the model lies, if that has changed.
    fn look(&self, model: &Model) {
        let now = (model.placement().budget, model.placement().peak());
        let mut standing = lock(&self.standing);
        if let Some(found) = (now != standing.1).then(|| model.standing().ok()).flatten() {
            *standing = (found, now);
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Answers until nobody can ask any more.
fn serve(mut model: Model, jobs: &Receiver<Job>, queue: usize, shared: &Shared) -> Model {
    let mut schedule = Schedule::new(&mut model, queue);
    let (mut stepped, mut open) = (true, true);
    while (open || !schedule.is_idle()) && !shared.stop.load(SeqCst) {
        // With nobody to answer there is nothing else to do; otherwise only those at the door are let in.
        let wait = match (schedule.is_idle(), stepped) {
            (true, _) => Duration::MAX,
            (false, true) => Duration::ZERO,
            (false, false) => PAUSE,
        };
        match jobs.recv_timeout(wait) {
            Ok(job) => take(&mut schedule, job, shared),
            Err(RecvTimeoutError::Disconnected) if open => open = false,
            Err(RecvTimeoutError::Disconnected) => std::thread::sleep(wait),
            Err(RecvTimeoutError::Timeout) => {}
        }
        if !schedule.is_idle() {
            let result = schedule.step();
            *lock(&shared.failure) = result.as_ref().err().map(Error::to_string);
            stepped = result.unwrap_or(false);
        }
        *lock(&shared.counts) = *schedule.counts();
        shared.look(schedule.model());
    }
    schedule.fail("the service was stopped");
    drop(schedule);
    model
}

/// Lets a request in.
fn take(schedule: &mut Schedule<'_>, job: Job, shared: &Shared) {
    let ids = |model: &Model, prompt: Prompt, options: &mut GenerateOptions| match prompt {
        Prompt::Chat(chat) => model.encode_chat_with_tools(&chat, options),
        Prompt::Ids(ids) => model.checked(ids),
        Prompt::Text(text) => model.encode(&text),
    };
    let (prompt, mut options, mut listeners) = match job {
        Job::Answer(prompt, options, listeners) => (prompt, *options, listeners),
        Job::Count(prompt, done) => {
            let ids = ids(schedule.model(), prompt, &mut GenerateOptions::default());
            return done(ids.map(|ids| ids.len()));
        }
        Job::Memory(bytes, done) => {
            let changed = schedule.set_memory(bytes);
            shared.look(schedule.model());
            return done(changed);
        }
    };
    let ids = ids(schedule.model(), prompt, &mut options);
    let asked = listeners.len();
    match ids {
        Ok(ids) => {
            // A grammar is read when its turn comes.
            if options.grammar.is_none() {
                listeners.iter_mut().for_each(|listener| listener.accepted());
            }
            let listeners = listeners.into_iter().map(|listener| listener as Box<dyn Listener>).collect();
            schedule.submit_several(ids, options, listeners);
        }
        Err(error) => {
            let mut error = Some(error);
            for listener in listeners {
                let why = || Error::Ended { why: "another answer to the same prompt failed".into() };
                listener.done(Err(error.take().unwrap_or_else(why)));
            }
        }
    }
    *lock(&shared.counts) = *schedule.counts();
    shared.entering.fetch_sub(asked, SeqCst);
}
