//! Whose turn it is: the thread behind a [`Service`](crate::Service), on which models answer one after the other.
//!
//! What it is: jobs from the door to the schedule of their model, and the change from one model to the next. What it is not:
//! who has how much of the budget, which the [`Shelf`] knows. The one design choice: once somebody waits for another model,
//! nobody else is let in to the one that answers, so that a turn lasts as long as its answers and everybody gets one;
//! all who wait for the same model are answered together.

use crate::live::BudgetSource;
use crate::service::{Job, Seat, Shared, Work, lock};
use crate::{Attention, Error, GenerateOptions, Listener, Model, Prompt, Schedule, Shelf};
use std::collections::VecDeque;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// How long the thread sleeps when all those who are being answered are too busy to hear more.
const PAUSE: Duration = Duration::from_millis(2);
/// How often a source of budgets is asked while nobody is answered.
const LOOK: Duration = Duration::from_millis(500);

/// What the thread has before it.
pub(crate) struct Desk<'a> {
    jobs: &'a Receiver<Job>,
    queue: usize,
    shared: &'a Shared,
    /// Those who wait for another model, in the order in which they came.
    pending: VecDeque<Job>,
    /// Whether anybody can still ask.
    open: bool,
    source: Option<Box<dyn BudgetSource>>,
    /// How long each model stays once nobody asks for it.
    keeps: Vec<Option<Duration>>,
    /// When each was asked for last.
    asked: Vec<Instant>,
}

