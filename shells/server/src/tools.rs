//! Tools and calls, as OpenAI's, Anthropic's and Ollama's clients write them.
//!
//! What it is: the way from their JSON to the engine's [`Tool`]s, and from the engine's [`ToolCall`]s back. What it is not:
//! prompts, which are the templates', or the parsing of answers, which is the engine's. The one design choice: a schema
//! stays the text that it came as.

use pintpot::{Chat, Message, Tool, ToolCall, ToolChoice};
use serde::Deserialize;
use serde::de::{Error, MapAccess};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::app::App;
use crate::refusal::Refusal;
use crate::request::{Taken, value};

/// Bytes of a body for each that tools and calls in it may have: reading them takes so many times more than text does.
const SHARE: u64 = 4;
/// Tools at most.
const MOST: usize = 256;

/// What may be called, as far as it was said.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tools {
    pub tools: Vec<Tool>,
    pub choice: ToolChoice,
    pub one_call: bool,
    /// The tool that wants its arguments held to its schema, whoever decides to call it.
    strict: Option<String>,
}

/// A tool in OpenAI's words, which are Ollama's, too.
#[derive(Deserialize)]
struct OpenAi {
    #[serde(rename = "type")]
    kind: Option<String>,
    function: Option<Function>,
}

#[derive(Deserialize)]
struct Function {
    name: String,
    parameters: Option<Box<RawValue>>,
    strict: Option<bool>,
}

/// A tool in Anthropic's words, or in those of OpenAI's newer API.
#[derive(Deserialize)]
struct Anthropic {
    name: String,
    description: Option<String>,
    #[serde(alias = "parameters")]
    input_schema: Option<Box<RawValue>>,
    strict: Option<bool>,
}

/// Which tool is to be called: a word, or an object.
#[derive(Deserialize)]
#[serde(untagged)]
enum Choice {
    Word(String),
    Object(Chosen),
}

#[derive(Deserialize)]
struct Chosen {
    #[serde(rename = "type")]
    kind: String,
    /// OpenAI's.
    function: Option<Name>,
    /// Anthropic's.
    name: Option<String>,
    disable_parallel_tool_use: Option<bool>,
}

#[derive(Deserialize)]
struct Name {
    name: String,
}

impl Tools {
    /// Takes a field that says what may be called.
    pub fn take<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<Taken, A::Error> {
        match key {
            "tools" => {
                let raw: Vec<Box<RawValue>> = value(map)?.unwrap_or_default();
                if raw.len() > MOST {
                    return Ok(Taken::Refused(format!("there may be {MOST} tools at most")));
                }
                for (n, raw) in raw.iter().enumerate() {
                    match tool(raw) {
                        Ok((tool, strict)) => {
                            let named = strict.then(|| tool.name.clone());
                            self.strict = self.strict.take().or(named);
                            self.tools.push(tool);
                        }
                        Err(wrong) => return Ok(Taken::Refused(format!("tools[{n}]: {wrong}"))),
                    }
                }
            }
            "tool_choice" => {
                let read = value::<A, Choice>(map)?.map(choice).transpose();
                if let Some((choice, one)) = read.map_err(A::Error::custom)? {
                    (self.choice, self.one_call) = (choice, self.one_call || one);
                }
            }
            "parallel_tool_calls" => self.one_call |= value(map)? == Some(false),
            _ => return Ok(Taken::Unknown),
        }
        Ok(Taken::Yes)
    }

    /// What is asked for and not honoured.
    pub fn warning(&self) -> Option<String> {
        let name = self.strict.as_ref().filter(|_| self.choice == ToolChoice::Auto)?;
        Some(format!(
            "strict of the tool {name} is not honoured where the model decides; tool_choice required, or the tool's name, holds \
             arguments to the schema"
        ))
    }

