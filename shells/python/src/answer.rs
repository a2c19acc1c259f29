//! An answer as it comes: pieces through a channel from the engine's thread.
//!
//! What it is: what is heard, for whoever asks for it. What it is not: an iterator; the Python around it is. The one design
//! choice: who waits gives the interpreter's lock back, and looks now and then whether Ctrl-C was pressed.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use engine::{
    Attention, Chosen, Completion, Error, GenerateOptions, Likelihood, Listener, Prompt, Service, ToolCall,
    report,
};
use pyo3::prelude::*;
use serde_json::{Value, json};

use crate::error::raise;

/// How often Ctrl-C is looked for.
const TICK: Duration = Duration::from_millis(50);

/// What is told.
enum Told {
    Piece(String),
    /// The whole answer in JSON.
    End(Result<String, Box<Error>>),
}

/// The engine's end.
struct Ear {
    tell: Sender<Told>,
    stop: Arc<AtomicBool>,
    /// How likely tokens were, if that was asked for.
    likely: Vec<Value>,
}

impl Listener for Ear {
    fn attention(&mut self) -> Attention {
        if self.stop.load(Relaxed) { Attention::Gone } else { Attention::Here }
    }

    fn hear(&mut self, text: &str) {
        let _ = self.tell.send(Told::Piece(text.to_string()));
    }

    fn token(&mut self, chosen: Chosen) {
        let mut token = likely(&chosen.token);
        token["top"] = chosen.top.iter().map(likely).collect();
        self.likely.push(token);
    }

    fn done(self: Box<Self>, result: Result<Completion, Error>) {
        let Ear { tell, likely, .. } = *self;
        let whole = |answer: Completion| {
            let mut whole = report::completion(&answer);
            let call = |call: &ToolCall| json!({ "name": call.name, "arguments": call.arguments });
            whole["calls"] = answer.calls.iter().map(call).collect();
            whole["logprobs"] = likely.into();
            whole.to_string()
        };
        let _ = tell.send(Told::End(result.map(whole).map_err(Box::new)));
    }
}

fn likely(token: &Likelihood) -> Value {
    json!({ "id": token.id, "bytes": token.bytes, "logprob": token.logprob })
}

/// Python's end. Once it is gone, the answer ends.
#[pyclass(frozen, module = "pintpot._pintpot")]
pub(crate) struct Answer {
    hear: Mutex<Receiver<Told>>,
    stop: Arc<AtomicBool>,
    /// The whole answer in JSON, once it has come to its end.
    whole: Mutex<Option<String>>,
}

impl Answer {
    /// Asks for an answer.
    pub fn begin(service: &Service, prompt: Prompt, options: GenerateOptions) -> Result<Answer, Error> {
        let (tell, hear) = channel();
        let stop = Arc::new(AtomicBool::new(false));
        let ear = Ear { tell, stop: Arc::clone(&stop), likely: Vec::new() };
        service.ask(prompt, options, vec![Box::new(ear)])?;
        Ok(Answer { hear: Mutex::new(hear), stop, whole: Mutex::default() })
    }

    fn wait(&self) -> Result<Told, RecvTimeoutError> {
        self.hear.lock().unwrap_or_else(PoisonError::into_inner).recv_timeout(TICK)
    }
}

#[pymethods]
impl Answer {
    /// The next piece; `None` after the last.
    fn next(&self, py: Python<'_>) -> PyResult<Option<String>> {
        loop {
            match py.detach(|| self.wait()) {
                Ok(Told::Piece(text)) => return Ok(Some(text)),
                Ok(Told::End(Ok(whole))) => {
                    *self.whole.lock().unwrap_or_else(PoisonError::into_inner) = Some(whole);
                    return Ok(None);
                }
                Ok(Told::End(Err(error))) => return Err(raise(py, &error)),
                Err(RecvTimeoutError::Timeout) => py.check_signals().inspect_err(|_| self.cancel())?,
                Err(RecvTimeoutError::Disconnected) => return Ok(None),
            }
        }
    }

    /// The whole answer in JSON; `None` before its end.
    fn whole(&self) -> Option<String> {
        self.whole.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends it; what was said stays.
    fn cancel(&self) {
        self.stop.store(true, Relaxed);
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.cancel();
    }
}
