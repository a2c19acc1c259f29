//! Several answers at once: their rows share steps, so that weights are read and unpacked once for all.
//!
//! What it is: continuous batching in bytes. A request is let in when the keys and values that it is likely to cost fit beside
//! those of the others (`admission`), waits its turn until then, and is not let in at all if the queue is full. What it is
//! not: threads or a protocol ([`crate::Service`], and the shells). The one design choice: those who speak get a row each
//! in every step, those whose prompt is being read share what is left, in the order in which they came, and no more of it
//! than keeps the others speaking at a sane pace. How rows are shared never changes an answer, only when it comes.

use crate::answer::Answer;
use crate::counts::Counts;
use crate::sampler::Candidates;
use crate::{Chosen, Completion, Error, Finish, GenerateOptions, Model, ToolCall};
use graph::Bounds;
use host::ProgramPages;
use runtime::Wanted;
use std::collections::VecDeque;
use std::time::Instant;

/// How much longer a step may take for those who speak because prompts are read in it.
const PATIENCE: f64 = 4.0;
/// Rows of prompts in a step with those who speak, at least.
const LEAST_ROWS: usize = 8;

/// Whether anybody listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attention {
    /// Yes.
    Here,
    /// Yes, but more cannot be taken just now; the answer waits.
    Busy,
    /// No more: the answer is to end.
    Gone,
}

/// Who hears an answer.
pub trait Listener {
    /// Whether anybody listens; asked before every step and after every piece.
    fn attention(&mut self) -> Attention {
        Attention::Here
    }

    /// The prompt has become ids; what it was made of is gone.
    fn accepted(&mut self) {}

    /// The turn of the request has come: its prompt has so many tokens, of which so many are known from before.
    fn begun(&mut self, _prompt_tokens: usize, _cached_tokens: usize) {}

    /// How likely a token was, if that was asked for; the text that it becomes comes later.
    fn token(&mut self, _chosen: Chosen) {}

    /// The next piece of text. It should not wait for anything.
    fn hear(&mut self, text: &str);

    /// Calls of tools that are complete.
    fn call(&mut self, _calls: &[ToolCall]) {}

    /// The end.
    fn done(self: Box<Self>, result: Result<Completion, Error>);
}

/// Those who are being answered by a model, and those who wait for it.
pub struct Schedule<'a> {
    pub(crate) model: &'a mut Model,
    /// Requests that may wait.
    queue: usize,
    pub(crate) waiting: VecDeque<Answer<'a>>,
    /// In the order in which they came.
    pub(crate) running: Vec<Answer<'a>>,
    shares: Vec<Share>,
    pace: Pace,
    /// Who of those who speak is first, where not all fit in a step.
    turn: usize,
    candidates: Candidates,
    /// Requests so far.
    requests: u64,
    pub(crate) counts: Counts,
}

/// What an answer has of a step.
struct Share {
    /// Index among those who are being answered.
    answer: usize,
    rows: usize,
    wanted: bool,
}

/// How many rows of prompts go into a step with those who speak.
struct Pace {
    rows: usize,
    /// Seconds of a step in which all speak.
    speaking: f64,
}

impl Pace {
    fn measure(&mut self, seconds: f64, speak: bool, read: bool, most: usize) {
        match (speak, read) {
            (true, false) if self.speaking == 0.0 => self.speaking = seconds,
            (true, false) => self.speaking += (seconds - self.speaking) / 4.0,
            (true, true) if self.speaking > 0.0 => {
                let slow = seconds > PATIENCE * self.speaking;
                let rows = if slow { self.rows / 2 } else { self.rows * 2 };
                self.rows = rows.clamp(LEAST_ROWS, most.max(LEAST_ROWS));
            }
            _ => {}
        }
    }
}

