//! Bytes over HTTP: whole files that resume, small answers, and ranges.
//!
//! What it is: what `ureq` does not do by itself, attempts with growing pauses, continuing where a transfer broke off,
//! statuses as our errors. What it is not: aware of what the bytes are. The one design choice: a transfer has no time
//! limit but silence has, and an attempt that got further is no failure, so slow links succeed and dead ones are told.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ureq::config::RedirectAuthHeaders;
use ureq::http::Response;
use ureq::tls::{PemItem, RootCerts, TlsConfig};
use ureq::{Agent, Body};

use crate::partial::Partial;
use crate::progress::{Event, Progress};
use crate::settings::Settings;
use crate::{Error, Result};

/// Attempts in a row without progress before the network is given up.
const ATTEMPTS: u32 = 4;
/// The pause after the first failed attempt; it doubles.
const PAUSE: Duration = Duration::from_millis(500);
const CONNECT: Duration = Duration::from_secs(15);
const SILENCE: Duration = Duration::from_secs(30);
/// The longest answer that is held in memory.
const ANSWER: u64 = 16 << 20;

/// A client. Clones share their connections.
#[derive(Clone)]
pub(crate) struct Http {
    agent: Agent,
    /// The addresses that are sent the token, and the header.
    token: Option<(String, String)>,
    pause: Duration,
}

/// Never shows the token.
impl std::fmt::Debug for Http {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Http").finish_non_exhaustive()
    }
}

/// How one attempt ended, if not in an error for good.
enum Attempt<T> {
    Done(T),
    /// Worth another try; `further` when this one brought us closer.
    Broken {
        why: String,
        further: bool,
    },
}

/// What a server says about a file before sending it.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Probe {
    pub bytes: Option<u64>,
    /// Changes when the file does, if the server keeps such a thing.
    pub version: Option<String>,
}

impl Http {
    pub fn new(settings: &Settings) -> Result<Http> {
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .redirect_auth_headers(RedirectAuthHeaders::SameHost)
            .timeout_connect(Some(CONNECT))
            .timeout_recv_response(Some(SILENCE))
            .timeout_per_read(Some(SILENCE))
            .user_agent(concat!("pintpot/", env!("CARGO_PKG_VERSION")));
        if let Some(file) = &settings.ca_file {
            config = config.tls_config(TlsConfig::builder().root_certs(certificates(file)?).build());
        }
        let token = settings
            .hf_token
            .as_ref()
            .map(|token| (format!("{}/", settings.hf_endpoint), format!("Bearer {token}")));
        Ok(Http { agent: config.build().new_agent(), token, pause: PAUSE })
    }

    /// Appends the rest of the file at `url` to `partial`, which `total` bytes make whole.
    pub fn download(
        &self,
        url: &str,
        total: Option<u64>,
        partial: &mut Partial,
        progress: &mut dyn Progress,
    ) -> Result<()> {
        self.retry(url, progress, |progress| {
            let have = partial.len();
            if total == Some(have) {
                return Ok(Attempt::Done(()));
            }
            let range = (have > 0).then(|| format!("bytes={have}-"));
            let response = match self.get(url, range.as_deref())? {
                Ok(response) if response.status() == 416 => {
                    partial.restart()?;
                    return Ok(Attempt::Broken {
                        why: "the file there is shorter than what is here".to_string(),
                        further: false,
                    });
                }
                Ok(response) => response,
                Err(why) => return Ok(Attempt::Broken { why, further: false }),
            };
            if have > 0 && range_start(&response) != Some(have) {
                partial.restart()?;
            }
            // One byte more than promised is enough to know that the promise is broken.
            let most = total.map_or(u64::MAX, |total| total.saturating_sub(partial.len()).saturating_add(1));
            let arrived = partial.append(&mut response.into_body().into_reader().take(most), progress)?;
            let missing = total.is_some_and(|total| partial.len() < total);
            Ok(match arrived {
                Ok(()) if !missing => Attempt::Done(()),
                Ok(()) => Attempt::Broken {
                    why: "the server hung up early".to_string(),
                    further: partial.len() > have,
                },
                Err(error) => Attempt::Broken { why: error.to_string(), further: partial.len() > have },
            })
        })
    }

