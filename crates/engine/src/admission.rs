//! Who is let in, and who gives way: the room of a schedule for keys and values.
//!
//! What it is: admission by what answers are likely to come to, growth from step to step, and preemption when that was too
//! hopeful: the youngest gives its sequence back and waits for another turn, in which what it held is fed again. What it is not:
//! rows of a step ([`Schedule`]). The one design choice: nothing of an answer but its sequence is given back, and the same
//! tokens at the same positions give the same logits however they are fed; so the answer goes on as if nothing had been.

use crate::answer::Answer;
use crate::{Error, Schedule, Trouble};

impl Schedule<'_> {
    /// Lets in those whose turn it is, as long as there is room.
    pub(crate) fn admit(&mut self) {
        while self.running.len() < self.model.live.logit_rows as usize {
            let may = |answer: &Answer<'_>| !answer.paused && !self.is_read_for(answer.request);
            let Some(at) = self.waiting.iter().position(may) else { return };
            let Some(mut answer) = self.waiting.remove(at) else { return };
            let taken = self.take_room(&mut answer);
            if let Ok(None) = taken {
                return self.waiting.insert(at, answer);
            }
            let begun = taken.and_then(|taken| {
                answer.sequence = taken.map_or(0, |(sequence, _)| sequence);
                answer.read_grammar(self.model).map(|()| taken)
            });
            match begun {
                Ok(Some((sequence, cached))) => {
                    answer.begin(self.model, sequence, cached, &mut self.counts);
                    self.running.push(answer);
                }
                Ok(None) => {}
                Err(error) => {
                    self.leave(&mut answer);
                    answer.fail(error);
                    self.counts.failed();
                }
            }
        }
    }

    /// Has everybody who speaks hold one more token, and takes the turn from others where there is no room for it.
    pub(crate) fn grow(&mut self) -> Result<(), Error> {
        let mut at = 0;
        while let Some(answer) = self.running.get(at) {
            let speaks = !answer.paused && answer.unread() == 0;
            if !speaks || self.model.grow_sequence(answer.sequence)? {
                at += 1;
                continue;
            }
            // Who cannot be heard just now loses the least; otherwise who came last.
            let silent = self.running.iter().rposition(|answer| answer.paused);
            let gives = silent.unwrap_or(self.running.len() - 1);
            if self.running.len() == 1 {
                let why = "others in this process hold the memory for its keys and values".to_string();
                self.end(at, Err(Error::Ended { why }));
                continue;
            }
            self.preempt(gives);
            at -= usize::from(gives < at);
        }
        Ok(())
    }

    /// What an answer held is free, but not what it has come to.
    pub(crate) fn leave(&mut self, answer: &mut Answer<'_>) {
        self.model.leave_sequence(answer.sequence);
        if std::mem::take(&mut answer.has_room) {
            self.model.leave_grammar_room();
        }
    }

    /// Takes the turn from somebody; he is the next to get one.
    fn preempt(&mut self, at: usize) {
        let mut answer = self.running.remove(at);
        // Its grammar is where it was, so its room is, too.
        self.model.leave_sequence(answer.sequence);
        answer.rewind();
        self.waiting.push_front(answer);
        self.counts.preempted += 1;
    }

    /// Whether another answer to the same request is reading the prompt.
    fn is_read_for(&self, request: u64) -> bool {
        self.running.iter().any(|answer| answer.request == request && answer.unread() > 0)
    }

    /// A sequence, and room for a grammar if there is one; `None` as long as others leave none.
    fn take_room(&mut self, next: &mut Answer<'_>) -> Result<Option<(u64, usize)>, Error> {
        let first = next.needs_room() && !next.has_room;
        if first {
            match self.model.take_grammar_room() {
                Err(error) if error.trouble() == Trouble::Budget && !self.running.is_empty() => {
                    return Ok(None);
                }
                taken => taken?,
            }
            next.has_room = true;
        }
        let (mean, mut wish) = (self.counts.likely_answer(), next.wish(self.counts.likely_answer()));
        if !self.model.live.shares {
            // One at a time has the whole context: the next turn of a conversation finds it where it is.
            let context = self.model.context();
            (wish.now, wish.likely, wish.most) = (context, context, context);
        }
        let likely = |answer: &Answer<'_>| self.model.likely_bytes(answer.sequence, answer.wish(mean).likely);
        let others = self.running.iter().map(likely).sum();
        let taken = self.model.take_sequence(&next.prompt, wish, others);
        if first && matches!(taken, Ok(None)) {
            self.leave(next);
        }
        taken
    }
}
