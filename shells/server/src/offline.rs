//! The routes without sockets: what a batch asks is read and answered as if it had come over one.
//!
//! What it is: OpenAI's two ways to complete as a [`pintpot::Protocol`]. What it is not: the batch, which is the engine's. The one
//! design choice: the very functions of the routes read the bodies, so a line means what the same request would mean.

use pintpot::{Asked, Error as Failed, Ledger, Protocol, Said, Service};

use crate::app::App;
use crate::guard::Guard;
use crate::refusal::Refusal;
use crate::{Error, Facts, Served, routes};

/// The routes of a server that nobody connects to.
pub struct Offline {
    app: App,
}

impl Offline {
    /// For this service.
    ///
    /// # Errors
    /// As [`crate::Server::new`], but for the address.
    pub fn new(served: Served, facts: Facts, ledger: Ledger, service: Service) -> Result<Offline, Error> {
        let guard = Guard::new(&served.api_keys, true)?;
        Ok(Offline { app: App::new(service, served, vec![facts], ledger, guard) })
    }

    /// Who answers.
    pub fn service(&self) -> &Service {
        &self.app.service
    }
}

fn said(refusal: &Refusal) -> Said {
    Said { status: refusal.status.as_u16(), body: refusal.json().to_string() }
}

impl Protocol for Offline {
    fn longest(&self) -> usize {
        self.app.limits.body as usize
    }

    fn read(&self, url: &str, body: &str) -> Result<Asked, Said> {
        routes::asked(&self.app, url, body).map_err(|refusal| said(&refusal))
    }

    fn refuse(&self, error: &Failed) -> Said {
        said(&Refusal::of(error))
    }
}
