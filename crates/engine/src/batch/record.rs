//! The lines of a batch, as OpenAI has them: what is asked, what was answered.
//!
//! What it is: two kinds of lines as values. What it is not: the bodies in them, which are a protocol's. The one design choice:
//! what is wrong with a line itself is said with its number, since it may have no name.

use crate::Error;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::path::Path;

/// With what every line of an output begins.
pub(super) const BEGIN: &str = "{\"id\":\"batch_req_";
/// Bytes that a line of an output has at most before the body of an answer, and all of one that says what is wrong.
pub(super) const HEAD: usize = 8 << 10;
/// The longest name, bytes.
const NAME: usize = 512;
/// The longest message, characters.
const MESSAGE: usize = 300;

/// A line that asks for something.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Request<'a> {
    pub custom_id: String,
    #[serde(default)]
    method: Option<String>,
    pub url: String,
    #[serde(borrow)]
    pub body: &'a RawValue,
}

/// What is wrong with a line.
#[derive(Debug)]
pub(super) struct Wrong {
    pub code: &'static str,
    pub message: String,
}

impl Wrong {
    pub fn new(code: &'static str, message: impl Into<String>) -> Wrong {
        let message: String = message.into();
        Wrong { code, message: message.chars().take(MESSAGE).collect() }
    }
}

/// Reads a line.
pub(super) fn request(line: &[u8]) -> Result<Request<'_>, Wrong> {
    let read: Request<'_> = serde_json::from_slice(line)
        .map_err(|error| Wrong::new("invalid_line", format!("the line is not of a batch: {error}")))?;
    match read.method.as_deref() {
        None | Some("POST") => {}
        Some(other) => {
            return Err(Wrong::new("invalid_method", format!("the method is {other:?}, not POST")));
        }
    }
    if read.custom_id.is_empty() || read.custom_id.len() > NAME {
        return Err(Wrong::new("invalid_custom_id", format!("custom_id must have 1 to {NAME} bytes")));
    }
    Ok(read)
}

/// The name that a line has, whatever else is wrong with it.
pub(super) fn name(line: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Named {
        custom_id: Option<String>,
    }
    serde_json::from_slice::<Named>(line).ok()?.custom_id.filter(|name| name.len() <= NAME)
}

/// The model that a line asks for.
pub(super) fn model(line: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Body {
        model: String,
    }
    let body = request(line).ok()?.body.get();
    Some(serde_json::from_slice::<Body>(body.as_bytes()).ok()?.model)
}

/// The line that says an answer; `body` is JSON in one line.
pub(super) fn answer(name: &str, key: u64, (status, body): (u16, &str)) -> String {
    let name = Value::from(name);
    format!(
        "{BEGIN}{key:016x}\",\"custom_id\":{name},\"response\":{{\"status_code\":{status},\
         \"request_id\":\"req_{key:016x}\",\"body\":{body}}},\"error\":null}}\n"
    )
}

/// The line that says what is wrong with a line.
pub(super) fn error(name: Option<&str>, key: u64, line: u64, wrong: &Wrong) -> String {
    let (name, code, message) = (Value::from(name), Value::from(wrong.code), Value::from(&*wrong.message));
    format!(
        "{BEGIN}{key:016x}\",\"custom_id\":{name},\"response\":null,\"error\":{{\"code\":{code},\"message\":{message},\
         \"line\":{line}}}}}\n"
    )
}

/// What a line of an output says.
#[derive(Debug, PartialEq)]
pub(super) enum Said {
    /// The request of that name was answered; whether well.
    Answer(String, bool),
    /// Something is wrong with the line of that number.
    Error(u64),
}

