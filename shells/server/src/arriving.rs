//! The body of a request on its way: whoever is to read it takes it, and what nobody took is taken away before the reply.
//!
//! What it is: the one type of body that routes get. What it is not: its meaning. The one design choice: who is refused before
//! his body was read sends it all the same, and would find the connection ended on which he had just heard that it goes on; so what
//! is small is read and dropped, and of anything else the reply says that it is the last.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::timeout;

use crate::connection::PEACE;

/// The most that is read to be dropped.
const DROPPED: u64 = 256 << 10;

/// A body that arrives; clones are the same body.
#[derive(Clone)]
pub(crate) struct Arriving(Rc<RefCell<Incoming>>);

impl Arriving {
    pub fn new(body: Incoming) -> Arriving {
        Arriving(Rc::new(RefCell::new(body)))
    }

    /// Takes away what is left; whether the end was reached, so that another request can follow.
    pub async fn clear(mut self) -> bool {
        if self.size_hint().lower() > DROPPED {
            return false;
        }
        let clear = async {
            let mut dropped = 0;
            while let Some(frame) = self.frame().await {
                let Ok(frame) = frame else { return false };
                dropped += frame.data_ref().map_or(0, |data| data.len() as u64);
                if dropped > DROPPED {
                    return false;
                }
            }
            true
        };
        timeout(PEACE, clear).await.unwrap_or(false)
    }
}

impl Body for Arriving {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.0.borrow().is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.borrow().size_hint()
    }
}
