//! What of a batch is in the air: asked and not yet answered.
//!
//! What it is: listeners on the engine's thread, and the one who writes down what they hear. What it is not: the reading of
//! lines. The one design choice: prompts that have not become ids are bounded in bytes, as those of a server are.

use super::record;
use super::register::key;
use super::{BatchProgress, Next};
use crate::{Attention, Chosen, Completion, Error, Flow, GenerateOptions, Listener, Prompt, Service};
use host::AppendFile;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

/// How often it is told how far it is, at least.
const TICK: Duration = Duration::from_millis(100);

/// The words in which a batch asks and is answered.
pub trait Protocol {
    /// Bytes that a body may have.
    fn longest(&self) -> usize;
    /// What a body asks for at `url`; or else what a client would have been told.
    ///
    /// # Errors
    /// A body that makes no sense there.
    fn read(&self, url: &str, body: &str) -> Result<Asked, Said>;
    /// What a client would be told of an answer that failed.
    fn refuse(&self, error: &Error) -> Said;
}

/// Writes the body of an answer, as JSON in one line, from all its choices.
pub type Write = Box<dyn FnOnce(&[(Completion, Vec<Chosen>)]) -> String>;

/// What is asked.
pub struct Asked {
    /// The prompt.
    pub prompt: Prompt,
    /// What is wanted of the answer.
    pub options: GenerateOptions,
    /// How many answers.
    pub choices: usize,
    /// Writes the body of the answer.
    pub write: Write,
}

/// What a client is told instead of an answer.
#[derive(Clone, Debug)]
pub struct Said {
    /// The status, as HTTP has them.
    pub status: u16,
    /// The body, JSON in one line.
    pub body: String,
}

/// What a listener tells.
enum Told {
    /// The prompt has become ids.
    Accepted(usize),
    Done {
        line: u64,
        index: usize,
        result: Result<Box<Completion>, Box<Error>>,
        tokens: Vec<Chosen>,
    },
}

/// Hears one answer.
struct Ear {
    line: u64,
    index: usize,
    /// Bytes of a prompt that is text still.
    bytes: usize,
    tokens: Vec<Chosen>,
    tell: Sender<Told>,
    stop: Arc<AtomicBool>,
}

impl Ear {
    fn let_go(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        if bytes > 0 {
            let _ = self.tell.send(Told::Accepted(bytes));
        }
    }
}

impl Listener for Ear {
    fn attention(&mut self) -> Attention {
        if self.stop.load(Relaxed) { Attention::Gone } else { Attention::Here }
    }

    fn accepted(&mut self) {
        self.let_go();
    }

    fn token(&mut self, chosen: Chosen) {
        self.tokens.push(chosen);
    }

    fn hear(&mut self, _text: &str) {}

    fn done(mut self: Box<Self>, result: Result<Completion, Error>) {
        self.let_go();
        let result = result.map(Box::new).map_err(Box::new);
        let tokens = std::mem::take(&mut self.tokens);
        let _ = self.tell.send(Told::Done { line: self.line, index: self.index, result, tokens });
    }
}

/// A request in the air.
struct Flight {
    name: String,
    write: Write,
    answers: Vec<Option<(Completion, Vec<Chosen>)>>,
    failed: Option<Error>,
    left: usize,
}

/// What is in the air, and where it goes.
pub(super) struct Work<'a> {
    service: &'a Service,
    protocol: &'a dyn Protocol,
    output: &'a mut AppendFile,
    progress: BatchProgress,
    /// By line.
    flights: BTreeMap<u64, Flight>,
    /// Bytes of prompts that are text still.
    texts: usize,
    hear: Receiver<Told>,
    tell: Sender<Told>,
    stop: Arc<AtomicBool>,
}