    /// The answer at `url`, as text.
    pub fn text(&self, url: &str) -> Result<String> {
        self.retry(url, &mut (), |_| {
            let mut response = match self.get(url, None)? {
                Ok(response) => response,
                Err(why) => return Ok(Attempt::Broken { why, further: false }),
            };
            Ok(match response.body_mut().with_config().limit(ANSWER).read_to_string() {
                Ok(text) => Attempt::Done(text),
                Err(error) => Attempt::Broken { why: error.to_string(), further: false },
            })
        })
    }

    /// Fills `buf` with the bytes of `url` from `offset`.
    pub fn read_range(&self, url: &str, offset: u64, buf: &mut [u8]) -> Result<()> {
        let Some(last) = (buf.len() as u64).checked_sub(1).map(|more| offset.saturating_add(more)) else {
            return Ok(());
        };
        let range = format!("bytes={offset}-{last}");
        self.retry(url, &mut (), |_| {
            let response = match self.get(url, Some(&range))? {
                Ok(response) => response,
                Err(why) => return Ok(Attempt::Broken { why, further: false }),
            };
            if range_start(&response) != Some(offset) {
                return Err(Error::BadAnswer {
                    url: url.to_string(),
                    why: "it cannot send parts of a file".to_string(),
                });
            }
            Ok(match response.into_body().into_reader().read_exact(buf) {
                Ok(()) => Attempt::Done(()),
                Err(error) => Attempt::Broken { why: error.to_string(), further: false },
            })
        })
    }

    /// Length and version of the file at `url`; a server that refuses to say is asked for the first byte.
    pub fn probe(&self, url: &str) -> Result<Probe> {
        self.retry(url, &mut (), |_| {
            let response = match self.get(url, Some("bytes=0-0"))? {
                Ok(response) => response,
                Err(why) => return Ok(Attempt::Broken { why, further: false }),
            };
            let bytes = match header(&response, "content-range").and_then(|range| range.rsplit_once('/')) {
                Some((_, total)) => total.parse().ok(),
                None => response.body().content_length(),
            };
            let version =
                header(&response, "etag").or(header(&response, "last-modified")).map(str::to_string);
            Ok(Attempt::Done(Probe { bytes, version }))
        })
    }

    /// One request. The inner error is worth another attempt; a failure for good is the outer one.
    fn get(&self, url: &str, range: Option<&str>) -> Result<std::result::Result<Response<Body>, String>> {
        let mut request = self.agent.get(url);
        if let Some((_, bearer)) = self.token.as_ref().filter(|(to, _)| url.starts_with(to)) {
            request = request.header("authorization", bearer);
        }
        if let Some(range) = range {
            request = request.header("range", range);
        }
        let response = match request.call() {
            Ok(response) => response,
            Err(ureq::Error::BadUri(why)) => return Err(Error::BadAnswer { url: url.to_string(), why }),
            Err(error) => return Ok(Err(error.to_string())),
        };
        let url = url.to_string();
        match response.status().as_u16() {
            200 | 206 | 416 => Ok(Ok(response)),
            status @ (401 | 403) => Err(Error::Unauthorized { url, status }),
            404 | 410 => Err(Error::NotFound { what: url }),
            status @ (408 | 429 | 500..=599) => Ok(Err(format!("HTTP {status}"))),
            status => Err(Error::Status { url, status }),
        }
    }

    fn retry<T>(
        &self,
        url: &str,
        progress: &mut dyn Progress,
        mut attempt: impl FnMut(&mut dyn Progress) -> Result<Attempt<T>>,
    ) -> Result<T> {
        let mut failures = 0;
        loop {
            let why = match attempt(progress)? {
                Attempt::Done(value) => return Ok(value),
                Attempt::Broken { why, further } => {
                    failures = if further { 1 } else { failures + 1 };
                    why
                }
            };
            if failures == ATTEMPTS {
                return Err(Error::Network { url: url.to_string(), attempts: ATTEMPTS, why });
            }
            progress.on(Event::Retrying { why: &why });
            std::thread::sleep(self.pause * (1 << (failures - 1)));
        }
    }
}

fn header<'r>(response: &'r Response<Body>, name: &str) -> Option<&'r str> {
    response.headers().get(name).and_then(|value| value.to_str().ok())
}

