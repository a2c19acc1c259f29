//! The turns of a conversation, as OpenAI's clients write them.
//!
//! What it is: texts, or lists of parts of text, and calls of tools and what they gave, in OpenAI's words and in Anthropic's.
//! What it is not: images, which are refused by name. The one design
//! choice: a turn becomes the engine's [`Message`] as it is read, and nothing else is kept of it.

use std::fmt;

use pintpot::Message;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::says::Says;
use crate::refusal::Refusal;
use crate::tools::{self, Made};

/// Turns as they were read, and what was wrong with one of them.
#[derive(Default)]
pub(super) struct Turns {
    turns: Vec<Message>,
    wrong: Option<String>,
}

impl Turns {
    /// Whether nothing was said.
    pub fn is_empty(&self) -> bool {
        self.turns.is_empty() && self.wrong.is_none()
    }
}

/// What was said: a text, or several in order.
#[derive(Default)]
pub(super) struct Content {
    pub text: String,
    wrong: Option<String>,
    /// Calls of tools in Anthropic's words, as templates know them.
    calls: Vec<String>,
    /// What tools gave, by the call.
    results: Vec<(String, String)>,
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
                        Ok(messages) => turns.turns.extend(messages),
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

/// One turn, as one message or several, or what is not done here.
struct Turn(Result<Vec<Message>, String>);

impl<'de> Deserialize<'de> for Turn {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Turn, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Turn;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a message, with role and content")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Turn, A::Error> {
                let (mut role, mut content, mut wrong, mut json) =
                    (None, Content::default(), None, Vec::new());
                while let Some(key) = map.next_key::<String>()? {
                    match key.as_str() {
                        "role" => role = Some(map.next_value::<String>()?),
                        "content" => content = map.next_value::<Option<Content>>()?.unwrap_or_default(),
                        "tool_calls" => {
                            let made: Vec<Made> = map.next_value::<Option<_>>()?.unwrap_or_default();
                            for (n, made) in made.into_iter().enumerate() {
                                match made.json(n) {
                                    Ok(call) => content.calls.push(call),
                                    Err(why) => wrong = Some(why),
                                }
                            }
                        }
                        "tool_call_id" | "tool_name" | "name" => {
                            if let Some(name) = map.next_value::<Option<String>>()? {
                                let key = if key == "tool_name" { "name".to_string() } else { key };
                                json.push((key, serde_json::Value::from(name).to_string()));
                            }
                        }
                        _ => {
                            if map.next_value::<Says>()?.0 {
                                wrong = Some(format!("{key} is not honoured here"));
                            }
                        }
                    }
                }
                let Some(role) = role else { return Err(A::Error::missing_field("role")) };
                Ok(Turn(wrong.map_or_else(|| content.turn(&role, json), Err)))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

impl Content {
    /// The messages of a turn: results of tools first, each by itself, then what was said.
    fn turn(self, role: &str, mut json: Vec<(String, String)>) -> Result<Vec<Message>, String> {
        let Content { text, wrong, calls, results } = self;
        if let Some(wrong) = wrong {
            return Err(wrong);
        }
        let role = match role {
            "developer" | "system" => "system",
            "user" | "assistant" | "tool" => role,
            other => return Err(format!("the role {other:?} is not known here")),
        };
        if !calls.is_empty() && role != "assistant" {
            return Err("only the assistant makes calls".to_string());
        }
        let result = |(id, text): (String, String)| Message {
            json: vec![("tool_call_id".to_string(), serde_json::Value::from(id).to_string())],
            ..Message::new("tool", text)
        };
        let only_results = !results.is_empty() && text.is_empty();
        let mut messages: Vec<Message> = results.into_iter().map(result).collect();
        if !calls.is_empty() {
            json.push(("tool_calls".to_string(), format!("[{}]", calls.join(", "))));
        }
        if !only_results {
            messages.push(Message { json, ..Message::new(role, text) });
        }
        Ok(messages)
    }
}

#[derive(Deserialize)]
struct Part {
    #[serde(rename = "type")]
    kind: String,
    text: Option<String>,
    /// A call of a tool.
    id: Option<String>,
    name: Option<String>,
    input: Option<Box<RawValue>>,
    /// What a tool gave.
    tool_use_id: Option<String>,
    content: Option<Box<Content>>,
    is_error: Option<bool>,
}

impl Content {
    fn add(&mut self, part: Part) {
        let Part { kind, text, id, name, input, tool_use_id, content, is_error } = part;
        match (kind.as_str(), text, name, tool_use_id) {
            ("text", Some(text), None, None) => self.text.push_str(&text),
            ("tool_use", None, Some(name), None) => {
                let input = input.as_ref().map_or("{}", |raw| raw.get());
                let call = tools::made(id.as_deref(), &name, input, self.calls.len());
                self.calls.push(call);
            }
            ("tool_result", None, None, Some(id)) => {
                let content = content.map_or_else(Content::default, |content| *content);
                let error = if is_error == Some(true) { "error: " } else { "" };
                self.wrong = self.wrong.take().or(content.wrong);
                self.results.push((id, format!("{error}{}", content.text)));
            }
            _ => self.wrong = Some(format!("a part of type {kind:?} is not known here")),
        }
    }
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
                Ok(Content { text: text.to_string(), ..Content::default() })
            }

            fn visit_string<E>(self, text: String) -> Result<Content, E> {
                Ok(Content { text, ..Content::default() })
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Content, A::Error> {
                let mut content = Content::default();
                while let Some(part) = items.next_element()? {
                    content.add(part);
                }
                Ok(content)
            }
        }
        deserializer.deserialize_any(Any)
    }
}
