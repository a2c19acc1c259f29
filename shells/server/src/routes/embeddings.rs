//! `POST /v1/embeddings`: vectors of texts, in OpenAI's words.
//!
//! Not the vectors' making. The one design choice: the reply is written as text at once, never held as a tree of numbers.

use std::fmt::{self, Write};
use std::rc::Rc;

use hyper::{Method, StatusCode};
use pintpot::tasks::{OwnedText, TextAsked};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::json;

use super::Route;
use crate::app::App;
use crate::limits::Limits;
use crate::refusal::Refusal;
use crate::reply::{self, Reply};
use crate::request::{self, Fields, Taken, harmless, value};

/// Texts of a request, as OpenAI's documentation bounds them.
const TEXTS: usize = 2048;

pub(super) const ROUTE: Route = Route {
    method: Method::POST,
    path: "/v1/embeddings",
    says: "vectors of texts",
    body: "model:string input:any! encoding_format:string dimensions:integer user:string",
    open: false,
    run: |app, request| {
        Box::pin(async move {
            let (asked, permit) = request::take(&app, request, Asked::default()).await?;
            let reply = answer(&app, asked).await;
            drop(permit);
            reply
        })
    },
};

async fn answer(app: &Rc<App>, asked: Asked) -> Result<Reply, Refusal> {
    let Asked { model, input, encoding, dimensions } = asked;
    let missing = || Refusal::field("input", "missing_field", "the field input is missing");
    let texts = input.ok_or_else(missing)?.0;
    let encoder = &app.encoders[app.encoder(model.as_deref(), false)?];
    let width = encoder.width();
    if let Some(other) = dimensions.filter(|other| *other != width as u64) {
        let message = format!("vectors of this model have {width} numbers, not {other}");
        return Err(Refusal::field("dimensions", "unsupported_parameter", message));
    }
    let in_base64 = match encoding.as_deref() {
        None | Some("float") => false,
        Some("base64") => true,
        Some(other) => {
            let message = format!("encoding_format is {other:?}; it must be float or base64");
            return Err(Refusal::field("encoding_format", "invalid_value", message));
        }
    };
    let count = texts.len();
    let (said, permit) = encoder.ask(TextAsked::Vectors(texts), count, 0).await?;
    let mut body = String::from("{\"object\":\"list\",\"data\":[");
    for (index, vector) in said.numbers.chunks_exact(width.max(1)).enumerate() {
        let comma = if index == 0 { "" } else { "," };
        let _ = write!(body, "{comma}{{\"object\":\"embedding\",\"index\":{index},\"embedding\":");
        match in_base64 {
            true => base64(vector, &mut body),
            false => list(vector, &mut body),
        }
        body.push('}');
    }
    let usage = json!({ "prompt_tokens": said.tokens, "total_tokens": said.tokens });
    let _ = write!(body, "],\"model\":{},\"usage\":{usage}}}", json!(encoder.facts.name));
    let mut reply = reply::text(StatusCode::OK, "application/json", body);
    reply.body_mut().holds = Some(permit);
    Ok(reply)
}

/// Numbers as JSON.
pub(super) fn list(numbers: &[f32], body: &mut String) {
    body.push('[');
    for (at, x) in numbers.iter().enumerate() {
        let comma = if at == 0 { "" } else { "," };
        // What JSON has no word for is nothing.
        let _ = if x.is_finite() { write!(body, "{comma}{x}") } else { write!(body, "{comma}null") };
    }
    body.push(']');
}

/// Numbers as little-endian f32 in base64 (RFC 4648), as a JSON string.
fn base64(numbers: &[f32], body: &mut String) {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bytes = numbers.iter().flat_map(|x| x.to_le_bytes());
    body.push('"');
    while let Some(first) = bytes.next() {
        let rest = [bytes.next(), bytes.next()];
        let three = rest.iter().fold(u32::from(first), |all, byte| all << 8 | u32::from(byte.unwrap_or(0)));
        let digits = 2 + rest.iter().flatten().count();
        for place in 0..4 {
            let digit = DIGITS[(three >> (18 - 6 * place)) as usize % 64];
            body.push(if place < digits { char::from(digit) } else { '=' });
        }
    }
    body.push('"');
}