impl<'a> Work<'a> {
    pub fn new(
        service: &'a Service,
        protocol: &'a dyn Protocol,
        output: &'a mut AppendFile,
        progress: BatchProgress,
    ) -> Work<'a> {
        let ((tell, hear), flights) = (channel(), BTreeMap::new());
        Work { service, protocol, output, progress, flights, texts: 0, hear, tell, stop: Arc::default() }
    }

    /// Begins what a line asks for, once there is room for it; false if it is to end.
    pub fn take(
        &mut self,
        line: u64,
        next: Next<'_>,
        most: usize,
        watch: &mut dyn FnMut(&BatchProgress) -> Flow,
    ) -> Result<bool, Error> {
        let read = match next {
            Next::Done => return Ok(true),
            Next::Wrong(name, wrong) => {
                let id = key(&format!("\n{line}")) as u64;
                return self.put(&record::error(name.as_deref(), id, line, &wrong), true).map(|()| true);
            }
            Next::Ask(read) => read,
        };
        let body = read.body.get();
        let is_long = |work: &Work<'_>| work.texts > 0 && work.texts + body.len() > work.protocol.longest();
        while self.flights.len() >= most.max(1) || is_long(self) {
            if !self.wait(watch)? {
                return Ok(false);
            }
        }
        match self.protocol.read(&read.url, body) {
            Ok(asked) => self.ask(line, &read.custom_id, asked, body.len(), watch),
            Err(said) => self.say(&read.custom_id, said).map(|()| true),
        }
    }

    fn ask(
        &mut self,
        line: u64,
        name: &str,
        asked: Asked,
        bytes: usize,
        watch: &mut dyn FnMut(&BatchProgress) -> Flow,
    ) -> Result<bool, Error> {
        let Asked { prompt, options, choices, write } = asked;
        self.texts += bytes;
        loop {
            let ear = |index| Ear {
                line,
                index,
                bytes: if index == 0 { bytes } else { 0 },
                tokens: Vec::new(),
                tell: self.tell.clone(),
                stop: Arc::clone(&self.stop),
            };
            let ears = (0..choices).map(|index| Box::new(ear(index)) as Box<dyn Listener + Send>);
            // A queue that is full of what is in the air takes more when some of it is answered.
            match self.service.ask(prompt.clone(), options.clone(), ears.collect()) {
                Ok(()) => break,
                Err(Error::QueueFull { .. }) if !self.flights.is_empty() => {
                    if !self.wait(watch)? {
                        return Ok(false);
                    }
                }
                Err(error @ Error::QueueFull { .. }) => {
                    self.texts -= bytes;
                    return self.say(name, self.protocol.refuse(&error)).map(|()| true);
                }
                Err(error) => return Err(error),
            }
        }
        let answers = (0..choices).map(|_| None).collect();
        let flight = Flight { name: name.to_string(), write, answers, failed: None, left: choices };
        self.flights.insert(line, flight);
        // What is heard meanwhile is written before more is asked.
        while let Ok(told) = self.hear.try_recv() {
            self.note(told)?;
        }
        Ok(self.tell_of(watch))
    }

    /// Waits until nothing is in the air, unless it is to end.
    pub fn drain(&mut self, watch: &mut dyn FnMut(&BatchProgress) -> Flow) -> Result<(), Error> {
        while !self.flights.is_empty() && self.wait(watch)? {}
        Ok(())
    }

    /// Waits until something is heard, or a while; false if it is to end.
    fn wait(&mut self, watch: &mut dyn FnMut(&BatchProgress) -> Flow) -> Result<bool, Error> {
        match self.hear.recv_timeout(TICK) {
            Ok(told) => self.note(told)?,
            Err(RecvTimeoutError::Timeout) if self.service.is_done() => {
                return Err(Error::Ended { why: "the engine's thread has ended".into() });
            }
            Err(_) => {}
        }
        Ok(self.tell_of(watch))
    }

    fn tell_of(&mut self, watch: &mut dyn FnMut(&BatchProgress) -> Flow) -> bool {
        self.progress.running = self.flights.len() as u64;
        watch(&self.progress) == Flow::Continue
    }

    fn note(&mut self, told: Told) -> Result<(), Error> {
        let (line, index, result, tokens) = match told {
            Told::Accepted(bytes) => {
                self.texts -= bytes;
                return Ok(());
            }
            Told::Done { line, index, result, tokens } => (line, index, result, tokens),
        };
        let Some(flight) = self.flights.get_mut(&line) else { return Ok(()) };
        flight.left -= 1;
        match result {
            Ok(answer) => {
                self.progress.tokens += answer.timing.answer_tokens as u64;
                flight.answers[index] = Some((*answer, tokens));
            }
            Err(error) => {
                flight.failed.get_or_insert(*error);
            }
        }
        if flight.left > 0 {
            return Ok(());
        }
        let Some(flight) = self.flights.remove(&line) else { return Ok(()) };
        match flight.failed {
            // The engine failed, not the request: it is asked again another time.
            Some(error @ Error::Ended { .. }) => Err(error),
            Some(error) => self.say(&flight.name, self.protocol.refuse(&error)),
            None => {
                let answers: Vec<_> = flight.answers.into_iter().flatten().collect();
                let body = (flight.write)(&answers);
                self.say(&flight.name, Said { status: 200, body })
            }
        }
    }

    /// Writes down what a request is answered.
    fn say(&mut self, name: &str, Said { status, body }: Said) -> Result<(), Error> {
        self.put(&record::answer(name, key(name) as u64, (status, &body)), status != 200)
    }

    fn put(&mut self, line: &str, failed: bool) -> Result<(), Error> {
        self.output.add(line.as_bytes())?;
        self.progress.added += 1;
        self.progress.failed += u64::from(failed);
        Ok(())
    }

    /// How far it has come; whoever is in the air is let go.
    pub fn end(self) -> BatchProgress {
        BatchProgress { running: 0, ..self.progress }
    }
}

impl Drop for Work<'_> {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
    }
}