impl<'a> Schedule<'a> {
    /// Nobody yet; up to `queue` requests may wait.
    pub fn new(model: &'a mut Model, queue: usize) -> Schedule<'a> {
        Schedule::go_on(model, queue, Counts::default())
    }

    /// As [`Schedule::new`], counting on from what was counted before.
    pub(crate) fn go_on(model: &'a mut Model, queue: usize, mut counts: Counts) -> Schedule<'a> {
        counts.go_on(&model.executor);
        Schedule {
            model,
            queue,
            waiting: VecDeque::new(),
            running: Vec::new(),
            shares: Vec::new(),
            pace: Pace { rows: 2 * LEAST_ROWS, speaking: 0.0 },
            turn: 0,
            candidates: Candidates::default(),
            requests: 0,
            counts,
        }
    }

    /// The model.
    pub fn model(&self) -> &Model {
        self.model
    }

    /// What was done so far.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Takes a request. Whatever becomes of it, `listener` is told: an error at once if the prompt does not fit the
    /// context, an option makes no sense or too many wait.
    pub fn submit(&mut self, prompt: Vec<u32>, options: &GenerateOptions, listener: Box<dyn Listener + 'a>) {
        self.submit_several(prompt, options.clone(), vec![listener]);
    }

    /// Takes a request for as many answers as there are listeners: the first reads the prompt, the others go on from there. The
    /// second draws with the next seed, and so on.
    pub fn submit_several(
        &mut self,
        prompt: Vec<u32>,
        mut options: GenerateOptions,
        listeners: Vec<Box<dyn Listener + 'a>>,
    ) {
        self.requests += 1;
        for listener in listeners {
            if self.waiting.len() >= self.queue {
                let most = self.queue;
                listener.done(Err(Error::QueueFull { most }));
                continue;
            }
            let answer = Answer::new(self.model, prompt.clone(), &options, listener);
            self.waiting.extend(answer.map(|answer| answer.of_request(self.requests)));
            options.sampling.seed = options.sampling.seed.wrapping_add(1);
        }
        self.publish();
    }

    /// Whether there is nobody to answer.
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.running.is_empty()
    }

    /// A step for everybody who can go on; whether there was anybody.
    ///
    /// # Errors
    /// A budget that could not be followed, or a failed step. Those who were being answered have been told; sequences are
    /// as they were before the step, and others may be answered.
    pub fn step(&mut self) -> Result<bool, Error> {
        self.hang_up();
        let stepped = self.model.follow_budget().and_then(|()| {
            self.grow()?;
            self.admit();
            self.make_way()?;
            self.compose()
        });
        let stepped = match stepped {
            Ok(more) if !self.shares.is_empty() => self.compute(more).map(|()| true),
            Ok(_) => Ok(false),
            Err(error) => Err(error),
        };
        if let Err(error) = &stepped {
            self.fail(&error.to_string());
        }
        self.publish();
        stepped
    }

    /// Changes the budget between two steps.
    ///
    /// # Errors
    /// [`Error::Refused`] with nothing changed. After anything else no step is possible, and all who were being answered
    /// have been told.
    pub fn set_memory(&mut self, bytes: u64) -> Result<(), Error> {
        self.change(|model| model.set_memory(bytes))
    }

    /// Changes where the model lies, as [`Schedule::set_memory`] does.
    pub(crate) fn change(
        &mut self,
        change: impl FnOnce(&mut Model) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let changed = change(self.model);
        if let Err(error) = changed.as_ref().map_err(Error::to_string)
            && !matches!(changed, Err(Error::Refused(_)))
        {
            self.fail(&error);
        }
        self.publish();
        changed
    }

    /// Ends all answers and requests; the listeners are told why.
    pub fn fail(&mut self, why: &str) {
        let running = std::mem::take(&mut self.running);
        for mut answer in running.into_iter().chain(std::mem::take(&mut self.waiting)) {
            self.leave(&mut answer);
            answer.fail(Error::Ended { why: why.to_string() });
            self.counts.failed();
        }
    }

    /// Ends answers that nobody waits for or that have taken too long.
    fn hang_up(&mut self) {
        for at in (0..self.waiting.len()).rev() {
            let Some(finish) = self.waiting[at].hangs_up() else { continue };
            let Some(mut answer) = self.waiting.remove(at) else { continue };
            self.leave(&mut answer);
            match finish {
                Finish::Time if !answer.has_begun() => {
                    answer.fail(Error::NoTurn);
                    self.counts.failed();
                }
                _ => answer.finish(self.model, finish, &mut self.counts),
            }
        }
        for at in (0..self.running.len()).rev() {
            if let Some(finish) = self.running[at].hangs_up() {
                self.end(at, Ok(finish));
            }
        }
    }

    pub(crate) fn end(&mut self, at: usize, finish: Result<Finish, Error>) {
        let mut answer = self.running.remove(at);
        self.leave(&mut answer);
        match finish {
            Ok(finish) => answer.finish(self.model, finish, &mut self.counts),
            Err(error) => {
                answer.fail(error);
                self.counts.failed();
            }
        }
    }

    /// Has the model lie as it is best for the next step: for reading as long as there is a long prompt, and until it is read to its
    /// end.
    fn make_way(&mut self) -> Result<(), Error> {
        let active = self.running.iter().filter(|answer| !answer.paused);
        match active.map(Answer::unread).max() {
            Some(unread) if unread == 0 || !self.model.reads() => self.model.make_way(unread),
            _ => Ok(()),
        }
    }

    /// Shares the rows of a step out; gives whether another step is sure to follow.
    fn compose(&mut self) -> Result<bool, Error> {
        let Bounds { rows, logit_rows } = self.model.executor.bounds();
        let (mut rows, mut logits) = (rows as usize, logit_rows as usize);
        self.shares.clear();
        self.model.batch.clear();
        let active = |answer: &Answer<'_>| !answer.paused;
        let reads = self.running.iter().any(|answer| active(answer) && answer.unread() > 0);
        let speakers = |answer: &Answer<'_>| active(answer) && answer.unread() == 0;
        let (count, speaking) =
            (self.running.len(), self.running.iter().filter(|answer| speakers(answer)).count());
        let places = logits.min(if reads { rows - rows / 4 } else { rows });
        let first = if speaking > places { self.turn % count } else { 0 };
        self.turn = first + places;
        let in_turn = (first..count).chain(0..first).filter(|&at| speakers(&self.running[at])).take(places);
        self.shares.extend(in_turn.map(|answer| Share { answer, rows: 1, wanted: true }));
        rows -= self.shares.len();
        logits -= self.shares.len();
        if speaking > 0 {
            rows = rows.min(self.pace.rows);
        }
        for (answer, reader) in self.running.iter().enumerate().filter(|(_, a)| active(a) && a.unread() > 0) {
            let last = reader.unread() <= rows && logits > 0;
            let own = rows.min(reader.unread() - usize::from(!last && reader.unread() <= rows));
            if own > 0 {
                self.shares.push(Share { answer, rows: own, wanted: last });
                rows -= own;
                logits -= usize::from(last);
            }
        }
        let ends = |at: usize| self.shares.iter().any(|share| share.answer == at && share.wanted);
        let unread = |(at, answer): (usize, &Answer<'_>)| active(answer) && answer.unread() > 0 && !ends(at);
        // What would be read for the step after this one is not of use where everything is put elsewhere between them.
        let stays = !self.model.reads() || self.running.iter().enumerate().any(unread);
        let mut more = !self.waiting.is_empty();
        for share in &self.shares {
            let answer = &self.running[share.answer];
            let ids = match answer.unread() {
                0 => std::slice::from_ref(&answer.next),
                _ => &answer.prompt[answer.fed..answer.fed + share.rows],
            };
            let place = self.model.place_of(answer.sequence);
            let wanted = if share.wanted { Wanted::Last } else { Wanted::None };
            self.model.batch.push(place, &self.model.sequences[place], ids, wanted)?;
            more |= !share.wanted || answer.goes_on();
        }
        Ok(more && stays)
    }

    /// Runs the step that was composed, and gives everybody what is theirs.
    fn compute(&mut self, more: bool) -> Result<(), Error> {
        let start = Instant::now();
        let model = &mut *self.model;
        model.program.iter_mut().for_each(ProgramPages::keep);
        let logits = model.executor.step(&model.batch, &mut model.sequences, more)?;
        let wanted = self.shares.iter().filter(|share| share.wanted).count();
        let columns = (logits.len() / wanted.max(1)).max(1);
        let mut rows = logits.chunks_exact(columns);
        let (mut ended, mut speak, mut read) = (Vec::new(), false, false);
        for share in &self.shares {
            let answer = &mut self.running[share.answer];
            let Some(held) = model.held.iter_mut().find(|held| held.name == answer.sequence) else {
                continue;
            };
            if answer.unread() > 0 {
                held.ids.extend_from_slice(&answer.prompt[answer.fed..answer.fed + share.rows]);
                answer.fed += share.rows;
                read = true;
            } else {
                held.ids.push(answer.next);
                speak = true;
            }
            if let Some(row) = share.wanted.then(|| rows.next()).flatten() {
                let finish = answer.take(row, held.ids.len(), &mut self.candidates, &mut self.counts);
                ended.extend(finish.transpose().map(|finish| (share.answer, finish)));
            }
        }
        self.pace.measure(start.elapsed().as_secs_f64(), speak, read, model.executor.bounds().rows as usize);
        for share in self.shares.iter().filter(|share| share.wanted) {
            self.running[share.answer].mark_first(model);
        }
        ended.sort_unstable_by_key(|(at, _)| std::cmp::Reverse(*at));
        for (at, finish) in ended {
            self.end(at, finish);
        }
        Ok(())
    }

    fn publish(&mut self) {
        let model = &self.model;
        self.counts.now(
            (self.running.len(), self.waiting.len()),
            (model.sequence_bytes(), model.sequence_room()),
            &model.executor,
        );
    }
}

impl Drop for Schedule<'_> {
    fn drop(&mut self) {
        let running = std::mem::take(&mut self.running);
        running
            .into_iter()
            .chain(std::mem::take(&mut self.waiting))
            .for_each(|mut answer| self.leave(&mut answer));
    }
}
