//! An answer: the prompt in chunks, then token after token.

use crate::{Digest, Error, Model, Sampler, Sampling};
use processors::text::{DecodeOptions, Detokenizer, StopMatcher, Tokenizer};
use runtime::Wanted;
use std::sync::Arc;
use std::time::Instant;

/// What is wanted of an answer.
#[derive(Clone, Debug, Default)]
pub struct GenerateOptions {
    /// Tokens at most; up to the end of the context if not said.
    pub max_tokens: Option<u32>,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// Texts that end the answer; they are not part of it.
    pub stop: Vec<String>,
    /// Go on after the model says that it is done (to measure).
    pub ignore_end: bool,
    /// Show marks such as `<|im_end|>`.
    pub show_special: bool,
}

/// Whether to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Go on.
    Continue,
    /// Stop here; what was said stays.
    Stop,
}

/// Why an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// The model said that it is done, or a stop text came.
    Stop,
    /// The most tokens allowed, or the end of the context.
    Length,
    /// The caller.
    Cancelled,
}

impl Finish {
    /// The name to print and to use in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Finish::Stop => "stop",
            Finish::Length => "length",
            Finish::Cancelled => "cancelled",
        }
    }
}

/// Seconds and counts of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Timing {
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// Tokens of the prompt that were remembered from before.
    pub cached_tokens: usize,
    /// Tokens of the answer.
    pub answer_tokens: usize,
    /// Seconds until the first token was chosen.
    pub prompt_seconds: f64,
    /// Seconds from the first token to the last.
    pub answer_seconds: f64,
    /// Bytes read from flash for the prompt.
    pub prompt_flash_bytes: u64,
    /// Bytes read from flash for the tokens after the first.
    pub answer_flash_bytes: u64,
    /// Pages that the tokens after the first waited for, of this process: its code and data read back from the disk.
    pub answer_major_faults: u64,
    /// Seconds of the steps by phase, in the order of [`runtime::Phase::ALL`].
    pub phase_seconds: [f64; 3],
    /// Seconds that products waited for flash.
    pub wait_seconds: f64,
    /// Experts that the tokens after the first wanted and that were kept.
    pub expert_hits: u64,
    /// Experts that the tokens after the first wanted and that were read.
    pub expert_misses: u64,
    /// Of those that were read, how many the layer before had foreseen.
    pub experts_foreseen: u64,
    /// Bytes of experts that were asked for because they were foreseen, and not wanted then.
    pub vain_bytes: u64,
    /// Of those that were read, how many a coarser copy stood in for ([`crate::Economy`]).
    pub experts_stood_in: u64,
    /// Experts that were chosen and left out ([`crate::Economy`]).
    pub experts_skipped: u64,
}

impl Timing {
    /// Tokens a second of the prompt.
    pub fn prompt_rate(&self) -> f64 {
        (self.prompt_tokens - self.cached_tokens) as f64 / self.prompt_seconds.max(1e-9)
    }

