//! A loaded model: its words, its weights, and what it remembers of conversations.

use crate::grammars::Rooms;
use crate::live::{BudgetSource, Live, Reserved};
use crate::sequences::Held;
use crate::{Error, Message};
use host::ProgramPages;
use planner::Placement;
use processors::text::{ChatTemplate, RenderOptions, Tokenizer};
use runtime::{Batch, Economy, Executor, Sequence};
use std::sync::Arc;

/// A model in memory, with sequences that it remembers.
pub struct Model {
    pub(crate) executor: Executor,
    pub(crate) sequences: Vec<Sequence>,
    /// Who they are, in the same order.
    pub(crate) held: Vec<Held>,
    /// Counts what happens to sequences.
    pub(crate) clock: u64,
    pub(crate) batch: Batch,
    pub(crate) tokenizer: Arc<Tokenizer>,
    pub(crate) template: Option<ChatTemplate>,
    pub(crate) placement: Placement,
    /// What a change of the budget needs.
    pub(crate) live: Live,
    /// Lines of the account that nobody else holds.
    pub(crate) reserved: Vec<Reserved>,
    /// What is held for answers that follow grammars.
    pub(crate) rooms: Rooms,
    /// Who is asked for a new budget before every step.
    pub(crate) source: Option<Box<dyn BudgetSource>>,
    /// Who keeps the program's pages within their line of the account, if the program is ours.
    pub(crate) program: Option<ProgramPages>,
}

impl Model {
    pub(crate) fn new(
        executor: Executor,
        tokenizer: Tokenizer,
        template: Option<ChatTemplate>,
        placement: Placement,
        (live, reserved): (Live, Vec<Reserved>),
    ) -> Model {
        let batch = Batch::with_capacity(placement.chunk() as usize);
        Model {
            executor,
            sequences: Vec::new(),
            held: Vec::new(),
            clock: 0,
            batch,
            tokenizer: Arc::new(tokenizer),
            template,
            placement,
            live,
            reserved,
            rooms: Rooms::default(),
            source: None,
            program: None,
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
        self.placement.context
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

    /// Ids as they were given, if the model knows them all.
    pub(crate) fn checked(&self, ids: Vec<u32>) -> Result<Vec<u32>, Error> {
        match ids.iter().find(|id| **id as usize >= self.tokenizer.len()) {
            None => Ok(ids),
            Some(id) => Err(Error::Option {
                option: "a token of the prompt",
                value: id.to_string(),
                expected: "an id of the vocabulary",
            }),
        }
    }

    /// Ids of a conversation whose next turn is the model's, through the model's own template. A model without one
    /// gets the last message as plain text.
    ///
    /// # Errors
    /// A template that does not accept the conversation; a text that cannot be encoded.
    pub fn encode_chat(&self, messages: &[Message]) -> Result<Vec<u32>, Error> {
        self.encode(&self.rendered(messages, Vec::new())?)
    }

    /// The text of a conversation; `json` are variables for the template, as JSON.
    pub(crate) fn rendered(
        &self,
        messages: &[Message],
        json: Vec<(String, String)>,
    ) -> Result<String, Error> {
        let Some(template) = &self.template else {
            return Ok(messages.last().map_or(String::new(), |message| message.content.clone()));
        };
        let options = RenderOptions { add_generation_prompt: true, json, ..RenderOptions::default() };
        Ok(template.render(messages, &options)?)
    }

    /// Forgets all conversations.
    pub fn clear(&mut self) {
        self.sequences.iter_mut().for_each(|sequence| sequence.len = 0);
        self.held.iter_mut().for_each(|held| held.ids.clear());
    }
}
