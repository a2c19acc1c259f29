//! Models of speech behind the routes, and sounds that are held until their turn comes.
//!
//! What it is: who they are, and the right to hold a sound. What it is not: their work, which is a [`SpeechService`]'s. The one design
//! choice: a request pays for its sound before a byte of it is read, in bytes that were put aside when the server began; what
//! could never be paid is refused by its length.

use std::io::Read;
use std::ops::Range;
use std::sync::Arc;

use host::{Part, Reservation};
use http_body_util::BodyExt;
use hyper::body::Body;
use hyper::{Request, StatusCode};
use pintpot::tasks::{Passage, SpeechListener, SpeechService, Transcript};
use pintpot::{Error, Ledger};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::Facts;
use crate::app::App;
use crate::arriving::Arriving;
use crate::limits::REPLIES;
use crate::refusal::Refusal;

/// Bytes of a permit.
const UNIT: u64 = 1 << 10;
/// What is said takes less than this share of what it is said in, even where a second has a thousand bytes.
const SAID: u64 = 4;
/// Put aside for sounds beyond what is planned, at most.
const MORE: u64 = 128 << 20;
/// Bytes that a body has so much longer to arrive for.
const PACE: u64 = 1 << 20;

/// A model of speech that is served.
pub struct Scribe {
    /// What routes tell of it.
    pub facts: Facts,
    /// Who writes.
    pub service: SpeechService,
}

/// All that are served.
pub struct Scribes {
    pub(crate) all: Vec<Scribe>,
    sounds: Arc<Semaphore>,
    /// Bytes of the largest sound.
    most: u64,
    _more: Option<Reservation>,
}

impl Scribes {
    /// For a server whose account is `ledger`, of which they may hold up to `spare` bytes for sounds beyond what is planned.
    pub fn new(all: Vec<Scribe>, ledger: &Ledger, spare: u64) -> Scribes {
        let more = ledger.reserve(Part::Data, spare.min(MORE)).ok();
        let room = REPLIES + more.as_ref().map_or(0, Reservation::bytes);
        let sounds = Arc::new(Semaphore::new((room / UNIT) as usize));
        Scribes { all, sounds, most: room * SAID / (SAID + 1) / UNIT * UNIT, _more: more }
    }

    /// None at all.
    pub(crate) fn none() -> Scribes {
        Scribes { all: Vec::new(), sounds: Arc::new(Semaphore::new(0)), most: 0, _more: None }
    }

    /// Takes no sounds from now on.
    pub(crate) fn close(&self) {
        self.all.iter().for_each(|scribe| scribe.service.close());
    }

    /// Reads a body that holds a sound, and gives it with the right to hold it.
    pub(crate) async fn read(
        &self,
        app: &App,
        request: Request<Arriving>,
    ) -> Result<(Vec<u8>, OwnedSemaphorePermit), Refusal> {
        let Some(length) = request.body().size_hint().exact() else {
            let message = "the body must say how long it is, with Content-Length";
            return Err(Refusal::new(StatusCode::LENGTH_REQUIRED, "length_required", message));
        };
        if length > self.most {
            let message = format!(
                "the body has {length} bytes, and there is memory for {} at once; send less, 16,000 samples of 16 bits a second are \
                 enough, or serve with a larger --memory",
                self.most
            );
            return Err(
                Refusal::field("file", "request_too_large", message).with(StatusCode::PAYLOAD_TOO_LARGE)
            );
        }
        let units = (length + length / SAID).div_ceil(UNIT).max(1) as u32;
        let permit = timeout(app.limits.answer, Arc::clone(&self.sounds).acquire_many_owned(units)).await;
        let full = || {
            let message = "there was no room for the sound in all this time; try again later";
            Refusal::new(StatusCode::TOO_MANY_REQUESTS, "rate_limit_exceeded", message)
        };
        let closing = || Refusal::unavailable("the server is closing");
        let permit = permit.map_err(|_| full())?.map_err(|_| closing())?;
        let late = || Refusal::new(StatusCode::REQUEST_TIMEOUT, "timeout", "the body did not arrive in time");
        let time = app.limits.arrival * (1 + length / PACE) as u32;
        let bytes =
            timeout(time, whole(request.into_body(), length as usize)).await.map_err(|_| late())??;
        Ok((bytes, permit))
    }
}

/// A body of a length that is known.
async fn whole(mut body: Arriving, length: usize) -> Result<Vec<u8>, Refusal> {
    let mut bytes = Vec::with_capacity(length);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Refusal::bad(format!("the body broke off: {error}")))?;
        let data = frame.into_data().unwrap_or_default();
        if data.len() > length - bytes.len() {
            return Err(Refusal::bad("the body is longer than it said"));
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}

impl App {
    /// The model of speech of that name, or the only one if none is named.
    pub fn scribe(&self, name: Option<&str>) -> Result<&Scribe, Refusal> {
        match (name, self.scribes.all.as_slice()) {
            (Some(name), all) => {
                let found = all.iter().find(|scribe| scribe.facts.name == name);
                found.ok_or_else(|| self.not_served(name, "speech"))
            }
            (None, [only]) => Ok(only),
            (None, _) => Err(Refusal::field("model", "missing_field", "the field model is missing")),
        }
    }
}

/// The file in a body, as a stream.
pub(crate) struct Held {
    bytes: Vec<u8>,
    left: Range<usize>,
    /// The right to hold it.
    _permit: Arc<OwnedSemaphorePermit>,
}

impl Held {
    pub fn new(bytes: Vec<u8>, file: Range<usize>, permit: Arc<OwnedSemaphorePermit>) -> Held {
        Held { bytes, left: file, _permit: permit }
    }
}

impl Read for Held {
    fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
        let count = self.bytes.get(self.left.clone()).unwrap_or_default().read(to)?;
        self.left.start += count;
        Ok(count)
    }
}

/// What the engine tells of a sound.
pub(crate) enum Told {
    /// Something was said.
    Passage(Passage),
    /// The end.
    Done(Result<Transcript, Error>),
}

/// The engine's end of a request; whoever drops the other end has gone. It needs no bound: what is said was paid for with the sound.
pub(crate) struct Ear(pub UnboundedSender<Told>);

impl SpeechListener for Ear {
    fn is_here(&self) -> bool {
        !self.0.is_closed()
    }

    fn hear(&self, passage: &Passage) {
        let _ = self.0.send(Told::Passage(passage.clone()));
    }

    fn done(self: Box<Self>, result: Result<Transcript, Error>) {
        let _ = self.0.send(Told::Done(result));
    }
}