/// Where the bytes of a partial answer begin; `None` for a whole one.
fn range_start(response: &Response<Body>) -> Option<u64> {
    let range = header(response, "content-range").filter(|_| response.status() == 206)?;
    range.strip_prefix("bytes ")?.split('-').next()?.trim().parse().ok()
}

/// The certificates of a PEM file, trusted instead of the built-in ones.
fn certificates(file: &Path) -> Result<RootCerts> {
    let pem = std::fs::read(file).map_err(|error| Error::io("read", file, error))?;
    let all = ureq::tls::parse_pem(&pem).filter_map(|item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    });
    Ok(RootCerts::Specific(Arc::new(all.collect())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::partial::Expected;
    use crate::testing::{Answer, Server, settings};

    fn http(dir: &Path, endpoint: &str) -> Http {
        Http { pause: Duration::ZERO, ..Http::new(&settings(dir, endpoint)).unwrap() }
    }

    fn body() -> Vec<u8> {
        (0..300_000u32).map(|i| (i % 251) as u8).collect()
    }

    fn download(answers: Vec<Answer>, keep: &[u8]) -> (Result<Vec<u8>>, Vec<String>) {
        let dir = tempfile::tempdir().unwrap();
        let server = Server::start(answers);
        let (part, target) = (dir.path().join("x.part"), dir.path().join("x"));
        std::fs::write(&part, keep).unwrap();
        let mut partial = Partial::open(&part, |len| len, &mut ()).unwrap();
        let total = Some(body().len() as u64);
        let result = http(dir.path(), &server.url)
            .download(&format!("{}/x", server.url), total, &mut partial, &mut ())
            .and_then(|()| partial.finish(&target, &Expected { bytes: total, sha256: None }))
            .map(|()| std::fs::read(&target).unwrap());
        (result, server.ranges())
    }

    #[test]
    fn a_download_survives_what_can_be_survived() {
        let whole = || Answer::file(&body());
        for (answers, keep, ranges) in [
            (vec![whole()], 0, vec![""]),
            (vec![whole().cut_after(100_000), whole()], 0, vec!["", "bytes=100000-"]),
            (vec![Answer::status(503), Answer::status(429), whole()], 0, vec!["", "", ""]),
            (vec![whole()], 7, vec!["bytes=7-"]),
            (vec![whole().without_ranges()], 7, vec!["bytes=7-"]),
        ] {
            let (got, asked) = download(answers, &body()[..keep]);
            assert_eq!(asked, ranges);
            assert!(got.unwrap() == body());
        }
    }

    #[test]
    fn and_reports_what_cannot() {
        let class = |answer: fn() -> Answer| download((0..4).map(|_| answer()).collect(), b"").0.unwrap_err();
        assert!(matches!(class(|| Answer::status(401)), Error::Unauthorized { status: 401, .. }));
        assert!(matches!(class(|| Answer::status(404)), Error::NotFound { .. }));
        assert!(matches!(class(|| Answer::status(418)), Error::Status { status: 418, .. }));
        assert!(matches!(class(|| Answer::status(500)), Error::Network { attempts: 4, .. }));
        assert!(matches!(class(|| Answer::file(&[body(), body()].concat())), Error::WrongSize { .. }));
    }

    #[test]
    fn no_server() {
        let dir = tempfile::tempdir().unwrap();
        let url = Server::start(vec![]).url;
        let error = http(dir.path(), &url).text(&url).unwrap_err();
        assert_eq!(error.class(), crate::Class::Network, "{error}");
    }

    #[test]
    fn probe_and_ranges() {
        let dir = tempfile::tempdir().unwrap();
        let file = || Answer::file(&body()).header("ETag", "\"v1\"");
        let server = Server::start(vec![file(), file(), file().without_ranges()]);
        let http = http(dir.path(), &server.url);
        let url = format!("{}/x", server.url);
        assert_eq!(http.probe(&url).unwrap(), Probe { bytes: Some(300_000), version: Some("\"v1\"".into()) });
        let mut buf = [0; 3];
        http.read_range(&url, 250, &mut buf).unwrap();
        assert_eq!(buf, [250, 0, 1]);
        assert!(matches!(http.read_range(&url, 250, &mut buf), Err(Error::BadAnswer { .. })));
    }
}
