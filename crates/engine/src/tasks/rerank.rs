//! How well texts answer a query: a score for each, by an encoder that reads both at once (arXiv 1901.04085).
//!
//! What it is: the task. What it is not: the search that finds the texts. The one design choice: a score is the number that the
//! classifier gives, as it gives it; who wants it between zero and one bends it.

use super::encoder::{Encoder, EncoderOptions, TOGETHER, TextInput, Wanted, prepare};
use super::encoder_file::EncoderFile;
use crate::{Engine, Error};
use planner::{Line, Refusal};
use processors::text::Encoding;

/// An encoder that scores.
pub struct Rerank {
    encoder: Encoder,
}

impl Engine {
    /// The account of an encoder that scores, in so many bytes; a budget that is too small is the inner error.
    ///
    /// # Errors
    /// A network that takes or gives something else.
    pub fn plan_rerank(
        &self,
        file: &EncoderFile,
        options: &EncoderOptions,
        budget: u64,
    ) -> Result<Result<Vec<Line>, Refusal>, Error> {
        Ok(prepare(file, options, Wanted::Texts)?.plan(self, budget))
    }

    /// Loads an encoder that scores, or refuses before a weight is read.
    ///
    /// # Errors
    /// [`Error::Refused`] if it does not fit the budget; [`Error::EncoderOutput`] if it gives more than one number for a text.
    pub fn load_rerank(&self, file: EncoderFile, options: &EncoderOptions) -> Result<Rerank, Error> {
        let prepared = prepare(&file, options, Wanted::Texts)?;
        if prepared.width != 1 {
            return Err(Error::EncoderOutput { found: format!("{} numbers for a text", prepared.width) });
        }
        Ok(Rerank { encoder: Encoder::load(self, file, prepared)? })
    }
}

impl Rerank {
    /// Tokens that a query and a text may have together; longer ones are cut.
    pub fn longest(&self) -> usize {
        self.encoder.longest
    }

    /// The account, in printing order.
    pub fn lines(&self) -> &[Line] {
        self.encoder.lines()
    }

    /// Calls `each` with the score of every text, in their order; gives how many tokens they had together.
    ///
    /// # Errors
    /// A text that is too long to be cut; what an operator says.
    pub fn score(&mut self, query: &str, texts: &[&str], mut each: impl FnMut(f32)) -> Result<usize, Error> {
        let mut tokens = 0;
        let mut scores = [0.0; TOGETHER];
        for texts in texts.chunks(TOGETHER) {
            let pair = |text: &&str| self.encoder.encode(TextInput::Text(query), Some(text));
            let encodings = texts.iter().map(pair).collect::<Result<Vec<Encoding>, Error>>()?;
            tokens += encodings.iter().map(|encoding| encoding.ids.len()).sum::<usize>();
            self.encoder.run(&encodings, |number, score| {
                if let (Some(to), [score]) = (scores.get_mut(number), score) {
                    *to = *score;
                }
            })?;
            scores.iter().take(texts.len()).for_each(|score| each(*score));
        }
        Ok(tokens)
    }
}
