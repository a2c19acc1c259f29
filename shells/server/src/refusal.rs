//! A request that is not answered: why, as a status and in OpenAI's words.
//!
//! What it is: one value for all that can be wrong, and its shape in JSON. What it is not: an error of the server. The one
//! design choice: the status is the truth; nothing is refused with 200.

use hyper::StatusCode;
use hyper::header::{HeaderValue, RETRY_AFTER};
use pintpot::{Error, Trouble};
use serde_json::{Value, json};

use crate::dialect::Dialect;
use crate::reply::{self, Reply};

/// Why a request is not answered.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub status: StatusCode,
    pub message: String,
    /// The field that is wrong.
    pub param: Option<String>,
    pub code: &'static str,
    /// Figures that clients may read.
    pub facts: Vec<(&'static str, u64)>,
}

impl Refusal {
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Refusal {
        Refusal { status, message: message.into(), param: None, code, facts: Vec::new() }
    }

    /// The request makes no sense.
    pub fn bad(message: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::BAD_REQUEST, "invalid_request", message)
    }

    /// A field that is wrong.
    pub fn field(param: &str, code: &'static str, message: impl Into<String>) -> Refusal {
        Refusal { param: Some(param.to_string()), code, ..Refusal::bad(message) }
    }

    /// The engine's error.
    pub fn of(error: &Error) -> Refusal {
        let message = error.to_string();
        match error {
            Error::PromptTooLong { tokens, context } => {
                // It begins in OpenAI's words, by which some clients know it.
                let message = format!(
                    "this model's maximum context length is {context} tokens, but the prompt has {tokens}; shorten the prompt, or \
                     serve the model with a larger context (-c), which needs more memory"
                );
                let facts = vec![("n_prompt_tokens", *tokens as u64), ("n_ctx", u64::from(*context))];
                Refusal { facts, ..Refusal::field("messages", "context_length_exceeded", message) }
            }
            Error::Option { option, value, expected } => {
                let param = match option.trim_start_matches("--").replace('-', "_").as_str() {
                    "temp" => "temperature".to_string(),
                    "repeat_penalty" => "repetition_penalty".to_string(),
                    other => other.to_string(),
                };
                Refusal::field(&param, "invalid_value", format!("{param} is {value}; it must be {expected}"))
            }
            Error::Refused(refused) => {
                let facts = vec![("budget_bytes", refused.budget), ("smallest_budget_bytes", refused.needed)];
                let status = StatusCode::SERVICE_UNAVAILABLE;
                Refusal { facts, ..Refusal::new(status, "memory_budget_exceeded", message) }
            }
            Error::BeyondMachine { most, .. } => {
                let facts = vec![("largest_budget_bytes", *most)];
                Refusal { facts, ..Refusal::field("memory", "invalid_value", message) }
            }
            Error::NoTools => Refusal::field("tools", "unsupported_parameter", message),
            Error::NoForcedTools { .. } => Refusal::field("tool_choice", "unsupported_parameter", message),
            Error::NoSuchTool { .. } => Refusal::field("tool_choice", "invalid_value", message),
            Error::EmptyPrompt => Refusal::bad("the prompt is empty"),
            Error::QueueFull { .. } => {
                Refusal::new(StatusCode::TOO_MANY_REQUESTS, "rate_limit_exceeded", message)
            }
            Error::NoTurn | Error::Ended { .. } => Refusal::unavailable(message),
            _ => match error.trouble() {
                Trouble::Usage => Refusal::bad(message),
                Trouble::Budget => {
                    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "memory_budget_exceeded", message)
                }
                _ => Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", message),
            },
        }
    }

    /// The same with another status.
    pub fn with(self, status: StatusCode) -> Refusal {
        Refusal { status, ..self }
    }

    pub fn unavailable(message: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
    }

    /// What kind of error it is, as OpenAI names it.
    fn kind(&self) -> &'static str {
        match self.status.as_u16() {
            401 | 403 => "authentication_error",
            429 => "rate_limit_error",
            503 => "unavailable_error",
            500.. => "server_error",
            _ => "invalid_request_error",
        }
    }

    /// The body that says it.
    pub fn json(&self) -> Value {
        let mut error = json!({
            "message": self.message, "type": self.kind(), "param": self.param, "code": self.code,
        });
        if let Value::Object(fields) = &mut error {
            fields.extend(self.facts.iter().map(|(name, fact)| (name.to_string(), Value::from(*fact))));
        }
        json!({ "error": error })
    }

    /// The reply that says it.
    pub fn reply(&self, dialect: Dialect) -> Reply {
        let mut reply = reply::json(self.status, &dialect.refusal(self));
        if matches!(self.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            reply.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        reply
    }
}