    /// Tokens a second of the answer, the first not counted.
    pub fn answer_rate(&self) -> f64 {
        self.answer_tokens.saturating_sub(1) as f64 / self.answer_seconds.max(1e-9)
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Completion {
    /// Its tokens, without the one that ended it.
    pub ids: Vec<u32>,
    /// Its text.
    pub text: String,
    /// Why it ended.
    pub finish: Finish,
    /// Fingerprint of the logits of every choice.
    pub digest: Digest,
    /// Seconds and counts.
    pub timing: Timing,
}

impl Model {
    /// Answers a prompt of ids. `on_text` gets each piece of text as it is known. What the model already holds of the
    /// prompt, from an earlier answer, is not computed again.
    ///
    /// # Errors
    /// [`Error::EmptyPrompt`], [`Error::PromptTooLong`], an option that makes no sense, or a failed read. What was said
    /// before a failure has been given to `on_text`.
    pub fn generate(
        &mut self,
        prompt: &[u32],
        options: &GenerateOptions,
        on_text: &mut dyn FnMut(&str) -> Flow,
    ) -> Result<Completion, Error> {
        let context = self.context();
        if prompt.is_empty() {
            return Err(Error::EmptyPrompt);
        }
        if prompt.len() > context as usize {
            return Err(Error::PromptTooLong { tokens: prompt.len(), context });
        }
        let mut sampler = Sampler::new(&options.sampling, self.tokenizer.len())?;
        sampler.remember(prompt);
        let room = context as usize - prompt.len() + 1;
        let most = options.max_tokens.map_or(room, |n| room.min(n as usize));
        let mut answer = Answer::new(&self.tokenizer, options, on_text);
        let (start, flash) = (Instant::now(), self.flash_bytes());
        let (phases, wait) = (self.executor.stats().seconds, self.executor.flash_stats().wait_seconds);
        let cached = self.keep_common(prompt);
        let mut next = self.feed(&prompt[cached..], most > 1, &mut sampler, &mut answer.digest)?;
        let (first, flash_first, faults_first) = (Instant::now(), self.flash_bytes(), host::major_faults());
        let experts_first = (self.executor.expert_stats(), self.executor.stats().experts_skipped);
        let finish = loop {
            if answer.ids.len() >= most {
                break Finish::Length;
            }
            if self.tokenizer.is_end(next) && !options.ignore_end {
                break Finish::Stop;
            }
            if let Some(finish) = answer.say(next) {
                break finish;
            }
            if answer.ids.len() >= most {
                break Finish::Length;
            }
            sampler.remember(&[next]);
            let more = answer.ids.len() + 1 < most;
            next = self.feed(&[next], more, &mut sampler, &mut answer.digest)?;
        };
        let experts = self.executor.expert_stats();
        let timing = Timing {
            prompt_tokens: prompt.len(),
            cached_tokens: cached,
            answer_tokens: answer.ids.len(),
            prompt_seconds: (first - start).as_secs_f64(),
            answer_seconds: first.elapsed().as_secs_f64(),
            prompt_flash_bytes: flash_first - flash,
            answer_flash_bytes: self.flash_bytes() - flash_first,
            answer_major_faults: host::major_faults() - faults_first,
            phase_seconds: std::array::from_fn(|n| self.executor.stats().seconds[n] - phases[n]),
            wait_seconds: self.executor.flash_stats().wait_seconds - wait,
            expert_hits: experts.hits - experts_first.0.hits,
            expert_misses: experts.misses - experts_first.0.misses,
            experts_foreseen: experts.foreseen - experts_first.0.foreseen,
            vain_bytes: experts.vain_bytes - experts_first.0.vain_bytes,
            experts_stood_in: experts.stood_in - experts_first.0.stood_in,
            experts_skipped: self.executor.stats().experts_skipped - experts_first.1,
        };
        Ok(answer.finish(finish, timing))
    }

    fn flash_bytes(&self) -> u64 {
        self.executor.flash_stats().bytes_read
    }

    /// Feeds ids in chunks and chooses the token after them.
    fn feed(
        &mut self,
        ids: &[u32],
        more: bool,
        sampler: &mut Sampler,
        digest: &mut Digest,
    ) -> Result<u32, Error> {
        let mut left = ids;
        while !left.is_empty() {
            self.follow_budget()?; // which may change the chunk
            let (ids, rest) = left.split_at(left.len().min(self.executor.bounds().rows as usize));
            left = rest;
            let last = left.is_empty();
            let wanted = if last { Wanted::Last } else { Wanted::None };
            self.batch.clear();
            self.batch.push(0, &self.sequences[0], ids, wanted)?;
            let logits = self.executor.step(&self.batch, &mut self.sequences, !last || more)?;
            self.remembered.extend_from_slice(ids);
            if last {
                digest.update(logits);
                let position = self.remembered.len() as u64;
                return Ok(sampler.choose(logits, position));
            }
        }
        Err(Error::EmptyPrompt)
    }
}

/// An answer in the making.
struct Answer<'a> {
    ids: Vec<u32>,
    text: String,
    words: Detokenizer<Arc<Tokenizer>>,
    stops: StopMatcher,
    digest: Digest,
    on_text: &'a mut dyn FnMut(&str) -> Flow,
}

impl<'a> Answer<'a> {
    fn new(
        tokenizer: &Arc<Tokenizer>,
        options: &GenerateOptions,
        on_text: &'a mut dyn FnMut(&str) -> Flow,
    ) -> Answer<'a> {
        let show = DecodeOptions { show_special: options.show_special, from_start: false };
        Answer {
            ids: Vec::new(),
            text: String::new(),
            words: Detokenizer::new(Arc::clone(tokenizer), show),
            stops: StopMatcher::new(options.stop.iter().cloned()),
            digest: Digest::default(),
            on_text,
        }
    }

    /// Takes a token in; gives why the answer ends there, if it does.
    fn say(&mut self, id: u32) -> Option<Finish> {
        self.ids.push(id);
        let safe = self.stops.push(self.words.push(id));
        self.text.push_str(safe);
        let flow = if safe.is_empty() { Flow::Continue } else { (self.on_text)(safe) };
        match (self.stops.stopped(), flow) {
            (Some(_), _) => Some(Finish::Stop),
            (None, Flow::Stop) => Some(Finish::Cancelled),
            (None, Flow::Continue) => None,
        }
    }

    fn finish(mut self, finish: Finish, timing: Timing) -> Completion {
        let mut rest = self.stops.push(self.words.finish()).to_string();
        if self.stops.stopped().is_none() {
            rest.push_str(self.stops.finish());
        }
        if !rest.is_empty() {
            self.text.push_str(&rest);
            (self.on_text)(&rest);
        }
        Completion { ids: self.ids, text: self.text, finish, digest: self.digest, timing }
    }
}
