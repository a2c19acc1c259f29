//! What every route needs: the service, who may ask, what may be held.
//!
//! What it is: one value for the whole server. What it is not: state of a request. The one design choice: bodies are paid
//! for in bytes before they are read, so that small requests do not wait behind large ones.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pintpot::{Ledger, Service};
use processors::text::strftime;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::connection::Connections;
use crate::encoder::Encoder;
use crate::guard::Guard;
use crate::limits::Limits;
use crate::refusal::Refusal;
use crate::scribe::Scribes;
use crate::{Facts, Served};

/// What models of language give.
pub(crate) const ANSWERS: &str = "answers";
/// Bytes of a permit.
const UNIT: u64 = 1 << 10;

/// What every route needs.
pub(crate) struct App {
    pub service: Service,
    pub served: Served,
    /// What is served, in the order of the service.
    pub models: Vec<Facts>,
    /// Encoders of texts.
    pub encoders: Vec<Encoder>,
    /// Models of speech.
    pub scribes: Scribes,
    pub ledger: Ledger,
    pub limits: Limits,
    pub guard: Guard,
    pub connections: Connections,
    pub started: SystemTime,
    /// Refusals so far, by code.
    pub refusals: Cell<Rc<BTreeMap<&'static str, u64>>>,
    bodies: Arc<Semaphore>,
    asked: Cell<u64>,
    secret: RandomState,
}

impl App {
    pub fn new(service: Service, served: Served, models: Vec<Facts>, ledger: Ledger, guard: Guard) -> App {
        let limits = served.limits;
        App {
            service,
            served,
            models,
            encoders: Vec::new(),
            scribes: Scribes::none(),
            ledger,
            limits,
            guard,
            connections: Connections::default(),
            started: SystemTime::now(),
            refusals: Cell::default(),
            bodies: Arc::new(Semaphore::new((limits.bodies() / UNIT) as usize)),
            asked: Cell::new(0),
            secret: RandomState::new(),
        }
    }

    /// The right to hold a body of so many bytes.
    pub async fn room_for(&self, bytes: u64) -> Result<OwnedSemaphorePermit, Refusal> {
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX);
        let permit = Arc::clone(&self.bodies).acquire_many_owned(units).await;
        permit.map_err(|_| Refusal::unavailable("the server is closing"))
    }

    /// A number that was not given out before and that nobody can guess.
    pub fn number(&self) -> u64 {
        self.asked.set(self.asked.get() + 1);
        self.secret.hash_one((self.asked.get(), SystemTime::now().duration_since(UNIX_EPOCH).ok()))
    }

    /// Counts a refusal.
    pub fn refused(&self, code: &'static str) {
        let mut refusals = self.refusals.take();
        *Rc::make_mut(&mut refusals).entry(code).or_default() += 1;
        self.refusals.set(refusals);
    }

    /// Refusals so far, by code.
    pub fn refusals(&self) -> Rc<BTreeMap<&'static str, u64>> {
        let refusals = self.refusals.take();
        self.refusals.set(Rc::clone(&refusals));
        refusals
    }

    /// The number of the model of that name.
    pub fn model(&self, name: &str) -> Result<usize, Refusal> {
        let short = name.strip_suffix(":latest").unwrap_or(name);
        let is = |name: &str| self.models.iter().position(|facts| facts.name == name);
        is(name).or_else(|| is(short)).ok_or_else(|| self.not_served(name, ANSWERS))
    }

    /// What is loaded as long as the server runs, and what it gives.
    pub fn whole(&self) -> impl Iterator<Item = (&Facts, &'static str)> {
        let gives = |encoder: &Encoder| if encoder.scores { "scores" } else { "vectors" };
        let encoders = self.encoders.iter().map(move |encoder| (&encoder.facts, gives(encoder)));
        encoders.chain(self.scribes.all.iter().map(|scribe| (&scribe.facts, "speech")))
    }

    /// What of all that is served gives `what` is not `name`.
    pub fn not_served(&self, name: &str, what: &str) -> Refusal {
        let models = self.models.iter().map(|facts| (facts, ANSWERS));
        let all: Vec<String> =
            models.chain(self.whole()).map(|(facts, gives)| format!("{} for {gives}", facts.name)).collect();
        let message = format!("no model {name:?} is served here for {what}; there is {}", all.join(", "));
        let status = hyper::StatusCode::NOT_FOUND;
        Refusal { status, ..Refusal::field("model", "model_not_found", message) }
    }
}

/// A moment in UTC, as RFC 3339 has it.
pub(crate) fn rfc3339(time: SystemTime) -> String {
    strftime(unix(time), "%FT%TZ").unwrap_or_default() // all of which are known
}

/// Seconds since 1970.
pub(crate) fn unix(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
}
