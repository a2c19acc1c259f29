//! A loaded model: its words, its weights, and one conversation.

use crate::live::{BudgetSource, Live, Reserved};
use crate::{Error, Message};
use planner::Placement;
use processors::text::{ChatTemplate, RenderOptions, Tokenizer};
use runtime::{Batch, Economy, Executor, Sequence};
use std::sync::Arc;

/// A model in memory, with one sequence that it remembers.
pub struct Model {
    pub(crate) executor: Executor,
    pub(crate) sequences: [Sequence; 1],
    /// Ids that the sequence holds.
    pub(crate) remembered: Vec<u32>,
    pub(crate) batch: Batch,
    pub(crate) tokenizer: Arc<Tokenizer>,
    template: Option<ChatTemplate>,
    pub(crate) placement: Placement,
    /// What a change of the budget needs.
    pub(crate) live: Live,
    /// Lines of the account that nobody else holds.
    pub(crate) reserved: Vec<Reserved>,
    /// Who is asked for a new budget before every step.
    pub(crate) source: Option<Box<dyn BudgetSource>>,
}

impl Model {
    pub(crate) fn new(
        executor: Executor,
        sequence: Sequence,
        tokenizer: Tokenizer,
        template: Option<ChatTemplate>,
        placement: Placement,
        (live, reserved): (Live, Vec<Reserved>),
    ) -> Model {
        let batch = Batch::with_capacity(placement.bounds.rows as usize);
        let remembered = Vec::with_capacity(sequence.context as usize);
        let (sequences, tokenizer) = ([sequence], Arc::new(tokenizer));
        Model {
            executor,
            sequences,
            remembered,
            batch,
            tokenizer,
            template,
            placement,
            live,
            reserved,
            source: None,
        }
    }

    /// Where everything lies.
    pub fn placement(&self) -> &Placement {
        &self.placement
    }

    /// The vocabulary.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// Whether the model was made for conversations.
    pub fn has_template(&self) -> bool {
        self.template.is_some()
    }

    /// Tokens that a conversation may have.
    pub fn context(&self) -> u32 {
        self.sequences[0].context
    }

    /// Leaves out experts from now on, which changes answers: what it costs, [`Model::price`] says.
    ///
    /// # Errors
    /// [`Error::Option`] if a share is not between 0 and 1.
    pub fn set_economy(&mut self, economy: Economy) -> Result<(), Error> {
        for (option, share) in
            [("--skip-weak", economy.weak), ("--skip-cold", economy.cold), ("--stand-in", economy.coarse)]
        {
            if !(0.0..=1.0).contains(&share) {
                return Err(Error::Option { option, value: share.to_string(), expected: "from 0 to 1" });
            }
        }
        self.executor.set_economy(economy);
        Ok(())
    }

    /// Counters and times of all steps so far.
    pub fn executor(&self) -> &Executor {
        &self.executor
    }

    /// Ids of a text as a prompt: with the beginning that the model wants, marks read as marks.
    ///
    /// # Errors
    /// [`Error::EmptyPrompt`]; a text that cannot be encoded.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, Error> {
        let mut ids = Vec::new();
        self.tokenizer.encode_prompt(text, true, &mut ids)?;
        if ids.is_empty() || text.is_empty() {
            return Err(Error::EmptyPrompt);
        }
        Ok(ids)
    }

    /// Ids of a conversation whose next turn is the model's, through the model's own template. A model without one
    /// gets the last message as plain text.
    ///
    /// # Errors
    /// A template that does not accept the conversation; a text that cannot be encoded.
    pub fn encode_chat(&self, messages: &[Message]) -> Result<Vec<u32>, Error> {
        let Some(template) = &self.template else {
            return self.encode(messages.last().map_or("", |m| &m.content));
        };
        let options = RenderOptions { add_generation_prompt: true, ..RenderOptions::default() };
        let text = template.render(messages, &options)?;
        self.encode(&text)
    }

    /// Forgets the conversation.
    pub fn clear(&mut self) {
        self.sequences[0].len = 0;
        self.remembered.clear();
    }

    /// Keeps what the sequence already holds of `ids` and forgets the rest; gives how many ids are kept.
    pub(crate) fn keep_common(&mut self, ids: &[u32]) -> usize {
        let same = self.remembered.iter().zip(ids).take_while(|(a, b)| a == b).count();
        // The last id is always fed again: its logits choose the first token.
        let kept = same.min(ids.len().saturating_sub(1));
        let kept = if self.executor.can_rewind(&self.sequences[0], kept as u32) { kept } else { 0 };
        self.sequences[0].len = kept as u32;
        self.remembered.truncate(kept);
        kept
    }
}
