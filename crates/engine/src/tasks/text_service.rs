//! An encoder on a thread of its own, for those who must not wait for a run: a server's connections.
//!
//! What it is: a bounded way in, one request after another, and a call when one is done. What it is not: a protocol. The one
//! design choice: as with [`Service`](crate::Service), whoever asks leaves a listener and goes.

use super::door::Door;
use super::{Embed, Rerank, TextInput};
use crate::Error;

/// An encoder and what it is for.
pub enum TextTask {
    /// Vectors.
    Embed(Embed),
    /// Scores.
    Rerank(Rerank),
}

/// A text, or the tokens of one, that is kept until its turn comes.
#[derive(Clone, Debug, PartialEq)]
pub enum OwnedText {
    /// A text.
    Text(String),
    /// Tokens without marks.
    Tokens(Vec<u32>),
}

/// What is asked of an encoder.
#[derive(Clone, Debug, PartialEq)]
pub enum TextAsked {
    /// A vector for each text.
    Vectors(Vec<OwnedText>),
    /// A score for each text, as an answer to the query.
    Scores {
        /// What is looked for.
        query: String,
        /// The texts.
        texts: Vec<String>,
    },
}

/// What came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct TextSaid {
    /// Vectors one after another, or scores.
    pub numbers: Vec<f32>,
    /// Tokens of all texts.
    pub tokens: usize,
}

type Told = Box<dyn FnOnce(Result<TextSaid, Error>) + Send>;

/// An encoder at the service of many.
pub struct TextService {
    door: Door<(TextAsked, Told)>,
    width: usize,
}

impl TextService {
    /// Starts the thread. Up to `queue` requests may wait for their turn.
    ///
    /// # Errors
    /// If there is no thread to be had.
    pub fn start(mut task: TextTask, queue: usize) -> Result<TextService, Error> {
        let width = match &task {
            TextTask::Embed(embed) => embed.dimensions(),
            TextTask::Rerank(_) => 1,
        };
        let work = move |(asked, told): (TextAsked, Told)| told(answer(&mut task, &asked));
        Ok(TextService { door: Door::open("encoder", queue, work)?, width })
    }

    /// Numbers that come for a text: those of a vector, or one for a score.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Asks; `done` hears the answer.
    ///
    /// # Errors
    /// [`Error::QueueFull`], with nobody told.
    pub fn ask(
        &self,
        asked: TextAsked,
        done: impl FnOnce(Result<TextSaid, Error>) + Send + 'static,
    ) -> Result<(), Error> {
        self.door.hand_in((asked, Box::new(done)))
    }

    /// Takes no requests from now on; those that were taken are answered.
    pub fn close(&self) {
        self.door.close();
    }
}

fn answer(task: &mut TextTask, asked: &TextAsked) -> Result<TextSaid, Error> {
    let mut numbers = Vec::new();
    let tokens = match (task, asked) {
        (TextTask::Embed(embed), TextAsked::Vectors(texts)) => {
            let texts: Vec<TextInput<'_>> = texts.iter().map(OwnedText::borrowed).collect();
            numbers.reserve_exact(texts.len() * embed.dimensions());
            embed.embed(&texts, |vector| numbers.extend_from_slice(vector))?
        }
        (TextTask::Rerank(rerank), TextAsked::Scores { query, texts }) => {
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            rerank.score(query, &texts, |score| numbers.push(score))?
        }
        (TextTask::Embed(_), _) => return Err(Error::OtherTask { makes: "vectors, no scores" }),
        (TextTask::Rerank(_), _) => return Err(Error::OtherTask { makes: "scores, no vectors" }),
    };
    Ok(TextSaid { numbers, tokens })
}

impl OwnedText {
    fn borrowed(&self) -> TextInput<'_> {
        match self {
            OwnedText::Text(text) => TextInput::Text(text),
            OwnedText::Tokens(ids) => TextInput::Tokens(ids),
        }
    }
}
