//! What is wanted of an answer, what comes of it, and one answer at a time.
//!
//! What it is: the words of asking, and [`Model::generate`]. What it is not: the loop; a single answer is a
//! [`Schedule`] of one.

use crate::schedule::{Attention, Listener};
use crate::{Calls, Digest, Error, Grammar, Model, Sampling, Schedule, ToolCall};
use std::time::Duration;

/// What is wanted of an answer.
#[derive(Clone, Debug, Default)]
pub struct GenerateOptions {
    /// Tokens at most; up to the end of the context if not said.
    pub max_tokens: Option<u32>,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// What the answer may say; anything if not said.
    pub grammar: Option<Grammar>,
    /// Tell how likely each token was, and so many of the likeliest.
    pub logprobs: Option<usize>,
    /// How calls of tools are read, if there are tools.
    pub calls: Option<Calls>,
    /// Texts that end the answer; they are not part of it.
    pub stop: Vec<String>,
    /// Go on after the model says that it is done (to measure).
    pub ignore_end: bool,
    /// Show marks such as `<|im_end|>`.
    pub show_special: bool,
    /// How long it may take, the time in a queue included; as long as it takes if not said.
    pub time: Option<Duration>,
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
    /// The time allowed.
    Time,
}

impl Finish {
    /// Every reason, in the order in which they are counted.
    pub const ALL: [Finish; 4] = [Finish::Stop, Finish::Length, Finish::Cancelled, Finish::Time];

    /// The name to print and to use in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Finish::Stop => "stop",
            Finish::Length => "length",
            Finish::Cancelled => "cancelled",
            Finish::Time => "time",
        }
    }
}

/// Seconds and counts of an answer. What is counted of the whole model, bytes and waits, is of all who were answered at
/// the same time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Timing {
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// Tokens of the prompt that were remembered from before.
    pub cached_tokens: usize,
    /// Tokens of the answer.
    pub answer_tokens: usize,
    /// Seconds until its turn came.
    pub queue_seconds: f64,
    /// Seconds from then until the first token was chosen.
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
    /// Its text, without calls of tools.
    pub text: String,
    /// Calls of tools.
    pub calls: Vec<ToolCall>,
    /// Why it ended.
    pub finish: Finish,
    /// The text of [`GenerateOptions::stop`] that ended it, if one did.
    pub stop: Option<String>,
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
        let mut result = Err(Error::EmptyPrompt);
        {
            let mut schedule = Schedule::new(self, 1);
            let caller = Caller { on_text, stopped: false, result: &mut result };
            schedule.submit(prompt.to_vec(), options, Box::new(caller));
            while !schedule.is_idle() {
                schedule.step()?;
            }
        }
        result
    }
}

/// The one who waits for the only answer.
struct Caller<'a> {
    on_text: &'a mut dyn FnMut(&str) -> Flow,
    stopped: bool,
    result: &'a mut Result<Completion, Error>,
}

impl Listener for Caller<'_> {
    fn attention(&mut self) -> Attention {
        if self.stopped { Attention::Gone } else { Attention::Here }
    }

    fn hear(&mut self, text: &str) {
        self.stopped |= (self.on_text)(text) == Flow::Stop;
    }

    fn done(self: Box<Self>, result: Result<Completion, Error>) {
        *self.result = result;
    }
}
