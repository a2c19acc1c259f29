//! Models on a thread of their own, for those who must not wait for a step: a server's connections, an interface.
//!
//! What it is: a bounded way in, and behind it `turns`, which has a [`Schedule`](crate::Schedule) for whoever's turn it is. What it is not: a protocol, or a runtime for tasks. The one
//! design choice: whoever asks leaves a [`Listener`] and goes; all that is costly, the template and the tokenizer
//! included, happens on the one thread, one request at a time, so that what it takes is known.

use crate::turns::{self, Desk};
use crate::{
    BudgetSource, Chat, Counts, Engine, Error, GenerateOptions, Listener, LoadOptions, Memory, Model,
    Prepare, Shelf, Standing,
};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

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
pub(crate) type Told<T> = Box<dyn FnOnce(Result<T, Error>) + Send>;

/// Something to do, on its way to the thread.
pub(crate) struct Job {
    /// Which of the models.
    pub model: usize,
    /// How long the model stays loaded once nobody asks for it, if that is said: `None` is as long as there is room.
    pub keep: Option<Option<Duration>>,
    pub asked: Instant,
    pub work: Work,
}

pub(crate) enum Work {
    /// One answer for each listener, each with a seed of its own.
    Answer(Prompt, Box<GenerateOptions>, Vec<Box<dyn Listener + Send>>),
    /// How many tokens the prompt has.
    Count(Prompt, Told<usize>),
    /// The model is to be here.
    Load(Told<()>),
    /// The model is to go.
    Unload(Told<()>),
    /// Another budget, in bytes.
    Memory(u64, Told<()>),
}

/// A model that a service loads when it is asked for.
pub struct Shelved {
    /// Its name.
    pub name: String,
    /// Its file.
    pub path: PathBuf,
    /// How it is loaded. The context should be named, or it depends on who else is here.
    pub options: LoadOptions,
    /// What is done whenever it is loaded.
    pub prepare: Option<Prepare>,
}

/// What a service has of a model.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seat {
    /// What it has done, and what it does now.
    pub counts: Counts,
    /// Where it lies, or lay when it was loaded last; `None` if it never was.
    pub standing: Option<Standing>,
    /// Bytes that it may hold at most now; 0 if it is not loaded.
    pub bytes: u64,
    /// When it is unloaded if nobody asks for it; `None` if it stays as long as there is room.
    pub until: Option<Instant>,
    /// When it was asked for last.
    pub asked: Option<Instant>,
    /// The budget and the peak that `standing` was said of.
    pub(crate) placed: (u64, u64),
}

/// One model, or several that share a budget, at the service of many.
pub struct Service {
    /// `None` once it is closed.
    door: Mutex<Option<SyncSender<Job>>>,
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<Option<Model>>>>,
    queue: usize,
    /// The budget that it was started with.
    budget: u64,
    /// Bytes that are held by what was loaded before.
    beside: u64,
}

pub(crate) struct Shared {
    pub seats: Mutex<Vec<Seat>>,
    /// Answers that were asked for and are not with a schedule yet.
    pub entering: AtomicUsize,
    /// All is to end at once.
    pub stop: AtomicBool,
    pub failure: Mutex<Option<String>>,
}

impl Service {
    /// Starts the thread with a model. Up to `queue` requests may wait for their turn.
    ///
    /// # Errors
    /// If there is no thread to be had.
    pub fn start(model: Model, queue: usize) -> Result<Service, Error> {
        let budget = model.live.ledger.budget();
        let service = Service::spawn(1, queue, budget, move |jobs, shared| {
            Some(turns::one(model, Desk::new(jobs, queue, shared, None)))
        })?;
        service.with_first()
    }

    /// Starts the thread with models that share the budget of `engine`, and loads the first: whoever is asked for gets what
    /// it can use, as a [`Shelf`] has it, of what is left beside what is loaded in `engine` already, and one at a time answers.
    /// A model that nobody has asked for in `keep`, if that is said, is unloaded. `source` may change the budget.
    ///
    /// # Errors
    /// If there is no thread to be had, or the first cannot be loaded.
    pub fn share(
        engine: Engine,
        models: Vec<Shelved>,
        queue: usize,
        keep: Option<Duration>,
        source: Option<Box<dyn BudgetSource>>,
    ) -> Result<Service, Error> {
        let (budget, count, beside) = (engine.budget().bytes, models.len(), engine.held());
        let mut service = Service::spawn(count, queue, budget, move |jobs, shared| {
            let mut shelf = Shelf::new(&engine);
            let mut names = Vec::new();
            for Shelved { name, path, options, prepare } in models {
                shelf.add_prepared(&name, &path, options, 0, prepare);
                names.push(name);
            }
            turns::several(&mut shelf, &names, keep, Desk::new(jobs, queue, shared, source));
            None
        })?;
        service.beside = beside;
        service.with_first()
    }

    /// Waits until the first model is there and its seat says so.
    fn with_first(self) -> Result<Service, Error> {
        let (tell, told) = sync_channel(1);
        self.load(0, None, move |loaded| drop(tell.send(loaded)))?;
        told.recv().map_err(|_| Error::Ended { why: "the service has ended".into() })??;
        Ok(self)
    }

