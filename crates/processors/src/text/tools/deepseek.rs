//! Calls as DeepSeek V3 and R1 write them: each between marks, its arguments fenced as code or, since V3.1, as they are.
//!
//! What it is: both ways. What it is not: the marks around all calls, which are read over. The one design choice: the second
//! mark of a call is not waited for.

use super::{Family, Read, ToolCall, closed, json};

const BEGIN: &str = "<｜tool▁call▁begin｜>";
const SEPARATOR: &str = "<｜tool▁sep｜>";
const END: &str = "<｜tool▁call▁end｜>";
const ALL: [&str; 2] = ["<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>"];
const FENCE: &str = "```json";

pub(super) static FAMILY: Family = Family {
    name: "deepseek",
    has: &[BEGIN],
    lacks: &[],
    opens: &[BEGIN, ALL[0], ALL[1]],
    opens_first: &[],
    read,
    forced: Some((
        "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>",
        |name| [format!("{name}\n{FENCE}\n"), "\n```".into()],
    )),
};

fn read(text: &str, last: bool) -> Read {
    let Some(inside) = text.strip_prefix(BEGIN) else {
        let mark = ALL.into_iter().find(|mark| text.starts_with(mark));
        return mark.map_or(Read::Not, |mark| Read::Calls(Vec::new(), mark.len()));
    };
    let Some((kind, rest)) = inside.split_once(SEPARATOR) else { return Read::More };
    let Some(start) = rest.find('{') else { return Read::More };
    let head = rest[..start].trim();
    let (name, fenced) = match head.strip_suffix(FENCE) {
        Some(name) => (name.trim(), true),
        // Before V3.1 the name stands behind the separator, and then before it.
        None if head.is_empty() => (kind.trim(), false),
        None => (head, false),
    };
    let (value, end) = match json(&rest[start..]) {
        Ok(found) => found,
        Err(read) => return read,
    };
    let call = ToolCall { name: name.to_string(), arguments: value.to_string() };
    let end = text.len() - rest.len() + start + end;
    let end = if fenced { closed(text, end, "```", last) } else { Some(end) };
    match end.and_then(|end| closed(text, end, END, last)) {
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
                "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>get_weather\n```json\n{\"city\": \"Paris\"}\n```\
                 <｜tool▁call▁end｜>\n<｜tool▁call▁begin｜>function<｜tool▁sep｜>b\n```json\n{}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
                "",
                &["get_weather({\"city\": \"Paris\"})", "b({})"][..],
            ),
            (
                "Hm.<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>a<｜tool▁sep｜>{\"x\": 1}<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
                "Hm.",
                &["a({\"x\": 1})"],
            ),
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
