//! Calls as Mistral writes them: a list of objects behind `[TOOL_CALLS]`, or, since 2025, a name and its arguments.
//!
//! What it is: both ways, read by one function. What it is not: their ids, which we give. The one design choice: which of
//! them a model is held to, where a call must come, the template's marks decide; what it says is read either way.

use super::{Family, Read, ToolCall, calls_of, json};

const OPEN: &str = "[TOOL_CALLS]";
const ARGS_MARK: &str = "[ARGS]";

pub(super) static FAMILY: Family = Family {
    name: "mistral",
    has: &[OPEN],
    lacks: &[],
    opens: &[OPEN],
    opens_first: &[],
    read,
    forced: Some((OPEN, |name| {
        [format!("[{{\"name\": {}, \"arguments\": ", serde_json::Value::from(name)), "}]".into()]
    })),
};

pub(super) static ARGS: Family = Family {
    name: "mistral-args",
    has: &[OPEN, ARGS_MARK],
    forced: Some((OPEN, |name| [format!("{name}{ARGS_MARK}"), String::new()])),
    ..FAMILY
};

fn read(text: &str, _last: bool) -> Read {
    let inside = text[OPEN.len()..].trim_start();
    let from = text.len() - inside.len();
    match inside.bytes().next() {
        None => return Read::More,
        Some(b'[' | b'{') => {
            return match json(inside) {
                Ok((value, end)) => {
                    calls_of(value, false).map_or(Read::Not, |calls| Read::Calls(calls, from + end))
                }
                Err(read) => read,
            };
        }
        Some(_) => {}
    }
    let Some(start) = inside.find('{') else {
        // A name is short.
        return if inside.len() > 256 || inside.contains('\n') { Read::Not } else { Read::More };
    };
    let name = inside[..start].split('[').next().unwrap_or_default().trim();
    if name.is_empty() || name.contains(char::is_whitespace) {
        return Read::Not;
    }
    match json(&inside[start..]) {
        Ok((value, end)) => {
            let call = ToolCall { name: name.to_string(), arguments: value.to_string() };
            Read::Calls(vec![call], from + start + end)
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
                "[TOOL_CALLS] [{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Paris\"}, \"id\": \"VvvODy9mT\"}]",
                "",
                &["get_weather({\"city\": \"Paris\"})"][..],
            ),
            (
                "[TOOL_CALLS][{\"name\":\"a\",\"arguments\":{}},{\"name\":\"b\",\"arguments\":{}}]",
                "",
                &["a({})", "b({})"],
            ),
            (
                "Yes. [TOOL_CALLS]a[ARGS]{\"x\": 1}[TOOL_CALLS]b[CALL_ID]VvvODy9mT[ARGS]{}",
                "Yes.",
                &["a({\"x\": 1})", "b({})"],
            ),
            ("[TOOL_CALLS] none today", "[TOOL_CALLS] none today", &[]),
        ] {
            for family in [&super::FAMILY, &super::ARGS] {
                let (said, called) = tests::read(family, answer);
                assert_eq!(
                    (said.as_str(), called),
                    (text, calls.iter().map(|c| c.to_string()).collect()),
                    "{answer}"
                );
            }
        }
    }
}
