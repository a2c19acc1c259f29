//! Who may ask: keys, and pages of other origins that a browser on this machine shows.
//!
//! What it is: the checks before a route is called. What it is not: an account of users. The one design choice: keys are
//! kept and compared as digests, each time all of them and all of their bytes, so that time tells nothing.

use hyper::header::{AUTHORIZATION, HOST, HeaderName, ORIGIN};
use hyper::{HeaderMap, StatusCode};
use sha2::{Digest, Sha256};

use crate::Error;
use crate::refusal::Refusal;

/// Where other clients put the key.
const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// Who may ask.
pub(crate) struct Guard {
    keys: Vec<[u8; 32]>,
    /// Only this machine can connect, so a name that is not its own is a trick.
    local: bool,
}

impl Guard {
    pub fn new(keys: &[String], local: bool) -> Result<Guard, Error> {
        let good = |key: &String| !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_graphic());
        if !keys.iter().all(good) {
            return Err(Error::Key);
        }
        Ok(Guard { keys: keys.iter().map(|key| Sha256::digest(key).into()).collect(), local })
    }

    /// Whether the key is one of ours; with none, everybody may ask.
    pub fn key(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        if self.keys.is_empty() {
            return Ok(());
        }
        let bearer = headers.get(AUTHORIZATION).and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
        let named = bearer.or_else(|| headers.get(X_API_KEY).map(|value| value.as_bytes()));
        let given: [u8; 32] = Sha256::digest(named.unwrap_or_default()).into();
        let differ = |key: &[u8; 32]| key.iter().zip(given).fold(0u8, |all, (a, b)| all | (a ^ b));
        let known =
            self.keys.iter().fold(false, |known, key| known | (std::hint::black_box(differ(key)) == 0));
        if known {
            return Ok(());
        }
        let message = match named {
            None => "an API key is needed: Authorization: Bearer KEY",
            Some(_) => "the API key is not known here",
        };
        Err(Refusal::new(StatusCode::UNAUTHORIZED, "invalid_api_key", message))
    }

    /// Whether whoever is let in may change what belongs to all: with a key, or on this machine.
    pub fn trusted(&self) -> Result<(), Refusal> {
        if self.local || !self.keys.is_empty() {
            return Ok(());
        }
        let message = "everybody can ask here, so nobody may change the budget; serve with --api-key, or on this machine alone";
        Err(Refusal::new(StatusCode::FORBIDDEN, "forbidden", message))
    }

    /// Whether the request comes from a page of another origin.
    pub fn origin(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let text =
            |name| headers.get(name).and_then(|value: &hyper::header::HeaderValue| value.to_str().ok());
        let host = text(HOST).unwrap_or_default();
        let foreign = |why: &str| Err(Refusal::new(StatusCode::FORBIDDEN, "forbidden_origin", why));
        if self.local && !host.is_empty() && !is_local(host) {
            return foreign(
                "this server answers to localhost only; name another --host to be reached by name",
            );
        }
        match headers.get(ORIGIN) {
            None => Ok(()),
            Some(origin) => match origin.to_str().ok().and_then(|origin| origin.split_once("://")) {
                Some((_, origin)) if origin.eq_ignore_ascii_case(host) => Ok(()),
                _ => foreign("requests of pages of another origin are not answered"),
            },
        }
    }
}

/// Whether a host, perhaps with a port, is this machine by itself.
pub(crate) fn is_local(host: &str) -> bool {
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((name, _)) => name,
        None if host.matches(':').count() == 1 => host.split(':').next().unwrap_or(host),
        None => host,
    };
    let address = name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    address || name.eq_ignore_ascii_case("localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let pairs = pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap()));
        pairs.collect()
    }

    #[test]
    fn keys_are_compared_whole() {
        let guard = Guard::new(&["secret".into(), "other".into()], true).unwrap();
        for (pairs, good) in [
            (&[("authorization", "Bearer secret")][..], true),
            (&[("authorization", "Bearer other")], true),
            (&[("x-api-key", "secret")], true),
            (&[("authorization", "Bearer secre")], false),
            (&[("authorization", "secret")], false),
            (&[], false),
        ] {
            assert_eq!(guard.key(&headers(pairs)).is_ok(), good, "{pairs:?}");
        }
        assert!(Guard::new(&[], true).unwrap().key(&headers(&[])).is_ok());
        assert!(Guard::new(&[String::new()], true).is_err() && Guard::new(&["a b".into()], true).is_err());
    }

    #[test]
    fn pages_of_other_origins_are_not_answered() {
        let guard = Guard::new(&[], true).unwrap();
        for (host, origin, good) in [
            ("localhost:8080", "", true),
            ("127.0.0.1:8080", "http://127.0.0.1:8080", true),
            ("[::1]:8080", "", true),
            ("127.0.0.1:8080", "http://evil.example", false),
            ("127.0.0.1:8080", "null", false),
            ("evil.example:8080", "http://evil.example:8080", false),
        ] {
            let mut pairs = vec![("host", host)];
            pairs.extend((!origin.is_empty()).then_some(("origin", origin)));
            assert_eq!(guard.origin(&headers(&pairs)).is_ok(), good, "{host} {origin}");
        }
    }
}
