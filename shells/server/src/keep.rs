//! How long a model stays loaded once nobody asks for it, as Ollama's clients and users write it.
//!
//! What it is: `5m`, `1h30m`, a number of seconds, or something negative for as long as there is room. What it is not: the
//! clock, which is the engine's.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer, Error as _, Visitor};

/// How long a model stays; `None` is as long as there is room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep(pub Option<Duration>);

/// A time that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a time; write 5m, 1h30m, a number of seconds, or -1 for as long as there is room")]
pub struct KeepParseError {
    /// What was written.
    pub text: String,
}

/// The longest that is counted; what is longer has no end.
const LONGEST: f64 = 1e9;

impl Keep {
    fn seconds(seconds: f64) -> Keep {
        let counted = (0.0..LONGEST).contains(&seconds);
        Keep(counted.then(|| Duration::from_secs_f64(seconds)))
    }
}

impl FromStr for Keep {
    type Err = KeepParseError;

    fn from_str(text: &str) -> Result<Keep, KeepParseError> {
        let wrong = || KeepParseError { text: text.to_string() };
        let plain = text.trim();
        if let Some(number) = plain.parse::<f64>().ok().filter(|number| number.is_finite()) {
            return Ok(Keep::seconds(number));
        }
        let (mut rest, sign) = match plain.strip_prefix('-') {
            Some(rest) => (rest, -1.0),
            None => (plain, 1.0),
        };
        if rest.is_empty() {
            return Err(wrong());
        }
        let mut seconds = 0.0;
        while !rest.is_empty() {
            let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
            let number: f64 = rest[..end].parse().map_err(|_| wrong())?;
            let unit = rest[end..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |at| end + at);
            seconds += number
                * match &rest[end..unit] {
                    "ms" => 1e-3,
                    "s" => 1.0,
                    "m" => 60.0,
                    "h" => 3600.0,
                    _ => return Err(wrong()),
                };
            rest = &rest[unit..];
        }
        Ok(Keep::seconds(sign * seconds))
    }
}

impl<'de> Deserialize<'de> for Keep {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Keep, D::Error> {
        struct Any;
        impl Visitor<'_> for Any {
            type Value = Keep;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time such as \"5m\", or a number of seconds")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Keep, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_f64<E: serde::de::Error>(self, seconds: f64) -> Result<Keep, E> {
                if seconds.is_finite() { Ok(Keep::seconds(seconds)) } else { Err(E::custom("not a time")) }
            }

            fn visit_i64<E>(self, seconds: i64) -> Result<Keep, E> {
                Ok(Keep::seconds(seconds as f64))
            }

            fn visit_u64<E>(self, seconds: u64) -> Result<Keep, E> {
                Ok(Keep::seconds(seconds as f64))
            }
        }
        deserializer.deserialize_any(Any).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_as_people_write_them() {
        let seconds = |seconds| Some(Keep(Some(Duration::from_secs_f64(seconds))));
        for (text, want) in [
            ("5m", seconds(300.0)),
            ("1h30m", seconds(5400.0)),
            ("1.5s", seconds(1.5)),
            ("250ms", seconds(0.25)),
            ("90", seconds(90.0)),
            ("0", seconds(0.0)),
            ("-1", Some(Keep(None))),
            ("-5m", Some(Keep(None))),
            ("1e300", Some(Keep(None))),
            ("", None),
            ("-", None),
            ("5x", None),
            ("m", None),
            ("1..2s", None),
            ("nan", None),
            ("5 m\u{e9}", None),
        ] {
            assert_eq!(text.parse::<Keep>().ok(), want, "{text}");
        }
        assert_eq!(serde_json::from_str::<Keep>("-1").unwrap(), Keep(None));
        assert_eq!(serde_json::from_str::<Keep>("60").ok(), seconds(60.0));
        assert!(serde_json::from_str::<Keep>("[]").is_err());
    }
}
