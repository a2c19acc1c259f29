//! Calls as Qwen3-Coder writes them: a function and its parameters in tags, values as they are.
//!
//! What it is: the tags. What it is not: XML; nothing in a value is escaped. The one design choice: a value that reads as a
//! number, a list or the like of JSON is that, all others are texts.

use super::{Family, Read, closed, from_pairs};

const OPEN: &str = "<tool_call>";
const FUNCTION: &str = "<function=";

pub(super) static FAMILY: Family = Family {
    name: "qwen-coder",
    has: &[OPEN, FUNCTION, "<parameter="],
    lacks: &[],
    opens: &[OPEN, FUNCTION],
    opens_first: &[],
    read,
    forced: None,
};

fn read(text: &str, last: bool) -> Read {
    let inside = text.strip_prefix(OPEN).unwrap_or(text).trim_start();
    let from = text.len() - inside.len();
    let Some(rest) = inside.strip_prefix(FUNCTION) else {
        return if FUNCTION.starts_with(inside) { Read::More } else { Read::Not };
    };
    let Some(end) = rest.find("</function>") else { return Read::More };
    let Some((name, body)) = rest[..end].split_once('>') else { return Read::Not };
    let pairs = body.split("<parameter=").skip(1).filter_map(|parameter| {
        let (key, value) = parameter.split_once('>')?;
        let value = value.rsplit_once("</parameter>").map_or(value, |(value, _)| value);
        let value = value.strip_prefix('\n').unwrap_or(value);
        Some((key.trim(), value.strip_suffix('\n').unwrap_or(value)))
    });
    let call = from_pairs(name.trim(), pairs);
    let end = from + FUNCTION.len() + end + "</function>".len();
    match closed(text, end, "</tool_call>", last) {
        Some(end) => Read::Calls(vec![call], end),
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
                "I'll check.\n\n<tool_call>\n<function=get_weather>\n<parameter=city>\nParis\n</parameter>\n<parameter=days>\n3\n\
                 </parameter>\n</function>\n</tool_call>",
                "I'll check.",
                &["get_weather({\"city\":\"Paris\",\"days\":3})"][..],
            ),
            ("<function=a>\n</function>", "", &["a({})"]),
            (
                "<tool_call>\n<function=w>\n<parameter=code>\nif a < b:\n  x = \"1\"\n</parameter>\n</function>\n</tool_call>",
                "",
                &["w({\"code\":\"if a < b:\\n  x = \\\"1\\\"\"})"],
            ),
            ("<tool_call>{}", "<tool_call>{}", &[]),
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
