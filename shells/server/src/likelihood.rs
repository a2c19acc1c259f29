//! How likely tokens were, as OpenAI's two routes write it.
//!
//! What it is: the engine's figures as JSON. What it is not: the figures. The one design choice: a token that is no whole
//! character is written with what stands for such bytes, and by its bytes besides.

use pintpot::{Chosen, Likelihood};
use serde_json::{Map, Value, json};

fn text(token: &Likelihood) -> String {
    String::from_utf8_lossy(&token.bytes).into_owned()
}

/// For conversations.
pub(crate) fn chat(tokens: &[Chosen], _at: &mut usize) -> Value {
    let one =
        |token: &Likelihood| json!({ "token": text(token), "logprob": token.logprob, "bytes": token.bytes });
    let chosen = |chosen: &Chosen| {
        let mut said = one(&chosen.token);
        said["top_logprobs"] = chosen.top.iter().map(one).collect();
        said
    };
    json!({ "content": tokens.iter().map(chosen).collect::<Vec<_>>(), "refusal": null })
}

/// For texts that go on; `at` is where the next token begins, in characters.
pub(crate) fn completions(tokens: &[Chosen], at: &mut usize) -> Value {
    let mut offsets = Vec::new();
    for chosen in tokens {
        offsets.push(*at);
        *at += text(&chosen.token).chars().count();
    }
    let top = |chosen: &Chosen| {
        let mut top: Map<String, Value> =
            chosen.top.iter().map(|token| (text(token), token.logprob.into())).collect();
        top.insert(text(&chosen.token), chosen.token.logprob.into());
        Value::Object(top)
    };
    json!({
        "tokens": tokens.iter().map(|chosen| text(&chosen.token)).collect::<Vec<_>>(),
        "token_logprobs": tokens.iter().map(|chosen| chosen.token.logprob).collect::<Vec<_>>(),
        "top_logprobs": tokens.iter().map(top).collect::<Vec<_>>(),
        "text_offset": offsets,
    })
}