    /// The conversation, if tools and calls in it are within their bounds.
    pub fn chat(self, app: &App, messages: Vec<Message>) -> Result<Chat, Refusal> {
        let Tools { tools, choice, one_call, .. } = self;
        let of_turns = messages.iter().flat_map(|message| &message.json).map(|(_, text)| text.len());
        let bytes = of_turns.chain(tools.iter().map(|tool| tool.text.len())).sum::<usize>() as u64;
        let most = app.limits.body / SHARE;
        if bytes > most {
            let message = format!(
                "tools and calls have {bytes} bytes together, but {most} are the most; leave some out, or serve the model with \
                 a larger context (-c)"
            );
            return Err(Refusal::field("tools", "invalid_value", message));
        }
        if tools.is_empty() && matches!(choice, ToolChoice::Required | ToolChoice::Named(_)) {
            return Err(Refusal::field("tool_choice", "invalid_value", "there are no tools to choose from"));
        }
        Ok(Chat { messages, tools, choice, one_call })
    }

    /// Whether something may be called.
    pub fn are_shown(&self) -> bool {
        !self.tools.is_empty() && self.choice != ToolChoice::None
    }
}

/// A tool, and whether it is strict.
fn tool(raw: &RawValue) -> Result<(Tool, bool), String> {
    let not = |kind: &str| format!("a tool of type {kind:?} is not known here; functions are");
    let read: OpenAi = serde_json::from_str(raw.get()).map_err(|error| error.to_string())?;
    if let Some(Function { name, parameters, strict }) = read.function {
        return match read.kind.as_deref() {
            None | Some("function") => {
                let parameters = parameters.map(|raw| raw.get().to_string());
                Ok((Tool { name, text: raw.get().to_string(), parameters }, strict == Some(true)))
            }
            Some(other) => Err(not(other)),
        };
    }
    if let Some(other) = read.kind.as_deref().filter(|kind| !matches!(*kind, "custom" | "function")) {
        return Err(not(other));
    }
    let Anthropic { name, description, input_schema, strict } =
        serde_json::from_str(raw.get()).map_err(|error| error.to_string())?;
    let parameters = input_schema.map(|raw| raw.get().to_string());
    let text = format!(
        "{{\"type\": \"function\", \"function\": {{\"name\": {}, \"description\": {}, \"parameters\": {}}}}}",
        Value::from(name.as_str()),
        Value::from(description.unwrap_or_default()),
        parameters.as_deref().unwrap_or("{}"),
    );
    Ok((Tool { name, text, parameters }, strict == Some(true)))
}

/// What is chosen, and whether there is to be one call only.
fn choice(choice: Choice) -> Result<(ToolChoice, bool), String> {
    let (kind, name, one) = match choice {
        Choice::Word(word) => (word, None, false),
        Choice::Object(Chosen { kind, function, name, disable_parallel_tool_use }) => (
            kind,
            name.or(function.map(|function| function.name)),
            disable_parallel_tool_use.unwrap_or(false),
        ),
    };
    let choice = match (kind.as_str(), name) {
        ("auto", None) => ToolChoice::Auto,
        ("none", None) => ToolChoice::None,
        ("required" | "any", None) => ToolChoice::Required,
        ("function" | "tool", Some(name)) => ToolChoice::Named(name),
        _ => return Err(format!("the choice {kind:?} is not known here")),
    };
    Ok((choice, one))
}

/// A call that was made in a turn before.
#[derive(Deserialize)]
pub(crate) struct Made {
    id: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    function: Called,
}

#[derive(Deserialize)]
struct Called {
    name: String,
    arguments: Option<Box<RawValue>>,
}

impl Made {
    /// As templates know it.
    pub fn json(self, number: usize) -> Result<String, String> {
        if let Some(kind) = self.kind.filter(|kind| kind != "function") {
            return Err(format!("a call of type {kind:?} is not known here"));
        }
        let raw = self.function.arguments.as_ref().map_or("{}", |raw| raw.get());
        // OpenAI's clients write the object as a text.
        let text = serde_json::from_str::<String>(raw).ok();
        let object = text.filter(|text| serde_json::from_str::<&RawValue>(text).is_ok());
        Ok(made(self.id.as_deref(), &self.function.name, object.as_deref().unwrap_or(raw), number))
    }
}

