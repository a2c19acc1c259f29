//! `multipart/form-data` (RFC 7578): the parts of a body that is there.
//!
//! What it is: names and places of parts. What it is not: the reading of a body, or the meaning of its fields. The one design choice:
//! a part is a range of the body, so a file in it is not copied; numbers and lengths of heads have bounds.

use std::ops::Range;

use hyper::HeaderMap;
use hyper::header::CONTENT_TYPE;

/// The type of such a body.
pub(crate) const TYPE: &str = "multipart/form-data";
/// Parts of a body.
const PARTS: usize = 64;
/// Bytes of a part's head.
const HEAD: usize = 4 << 10;
/// Characters of a boundary, by RFC 2046.
const BOUNDARY: usize = 70;

/// A part of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    /// The field.
    pub name: String,
    /// Whether it is a file.
    pub is_file: bool,
    /// Where its content lies in the body.
    pub content: Range<usize>,
}

/// What stands between the parts, if the headers say that there are some.
pub(crate) fn boundary(headers: &HeaderMap) -> Option<String> {
    let (kind, rest) = headers.get(CONTENT_TYPE)?.to_str().ok()?.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case(TYPE) {
        return None;
    }
    let found = parameters(rest).find(|(name, _)| name.eq_ignore_ascii_case("boundary"))?.1;
    (1..=BOUNDARY).contains(&found.len()).then_some(found)
}

/// The parts of a body, or what is wrong with it.
pub(crate) fn parts(body: &[u8], boundary: &str) -> Result<Vec<Part>, &'static str> {
    let line = format!("\r\n--{boundary}").into_bytes();
    // What stands before the first is for nobody.
    let mut at = match body.starts_with(&line[2..]) {
        true => line.len() - 2,
        false => {
            find(body, &line, 0).ok_or("the boundary that Content-Type names is not in it")? + line.len()
        }
    };
    let mut parts = Vec::new();
    loop {
        let rest = body.get(at..).unwrap_or_default();
        if rest.starts_with(b"--") {
            return Ok(parts);
        }
        let spaces = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        if !rest.get(spaces..).unwrap_or_default().starts_with(b"\r\n") {
            return Err("something follows a boundary that is no part");
        }
        if parts.len() == PARTS {
            return Err("it has more than 64 parts");
        }
        let head = at + spaces + 2;
        let window = body.get(head..body.len().min(head + HEAD)).unwrap_or_default();
        let length =
            find(window, b"\r\n\r\n", 0).ok_or("a part's head is broken off or longer than 4 KiB")?;
        let (name, is_file) = disposition(window.get(..length).unwrap_or_default())?;
        let start = head + length + 4;
        let end = find(body, &line, start).ok_or("a part is broken off: no boundary follows it")?;
        parts.push(Part { name, is_file, content: start..end });
        at = end + line.len();
    }
}

/// Whose a part is, and whether it is a file.
fn disposition(head: &[u8]) -> Result<(String, bool), &'static str> {
    let head = std::str::from_utf8(head).map_err(|_| "a part's head is not UTF-8")?;
    let mut found = None;
    for (key, value) in head.split("\r\n").filter_map(|line| line.split_once(':')) {
        let value = value.trim();
        if key.eq_ignore_ascii_case("content-transfer-encoding") {
            let plain = ["7bit", "8bit", "binary"].iter().any(|plain| value.eq_ignore_ascii_case(plain));
            if !plain {
                return Err("a part is coded, by Content-Transfer-Encoding; send it as it is");
            }
        }
        if key.eq_ignore_ascii_case("content-disposition") {
            let (kind, rest) = value.split_once(';').unwrap_or((value, ""));
            if kind.trim().eq_ignore_ascii_case("form-data") {
                found = Some(rest);
            }
        }
    }
    let found = found.ok_or("a part has no Content-Disposition: form-data")?;
    let has = |key: &str| parameters(found).find(|(name, _)| name.eq_ignore_ascii_case(key));
    let (_, name) = has("name").ok_or("a part has no name")?;
    Ok((name, has("filename").is_some() || has("filename*").is_some()))
}

