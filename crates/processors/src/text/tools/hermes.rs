//! Calls as Hermes writes them, and after it Qwen 2.5 and 3, SmolLM 3 and many more: JSON between `<tool_call>` marks.
//!
//! What it is: one object, or a list as Granite has it, between two marks. What it is not: strict about the marks, which
//! models forget. The one design choice: the object decides where a call ends.

use super::{Family, Read, calls_of, closed, json};

const OPEN: &str = "<tool_call>";
const CLOSE: &str = "</tool_call>";

pub(super) static FAMILY: Family = Family {
    name: "hermes",
    has: &[OPEN],
    lacks: &[],
    opens: &[OPEN],
    opens_first: &["{"],
    read,
    forced: Some(("<tool_call>\n", |name| {
        [format!("{{\"name\": {}, \"arguments\": ", serde_json::Value::from(name)), "}\n</tool_call>".into()]
    })),
};

fn read(text: &str, last: bool) -> Read {
    // Small models forget the first mark, too, when there is nothing else to say.
    let bare = !text.starts_with(OPEN);
    let inside = text.strip_prefix(OPEN).unwrap_or(text).trim_start();
    let from = text.len() - inside.len();
    let (value, end) = match json(inside) {
        Ok(found) => found,
        Err(read) => return read,
    };
    let Some(calls) = calls_of(value, bare) else { return Read::Not };
    match closed(text, from + end, CLOSE, last) {
        Some(end) => Read::Calls(calls, end),
        None => Read::More,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests;

    #[test]
    fn answers_are_read() {
        for (answer, text, calls) in [
            (
                "<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Paris\"}}\n</tool_call>",
                "",
                &["get_weather({\"city\": \"Paris\"})"][..],
            ),
            (
                "Let me look.\n<tool_call>\n{\"name\": \"a\", \"arguments\": {}}\n</tool_call>\n<tool_call>\n\
                 {\"name\": \"b\", \"arguments\": {\"x\": \"</tool_call>\"}}\n</tool_call>",
                "Let me look.",
                &["a({})", "b({\"x\": \"</tool_call>\"})"],
            ),
            ("<tool_call>{\"name\": \"a\", \"arguments\": \"{\\\"k\\\": 1}\"}", "", &["a({\"k\": 1})"]),
            ("<tool_call>[{\"name\": \"a\", \"arguments\": {}}]", "", &["a({})"]),
            ("{\"name\": \"a\", \"arguments\": {\"k\": 1}}", "", &["a({\"k\": 1})"]),
            ("{\"name\": \"Ada\"}", "{\"name\": \"Ada\"}", &[]),
            ("a < b and <tool_call> is a mark", "a < b and <tool_call> is a mark", &[]),
            ("<tool_call>\n{\"name\": \"a\", \"argu", "<tool_call>\n{\"name\": \"a\", \"argu", &[]),
        ] {
            let (said, called) = tests::read(&super::FAMILY, answer);
            assert_eq!(
                (said.as_str(), called),
                (text, calls.iter().map(|c| c.to_string()).collect()),
                "{answer}"
            );
        }
    }
}