/// What may be asked.
#[derive(Default)]
struct Asked {
    model: Option<String>,
    input: Option<Texts>,
    encoding: Option<String>,
    dimensions: Option<u64>,
}

impl Fields for Asked {
    fn most(limits: &Limits) -> u64 {
        limits.texts.max(limits.body)
    }

    fn take<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<Taken, A::Error> {
        match key {
            "dimensions" => self.dimensions = value(map)?,
            "encoding_format" => self.encoding = value(map)?,
            "input" => self.input = value(map)?,
            "model" => self.model = value(map)?,
            "user" => return harmless(map),
            _ => return Ok(Taken::Unknown),
        }
        Ok(Taken::Yes)
    }

    fn warn(&mut self, _warning: String) {}
}

/// One text, several, the tokens of one, or of several.
pub(super) struct Texts(pub Vec<OwnedText>);

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Texts, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Item {
            Id(u32),
            Ids(Vec<u32>),
            Text(String),
        }
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Texts;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("texts, or tokens of texts")
            }

            fn visit_str<E>(self, text: &str) -> Result<Texts, E> {
                Ok(Texts(vec![OwnedText::Text(text.to_string())]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Texts, A::Error> {
                let (mut texts, mut ids) = (Vec::new(), Vec::new());
                while let Some(item) = items.next_element()? {
                    match item {
                        Item::Id(id) => ids.push(id),
                        Item::Ids(ids) => texts.push(OwnedText::Tokens(ids)),
                        Item::Text(text) => texts.push(OwnedText::Text(text)),
                    }
                    if texts.len() > TEXTS {
                        return Err(A::Error::custom(format!("more than {TEXTS} texts")));
                    }
                }
                match (texts.is_empty(), ids.is_empty()) {
                    (false, true) => Ok(Texts(texts)),
                    (true, false) => Ok(Texts(vec![OwnedText::Tokens(ids)])),
                    (true, true) => Err(A::Error::custom("there is no text")),
                    (false, false) => Err(A::Error::custom("tokens of one text and texts are mixed")),
                }
            }
        }
        deserializer.deserialize_any(Any)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Option<Vec<OwnedText>> {
        request::parse(body.as_bytes(), Asked::default()).ok()?.input.map(|texts| texts.0)
    }

    #[test]
    fn inputs_are_texts_or_tokens() {
        let text = |text: &str| OwnedText::Text(text.to_string());
        for (body, want) in [
            (r#"{"input":"a"}"#, Some(vec![text("a")])),
            (r#"{"input":["a","b"]}"#, Some(vec![text("a"), text("b")])),
            (r#"{"input":[1,2]}"#, Some(vec![OwnedText::Tokens(vec![1, 2])])),
            (
                r#"{"input":[[1],[2,3]]}"#,
                Some(vec![OwnedText::Tokens(vec![1]), OwnedText::Tokens(vec![2, 3])]),
            ),
            (r#"{"input":[1,"a"]}"#, None),
            (r#"{"input":[]}"#, None),
            (r#"{"input":[-1]}"#, None),
            (r#"{"input":"a","top_p":1}"#, None),
        ] {
            assert_eq!(read(body), want, "{body}");
        }
        let body = r#"{"input":["a",[1,2]],"dimensions":3,"encoding_format":"base64"}"#;
        request::testing::damage(body, |bytes| drop(request::parse(bytes, Asked::default())));
    }

    #[test]
    fn base64_is_rfc_4648s() {
        let coded = |numbers: &[f32]| {
            let mut body = String::new();
            base64(numbers, &mut body);
            body
        };
        assert_eq!(coded(&[]), "\"\"");
        assert_eq!(coded(&[1.0]), "\"AACAPw==\"");
        assert_eq!(coded(&[1.0, -2.5]), "\"AACAPwAAIMA=\"");
        assert_eq!(coded(&[0.1, 0.2, 0.3]), "\"zczMPc3MTD6amZk+\"");
    }
}
