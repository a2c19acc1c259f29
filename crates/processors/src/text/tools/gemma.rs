//! Calls as FunctionGemma writes them: a name and values in a notation of their own between `<start_function_call>` marks.
//!
//! What it is: that notation as JSON. What it is not: JSON itself: texts stand between `<escape>` marks, keys without quotes.
//! The one design choice: values lie in one another only so deep, whatever the model says.

use super::{Family, Read, ToolCall};
use serde_json::{Map, Value};

const OPEN: &str = "<start_function_call>";
const CLOSE: &str = "<end_function_call>";
const ESCAPE: &str = "<escape>";
/// Values within each other.
const DEPTH: usize = 32;

pub(super) static FAMILY: Family =
    Family { name: "gemma", has: &[OPEN], lacks: &[], opens: &[OPEN], opens_first: &[], read, forced: None };

fn read(text: &str, _last: bool) -> Read {
    let Some(end) = text.find(CLOSE) else { return Read::More };
    let inside = text[OPEN.len()..end].trim();
    let call = || {
        let (name, arguments) =
            inside.strip_prefix("call:")?.split_at_checked(inside.find('{')?.checked_sub(5)?)?;
        let mut rest = arguments;
        let value = value(&mut rest, DEPTH)?;
        let arguments = value.to_string();
        rest.trim().is_empty().then(|| ToolCall { name: name.trim().to_string(), arguments })
    };
    call().map_or(Read::Not, |call| Read::Calls(vec![call], end + CLOSE.len()))
}

/// Takes a value from the beginning of `rest`.
fn value(rest: &mut &str, depth: usize) -> Option<Value> {
    let depth = depth.checked_sub(1)?;
    *rest = rest.trim_start();
    if let Some(inside) = rest.strip_prefix(ESCAPE) {
        let (text, after) = inside.split_once(ESCAPE)?;
        *rest = after;
        return Some(text.into());
    }
    if let Some(inside) = rest.strip_prefix('{') {
        let mut map = Map::new();
        *rest = inside;
        while !ends(rest, '}') {
            let (key, after) = rest.split_once(':')?;
            *rest = after;
            map.insert(key.trim().to_string(), value(rest, depth)?);
        }
        return Some(Value::Object(map));
    }
    if let Some(inside) = rest.strip_prefix('[') {
        let mut list = Vec::new();
        *rest = inside;
        while !ends(rest, ']') {
            list.push(value(rest, depth)?);
        }
        return Some(Value::Array(list));
    }
    let end = rest.find([',', '}', ']'])?;
    let word = rest[..end].trim();
    *rest = &rest[end..];
    if word.is_empty() { None } else { Some(serde_json::from_str(word).unwrap_or_else(|_| word.into())) }
}

/// Takes a comma, or the end, which it tells.
fn ends(rest: &mut &str, end: char) -> bool {
    let text = rest.trim_start();
    let after = text.strip_prefix(end);
    *rest = after.or(text.strip_prefix(',')).unwrap_or(text);
    after.is_some()
}

#[cfg(test)]
mod tests {
    use super::super::tests;

    #[test]
    fn answers_are_read() {
        for (answer, text, calls) in [
            (
                "<start_function_call>call:get_weather{city:<escape>Paris, {FR}<escape>,days:3,at:[1,2.5],in:{a:true}}<end_function_call>",
                "",
                &["get_weather({\"city\":\"Paris, {FR}\",\"days\":3,\"at\":[1,2.5],\"in\":{\"a\":true}})"][..],
            ),
            (
                "<start_function_call>call:a{}<end_function_call><start_function_call>call:b{}<end_function_call>",
                "",
                &["a({})", "b({})"],
            ),
            (
                "<start_function_call>call:a{x:<end_function_call>",
                "<start_function_call>call:a{x:<end_function_call>",
                &[],
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
