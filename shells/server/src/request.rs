//! The body of a request: within its bounds in bytes and time, and then field by field.
//!
//! What it is: reading, and the way from JSON to the fields of a route. What it is not: their meaning. The one design choice:
//! every field is met by name, so one that is not known, or known and not honoured, is refused by its name and never
//! ignored; nothing is kept as a tree, so a body takes no more memory than its text.

use std::cell::RefCell;
use std::fmt;

use http_body_util::BodyExt;
use hyper::body::Body;
use hyper::header::CONTENT_TYPE;
use hyper::{Request, StatusCode};
use serde::de::{Deserialize, DeserializeSeed, Error as _, IgnoredAny, MapAccess, Visitor};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use crate::app::App;
use crate::arriving::Arriving;
use crate::limits::Limits;
use crate::refusal::Refusal;

/// The bytes of a body, and the right to hold them.
struct Bytes {
    bytes: Vec<u8>,
    permit: OwnedSemaphorePermit,
}

/// What a route does with a field.
pub(crate) enum Taken {
    /// It means something.
    Yes,
    /// It does no harm, and is not honoured.
    Harmless,
    /// It would mean something that is not done here.
    Refused(String),
    /// There is no such field.
    Unknown,
}

/// The fields of a route.
pub(crate) trait Fields {
    /// Bytes that a body of theirs may have.
    fn most(limits: &Limits) -> u64 {
        limits.body
    }
    /// Takes the value of `key`, which it must read.
    fn take<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<Taken, A::Error>;
    /// Where to say that a field was not honoured.
    fn warn(&mut self, warning: String);
}

/// Reads a body into the fields of a route; gives them and the right to hold what they are.
pub(crate) async fn take<F: Fields>(
    app: &App,
    request: Request<Arriving>,
    fields: F,
) -> Result<(F, OwnedSemaphorePermit), Refusal> {
    let Bytes { bytes, permit } = read(app, request, F::most(&app.limits)).await?;
    Ok((parse(&bytes, fields)?, permit))
}

/// Reads a body of so many bytes at most.
async fn read(app: &App, request: Request<Arriving>, most: u64) -> Result<Bytes, Refusal> {
    // Ollama's clients do not say what they send. A page of another origin could not either, but says its origin, which is refused.
    let kind = request.headers().get(CONTENT_TYPE).map(|value| value.to_str().unwrap_or_default());
    if kind.is_some_and(|kind| !kind.trim_start().to_ascii_lowercase().starts_with("application/json")) {
        let message = "the body must be JSON, with Content-Type: application/json";
        return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", message));
    }
    let too_large = || {
        let message = format!("the body is larger than {most} bytes");
        Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "request_too_large", message)
    };
    // A body that does not say how long it is may be as long as any.
    let expected = request.body().size_hint().upper().unwrap_or(most);
    if expected > most {
        return Err(too_large());
    }
    let late = || Refusal::new(StatusCode::REQUEST_TIMEOUT, "timeout", "the body did not arrive in time");
    let read = async {
        let permit = app.room_for(expected).await?;
        let mut bytes = Vec::with_capacity(expected as usize);
        let mut body = request.into_body();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| Refusal::bad(format!("the body broke off: {error}")))?;
            let data = frame.into_data().unwrap_or_default();
            if bytes.len() + data.len() > expected as usize {
                return Err(too_large());
            }
            bytes.extend_from_slice(&data);
        }
        Ok(Bytes { bytes, permit })
    };
    timeout(app.limits.arrival, read).await.map_err(|_| late())?
}

/// Reads the fields of a body.
pub(crate) fn parse<F: Fields>(bytes: &[u8], fields: F) -> Result<F, Refusal> {
    let refused = RefCell::new(None);
    let seed = Seed { fields, refused: &refused };
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let parsed = seed.deserialize(&mut json).and_then(|fields| json.end().map(|()| fields));
    match (refused.into_inner(), parsed) {
        (Some(refusal), _) => Err(refusal),
        (None, Ok(fields)) => Ok(fields),
        (None, Err(error)) => Err(Refusal::bad(format!("the body is not what it should be: {error}"))),
    }
}

struct Seed<'a, F> {
    fields: F,
    refused: &'a RefCell<Option<Refusal>>,
}

impl<'de, F: Fields> DeserializeSeed<'de> for Seed<'_, F> {
    type Value = F;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<F, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, F: Fields> Visitor<'de> for Seed<'_, F> {
    type Value = F;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<F, A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            let taken = self.fields.take(&key, &mut map);
            let refuse =
                |code, message| *self.refused.borrow_mut() = Some(Refusal::field(&key, code, message));
            match taken {
                Ok(Taken::Yes) => {}
                Ok(Taken::Harmless) => self.fields.warn(format!("{key} is not honoured")),
                Ok(Taken::Refused(why)) => refuse("unsupported_parameter", why),
                Ok(Taken::Unknown) => refuse("unknown_parameter", format!("there is no field {key:?} here")),
                Err(error) => {
                    refuse("invalid_type", format!("{key}: {error}"));
                    return Err(error);
                }
            }
            if self.refused.borrow().is_some() {
                return Err(A::Error::custom("refused"));
            }
        }
        Ok(self.fields)
    }
}

/// The value of a field; `null` is as if it were not there.
pub(crate) fn value<'de, A: MapAccess<'de>, T: Deserialize<'de>>(map: &mut A) -> Result<Option<T>, A::Error> {
    map.next_value::<Option<T>>()
}

/// Whether a field has a value, of which nothing is kept.
pub(crate) fn is_given<'de, A: MapAccess<'de>>(map: &mut A) -> Result<bool, A::Error> {
    Ok(value::<A, IgnoredAny>(map)?.is_some())
}

/// A field that is not honoured unless it is not given.
pub(crate) fn refused<'de, A: MapAccess<'de>>(map: &mut A, why: &str) -> Result<Taken, A::Error> {
    Ok(if is_given(map)? { Taken::Refused(why.to_string()) } else { Taken::Yes })
}

/// A field that does no harm.
pub(crate) fn harmless<'de, A: MapAccess<'de>>(map: &mut A) -> Result<Taken, A::Error> {
    Ok(if is_given(map)? { Taken::Harmless } else { Taken::Yes })
}

#[cfg(test)]
pub(crate) mod testing {
    /// Gives `read` many bodies that are like `body`, but damaged: bytes changed, doubled and cut off.
    pub(crate) fn damage(body: &str, read: impl Fn(&[u8])) {
        let mut state = 1u64;
        let mut below = |n: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) as usize % n.max(1)
        };
        for _ in 0..20_000 {
            let mut bytes = body.as_bytes().to_vec();
            for _ in 0..=below(4) {
                let at = below(bytes.len());
                match below(4) {
                    0 => bytes[at] = br#"{}[]":,0-9e.\ntu"#[below(16)],
                    1 => bytes[at] = below(256) as u8,
                    2 => bytes.truncate(at + 1),
                    _ => bytes.extend_from_within(at..),
                }
            }
            read(&bytes);
        }
    }
}