/// The others of a shelf, and all their names.
type Others<'a, 's> = Option<(&'a mut Shelf<'s>, &'a [String])>;

/// Answers with one model until nobody can ask any more.
pub(crate) fn one(mut model: Model, mut desk: Desk<'_>) -> Model {
    desk.turn(0, &mut model, &mut None);
    model
}

/// Answers with all models of a shelf, one at a time, until nobody can ask any more.
pub(crate) fn several(shelf: &mut Shelf<'_>, names: &[String], keep: Option<Duration>, mut desk: Desk<'_>) {
    desk.keeps.fill(keep);
    while desk.goes_on() && !desk.shared.stop.load(SeqCst) {
        desk.unload_late(None, shelf, names);
        desk.follow(|bytes| shelf.set_memory(None, bytes));
        let Some(job) = desk.next() else { continue };
        let Some(name) = names.get(job.model) else { continue };
        match job.work {
            Work::Memory(bytes, done) => done(shelf.set_memory(None, bytes)),
            Work::Unload(done) => {
                shelf.unload(name);
                desk.leave(job.model, shelf, names);
                done(Ok(()));
            }
            _ => match shelf.lend(name) {
                Ok(mut model) => {
                    let at = job.model;
                    desk.pending.push_front(job);
                    desk.turn(at, &mut model, &mut Some((shelf, names)));
                    shelf.give_back(name, model);
                    desk.leave(at, shelf, names);
                }
                Err(error) => desk.refuse(job, error),
            },
        }
    }
    while let Some(job) = desk.pending.pop_front() {
        desk.refuse(job, Error::Ended { why: "the service was stopped".into() });
    }
}

impl<'a> Desk<'a> {
    pub fn new(
        jobs: &'a Receiver<Job>,
        queue: usize,
        shared: &'a Shared,
        source: Option<Box<dyn BudgetSource>>,
    ) -> Desk<'a> {
        let models = lock(&shared.seats).len();
        let (keeps, asked) = (vec![None; models], vec![Instant::now(); models]);
        Desk { jobs, queue, shared, pending: VecDeque::new(), open: true, source, keeps, asked }
    }

    /// Whether there is or may come something to do.
    fn goes_on(&self) -> bool {
        self.open || !self.pending.is_empty()
    }

    /// What is to be done next where nobody has his turn; `None` if it is time to look around.
    fn next(&mut self) -> Option<Job> {
        if let Some(job) = self.pending.pop_front() {
            return Some(job);
        }
        match self.jobs.recv_timeout(self.rest(None)) {
            Ok(job) => Some(job),
            Err(error) => {
                self.open &= error != RecvTimeoutError::Disconnected;
                None
            }
        }
    }

    /// How long the thread may sleep with nobody to answer; `at` is the model whose turn it is.
    fn rest(&self, at: Option<usize>) -> Duration {
        let seats = lock(&self.shared.seats);
        let here = |n: &usize| Some(*n) == at || seats[*n].bytes > 0;
        let ends = (0..seats.len()).filter(here).filter_map(|n| self.left(n));
        ends.chain(self.source.as_ref().map(|_| LOOK)).min().unwrap_or(Duration::MAX)
    }

    /// How long a model still stays if nobody asks for it.
    fn left(&self, model: usize) -> Option<Duration> {
        self.keeps[model].map(|keep| keep.saturating_sub(self.asked[model].elapsed()))
    }

    /// A model answers until somebody waits for another and all are answered who came before.
    fn turn(&mut self, at: usize, model: &mut Model, others: &mut Others<'_, '_>) {
        if let Some((shelf, _)) = others {
            self.look(Some(at), shelf);
        }
        let counts = lock(&self.shared.seats)[at].counts;
        let mut schedule = Schedule::go_on(model, self.queue, counts);
        self.admit_pending(at, &mut schedule);
        let mut stepped = true;
        while !self.shared.stop.load(SeqCst) {
            let idle = schedule.is_idle();
            let late = idle && others.is_some() && self.left(at) == Some(Duration::ZERO);
            if idle && (late || !self.pending.is_empty() || !self.open) {
                break;
            }
            // With nobody to answer there is nothing else to do; otherwise only those at the door are let in.
            let wait = match (idle, stepped) {
                (true, _) => self.rest(Some(at)),
                (false, true) => Duration::ZERO,
                (false, false) => PAUSE,
            };
            match self.jobs.recv_timeout(wait) {
                Ok(job) => self.receive(job, at, &mut schedule, others),
                Err(RecvTimeoutError::Disconnected) if self.open => self.open = false,
                Err(RecvTimeoutError::Disconnected) => std::thread::sleep(wait),
                Err(RecvTimeoutError::Timeout) => {}
            }
            if let Some((shelf, names)) = others {
                self.unload_late(Some(at), shelf, names);
                self.follow(|bytes| change(&mut schedule, shelf, &names[at], bytes));
            }
            if !schedule.is_idle() {
                let result = schedule.step();
                *lock(&self.shared.failure) = result.as_ref().err().map(Error::to_string);
                stepped = result.unwrap_or(false);
                self.asked[at] = Instant::now();
            }
            self.forget_gone();
            self.publish(at, &schedule);
        }
        schedule.fail("the service was stopped");
        self.publish(at, &schedule);
    }

    /// Does what can be done in a turn, and puts off the rest.
    fn receive(&mut self, job: Job, at: usize, schedule: &mut Schedule<'_>, others: &mut Others<'_, '_>) {
        match job.work {
            Work::Memory(bytes, done) => {
                let changed = match others {
                    None => schedule.set_memory(bytes),
                    Some((shelf, names)) => {
                        let changed = change(schedule, shelf, &names[at], bytes);
                        self.look(Some(at), shelf);
                        changed
                    }
                };
                self.publish(at, schedule);
                done(changed);
            }
            Work::Unload(done) if others.is_none() => done(Ok(())),
            ref work if job.model == at && self.pending.is_empty() && !matches!(work, Work::Unload(_)) => {
                self.take(job, schedule);
            }
            _ => self.pending.push_back(job),
        }
    }

    /// Lets in all who wait for the model whose turn begins, up to where it is to go.
    fn admit_pending(&mut self, at: usize, schedule: &mut Schedule<'_>) {
        let mut put_off = VecDeque::new();
        let mut goes = false;
        while let Some(job) = self.pending.pop_front() {
            goes |= job.model == at && matches!(job.work, Work::Unload(_));
            match job.model == at && !goes && !matches!(job.work, Work::Memory(..)) {
                true => self.take(job, schedule),
                false => put_off.push_back(job),
            }
        }
        self.pending = put_off;
        self.publish(at, schedule);
    }

    /// Gives a job to its schedule.
    fn take(&mut self, job: Job, schedule: &mut Schedule<'_>) {
        self.asked[job.model] = Instant::now();
        if let Some(keep) = job.keep {
            self.keeps[job.model] = keep;
        }
        let ids = |model: &Model, prompt: Prompt, options: &mut GenerateOptions| match prompt {
            Prompt::Chat(chat) => model.encode_chat_with_tools(&chat, options),
            Prompt::Ids(ids) => model.checked(ids),
            Prompt::Text(text) => model.encode(&text),
        };
        let (prompt, mut options, mut listeners) = match job.work {
            Work::Answer(prompt, options, listeners) => (prompt, *options, listeners),
            Work::Count(prompt, done) => {
                let ids = ids(schedule.model(), prompt, &mut GenerateOptions::default());
                return done(ids.map(|ids| ids.len()));
            }
            Work::Load(done) => {
                self.publish(job.model, schedule);
                return done(Ok(()));
            }
            Work::Unload(done) | Work::Memory(_, done) => return done(Ok(())), // which never come here
        };
        options.time = options.time.map(|time| time.saturating_sub(job.asked.elapsed()));
        let asked = listeners.len();
        match ids(schedule.model(), prompt, &mut options) {
            Ok(ids) => {
                // A grammar is read when its turn comes.
                if options.grammar.is_none() {
                    listeners.iter_mut().for_each(|listener| listener.accepted());
                }
                let listeners = listeners.into_iter().map(|listener| listener as Box<dyn Listener>).collect();
                schedule.submit_several(ids, options, listeners);
            }
            Err(error) => fail(listeners, error),
        }
        self.publish(job.model, schedule);
        self.shared.entering.fetch_sub(asked, SeqCst);
    }

    /// Tells all who wait for a model that cannot be had.
    fn refuse(&mut self, job: Job, error: Error) {
        match job.work {
            Work::Answer(_, _, listeners) => {
                self.shared.entering.fetch_sub(listeners.len(), SeqCst);
                fail(listeners, error);
            }
            Work::Count(_, done) => done(Err(error)),
            Work::Load(done) | Work::Unload(done) | Work::Memory(_, done) => done(Err(error)),
        }
    }

    /// Forgets those who wait for another model and have gone, or have waited for too long.
    fn forget_gone(&mut self) {
        let is_over = |job: &mut Job| {
            let Work::Answer(_, options, listeners) = &mut job.work else { return false };
            let late = options.time.is_some_and(|time| job.asked.elapsed() > time);
            late || listeners.iter_mut().all(|listener| listener.attention() == Attention::Gone)
        };
        if let Some(at) = self.pending.iter_mut().position(is_over)
            && let Some(job) = self.pending.remove(at)
        {
            self.refuse(job, Error::NoTurn);
        }
    }

    /// Changes the budget if the source says so.
    fn follow(&mut self, change: impl FnOnce(u64) -> Result<(), Error>) {
        let Some(source) = &mut self.source else { return };
        let Some(bytes) = source.wanted() else { return };
        match change(bytes) {
            Ok(()) => {}
            Err(Error::Refused(refusal)) => source.refused(&refusal),
            Err(error) => *lock(&self.shared.failure) = Some(error.to_string()),
        }
    }

    /// Unloads models that nobody has asked for in the time that they were to stay; `at` is the one whose turn it is.
    fn unload_late(&mut self, at: Option<usize>, shelf: &mut Shelf<'_>, names: &[String]) {
        let here: Vec<bool> = shelf.held().iter().map(|held| held.bytes > 0).collect();
        let late = |n: &usize| Some(*n) != at && here[*n] && self.left(*n) == Some(Duration::ZERO);
        let late: Vec<usize> = (0..names.len()).filter(late).collect();
        for &n in &late {
            shelf.unload(&names[n]);
        }
        if !late.is_empty() {
            self.look(at, shelf);
        }
    }

    /// Writes down what a turn has left behind.
    fn leave(&mut self, at: usize, shelf: &mut Shelf<'_>, names: &[String]) {
        if self.left(at) == Some(Duration::ZERO) {
            shelf.unload(&names[at]);
        }
        self.look(None, shelf);
    }

    /// Writes down who holds what; the model whose turn it is tells of itself.
    fn look(&self, at: Option<usize>, shelf: &Shelf<'_>) {
        let mut seats = lock(&self.shared.seats);
        for (n, (seat, held)) in seats.iter_mut().zip(shelf.held()).enumerate() {
            if Some(n) != at {
                (seat.bytes, seat.until) = (held.bytes, self.end(n));
                if let Some(model) = shelf.peek(&held.name) {
                    let placed = (model.placement().budget, model.placement().peak());
                    let standing = if placed == seat.placed { None } else { model.standing().ok() };
                    (seat.standing, seat.placed) = (standing.or(seat.standing), placed);
                }
            }
        }
    }

    fn end(&self, model: usize) -> Option<Instant> {
        self.keeps[model].and_then(|keep| self.asked[model].checked_add(keep))
    }

    /// Writes down what the model whose turn it is does, and where it lies if that has changed.
    fn publish(&self, at: usize, schedule: &Schedule<'_>) {
        let (model, until) = (schedule.model(), self.end(at));
        let placed = (model.placement().budget, model.placement().peak());
        let known = lock(&self.shared.seats)[at].placed;
        // Planned before anybody has to wait for it.
        let standing = if placed == known { None } else { model.standing().ok() };
        let mut seats = lock(&self.shared.seats);
        let seat: &mut Seat = &mut seats[at];
        (seat.counts, seat.until, seat.bytes, seat.placed) = (*schedule.counts(), until, placed.1, placed);
        (seat.standing, seat.asked) = (standing.or(seat.standing), Some(self.asked[at]));
    }
}

/// Another budget, while one model has its turn.
fn change(schedule: &mut Schedule<'_>, shelf: &mut Shelf<'_>, name: &str, bytes: u64) -> Result<(), Error> {
    schedule.change(|model| shelf.set_memory(Some((name, model)), bytes))
}

/// Tells all listeners of a request that it failed, and the first of them why.
fn fail(listeners: Vec<Box<dyn Listener + Send>>, error: Error) {
    let mut error = Some(error);
    for listener in listeners {
        let why = || Error::Ended { why: "another answer to the same prompt failed".into() };
        listener.done(Err(error.take().unwrap_or_else(why)));
    }
}
