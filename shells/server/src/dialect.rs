//! Whose words are spoken at a path: three families of clients that each know one shape of a refusal.

use serde_json::{Value, json};

use crate::refusal::Refusal;

/// Whose words are spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    Anthropic,
    Ollama,
    OpenAi,
}

impl Dialect {
    /// What is spoken at a path.
    pub fn of(path: &str) -> Dialect {
        match path {
            _ if path.starts_with("/v1/messages") => Dialect::Anthropic,
            _ if path.starts_with("/api/") => Dialect::Ollama,
            _ => Dialect::OpenAi,
        }
    }

    /// The body of a refusal.
    pub fn refusal(self, refusal: &Refusal) -> Value {
        let Refusal { message, param, .. } = refusal;
        match self {
            Dialect::OpenAi => refusal.json(),
            Dialect::Ollama => json!({ "error": message }),
            Dialect::Anthropic => {
                let kind = match refusal.status.as_u16() {
                    401 => "authentication_error",
                    403 => "permission_error",
                    404 => "not_found_error",
                    413 => "request_too_large",
                    429 => "rate_limit_error",
                    503 => "overloaded_error",
                    500.. => "api_error",
                    _ => "invalid_request_error",
                };
                // Its clients show the message and nothing else.
                let named = param.as_ref().filter(|param| !message.contains(param.as_str()));
                let message = named.map_or(message.clone(), |param| format!("{param}: {message}"));
                json!({ "type": "error", "error": { "type": kind, "message": message }, "request_id": null })
            }
        }
    }
}
