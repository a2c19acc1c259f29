//! The turns of a conversation, as OpenAI's clients write them.
//!
//! What it is: texts, or lists of parts of text. What it is not: images or tools, which are refused by name. The one design
//! choice: a turn becomes the engine's [`Message`] as it is read, and nothing else is kept of it.

use std::fmt;

use pintpot::Message;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::refusal::Refusal;

/// Turns as they were read, and what was wrong with one of them.
#[derive(Default)]
pub(super) struct Turns {
    turns: Vec<Message>,
    wrong: Option<String>,
}

/// What was said: a text, or several in order.
#[derive(Default)]
pub(super) struct Content {
    pub text: String,
    wrong: Option<String>,
}

impl Content {
    /// The text, or what is not done here.
    pub fn checked(self) -> Result<String, String> {
        self.wrong.map_or(Ok(self.text), Err)
    }
}

/// The turns, if there are some, they are not too many, and nothing is wrong with them.
pub(super) fn checked(turns: Option<Turns>, most: usize) -> Result<Vec<Message>, Refusal> {
    let Turns { turns, wrong } = turns.unwrap_or_default();
    let refuse = |code, message| Err(Refusal::field("messages", code, message));
    match wrong {
        Some(wrong) => refuse("unsupported_parameter", wrong),
        None if turns.is_empty() => refuse("missing_field", "messages is missing or empty".to_string()),
        None if turns.len() > most => {
            refuse("invalid_value", format!("messages has {} turns; {most} is the most", turns.len()))
        }
        None => Ok(turns),
    }
}

impl<'de> Deserialize<'de> for Turns {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Turns, D::Error> {
        struct List;
        impl<'de> Visitor<'de> for List {
            type Value = Turns;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of messages")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Turns, A::Error> {
                let mut turns = Turns::default();
                while let Some(Turn(turn)) = items.next_element()? {
                    match turn {
                        Ok(turn) => turns.turns.push(turn),
                        Err(wrong) => {
                            let at = turns.turns.len();
                            turns.wrong.get_or_insert(format!("messages[{at}]: {wrong}"));
                        }
                    }
                }
                Ok(turns)
            }
        }
        deserializer.deserialize_seq(List)
    }
}

/// One turn, or what is not done here.
struct Turn(Result<Message, String>);

impl<'de> Deserialize<'de> for Turn {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Turn, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Turn;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a message, with role and content")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Turn, A::Error> {
                let (mut role, mut content, mut wrong) = (None, Content::default(), None);
                while let Some(key) = map.next_key::<String>()? {
                    match key.as_str() {
                        "role" => role = Some(map.next_value::<String>()?),
                        "content" => content = map.next_value::<Option<Content>>()?.unwrap_or_default(),
                        _ => {
                            if map.next_value::<Option<IgnoredAny>>()?.is_some() {
                                wrong = Some(format!("{key} is not honoured here"));
                            }
                        }
                    }
                }
                let role = match role.as_deref() {
                    Some("developer" | "system") => "system",
                    Some("user") => "user",
                    Some("assistant") => "assistant",
                    Some(other) => {
                        wrong = Some(format!("the role {other:?} is not known here"));
                        ""
                    }
                    None => return Err(A::Error::missing_field("role")),
                };
                let wrong = wrong.or(content.wrong);
                Ok(Turn(wrong.map_or(Ok(Message::new(role, content.text)), Err)))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

#[derive(Deserialize)]
struct Part {
    #[serde(rename = "type")]
    kind: String,
    text: Option<String>,
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Content, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Content;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a list of parts")
            }

            fn visit_str<E>(self, text: &str) -> Result<Content, E> {
                Ok(Content { text: text.to_string(), wrong: None })
            }

            fn visit_string<E>(self, text: String) -> Result<Content, E> {
                Ok(Content { text, wrong: None })
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Content, A::Error> {
                let mut content = Content::default();
                while let Some(Part { kind, text }) = items.next_element()? {
                    match text {
                        Some(text) if kind == "text" => content.text.push_str(&text),
                        _ => content.wrong = Some(format!("a part of type {kind:?} is not known here")),
                    }
                }
                Ok(content)
            }
        }
        deserializer.deserialize_any(Any)
    }
}
