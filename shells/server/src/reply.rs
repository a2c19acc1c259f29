//! What goes back: a whole body, or a stream of pieces.
//!
//! What it is: the one type of body that hyper sends. What it is not: what is in it. The one design choice: a stream takes an
//! event only when the connection can send it, so a slow reader fills a channel of a few events and then makes the
//! engine wait for it, and nobody else.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use serde_json::Value;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep, sleep};

use crate::connection::Busy;
use crate::talk::{Event, Talk};

/// How long a stream may be silent before a line says that it is alive.
const SILENCE: Duration = Duration::from_secs(10);

/// What every route gives.
pub(crate) type Reply = Response<Body>;

/// How events become text.
pub(crate) trait Writer {
    /// What the event is on the wire; empty for nothing.
    fn write(&mut self, event: Event) -> String;
    /// What says that the stream is alive.
    fn alive(&self) -> &'static str;
}

/// What is sent.
pub(crate) struct Body {
    kind: Kind,
    /// The connection has a request as long as this lives.
    pub busy: Option<Rc<Busy>>,
    /// The right to hold what is sent.
    pub holds: Option<OwnedSemaphorePermit>,
}

/// What a reply goes on with, when it is asked.
pub(crate) type Pour = Box<dyn FnMut(&mut Context<'_>) -> Poll<Option<Bytes>>>;

enum Kind {
    Poured(Pour),
    Whole(Option<Bytes>),
    Stream(Box<Stream>),
}

struct Stream {
    /// What was taken from the talk before the reply began.
    first: Option<Event>,
    talk: Talk,
    writer: Box<dyn Writer>,
    silence: Pin<Box<Sleep>>,
}

/// A reply of JSON.
pub(crate) fn json(status: StatusCode, value: &Value) -> Reply {
    text(status, "application/json", value.to_string())
}

/// A reply of text of that type.
pub(crate) fn text(status: StatusCode, kind: &'static str, text: String) -> Reply {
    bytes(status, kind, Bytes::from(text))
}

/// A reply of bytes of that type.
pub(crate) fn bytes(status: StatusCode, kind: &'static str, bytes: Bytes) -> Reply {
    let mut reply = Response::new(Body { kind: Kind::Whole(Some(bytes)), busy: None, holds: None });
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    reply
}

/// A reply that goes on while the answer is being made; `first` has come already.
pub(crate) fn stream(kind: &'static str, first: Event, talk: Talk, writer: Box<dyn Writer>) -> Reply {
    let silence = Box::pin(sleep(SILENCE));
    let stream = Stream { first: Some(first), talk, writer, silence };
    going(kind, Kind::Stream(Box::new(stream)))
}

/// A reply that goes on as long as there is something to pour.
pub(crate) fn pour(kind: &'static str, pour: Pour) -> Reply {
    going(kind, Kind::Poured(pour))
}

fn going(kind: &'static str, body: Kind) -> Reply {
    let mut reply = Response::new(Body { kind: body, busy: None, holds: None });
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    reply.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    reply
}

impl Stream {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            let event = match self.first.take() {
                Some(event) => Poll::Ready(Some(event)),
                None => self.talk.poll(context),
            };
            match event {
                Poll::Ready(Some(event)) => {
                    let text = self.writer.write(event);
                    self.silence.as_mut().reset(Instant::now() + SILENCE);
                    if !text.is_empty() {
                        return Poll::Ready(Some(Bytes::from(text)));
                    }
                }
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending if self.silence.as_mut().poll(context).is_ready() => {
                    self.silence.as_mut().reset(Instant::now() + SILENCE);
                    let alive = self.writer.alive();
                    if !alive.is_empty() {
                        return Poll::Ready(Some(Bytes::from_static(alive.as_bytes())));
                    }
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let bytes = match &mut self.kind {
            Kind::Poured(pour) => pour(context),
            Kind::Whole(bytes) => Poll::Ready(bytes.take()),
            Kind::Stream(stream) => stream.poll(context),
        };
        bytes.map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.kind, Kind::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64),
            Kind::Poured(_) | Kind::Stream(_) => SizeHint::default(),
        }
    }
}
