//! What a server may hold, and what that takes of the budget.
//!
//! What it is: every bound, and the sum of them in bytes. What it is not: a measurement. The one design choice: nothing that
//! somebody on the other side can make larger is without a bound here, so that the sum is a line of the account.

use std::time::Duration;

/// Kernel buffers of a connection, each way, as asked for; the kernel takes twice that.
pub(crate) const SOCKET: u32 = 16 << 10;
/// What is read at once, headers as a whole, and what is written at once.
pub(crate) const BUFFER: usize = 16 << 10;
/// What else a connection takes: the task, headers, the socket and its file.
const CONNECTION: u64 = 24 << 10;
/// Threads and what both sides pass each other.
const BASE: u64 = 512 << 10;
/// The page, which lies in the program and is read when somebody looks at it.
const PAGE: u64 = 64 << 10;
/// What a chat template may take, whatever the conversation, and for each byte of it.
const TEMPLATE: u64 = 1 << 20;
const TEMPLATE_OF_TEXT: u64 = 12;
/// Bodies that may be in memory at once, as what is read and as what it says.
const BODIES: u64 = 2;
const COPIES: u64 = 3;
/// The least that a body may have, whatever the context.
const LEAST_BODY: u64 = 128 << 10;
/// Bytes of a body for each token of the context.
const BODY_OF_TOKEN: u64 = 16;

/// Bytes of a body of texts for an encoder, which is asked of many at once.
const TEXTS: u64 = 512 << 10;
/// Bytes of a body where nobody talks and there are no texts.
const SMALL_BODY: u64 = 32 << 10;
/// What replies of an encoder, or sounds and what is said in them, may take at once, whatever the budget.
pub(crate) const REPLIES: u64 = 1 << 20;

/// What a server may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once.
    pub connections: u32,
    /// Bytes of a request's body.
    pub body: u64,
    /// Bytes of a body of texts for an encoder.
    pub texts: u64,
    /// Turns of a conversation.
    pub messages: usize,
    /// Answers to one request.
    pub choices: usize,
    /// How long a body may take to arrive.
    pub arrival: Duration,
    /// How long a connection may be open without a request.
    pub idle: Duration,
    /// How long an answer may take, its time in the queue included.
    pub answer: Duration,
    /// How long answers go on after the server was told to end.
    pub drain: Duration,
    /// Whether there is a model of language, whose template takes memory.
    pub talks: bool,
    /// How many hold replies of their own: every encoder, and all models of speech together.
    pub holders: u32,
}

impl Limits {
    /// For a context of so many tokens, if that is known.
    pub fn new(context: Option<u32>) -> Limits {
        Limits {
            connections: 32,
            body: LEAST_BODY.max(BODY_OF_TOKEN * u64::from(context.unwrap_or(0))),
            texts: 0,
            messages: 1024,
            choices: 16,
            arrival: Duration::from_secs(10),
            idle: Duration::from_secs(30),
            answer: Duration::from_secs(600),
            drain: Duration::from_secs(30),
            talks: true,
            holders: 0,
        }
    }

    /// Where there is no model of language.
    pub fn silent() -> Limits {
        Limits { body: SMALL_BODY, talks: false, ..Limits::new(None) }
    }

    /// With so many encoders of texts, too.
    pub fn and_encoders(self, count: u32) -> Limits {
        Limits { texts: if count > 0 { TEXTS } else { self.texts }, holders: self.holders + count, ..self }
    }

    /// With models of speech, too; sounds are paid for where replies of encoders are.
    pub fn and_speech(self) -> Limits {
        Limits { holders: self.holders + 1, ..self }
    }

    /// Bytes of bodies that may be in memory at once.
    pub(crate) fn bodies(&self) -> u64 {
        BODIES * self.body.max(self.texts)
    }

    /// What all of it takes at most.
    pub fn bytes(&self) -> u64 {
        let connection = 2 * 2 * u64::from(SOCKET) + 2 * BUFFER as u64 + CONNECTION;
        let template = if self.talks { TEMPLATE + TEMPLATE_OF_TEXT * self.body } else { 0 };
        let replies = REPLIES * u64::from(self.holders);
        BASE + PAGE + u64::from(self.connections) * connection + COPIES * self.bodies() + template + replies
    }
}
