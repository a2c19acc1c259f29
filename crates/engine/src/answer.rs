//! One answer in the making: what was asked, how far it has come, who hears it.
//!
//! What it is: everything that belongs to one request and to no other. What it is not: a step; it takes logits and
//! gives the next id. The one design choice: nothing in it depends on who else is being answered, so what it says
//! cannot either.

use crate::chat::Calls;
use crate::counts::Counts;
use crate::grammars::Guided;
use crate::logprobs;
use crate::sampler::Candidates;
use crate::schedule::{Attention, Listener};
use crate::sequences::Wish;
use crate::{Completion, Digest, Error, Finish, GenerateOptions, Grammar, Model, Sampler, Timing, ToolCall};
use ::memory::{ExpertStats, KvCache};
use processors::text::{CallReader, DecodeOptions, Detokenizer, Said, StopMatcher, Tokenizer};
use std::sync::Arc;
use std::time::Instant;

/// An answer in the making.
pub(crate) struct Answer<'a> {
    /// The request that it belongs to, with others perhaps.
    pub request: u64,
    /// What its sequence is fed with before it speaks: the prompt, and what was said before its turn was taken from it.
    pub prompt: Vec<u32>,
    /// Name of its sequence, once it has one.
    pub sequence: u64,
    /// Ids of the prompt that its sequence holds.
    pub fed: usize,
    /// The id that is to be fed next, once the prompt is.
    pub next: u32,
    /// Whoever hears it cannot take more just now.
    pub paused: bool,
    /// Whether memory is held for what it needs besides ([`Answer::needs_room`]).
    pub has_room: bool,
    /// Tokens of what was asked.
    asked_tokens: usize,
    /// Tokens at most.
    most: usize,
    /// Whether its turn has come once.
    has_begun: bool,
    cached: usize,
    ids: Vec<u32>,
    text: String,
    sampler: Sampler,
    /// What it may say, until its turn comes.
    grammar: Option<Grammar>,
    guided: Option<Guided>,
    /// Reads calls of tools.
    reader: Option<CallReader>,
    calls: Vec<ToolCall>,
    /// The first of them ends it.
    one_call: bool,
    /// How many of the likeliest tokens are told.
    logprobs: Option<usize>,
    digest: Digest,
    tokenizer: Arc<Tokenizer>,
    words: Detokenizer<Arc<Tokenizer>>,
    stops: StopMatcher,
    ignore_end: bool,
    listener: Box<dyn Listener + 'a>,
    deadline: Option<Instant>,
    asked: Instant,
    begun: Marks,
    first: Marks,
    last: Instant,
}

/// Counters of the model at a moment of an answer.
#[derive(Clone, Copy)]
struct Marks {
    time: Instant,
    flash_bytes: u64,
    phases: [f64; 3],
    wait: f64,
    faults: u64,
    experts: ExpertStats,
    skipped: u64,
}

impl Marks {
    fn now(model: &Model) -> Marks {
        let (stats, flash, experts) =
            (model.executor.stats(), model.executor.flash_stats(), model.executor.expert_stats());
        Marks {
            time: Instant::now(),
            flash_bytes: flash.bytes_read,
            phases: stats.seconds,
            wait: flash.wait_seconds,
            faults: host::major_faults(),
            experts,
            skipped: stats.experts_skipped,
        }
    }
}

/// What is asked, if it makes sense.
struct Asked {
    sampler: Sampler,
    most: usize,
}

impl Asked {
    fn new(model: &Model, prompt: &[u32], options: &GenerateOptions) -> Result<Asked, Error> {
        let context = model.context();
        if prompt.is_empty() {
            return Err(Error::EmptyPrompt);
        }
        if prompt.len() > context as usize {
            return Err(Error::PromptTooLong { tokens: prompt.len(), context });
        }
        let mut sampler = Sampler::new(&options.sampling, model.tokenizer.len())?;
        sampler.remember(prompt);
        let room = context as usize - prompt.len() + 1;
        Ok(Asked { sampler, most: options.max_tokens.map_or(room, |n| room.min(n as usize)) })
    }
}

