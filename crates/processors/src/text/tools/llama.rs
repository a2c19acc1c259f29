//! Calls as Llama 3.1 to 3.3 writes them: an object of name and parameters that is the whole answer.
//!
//! What it is: objects at the beginning of an answer, with `;` between them, perhaps behind a mark. What it is not: calls of
//! code. The one design choice: an object that names nothing to call is an answer in JSON, and text.

use super::{Family, Read, calls_of, json};

const MARK: &str = "<|python_tag|>";

pub(super) static FAMILY: Family = Family {
    name: "llama",
    has: &["<|start_header_id|>", "\"parameters\""],
    lacks: &[],
    opens: &[MARK],
    opens_first: &["{"],
    read,
    forced: Some(("", |name| {
        [format!("{{\"name\": {}, \"parameters\": ", serde_json::Value::from(name)), "}".into()]
    })),
};

fn read(text: &str, _last: bool) -> Read {
    let inside = text.strip_prefix(MARK).unwrap_or(text).trim_start();
    let from = text.len() - inside.len();
    if !inside.starts_with('{') && !inside.is_empty() {
        return Read::Not;
    }
    match json(inside) {
        Ok((value, end)) => {
            calls_of(value, !text.starts_with(MARK)).map_or(Read::Not, |calls| Read::Calls(calls, from + end))
        }
        Err(read) => read,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests;

    #[test]
    fn answers_are_read() {
        for (answer, text, calls) in [
            (
                "{\"name\": \"get_weather\", \"parameters\": {\"city\": \"Paris\"}}",
                "",
                &["get_weather({\"city\": \"Paris\"})"][..],
            ),
            (
                "<|python_tag|>{\"type\": \"function\", \"name\": \"a\", \"parameters\": {}}; {\"name\": \"b\", \"parameters\": {\"n\": \"1\"}}",
                "",
                &["a({})", "b({\"n\": \"1\"})"],
            ),
            ("{\"answer\": 42}", "{\"answer\": 42}", &[]),
            ("{\"name\": \"Ada\", \"age\": 36}", "{\"name\": \"Ada\", \"age\": 36}", &[]),
            ("See {\"name\": \"a\", \"parameters\": {}}", "See {\"name\": \"a\", \"parameters\": {}}", &[]),
            ("<|python_tag|>print(1)", "<|python_tag|>print(1)", &[]),
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
