//! A server over HTTP for one budget: routes of OpenAI, Anthropic and Ollama in front of a [`pintpot::Service`].
//!
//! What it is: sockets, routes and the words of protocols; a library that the program hosts. What it is not: a place for
//! decisions; what a route needs and the engine lacks goes into the engine. The one design choice: one thread waits for all
//! sockets, the engine has its own, and between them are channels of a few events, so that every byte that a stranger can
//! make us hold is counted before ([`Limits::bytes`]).

#![forbid(unsafe_code)]

mod app;
mod arriving;
mod connection;
mod dialect;
mod encoder;
mod error;
mod format;
mod guard;
mod keep;
mod likelihood;
mod limits;
mod listen;
mod multipart;
mod offline;
mod refusal;
mod reply;
mod request;
mod routes;
mod sampling;
mod scribe;
mod talk;
mod tools;

pub use encoder::Encoder;
pub use error::Error;
pub use keep::{Keep, KeepParseError};
pub use limits::Limits;
pub use listen::Server;
pub use offline::Offline;
pub use scribe::{Scribe, Scribes};

/// How models are served.
#[derive(Clone, Debug)]
pub struct Served {
    /// The address to listen on.
    pub host: String,
    /// The port to listen on; 0 for any that is free.
    pub port: u16,
    /// Who may ask; everybody if there are none.
    pub api_keys: Vec<String>,
    /// Requests that may wait for their turn.
    pub queue: u32,
    /// Tokens of an answer at most, and if a request does not say; up to the end of the context if not said here either.
    pub max_tokens: Option<u32>,
    /// What may be held.
    pub limits: Limits,
}

/// What routes tell of a model.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Its name, as requests name it.
    pub name: String,
    /// Its architecture.
    pub architecture: String,
    /// Elements of all tensors.
    pub parameters: u64,
    /// What most bytes of its weights are.
    pub quantization: String,
    /// Bytes of its files.
    pub file_bytes: u64,
    /// Tokens that a request and its answer may have.
    pub context: u32,
    /// Whether tools can be used with it.
    pub tools: bool,
    /// Bytes that it adds to the process as long as the server runs; 0 if it comes and goes.
    pub held_bytes: u64,
}
