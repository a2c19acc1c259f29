//! The conversation of `/v1/responses`: a text, or items in order.
//!
//! What it is: messages, calls of functions and what they gave, as turns that templates know. What it is not: anything that
//! is kept here; whoever asks says all of it. The one design choice: what stands side by side and is the assistant's is one
//! turn, since an answer with calls comes back as several items.

use std::fmt;

use pintpot::Message;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::refusal::Refusal;
use crate::tools;

/// What was said before.
#[derive(Default)]
pub(super) struct Items {
    turns: Vec<Message>,
    /// Calls of the last turn, which is the assistant's.
    calls: Vec<String>,
    count: usize,
    wrong: Option<String>,
    pub warnings: Vec<String>,
}

/// An item; what it has beyond that is refused by its name.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Item {
    #[serde(rename = "type")]
    kind: Option<String>,
    role: Option<String>,
    content: Option<Said>,
    call_id: Option<String>,
    name: Option<String>,
    arguments: Option<String>,
    output: Option<Said>,
    #[serde(rename = "id")]
    _id: Option<IgnoredAny>,
    #[serde(rename = "status")]
    _status: Option<IgnoredAny>,
    #[serde(rename = "summary")]
    _summary: Option<IgnoredAny>,
    #[serde(rename = "encrypted_content")]
    _encrypted: Option<IgnoredAny>,
    /// What OpenAI's client has read out of a call, and sends back with it.
    #[serde(rename = "parsed_arguments")]
    _parsed: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Said {
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Part {
    #[serde(rename = "type")]
    kind: String,
    text: Option<String>,
    refusal: Option<String>,
    #[serde(rename = "annotations")]
    _annotations: Option<IgnoredAny>,
    #[serde(rename = "logprobs")]
    _logprobs: Option<IgnoredAny>,
    /// What OpenAI's client has read out of an answer, and sends back with it.
    #[serde(rename = "parsed")]
    _parsed: Option<IgnoredAny>,
}

impl Said {
    fn text(self) -> Result<String, String> {
        let parts = match self {
            Said::Text(text) => return Ok(text),
            Said::Parts(parts) => parts,
        };
        let part = |part: Part| match (part.kind.as_str(), part.text, part.refusal) {
            ("input_text" | "output_text" | "text", Some(text), None) => Ok(text),
            ("refusal", None, Some(text)) => Ok(text),
            (kind, _, _) => Err(format!("a part of type {kind:?} is not known here")),
        };
        parts.into_iter().map(part).collect()
    }
}

impl Items {
    fn add(&mut self, item: Item) -> Result<(), String> {
        let text = |said: Option<Said>| said.map_or(Ok(String::new()), Said::text);
        let missing = |field: &str| format!("{field} is missing");
        match item.kind.as_deref().unwrap_or("message") {
            "message" => {
                let (role, said) = (item.role.ok_or_else(|| missing("role"))?, text(item.content)?);
                let role = match role.as_str() {
                    "developer" | "system" => "system",
                    "user" | "assistant" => &role,
                    other => return Err(format!("the role {other:?} is not known here")),
                };
                self.end_calls();
                self.turns.push(Message::new(role, said));
            }
            "function_call" => {
                let name = item.name.ok_or_else(|| missing("name"))?;
                let arguments = item.arguments.unwrap_or_else(|| "{}".to_string());
                if serde_json::from_str::<&RawValue>(&arguments).is_err() {
                    return Err("arguments is not JSON".to_string());
                }
                if self.turns.last().is_none_or(|turn| turn.role != "assistant") {
                    self.turns.push(Message::new("assistant", ""));
                }
                let id = item.call_id.as_deref();
                self.calls.push(tools::made(id, &name, &arguments, self.calls.len()));
            }
            "function_call_output" => {
                let id = Value::from(item.call_id.ok_or_else(|| missing("call_id"))?).to_string();
                self.end_calls();
                let given = Message::new("tool", text(item.output)?);
                self.turns.push(Message { json: vec![("tool_call_id".to_string(), id)], ..given });
            }
            "reasoning" => self.warnings.push("an item of type reasoning is not honoured".to_string()),
            other => return Err(format!("an item of type {other:?} is not known here")),
        }
        Ok(())
    }

    /// The calls so far belong to the turn before.
    fn end_calls(&mut self) {
        let calls = std::mem::take(&mut self.calls);
        if let Some(turn) = self.turns.last_mut().filter(|_| !calls.is_empty()) {
            turn.json.push(("tool_calls".to_string(), format!("[{}]", calls.join(", "))));
        }
    }

    /// The turns, after `instructions` if there are some.
    pub fn checked(mut self, instructions: Option<String>, most: usize) -> Result<Vec<Message>, Refusal> {
        self.end_calls();
        let refuse = |code, message: String| Err(Refusal::field("input", code, message));
        match self.wrong {
            Some(wrong) => return refuse("unsupported_parameter", wrong),
            None if self.turns.is_empty() => {
                return refuse("missing_field", "input is missing or empty".into());
            }
            None if self.count > most => {
                return refuse(
                    "invalid_value",
                    format!("input has {} items; {most} is the most", self.count),
                );
            }
            None => {}
        }
        if let Some(text) = instructions {
            self.turns.insert(0, Message::new("system", text));
        }
        Ok(self.turns)
    }
}

impl<'de> Deserialize<'de> for Items {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Items, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Items;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a list of items")
            }

            fn visit_str<E>(self, text: &str) -> Result<Items, E> {
                Ok(Items { turns: vec![Message::new("user", text)], count: 1, ..Items::default() })
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Items, A::Error> {
                let mut items = Items::default();
                while let Some(item) = list.next_element::<Item>()? {
                    if let Err(wrong) = items.add(item) {
                        let at = items.count;
                        items.wrong.get_or_insert(format!("input[{at}]: {wrong}"));
                    }
                    items.count += 1;
                }
                Ok(items)
            }
        }
        deserializer.deserialize_any(Any)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns(input: &str) -> Result<Vec<Message>, String> {
        let items: Items = serde_json::from_str(input).map_err(|error| error.to_string())?;
        items.checked(None, 8).map_err(|refusal| refusal.message)
    }

    #[test]
    fn items_become_turns() {
        let input = r#"[{"role":"user","content":"a"},
            {"type":"message","role":"assistant","id":"m","status":"completed",
             "content":[{"type":"output_text","text":"b","annotations":[],"logprobs":null,"parsed":null}]},
            {"type":"function_call","call_id":"1","name":"f","arguments":"{\"x\":1}"},
            {"type":"function_call","call_id":"2","name":"g","arguments":"{}"},
            {"type":"function_call_output","call_id":"1","output":"c"},
            {"type":"reasoning","id":"r","summary":[]}]"#;
        let turns = self::turns(input).unwrap();
        let said: Vec<_> = turns.iter().map(|turn| (turn.role.as_str(), turn.content.as_str())).collect();
        assert_eq!(said, [("user", "a"), ("assistant", "b"), ("tool", "c")]);
        let calls: Value = serde_json::from_str(&turns[1].json[0].1).unwrap();
        assert_eq!((&calls[0]["function"]["arguments"]["x"], &calls[1]["id"]), (&1.into(), &"2".into()));
        assert_eq!(turns[2].json[0], ("tool_call_id".to_string(), "\"1\"".to_string()));
        assert_eq!(self::turns(r#""hi""#).unwrap()[0].content, "hi");
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for (input, wrong) in [
            ("[]", "missing"),
            (r#"[{"role":"user","content":[{"type":"input_image","text":"x"}]}]"#, "input_image"),
            (r#"[{"role":"king","content":"x"}]"#, "king"),
            (r#"[{"type":"item_reference","id":"x"}]"#, "item_reference"),
            (r#"[{"type":"function_call","name":"f","arguments":"{"}]"#, "not JSON"),
            (r#"[{"role":"user","content":"x","mood":"good"}]"#, "mood"),
            ("5", "a text or a list"),
        ] {
            assert!(turns(input).unwrap_err().contains(wrong), "{input}: {:?}", turns(input).err());
        }
    }
}
