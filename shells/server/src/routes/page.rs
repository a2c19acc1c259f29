//! `GET /` and what is below `/page/`: the page to talk and to watch the budget on.
//!
//! What it is: files that are in the program. What it is not: their content, which lies in `shells/server/page` and knows the
//! same routes as everybody else. The one design choice: a page that loads nothing from elsewhere and runs nothing that it
//! did not bring, and says so to the browser.

use bytes::Bytes;
use hyper::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Method, StatusCode};

use super::Route;
use crate::refusal::Refusal;
use crate::reply::{self, Reply};

/// Whoever wants a page gets it, and Ollama's clients are told that somebody is here.
pub(super) const ROOT: Route = Route {
    method: Method::GET,
    path: "/",
    says: "the page",
    body: "",
    open: true,
    run: |_, request| {
        let accepts = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let page = accepts.contains("text/html");
        Box::pin(async move {
            match FILES.iter().find(|file| page && file.name == "index.html") {
                Some(file) => Ok(file.reply()),
                None => Ok(reply::text(StatusCode::OK, "text/plain", "pintpot is running\n".to_string())),
            }
        })
    },
};

pub(super) const FILE: Route = Route {
    path: "/page/",
    says: "a file of the page",
    body: "",
    run: |_, request| {
        Box::pin(async move {
            let name = request.uri().path().trim_start_matches("/page/");
            let file = FILES.iter().find(|file| file.name == name);
            let message = || format!("the page has no file {name:?}");
            let file = file.ok_or_else(|| Refusal::new(StatusCode::NOT_FOUND, "unknown_url", message()))?;
            Ok(file.reply())
        })
    },
    ..ROOT
};

struct File {
    name: &'static str,
    kind: &'static str,
    bytes: &'static [u8],
}

macro_rules! files {
    ($($name:literal as $kind:literal,)*) => {
        &[$(File { name: $name, kind: $kind, bytes: include_bytes!(concat!("../../page/", $name)) }),*]
    };
}

/// All that the page is made of.
static FILES: &[File] = files![
    "account.js" as "text/javascript; charset=utf-8",
    "chats.js" as "text/javascript; charset=utf-8",
    "files.js" as "text/javascript; charset=utf-8",
    "icon.svg" as "image/svg+xml",
    "index.html" as "text/html; charset=utf-8",
    "markdown.js" as "text/javascript; charset=utf-8",
    "page.css" as "text/css; charset=utf-8",
    "page.js" as "text/javascript; charset=utf-8",
    "server.js" as "text/javascript; charset=utf-8",
];

/// What the page may do in a browser: talk to where it came from, and nothing else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

impl File {
    fn reply(&self) -> Reply {
        let mut reply = reply::bytes(StatusCode::OK, self.kind, Bytes::from_static(self.bytes));
        let headers: [(HeaderName, &'static str); 4] = [
            (CACHE_CONTROL, "no-cache"),
            (CONTENT_SECURITY_POLICY, POLICY),
            (REFERRER_POLICY, "no-referrer"),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ];
        reply.headers_mut().extend(headers.map(|(name, value)| (name, HeaderValue::from_static(value))));
        reply
    }
}