    /// A service without a model, for a server that has others; `budget` is what it tells.
    ///
    /// # Errors
    /// If there is no thread to be had.
    pub fn empty(budget: u64) -> Result<Service, Error> {
        let why = "the budget of a server without a model of language stays as it is";
        Service::spawn(0, 1, budget, move |jobs, _| {
            for job in jobs {
                if let Work::Memory(_, told) = job.work {
                    told(Err(Error::Ended { why: why.into() }));
                }
            }
            None
        })
    }

    fn spawn(
        models: usize,
        queue: usize,
        budget: u64,
        run: impl FnOnce(&Receiver<Job>, &Shared) -> Option<Model> + Send + 'static,
    ) -> Result<Service, Error> {
        let (door, jobs) = sync_channel(queue.max(1));
        let shared = Arc::new(Shared {
            seats: Mutex::new(vec![Seat::default(); models]),
            entering: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            failure: Mutex::default(),
        });
        let ours = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("engine".into()).spawn(move || run(&jobs, &ours));
        let thread = thread.map_err(|source| host::Error::Worker { source })?;
        let (door, thread) = (Mutex::new(Some(door)), Mutex::new(Some(thread)));
        Ok(Service { door, shared, thread, queue, budget, beside: 0 })
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
        self.ask_of(0, None, prompt, options, listeners)
    }

    /// As [`Service::ask`], of the model with that number, which stays loaded for `keep` afterwards if that is said.
    ///
    /// # Errors
    /// As [`Service::ask`].
    pub fn ask_of(
        &self,
        model: usize,
        keep: Option<Option<Duration>>,
        prompt: Prompt,
        options: GenerateOptions,
        listeners: Vec<Box<dyn Listener + Send>>,
    ) -> Result<(), Error> {
        let asked = listeners.len();
        let waiting: usize = lock(&self.shared.seats).iter().map(|seat| seat.counts.waiting).sum();
        let waiting = waiting + self.shared.entering.load(SeqCst);
        if waiting + asked > self.queue {
            return Err(Error::QueueFull { most: self.queue });
        }
        self.send(model, keep, Work::Answer(prompt, Box::new(options), listeners), asked)
    }

    /// Counts the tokens of a prompt and tells `done`.
    ///
    /// # Errors
    /// [`Error::QueueFull`], with nobody told.
    pub fn count(
        &self,
        model: usize,
        prompt: Prompt,
        done: impl FnOnce(Result<usize, Error>) + Send + 'static,
    ) -> Result<(), Error> {
        self.send(model, None, Work::Count(prompt, Box::new(done)), 0)
    }

    /// Loads a model if it is not, and tells `done`; it stays for `keep` if that is said.
    ///
    /// # Errors
    /// [`Error::QueueFull`], with nobody told.
    pub fn load(
        &self,
        model: usize,
        keep: Option<Option<Duration>>,
        done: impl FnOnce(Result<(), Error>) + Send + 'static,
    ) -> Result<(), Error> {
        self.send(model, keep, Work::Load(Box::new(done)), 0)
    }

    /// Unloads a model once those whom it answers have heard the end, and tells `done`.
    ///
    /// # Errors
    /// [`Error::QueueFull`], with nobody told.
    pub fn unload(
        &self,
        model: usize,
        done: impl FnOnce(Result<(), Error>) + Send + 'static,
    ) -> Result<(), Error> {
        self.send(model, None, Work::Unload(Box::new(done)), 0)
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
        self.send(0, None, Work::Memory(asked, Box::new(done)), 0)
    }

    /// The largest budget that it takes: what this machine can spare, or what it was started with.
    ///
    /// # Errors
    /// If the system does not tell.
    pub fn most_memory(&self) -> Result<u64, Error> {
        Ok(Memory::Auto.resolve()?.bytes.max(self.budget))
    }

    fn send(
        &self,
        model: usize,
        keep: Option<Option<Duration>>,
        work: Work,
        answers: usize,
    ) -> Result<(), Error> {
        let job = Job { model, keep, asked: Instant::now(), work };
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

    /// What the first model has done, and what it does now.
    pub fn counts(&self) -> Counts {
        lock(&self.shared.seats).first().map_or(Counts::default(), |seat| seat.counts)
    }

    /// Bytes that are held by what was loaded before, and that no budget can do without.
    pub fn beside(&self) -> u64 {
        self.beside
    }

    /// What there is of every model.
    pub fn seats(&self) -> Vec<Seat> {
        lock(&self.shared.seats).clone()
    }

    /// Requests that wait at the door or for another model.
    pub fn entering(&self) -> usize {
        self.shared.entering.load(SeqCst)
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

    /// Ends all answers at once, and gives the model back that it was started with.
    pub fn stop(&self) -> Option<Model> {
        self.close();
        self.shared.stop.store(true, SeqCst);
        let thread = lock(&self.thread).take();
        thread.and_then(|thread| thread.join().ok()).flatten()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop();
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