/// A call that was made, as templates know it; `arguments` is JSON.
pub(crate) fn made(id: Option<&str>, name: &str, arguments: &str, number: usize) -> String {
    let id = id.map_or_else(|| call_id(0, 0, number), str::to_string);
    format!(
        "{{\"type\": \"function\", \"id\": {}, \"function\": {{\"name\": {}, \"arguments\": {arguments}}}}}",
        Value::from(id),
        Value::from(name),
    )
}

/// An id of nine letters and digits, as Mistral's templates want it.
pub(crate) fn call_id(request: u64, choice: usize, call: usize) -> String {
    let place = ((choice as u64) << 32) + call as u64 + 1;
    let mut number = request.wrapping_add(place.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^= number >> 31;
    (0..9)
        .map(|_| {
            let digit = (number % 36) as u32;
            number /= 36;
            char::from_digit(digit, 36).unwrap_or('0')
        })
        .collect()
}

/// Calls in OpenAI's words; `first` is the number of the first, and streams say it.
pub(crate) fn openai(calls: &[ToolCall], (request, choice): (u64, usize), first: Option<usize>) -> Value {
    let call = |(n, call): (usize, &ToolCall)| {
        let at = first.unwrap_or(0) + n;
        let function = json!({ "name": call.name, "arguments": call.arguments });
        let mut said =
            json!({ "id": call_id(request, choice, at), "type": "function", "function": function });
        if first.is_some() {
            said["index"] = at.into();
        }
        said
    };
    calls.iter().enumerate().map(call).collect()
}

/// Arguments as an object, for those who do not take them as a text.
pub(crate) fn object(call: &ToolCall) -> Value {
    serde_json::from_str(&call.arguments).unwrap_or_else(|_| json!({ "text": call.arguments }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strict_tools_are_warned_about_where_nothing_holds_them() {
        let strict = Some("f".to_string());
        for (choice, strict, warned) in [
            (ToolChoice::Auto, strict.clone(), true),
            (ToolChoice::Auto, None, false),
            (ToolChoice::Required, strict.clone(), false),
            (ToolChoice::Named("f".into()), strict.clone(), false),
            (ToolChoice::None, strict, false),
        ] {
            let tools = Tools { choice, strict, ..Tools::default() };
            let warning = tools.warning();
            assert_eq!(warning.is_some_and(|text| text.contains("tool f")), warned, "{tools:?}");
        }
    }

    #[test]
    fn tools_are_read_in_two_ways() {
        let read = |text: &str| tool(&serde_json::from_str::<Box<RawValue>>(text).unwrap());
        let (ours, strict) = read(
            r#"{"type":"function","function":{"name":"f","parameters":{"type":"object"},"strict":true}}"#,
        )
        .unwrap();
        assert!(strict);
        assert_eq!((ours.name.as_str(), ours.parameters.as_deref()), ("f", Some(r#"{"type":"object"}"#)));
        let (theirs, strict) =
            read(r#"{"name":"f","description":"d","input_schema":{"type":"object"}}"#).unwrap();
        assert!(!strict);
        let value: Value = serde_json::from_str(&theirs.text).unwrap();
        assert_eq!(value["function"], json!({"name":"f","description":"d","parameters":{"type":"object"}}));
        let (newer, strict) =
            read(r#"{"type":"function","name":"f","parameters":{"type":"object"},"strict":true}"#).unwrap();
        assert_eq!((newer.parameters.as_deref(), strict), (Some(r#"{"type":"object"}"#), true));
        for bad in [r#"{"type":"web_search"}"#, r#"{"type":"computer_20250124","name":"c"}"#, "{}", "5"] {
            assert!(read(bad).is_err(), "{bad}");
        }
        let ids: std::collections::BTreeSet<String> =
            (0..1000).map(|n| call_id(n / 10, n as usize % 3, n as usize)).collect();
        assert!(ids.len() == 1000 && ids.iter().all(|id| id.len() == 9));
    }
}
