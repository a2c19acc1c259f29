//! Why a server does not start.

use std::io;

/// What can go wrong before the first request; all else is said to whoever asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The address cannot be had.
    #[error("cannot listen on {host}:{port}: {source}; name another --host or --port")]
    Listen {
        /// The address.
        host: String,
        /// The port.
        port: u16,
        /// What the system said.
        source: io::Error,
    },
    /// An API key that no header can carry.
    #[error(
        "an API key is empty or holds a character that no header can carry; use letters, digits, - and _"
    )]
    Key,
    /// The server cannot wait for its sockets.
    #[error("cannot wait for connections: {0}")]
    Runtime(#[source] io::Error),
    /// The engine.
    #[error(transparent)]
    Engine(#[from] pintpot::Error),
}