impl<'a> Answer<'a> {
    /// An answer that waits for its turn; `None` if what is asked makes no sense, which the listener is told.
    pub fn new(
        model: &Model,
        prompt: Vec<u32>,
        options: &GenerateOptions,
        listener: Box<dyn Listener + 'a>,
    ) -> Option<Answer<'a>> {
        let Asked { sampler, most } = match Asked::new(model, &prompt, options) {
            Ok(asked) => asked,
            Err(error) => {
                listener.done(Err(error));
                return None;
            }
        };
        let (asked, now) = (Instant::now(), Marks::now(model));
        let tokenizer = Arc::clone(&model.tokenizer);
        let show = DecodeOptions { show_special: options.show_special, from_start: false };
        Some(Answer {
            request: 0,
            asked_tokens: prompt.len(),
            prompt,
            sequence: 0,
            fed: 0,
            next: 0,
            paused: false,
            has_room: false,
            most,
            has_begun: false,
            cached: 0,
            ids: Vec::new(),
            text: String::new(),
            sampler,
            grammar: options.grammar.clone(),
            guided: None,
            reader: options.calls.as_ref().map(Calls::reader),
            calls: Vec::new(),
            one_call: options.calls.is_some_and(|calls| calls.one),
            logprobs: options.logprobs,
            digest: Digest::default(),
            words: Detokenizer::new(Arc::clone(&tokenizer), show),
            tokenizer,
            stops: StopMatcher::new(options.stop.iter().cloned()),
            ignore_end: options.ignore_end && options.grammar.is_none(),
            listener,
            deadline: options.time.and_then(|time| asked.checked_add(time)),
            asked,
            begun: now,
            first: now,
            last: asked,
        })
    }

    /// What its sequence is to hold: at once all that it is fed with, and on the way, if answers have `mean` tokens, half of what
    /// is likely to be still to come, since others will have ended by then.
    pub fn wish(&self, mean: usize) -> Wish {
        let tokens = |said: usize| u32::try_from(self.asked_tokens + said).unwrap_or(u32::MAX);
        let (said, most) = (self.ids.len(), self.most.saturating_sub(1));
        let left = mean.saturating_sub(said).max(KvCache::TILE as usize);
        Wish {
            now: u32::try_from(self.prompt.len() + 1).unwrap_or(u32::MAX).min(tokens(most)),
            likely: tokens((said + left / 2).min(most)),
            most: tokens(most),
        }
    }

    /// As one of the answers to a request.
    pub fn of_request(self, request: u64) -> Answer<'a> {
        Answer { request, ..self }
    }

    /// Whether it takes memory beyond that of all answers: for a grammar, or to tell how likely tokens were.
    pub fn needs_room(&self) -> bool {
        self.grammar.is_some() || self.guided.is_some() || self.logprobs.is_some()
    }

    /// Reads its grammar, if it has one, for which there is room.
    pub fn read_grammar(&mut self, model: &mut Model) -> Result<(), Error> {
        let Some(grammar) = self.grammar.take() else { return Ok(()) };
        self.guided = Some(model.guided(grammar)?);
        self.listener.accepted();
        Ok(())
    }

    /// Its turn has come; `cached` ids of the prompt are known already.
    pub fn begin(&mut self, model: &Model, sequence: u64, cached: usize, counts: &mut Counts) {
        (self.sequence, self.fed) = (sequence, cached);
        if std::mem::replace(&mut self.has_begun, true) {
            return; // which was told
        }
        self.cached = cached;
        self.begun = Marks::now(model);
        self.listener.begun(self.prompt.len(), cached);
        counts.begun(self.prompt.len(), cached, (self.begun.time - self.asked).as_secs_f64());
    }

    /// Its sequence is taken from it; what that held is fed again when its turn comes again, and gives the same logits.
    pub fn rewind(&mut self) {
        let said = self.prompt.len() - self.asked_tokens;
        self.prompt.reserve_exact(self.ids.len() - said);
        self.prompt.extend_from_slice(&self.ids[said..]);
        (self.sequence, self.fed) = (0, 0);
    }

    /// Whether somebody has heard that its turn has come.
    pub fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// Ids of the prompt that are still to be fed.
    pub fn unread(&self) -> usize {
        self.prompt.len() - self.fed
    }

    /// Whether it goes on after the next token, for all that is known.
    pub fn goes_on(&self) -> bool {
        self.ids.len() + 1 < self.most
    }

    /// Why it is to end without another token, if it is.
    pub fn hangs_up(&mut self) -> Option<Finish> {
        let attention = self.listener.attention();
        self.paused = attention == Attention::Busy;
        if attention == Attention::Gone {
            return Some(Finish::Cancelled);
        }
        self.deadline.filter(|deadline| Instant::now() >= *deadline).map(|_| Finish::Time)
    }

    /// Takes the logits after `position` ids in and gives why the answer ends there, if it does.
    pub fn take(
        &mut self,
        logits: &[f32],
        position: usize,
        candidates: &mut Candidates,
        counts: &mut Counts,
    ) -> Result<Option<Finish>, Error> {
        self.digest.update(logits);
        let id = self.choose(logits, position as u64, candidates)?;
        let now = Instant::now();
        match self.ids.is_empty() {
            true => counts.first_token((now - self.asked).as_secs_f64()),
            false => counts.next_token((now - self.last).as_secs_f64()),
        }
        self.last = now;
        if self.ids.len() >= self.most {
            return Ok(Some(Finish::Length));
        }
        if self.tokenizer.is_end(id) && !self.ignore_end {
            return Ok(Some(Finish::Stop));
        }
        self.ids.push(id);
        if let Some(most) = self.logprobs {
            self.listener.token(logprobs::chosen(&self.tokenizer, logits, id, most));
        }
        let complete = match &mut self.guided {
            Some(guided) => guided.push(self.tokenizer.bytes(id))?,
            None => false,
        };
        let safe = self.stops.push(self.words.push(id)).to_string();
        self.say(&safe, false);
        if complete || (self.one_call && !self.calls.is_empty()) || self.stops.stopped().is_some() {
            return Ok(Some(Finish::Stop));
        }
        if let Some(finish) = self.hangs_up() {
            return Ok(Some(finish));
        }
        if self.ids.len() >= self.most {
            return Ok(Some(Finish::Length));
        }
        self.sampler.remember(&[id]);
        self.next = id;
        Ok(None)
    }

    /// The next token: what the sampler chooses, or if the grammar does not allow that, what it chooses of the allowed.
    fn choose(&mut self, logits: &[f32], position: u64, candidates: &mut Candidates) -> Result<u32, Error> {
        let id = self.sampler.choose(logits, position, None, candidates);
        let Some(guided) = &mut self.guided else { return Ok(id) };
        if guided.allows(id, &self.tokenizer)? {
            return Ok(id);
        }
        let allowed = guided.allowed(&self.tokenizer)?;
        let id = self.sampler.choose(logits, position, Some(allowed), candidates);
        match allowed.has(id) {
            true => Ok(id),
            false => Err(processors::Error::GrammarDeadEnd.into()),
        }
    }

    /// Says a piece of text, or what of it are calls; `last` if nothing follows.
    fn say(&mut self, text: &str, last: bool) {
        let mut said = Vec::new();
        match &mut self.reader {
            None if text.is_empty() => return,
            None => said.push(Said::Text(text.to_string())),
            Some(reader) => {
                reader.push(text, &mut said);
                if last {
                    reader.finish(&mut said);
                }
            }
        }
        let (from, mut calls) = (self.calls.len(), Vec::new());
        let mut pieces = [String::new(), String::new()];
        for said in said {
            match said {
                Said::Text(text) => pieces[usize::from(!calls.is_empty())].push_str(&text),
                Said::Call(_) if self.one_call && from + calls.len() > 0 => {}
                Said::Call(call) => calls.push(call),
            }
        }
        // What came before a call, the calls, what came after: a step brings so many events and no more.
        for (n, piece) in pieces.iter().enumerate() {
            if n == 1 && !calls.is_empty() {
                self.listener.call(&calls);
            }
            if !piece.is_empty() {
                self.text.push_str(piece);
                self.listener.hear(piece);
            }
        }
        self.calls.extend(calls);
    }

    /// The first token was chosen.
    pub fn mark_first(&mut self, model: &Model) {
        if self.first.time <= self.begun.time {
            self.first = Marks::now(model);
        }
    }

    /// Says the rest, and that it is over.
    pub fn finish(mut self, model: &Model, finish: Finish, counts: &mut Counts) {
        let mut rest = self.stops.push(self.words.finish()).to_string();
        if self.stops.stopped().is_none() {
            rest.push_str(self.stops.finish());
        }
        self.say(&rest, true);
        let (end, begun, first) = (Marks::now(model), self.begun, self.first);
        let timing = Timing {
            prompt_tokens: self.asked_tokens,
            cached_tokens: self.cached,
            answer_tokens: self.ids.len(),
            queue_seconds: (begun.time - self.asked).as_secs_f64(),
            prompt_seconds: (first.time - begun.time).as_secs_f64(),
            answer_seconds: (end.time - first.time).as_secs_f64(),
            prompt_flash_bytes: first.flash_bytes - begun.flash_bytes,
            answer_flash_bytes: end.flash_bytes - first.flash_bytes,
            answer_major_faults: end.faults - first.faults,
            phase_seconds: std::array::from_fn(|n| end.phases[n] - begun.phases[n]),
            wait_seconds: end.wait - begun.wait,
            expert_hits: end.experts.hits - first.experts.hits,
            expert_misses: end.experts.misses - first.experts.misses,
            experts_foreseen: end.experts.foreseen - first.experts.foreseen,
            vain_bytes: end.experts.vain_bytes - first.experts.vain_bytes,
            experts_stood_in: end.experts.stood_in - first.experts.stood_in,
            experts_skipped: end.skipped - first.skipped,
        };
        counts.finished(finish, &timing);
        let stop = self.stops.met().map(str::to_string);
        let Answer { ids, text, calls, digest, listener, .. } = self;
        listener.done(Ok(Completion { ids, text, calls, finish, stop, digest, timing }));
    }

    /// Says that it failed.
    pub fn fail(self, error: Error) {
        self.listener.done(Err(error));
    }
}
