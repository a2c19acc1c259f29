//! Calls as GLM 4.5 and later write them: a name, then keys and values in tags of their own.
//!
//! What it is: the tags. What it is not: XML. The one design choice: as for Qwen3-Coder, values that are JSON but no text are that.

use super::{Family, Read, from_pairs};

const OPEN: &str = "<tool_call>";
const CLOSE: &str = "</tool_call>";

pub(super) static FAMILY: Family = Family {
    name: "glm",
    has: &[OPEN, "<arg_key>"],
    lacks: &[],
    opens: &[OPEN],
    opens_first: &[],
    read,
    forced: None,
};

fn read(text: &str, _last: bool) -> Read {
    let Some(end) = text.find(CLOSE) else { return Read::More };
    let mut parts = text[OPEN.len()..end].split("<arg_key>");
    let name = parts.next().unwrap_or_default().trim();
    if name.is_empty() || name.contains(char::is_whitespace) {
        return Read::Not;
    }
    let pairs = parts.filter_map(|part| {
        let (key, rest) = part.split_once("</arg_key>")?;
        let (_, value) = rest.split_once("<arg_value>")?;
        Some((key.trim(), value.rsplit_once("</arg_value>").map_or(value, |(value, _)| value)))
    });
    Read::Calls(vec![from_pairs(name, pairs)], end + CLOSE.len())
}

#[cfg(test)]
mod tests {
    use super::super::tests;

    #[test]
    fn answers_are_read() {
        for (answer, text, calls) in [
            (
                "<tool_call>get_weather\n<arg_key>city</arg_key>\n<arg_value>Paris</arg_value>\n<arg_key>days</arg_key>\n\
                 <arg_value>3</arg_value>\n</tool_call>",
                "",
                &["get_weather({\"city\":\"Paris\",\"days\":3})"][..],
            ),
            ("So.\n<tool_call>a\n</tool_call>\n<tool_call>b</tool_call>", "So.", &["a({})", "b({})"]),
            ("<tool_call> a b </tool_call>", "<tool_call> a b </tool_call>", &[]),
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