/// Reads the beginning of a line of the output at `path`, as [`answer`] and [`error`] write it.
pub(super) fn said(path: &Path, line: u64, text: &[u8]) -> Result<Said, Error> {
    let read = || {
        let named = text.strip_prefix(BEGIN.as_bytes())?.get(16..)?.strip_prefix(b"\",\"custom_id\":")?;
        let (name, rest) = named.split_at(text_end(named)?);
        let rest = rest.strip_prefix(b",\"response\":")?;
        match rest.strip_prefix(b"{\"status_code\":") {
            Some(rest) => Some(Said::Answer(serde_json::from_slice(name).ok()?, rest.starts_with(b"200,"))),
            None => {
                let fault = rest.strip_prefix(b"null,\"error\":")?.trim_ascii_end().strip_suffix(b"}}")?;
                let number = fault.rsplit(|byte| *byte == b':').next()?;
                Some(Said::Error(std::str::from_utf8(number).ok()?.parse().ok()?))
            }
        }
    };
    read().ok_or_else(|| Error::NotABatch { path: path.to_path_buf(), line })
}

/// Where the text in quotes, or the `null`, at the beginning of `json` ends.
fn text_end(json: &[u8]) -> Option<usize> {
    if json.starts_with(b"null") {
        return Some(4);
    }
    let mut escaped = false;
    let inner = json.strip_prefix(b"\"")?.iter();
    let quotes = inner.map(|byte| {
        let ends = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        ends
    });
    Some(quotes.enumerate().find(|(_, ends)| *ends)?.0 + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let path = Path::new("out");
        let read = |text: String| said(path, 1, text.as_bytes()).unwrap();
        let body = r#"{"text":"a\nb"}"#;
        let line = answer("a \"b\\", 7, (200, body));
        assert!(line.starts_with(BEGIN) && line.matches('\n').count() == 1);
        assert_eq!(read(line), Said::Answer("a \"b\\".into(), true));
        assert_eq!(read(answer("a", 7, (400, body))), Said::Answer("a".into(), false));
        let wrong = Wrong::new("invalid_line", "a \"line\"\n");
        assert_eq!(read(error(Some("a"), 1, 9, &wrong)), Said::Error(9));
        assert_eq!(read(error(None, 1, 9, &wrong)), Said::Error(9));
        let asks = r#"{"custom_id":"a","url":"/","body":{}}"#;
        let long = answer("a", 7, (200, &format!("\"{}\"", "é".repeat(HEAD))));
        assert_eq!(said(path, 1, &long.as_bytes()[..HEAD]).unwrap(), Said::Answer("a".into(), true));
        let longest = error(Some(&"\u{1}".repeat(NAME)), 1, 9, &Wrong::new("c", "\u{1}".repeat(9999)));
        assert!(longest.len() < HEAD);
        for text in ["", "{}", "hello", "[1]", r#"{"custom_id":5}"#, asks] {
            assert!(said(path, 1, text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn lines_that_make_no_sense_have_reasons() {
        let good = r#"{"custom_id":"a","method":"POST","url":"/v1/x","body":{"model":"m"}}"#;
        let read = request(good.as_bytes()).unwrap();
        assert_eq!(
            (read.custom_id.as_str(), read.url.as_str(), read.body.get()),
            ("a", "/v1/x", r#"{"model":"m"}"#)
        );
        assert_eq!(model(good.as_bytes()).as_deref(), Some("m"));
        for (line, code, named) in [
            ("", "invalid_line", None),
            ("\u{0}", "invalid_line", None),
            (r#"{"custom_id":"a"}"#, "invalid_line", Some("a")),
            (r#"{"custom_id":"a","url":"/","body":{},"more":1}"#, "invalid_line", Some("a")),
            (r#"{"custom_id":5,"url":"/","body":{}}"#, "invalid_line", None),
            (r#"{"custom_id":"a","method":"GET","url":"/","body":{}}"#, "invalid_method", Some("a")),
            (r#"{"custom_id":"","url":"/","body":{}}"#, "invalid_custom_id", Some("")),
        ] {
            assert_eq!(request(line.as_bytes()).err().unwrap().code, code, "{line}");
            assert_eq!(name(line.as_bytes()).as_deref(), named, "{line}");
        }
        assert!(request(&[b'"', 0xff, b'"']).is_err());
    }
}
