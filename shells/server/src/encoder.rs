//! An encoder behind the routes: who it is, and how many of its numbers may be held at once.
//!
//! What it is: one value for each encoder. What it is not: its work, which is a [`TextService`]'s. The one design choice: a request
//! pays for its reply before it is asked, in bytes that were put aside when the server began; what could never be paid is refused.

use std::rc::Rc;
use std::sync::Arc;

use host::{Part, Reservation};
use pintpot::Ledger;
use pintpot::tasks::{TextAsked, TextSaid, TextService};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::Facts;
use crate::app::App;
use crate::limits::REPLIES;
use crate::refusal::Refusal;

/// Bytes of a permit.
const UNIT: usize = 1 << 10;
/// Bytes of a number, as it is and as it is written.
const OF_NUMBER: usize = 20;
/// Bytes of an item of a reply besides its numbers.
const OF_ITEM: usize = 160;
/// Put aside for replies beyond what is planned, at most.
const MORE: u64 = 48 << 20;

/// An encoder that is served.
pub struct Encoder {
    /// What routes tell of it.
    pub facts: Facts,
    /// Whether it gives scores, not vectors.
    pub scores: bool,
    service: TextService,
    replies: Arc<Semaphore>,
    /// Bytes that all replies at once may take.
    room: usize,
    _more: Option<Reservation>,
}

impl Encoder {
    /// An encoder for a server whose account is `ledger`, of which it may hold up to `spare` bytes for its replies beyond what
    /// is planned.
    pub fn new(facts: Facts, scores: bool, service: TextService, ledger: &Ledger, spare: u64) -> Encoder {
        let more = ledger.reserve(Part::Data, spare.min(MORE)).ok();
        let room = REPLIES as usize + more.as_ref().map_or(0, |more| more.bytes() as usize);
        let replies = Arc::new(Semaphore::new(room / UNIT));
        Encoder { facts, scores, service, replies, room, _more: more }
    }

    /// Numbers that come for a text.
    pub(crate) fn width(&self) -> usize {
        self.service.width()
    }

    /// What comes of `asked`, and the right to hold it, for so many texts; `quoted` bytes of theirs come back too.
    pub(crate) async fn ask(
        &self,
        asked: TextAsked,
        texts: usize,
        quoted: usize,
    ) -> Result<(TextSaid, OwnedSemaphorePermit), Refusal> {
        let item = self.width() * OF_NUMBER + OF_ITEM;
        let bytes = texts.saturating_mul(item).saturating_add(2 * quoted);
        if bytes > self.room / UNIT * UNIT {
            let most = self.room / item;
            let message = format!(
                "{texts} texts are more than there is memory for; send {most} at once, or serve with a larger --memory"
            );
            return Err(Refusal::field("input", "memory_budget_exceeded", message));
        }
        let units = bytes.div_ceil(UNIT).max(1) as u32;
        let closing = || Refusal::unavailable("the server is closing");
        let permit = Arc::clone(&self.replies).acquire_many_owned(units).await.map_err(|_| closing())?;
        let (tell, told) = oneshot::channel();
        let tell = move |said| drop(tell.send(said)); // whoever asked may have gone
        self.service.ask(asked, tell).map_err(|error| Refusal::of(&error))?;
        let said = told.await.map_err(|_| closing())?;
        Ok((said.map_err(|error| Refusal::of(&error))?, permit))
    }

    /// Takes no requests from now on.
    pub(crate) fn close(&self) {
        self.service.close();
    }
}

impl App {
    /// The encoder of that name, or the only one of its kind if none is named.
    pub fn encoder(self: &Rc<App>, name: Option<&str>, scores: bool) -> Result<usize, Refusal> {
        let mut fitting = self.encoders.iter().enumerate().filter(|(_, encoder)| encoder.scores == scores);
        let Some(name) = name else {
            let missing = || Refusal::field("model", "missing_field", "the field model is missing");
            return match (fitting.next(), fitting.next()) {
                (Some((at, _)), None) => Ok(at),
                _ => Err(missing()),
            };
        };
        let short = name.strip_suffix(":latest").unwrap_or(name);
        let found = fitting.find(|(_, encoder)| [name, short].contains(&encoder.facts.name.as_str()));
        found
            .map(|(at, _)| at)
            .ok_or_else(|| self.not_served(name, if scores { "scores" } else { "vectors" }))
    }
}
