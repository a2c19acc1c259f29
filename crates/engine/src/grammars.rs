//! Room for answers that follow a grammar: the sorted vocabulary, once, and so much heap for each of them.
//!
//! What it is: lines of the account that come with the first request that needs them, so that nobody pays for grammars who
//! has none. What it is not: a grammar ([`processors::text::Grammar`]). The one design choice: the model is placed anew in
//! what is left, as for a smaller budget, so there is room as long as a model can be made smaller; and what cannot be made
//! room for is refused with the numbers.

use crate::{Error, Model};
use processors::text::{Allowed, Grammar, Guide, TokenIndex, Tokenizer};
use std::sync::Arc;

/// Heap of an answer that follows a grammar, bytes: reading it, and all that its parser learns on the way.
const ROOM: u64 = 4 << 20;

/// What a model holds for those who follow grammars.
#[derive(Default)]
pub(crate) struct Rooms {
    index: Option<Arc<TokenIndex>>,
    /// Rooms in the account.
    held: u64,
    /// Of these, those in use, and those that a grammar which had to be given up has taken with it.
    taken: u64,
}

/// A grammar on its way, and the vocabulary that it is followed in.
pub(crate) struct Guided {
    guide: Guide,
    index: Arc<TokenIndex>,
}

impl Guided {
    /// The tokens that may come next.
    pub fn allowed(&mut self, tokenizer: &Tokenizer) -> Result<&Allowed, Error> {
        Ok(self.guide.allowed(&self.index, tokenizer)?)
    }

    /// Whether a token may come next; takes a fraction of the time that all who may do.
    pub fn allows(&mut self, id: u32, tokenizer: &Tokenizer) -> Result<bool, Error> {
        Ok(self.guide.allows(id, tokenizer)?)
    }

    /// Goes on after a token; gives whether nothing may follow.
    pub fn push(&mut self, bytes: &[u8]) -> Result<bool, Error> {
        Ok(self.guide.push(bytes)?)
    }
}

impl Model {
    /// Takes room for one more answer that follows a grammar.
    ///
    /// # Errors
    /// [`Error::Refused`] if the model cannot be made small enough, with nothing changed.
    pub(crate) fn take_grammar_room(&mut self) -> Result<(), Error> {
        if self.rooms.taken == self.rooms.held {
            self.add_grammar_room()?;
        }
        self.rooms.taken += 1;
        Ok(())
    }

    /// Gives the room of an answer back.
    pub(crate) fn leave_grammar_room(&mut self) {
        self.rooms.taken = self.rooms.taken.saturating_sub(1);
    }

    /// Reads a grammar in the room that was taken for it. What has to be given up keeps its room for good.
    pub(crate) fn guided(&mut self, grammar: Grammar) -> Result<Guided, Error> {
        let index = match &self.rooms.index {
            Some(index) => Arc::clone(index),
            None => Arc::clone(self.rooms.index.insert(Arc::new(TokenIndex::new(&self.tokenizer)?))),
        };
        let guide = grammar.guide(ROOM);
        if let Err(processors::Error::GrammarBounds(_)) = &guide {
            self.rooms.taken += 1; // whoever took it gives one back
        }
        Ok(Guided { guide: guide?, index })
    }

    /// Gives all rooms back if nobody is in one; whether there were any.
    pub(crate) fn forget_grammars(&mut self) -> bool {
        if self.rooms.taken > 0 || self.rooms.held == 0 {
            return false;
        }
        self.live.fixed.heap -= self.rooms.held * ROOM;
        self.live.fixed.tokenizer -= self.index_bytes();
        self.rooms = Rooms::default();
        true
    }

    fn add_grammar_room(&mut self) -> Result<(), Error> {
        let before = self.live.fixed;
        self.live.fixed.heap += ROOM;
        if self.rooms.held == 0 {
            self.live.fixed.tokenizer += self.index_bytes();
        }
        let budget = self.placement.budget;
        let placed = self.fit(budget);
        match &placed {
            Ok(()) => self.rooms.held += 1,
            Err(error) => {
                self.live.fixed = before;
                // What was begun is undone; what cannot be is said by the next step.
                if !matches!(error, Error::Refused(_)) {
                    let _ = self.fit(budget);
                }
            }
        }
        placed
    }

    fn index_bytes(&self) -> u64 {
        TokenIndex::estimate(self.tokenizer.len()) as u64
    }
}
