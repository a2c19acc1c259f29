//! Between the engine's thread and a connection: what an answer says, through a channel of a few events.
//!
//! What it is: the listener that the engine tells, and the end that a route hears. What it is not: a queue; when the
//! channel is nearly full the answer waits. The one design choice: whoever drops his end is gone, which the engine sees
//! before its next step.

use std::collections::BTreeMap;
use std::task::{Context, Poll};

use pintpot::{Attention, Chosen, Completion, Error, GenerateOptions, Listener, Prompt, Service, ToolCall};
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::refusal::Refusal;
use crate::sampling::Shared;

/// Events that wait for a connection, for each answer.
const EVENTS: usize = 24;
/// Events that one step may bring, for each answer: a piece, calls, a piece, the same of the rest, the end.
const OF_STEP: usize = 8;

/// Something that happened to an answer.
pub(crate) enum Event {
    /// Its turn came.
    Begun { index: usize, prompt_tokens: usize, cached_tokens: usize },
    /// A piece of text, and how likely the tokens were that came since the last.
    Text { index: usize, text: String, tokens: Vec<Chosen> },
    /// Calls of tools.
    Calls { index: usize, calls: Vec<ToolCall> },
    /// The end.
    Done { index: usize, result: Result<Box<Completion>, Box<Error>> },
}

/// The engine's end.
struct Ear {
    index: usize,
    tell: Sender<Event>,
    /// Events that must find room.
    room: usize,
    /// How likely tokens were whose text was not heard yet.
    tokens: Vec<Chosen>,
    /// The right to hold a body, until it has become ids.
    body: Option<OwnedSemaphorePermit>,
}

impl Listener for Ear {
    fn attention(&mut self) -> Attention {
        match self.tell.is_closed() {
            true => Attention::Gone,
            false if self.tell.capacity() < self.room => Attention::Busy,
            false => Attention::Here,
        }
    }

    fn accepted(&mut self) {
        self.body = None;
    }

    fn begun(&mut self, prompt_tokens: usize, cached_tokens: usize) {
        let _ = self.tell.try_send(Event::Begun { index: self.index, prompt_tokens, cached_tokens });
    }

    fn token(&mut self, chosen: Chosen) {
        self.tokens.push(chosen);
    }

    fn hear(&mut self, text: &str) {
        let tokens = std::mem::take(&mut self.tokens);
        let _ = self.tell.try_send(Event::Text { index: self.index, text: text.to_string(), tokens });
    }

    fn call(&mut self, calls: &[ToolCall]) {
        let _ = self.tell.try_send(Event::Calls { index: self.index, calls: calls.to_vec() });
    }

    fn done(mut self: Box<Self>, result: Result<Completion, Error>) {
        if !self.tokens.is_empty() {
            self.hear("");
        }
        let result = result.map(Box::new).map_err(Box::new);
        let _ = self.tell.try_send(Event::Done { index: self.index, result });
    }
}

/// The connection's end.
pub(crate) struct Talk {
    hear: Receiver<Event>,
}

impl Talk {
    /// Asks for `choices` answers.
    pub fn begin(
        service: &Service,
        shared: &Shared,
        prompt: Prompt,
        options: GenerateOptions,
        choices: usize,
        mut body: Option<OwnedSemaphorePermit>,
    ) -> Result<Talk, Refusal> {
        let room = OF_STEP * choices;
        let (tell, hear) = channel(EVENTS * choices + room);
        let ears = (0..choices).map(|index| {
            Box::new(Ear { index, tell: tell.clone(), room, tokens: Vec::new(), body: body.take() })
                as Box<dyn Listener + Send>
        });
        service
            .ask_of(shared.place, shared.keep, prompt, options, ears.collect())
            .map_err(|error| Refusal::of(&error))?;
        Ok(Talk { hear })
    }

    /// The next event; `None` after the last.
    pub async fn next(&mut self) -> Option<Event> {
        self.hear.recv().await
    }

    pub fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Event>> {
        self.hear.poll_recv(context)
    }

    /// The first event that says that an answer will come.
    pub async fn first(&mut self) -> Result<Event, Refusal> {
        match self.next().await {
            Some(Event::Done { result: Err(error), .. }) => Err(Refusal::of(&error)),
            Some(event) => Ok(event),
            None => Err(Refusal::unavailable("the server is closing")),
        }
    }

    /// All answers, whole, in order, and how likely their tokens were.
    pub async fn all(mut self) -> Result<Vec<(Completion, Vec<Chosen>)>, Refusal> {
        let mut answers = Vec::new();
        let mut likely: BTreeMap<usize, Vec<Chosen>> = BTreeMap::new();
        while let Some(event) = self.next().await {
            match event {
                Event::Text { index, tokens, .. } if !tokens.is_empty() => {
                    likely.entry(index).or_default().extend(tokens);
                }
                Event::Done { index, result } => {
                    let answer = *result.map_err(|error| Refusal::of(&error))?;
                    answers.push((index, (answer, likely.remove(&index).unwrap_or_default())));
                }
                _ => {}
            }
        }
        if answers.is_empty() {
            return Err(Refusal::unavailable("the server is closing"));
        }
        answers.sort_by_key(|(index, _)| *index);
        Ok(answers.into_iter().map(|(_, answer)| answer).collect())
    }
}