/// Names and values behind a header's value: `; name=value; name="value"`.
fn parameters(mut rest: &str) -> impl Iterator<Item = (&str, String)> {
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches([';', ' ', '\t']);
        let (name, after) = rest.split_once('=')?;
        let Some(quoted) = after.strip_prefix('"') else {
            let end = after.find(';').unwrap_or(after.len());
            rest = &after[end..];
            return Some((name.trim(), after[..end].trim().to_string()));
        };
        let (mut value, mut escaped) = (String::new(), false);
        for (at, c) in quoted.char_indices() {
            match c {
                '"' if !escaped => {
                    rest = &quoted[at + 1..];
                    return Some((name.trim(), value));
                }
                '\\' if !escaped => escaped = true,
                c => {
                    value.push(c);
                    escaped = false;
                }
            }
        }
        None
    })
}

/// Where `needle` first lies in `bytes`, from a place on.
fn find(bytes: &[u8], needle: &[u8], from: usize) -> Option<usize> {
    let (first, mut at) = (*needle.first()?, from);
    loop {
        at += bytes.get(at..)?.iter().position(|byte| *byte == first)?;
        if bytes[at..].starts_with(needle) {
            return Some(at);
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    const BODY: &str = "before\r\n--x y\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nm\r\n--x y \t\r\n\
        content-disposition:form-data; filename=\"a \\\"b\\\";.wav\"; name=file\r\nContent-Type: audio/wav\r\n\r\n\
        RIFF\r\n--x \r\n\r\n--x y\r\nContent-Disposition: form-data; name=\"\"\r\n\r\n\r\n--x y--after";

    fn of(body: &str) -> Result<Vec<(String, bool, &str)>, &'static str> {
        let parts = parts(body.as_bytes(), "x y")?;
        Ok(parts.into_iter().map(|part| (part.name, part.is_file, &body[part.content])).collect())
    }

    #[test]
    fn parts_are_ranges_of_the_body() {
        let file = ("file".to_string(), true, "RIFF\r\n--x \r\n");
        let want = vec![("model".to_string(), false, "m"), file, (String::new(), false, "")];
        assert_eq!(of(BODY), Ok(want));
        assert_eq!(of("--x y--"), Ok(Vec::new()));
    }

    #[test]
    fn what_is_broken_says_how() {
        let head = "Content-Disposition: form-data; name=a\r\n\r\n";
        for (body, wrong) in [
            (String::new(), "is not in it"),
            ("--x y\r\n".to_string(), "broken off"),
            (format!("--x y\r\n{head}content"), "no boundary follows"),
            (format!("--x yz\r\n{head}\r\n--x y--"), "no part"),
            ("--x y\r\nContent-Type: a\r\n\r\n\r\n--x y--".to_string(), "no Content-Disposition"),
            ("--x y\r\nContent-Disposition: form-data\r\n\r\n\r\n--x y--".to_string(), "no name"),
            (format!("--x y\r\nContent-Transfer-Encoding: base64\r\n{head}\r\n--x y--"), "is coded"),
            (format!("--x y\r\n{}: 1\r\n{head}\r\n--x y--", "a".repeat(HEAD)), "4 KiB"),
            (format!("--x y\r\n{head}\r\n").repeat(PARTS + 1), "64 parts"),
        ] {
            let found = of(&body).unwrap_err();
            assert!(found.contains(wrong), "{body:?}: {found}");
        }
        crate::request::testing::damage(BODY, |bytes| drop(parts(bytes, "x y")));
        for end in 0..BODY.len() {
            let _ = parts(&BODY.as_bytes()[..end], "x y");
        }
    }

    #[test]
    fn boundaries_are_what_headers_say() {
        let boundary = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_str(value).unwrap());
            super::boundary(&headers)
        };
        assert_eq!(boundary("multipart/form-data; boundary=abc").as_deref(), Some("abc"));
        assert_eq!(boundary("Multipart/Form-Data; charset=utf-8; boundary=\"a b\"").as_deref(), Some("a b"));
        let long = format!("multipart/form-data; boundary={}", "a".repeat(71));
        for other in ["application/json", "multipart/form-data", "multipart/form-data; boundary=", &long] {
            assert_eq!(boundary(other), None, "{other}");
        }
    }
}
