//! A conversation with tools: what the model is asked, what it must say, and how its calls are read.
//!
//! What it is: the way from turns and tools to a prompt, through the model's own template. What it is not: the tools' work,
//! or a template of ours; a model whose template has no place for tools is not asked to use them. The one design choice:
//! where a call must come, its beginning stands in the prompt and its rest is held to the schema of the arguments.

use crate::{Error, GenerateOptions, Grammar, Message, Model};
use processors::text::{CallReader, Family, Tool};
use std::collections::BTreeMap;

/// A conversation whose next turn is the model's.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Chat {
    /// What was said.
    pub messages: Vec<Message>,
    /// What may be called.
    pub tools: Vec<Tool>,
    /// Whether something must be.
    pub choice: ToolChoice,
    /// Only one call in an answer.
    pub one_call: bool,
}

/// Whether tools are called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ToolChoice {
    /// If the model wants to.
    #[default]
    Auto,
    /// They are not shown to the model.
    None,
    /// One of them is.
    Required,
    /// The one of that name is.
    Named(String),
}

impl From<Vec<Message>> for Chat {
    fn from(messages: Vec<Message>) -> Chat {
        Chat { messages, ..Chat::default() }
    }
}

impl Chat {
    /// A conversation from JSON: a list of objects with `role` and `content`; what else they have is for the template.
    ///
    /// # Errors
    /// [`Error::Turns`].
    pub fn from_json(text: &str) -> Result<Chat, Error> {
        #[derive(serde::Deserialize)]
        struct Turn {
            role: String,
            #[serde(default)]
            content: Option<String>,
            #[serde(flatten)]
            others: BTreeMap<String, serde_json::Value>,
        }
        let turns: Vec<Turn> = serde_json::from_str(text).map_err(|source| Error::Turns { source })?;
        let message = |Turn { role, content, others }| Message {
            json: others.into_iter().map(|(name, value)| (name, value.to_string())).collect(),
            ..Message::new(role, content.unwrap_or_default())
        };
        Ok(turns.into_iter().map(message).collect::<Vec<_>>().into())
    }
}

/// How the calls of an answer are read.
#[derive(Clone, Copy, Debug)]
pub struct Calls {
    family: &'static Family,
    /// What stands in the prompt already.
    given: &'static str,
    /// The first call ends the answer.
    pub(crate) one: bool,
}

impl Calls {
    pub(crate) fn reader(&self) -> CallReader {
        CallReader::new(self.family, self.given)
    }
}

impl Model {
    /// Whether the model's template has a place for tools, and we know how it writes calls.
    pub fn takes_tools(&self) -> bool {
        self.template.as_ref().is_some_and(|template| template.family().is_some())
    }

    /// Ids of a conversation, through the model's own template; sets in `options` what reading its calls needs.
    ///
    /// # Errors
    /// [`Error::NoTools`] and [`Error::NoSuchTool`]; a template that does not accept the conversation.
    pub fn encode_chat_with_tools(
        &self,
        chat: &Chat,
        options: &mut GenerateOptions,
    ) -> Result<Vec<u32>, Error> {
        if chat.tools.is_empty() || chat.choice == ToolChoice::None {
            return self.encode_chat(&chat.messages);
        }
        let template = self.template.as_ref().ok_or(Error::NoTools)?;
        let family = template.family().ok_or(Error::NoTools)?;
        let named: Vec<&Tool> = match &chat.choice {
            ToolChoice::Named(name) => chat.tools.iter().filter(|tool| tool.name == *name).collect(),
            ToolChoice::Required => chat.tools.iter().collect(),
            ToolChoice::Auto | ToolChoice::None => Vec::new(),
        };
        let mut given = "";
        match &chat.choice {
            ToolChoice::Named(name) if named.is_empty() => {
                return Err(Error::NoSuchTool { name: name.clone() });
            }
            ToolChoice::Named(_) | ToolChoice::Required => {
                let (before, frames) =
                    family.forced(&named).ok_or(Error::NoForcedTools { family: family.name })?;
                given = before;
                options.grammar = Some(Grammar::Framed(frames));
            }
            ToolChoice::Auto | ToolChoice::None => {}
        }
        let texts: Vec<&str> = chat.tools.iter().map(|tool| tool.text.as_str()).collect();
        let tools = format!("[{}]", texts.join(","));
        let prompt = self.rendered(&chat.messages, vec![("tools".to_string(), tools)])?;
        options.calls = Some(Calls { family, given, one: chat.one_call });
        options.show_special = true; // marks of calls are special to some models
        self.encode(&(prompt + given))
    }
}
