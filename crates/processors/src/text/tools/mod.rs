//! Tools: what a model may call, and what of its answer is a call.
//!
//! What it is: the families of models that call tools, each with the marks of its templates and the way it writes calls, and a
//! reader that takes an answer piece by piece. What it is not: the tools' work. The one design choice: a family is chosen
//! by what stands in the chat template, never by a model's name, and a call is told when it is complete; what turns out to
//! be none is text like all other.

mod deepseek;
mod gemma;
mod glm;
mod hermes;
mod llama;
mod mistral;
mod qwen_coder;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::grammar::Frame;

/// Something that a model may call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tool {
    /// What it is called.
    pub name: String,
    /// The whole of it as JSON: `{"type": "function", "function": {...}}`, as templates know it.
    pub text: String,
    /// The schema of its arguments as JSON.
    pub parameters: Option<String>,
}

/// A call of a tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolCall {
    /// What is called.
    pub name: String,
    /// Its arguments, an object of JSON if the model made no mistake.
    pub arguments: String,
}

/// A way to write calls.
#[derive(Debug)]
pub struct Family {
    /// What we call it.
    pub name: &'static str,
    /// Texts that all stand in a template of the family...
    has: &'static [&'static str],
    /// ... and texts of which none does.
    lacks: &'static [&'static str],
    /// Where a call may begin.
    opens: &'static [&'static str],
    /// Where a call may begin besides, as long as nothing else was said.
    opens_first: &'static [&'static str],
    /// Reads what begins with one of them; the flag says that nothing follows.
    read: fn(&str, bool) -> Read,
    /// What a call begins with that is the model's no more to say, and what stands around the arguments of a tool then.
    forced: Option<(&'static str, Around)>,
}

/// What stands before and after the arguments of the tool of a name.
type Around = fn(&str) -> [String; 2];

/// The families, the more particular before those that they could be taken for.
static FAMILIES: [&Family; 8] = [
    &gemma::FAMILY,
    &deepseek::FAMILY,
    &mistral::ARGS,
    &mistral::FAMILY,
    &qwen_coder::FAMILY,
    &glm::FAMILY,
    &hermes::FAMILY,
    &llama::FAMILY,
];

/// What a reader made of the beginning of a text.
#[derive(Debug, PartialEq)]
enum Read {
    /// It may become a call.
    More,
    /// It is none.
    Not,
    /// Calls, and how many bytes they took.
    Calls(Vec<ToolCall>, usize),
}

impl Family {
    /// The family of a template, if it has a place for tools and we know how it writes calls.
    pub fn of(template: &str) -> Option<&'static Family> {
        let fits = |family: &Family| {
            family.has.iter().all(|mark| template.contains(mark))
                && !family.lacks.iter().any(|mark| template.contains(mark))
        };
        let word = |(at, _): (usize, &str)| {
            let beside = |c: Option<char>| c.is_none_or(|c| !c.is_ascii_alphanumeric() && c != '_');
            beside(template[..at].chars().next_back()) && beside(template[at + 5..].chars().next())
        };
        let takes_tools = template.match_indices("tools").any(word);
        FAMILIES.into_iter().find(|family| takes_tools && fits(family))
    }

    /// What stands before the answer where a call must come, and what the rest of it may be; `None` if the family cannot
    /// be held to that.
    pub fn forced(&self, tools: &[&Tool]) -> Option<(&'static str, Vec<Frame>)> {
        let (before, around) = self.forced?;
        let frame = |tool: &&Tool| {
            let [before, after] = around(&tool.name);
            let nothing = || r#"{"type":"object","properties":{},"additionalProperties":false}"#.to_string();
            Frame { before, schema: tool.parameters.clone().unwrap_or_else(nothing), after }
        };
        Some((before, tools.iter().map(frame).collect()))
    }
}

/// Something that a model said.
#[derive(Debug, PartialEq)]
pub enum Said {
    /// A piece of text.
    Text(String),
    /// A whole call.
    Call(ToolCall),
}

/// Reads an answer piece by piece.
pub struct CallReader {
    family: &'static Family,
    /// What is not decided yet.
    held: String,
    /// Space that comes out only if text follows.
    space: String,
    spoke: bool,
    /// Nothing was said since the last call.
    called: bool,
}

impl CallReader {
    /// A reader of an answer whose beginning stands in the prompt already.
    pub fn new(family: &'static Family, given: &str) -> CallReader {
        CallReader { family, held: given.to_string(), space: String::new(), spoke: false, called: false }
    }

    /// Takes the next piece.
    pub fn push(&mut self, text: &str, said: &mut Vec<Said>) {
        self.held.push_str(text);
        self.read(false, said);
    }

    /// There is no more.
    pub fn finish(&mut self, said: &mut Vec<Said>) {
        self.read(true, said);
    }

    fn read(&mut self, last: bool, said: &mut Vec<Said>) {
        loop {
            let Some((at, open)) = self.first_open() else {
                let kept = if last { 0 } else { self.begun() };
                return self.tell(self.held.len() - kept, said);
            };
            self.tell(at, said);
            match (self.family.read)(&self.held, last) {
                Read::More if !last => return,
                Read::More | Read::Not => self.tell(open, said),
                Read::Calls(calls, bytes) => {
                    self.held.drain(..bytes);
                    self.called |= !calls.is_empty();
                    self.space.clear();
                    said.extend(calls.into_iter().map(Said::Call));
                }
            }
        }
    }

    /// Marks at which a call may begin now.
    fn opens(&self) -> impl Iterator<Item = &'static str> {
        let first = if self.spoke { &[][..] } else { self.family.opens_first };
        self.family.opens.iter().chain(first).copied()
    }

    /// Where the first mark is, and how long it is.
    fn first_open(&self) -> Option<(usize, usize)> {
        let found = self.opens().filter_map(|open| {
            let at = self.held.find(open)?;
            // What is only for the beginning stands behind nothing but space.
            let first = self.family.opens.contains(&open) || self.unsaid(&self.held[..at]).is_empty();
            first.then_some((at, open.len()))
        });
        found.min_by_key(|(at, length)| (*at, std::cmp::Reverse(*length)))
    }

    /// A text without what stands between calls, if a call came just before, or else at the beginning.
    fn unsaid<'t>(&self, text: &'t str) -> &'t str {
        match (self.called, self.spoke) {
            (true, _) => text.trim_start_matches([';', ',', ' ', '\r', '\n']),
            (false, false) => text.trim_start(),
            (false, true) => text,
        }
    }

    /// Bytes at the end that may become a mark.
    fn begun(&self) -> usize {
        let of = |open: &str| {
            let most = open.len().min(self.held.len());
            (1..=most).rev().find(|&n| self.held.as_bytes().ends_with(&open.as_bytes()[..n])).unwrap_or(0)
        };
        self.opens().map(of).max().unwrap_or(0)
    }

    /// Says so many bytes as text.
    fn tell(&mut self, bytes: usize, said: &mut Vec<Said>) {
        let text: String = self.held.drain(..bytes).collect();
        let text = self.unsaid(&text);
        if text.trim().is_empty() {
            return self.space.push_str(text);
        }
        (self.spoke, self.called) = (true, false);
        let text = std::mem::take(&mut self.space) + text;
        // Space at the end may be what stands before a call.
        let kept = text.trim_end().len();
        self.space.push_str(&text[kept..]);
        said.push(Said::Text(text[..kept].to_string()));
    }
}

/// The value of JSON that a text begins with, and where it ends; `More` if it may still become one.
fn json(text: &str) -> Result<(&str, usize), Read> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<&RawValue>();
    match values.next() {
        Some(Ok(raw)) => Ok((raw.get(), values.byte_offset())),
        Some(Err(error)) if !error.is_eof() => Err(Read::Not),
        _ => Err(Read::More),
    }
}

#[derive(Deserialize)]
struct Named<'a> {
    name: String,
    #[serde(alias = "parameters", borrow)]
    arguments: Option<&'a RawValue>,
}

/// The calls that stand as an object, or as a list of objects, in JSON; `bare` if nothing but their fields tells them.
fn calls_of(text: &str, bare: bool) -> Option<Vec<ToolCall>> {
    let named: Vec<Named<'_>> = match text.starts_with('[') {
        true => serde_json::from_str(text).ok()?,
        false => vec![serde_json::from_str(text).ok()?],
    };
    if bare && named.iter().any(|named| named.arguments.is_none()) {
        return None;
    }
    let call = |named: Named<'_>| {
        let raw = named.arguments.map_or("{}", RawValue::get);
        // Some write the object as a text.
        let text = serde_json::from_str::<String>(raw).ok().filter(|text| text.starts_with('{'));
        ToolCall { name: named.name, arguments: text.unwrap_or_else(|| raw.to_string()) }
    };
    Some(named.into_iter().map(call).collect())
}

/// Takes `close` after the first `at` bytes of a text, space before it included: where it ends, or `None` if it may still come.
fn closed(text: &str, at: usize, close: &str, last: bool) -> Option<usize> {
    let rest = text[at..].trim_start();
    let space = text.len() - at - rest.len();
    match rest.strip_prefix(close) {
        Some(_) => Some(at + space + close.len()),
        None if !last && close.starts_with(rest) => None,
        None => Some(at),
    }
}

/// A call whose arguments are texts by name; what is JSON but no text of it stands as it is.
fn from_pairs<'t>(name: &str, pairs: impl Iterator<Item = (&'t str, &'t str)>) -> ToolCall {
    let mut arguments = serde_json::Map::new();
    for (key, text) in pairs {
        let value = serde_json::from_str(text).ok().filter(|value: &serde_json::Value| !value.is_string());
        arguments.insert(key.to_string(), value.unwrap_or_else(|| text.into()));
    }
    ToolCall { name: name.to_string(), arguments: serde_json::Value::Object(arguments).to_string() }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Reads a whole answer in pieces of every size; text, and calls as `name(arguments)`.
    pub(in crate::text) fn read(family: &'static Family, answer: &str) -> (String, Vec<String>) {
        let mut results = Vec::new();
        for size in [1, 2, 3, 7, usize::MAX] {
            let (mut reader, mut said) = (CallReader::new(family, ""), Vec::new());
            let characters: Vec<char> = answer.chars().collect();
            for piece in characters.chunks(size.min(answer.len())) {
                reader.push(&piece.iter().collect::<String>(), &mut said);
            }
            reader.finish(&mut said);
            let (mut text, mut calls) = (String::new(), Vec::new());
            for said in said {
                match said {
                    Said::Text(piece) => text.push_str(&piece),
                    Said::Call(call) => calls.push(format!("{}({})", call.name, call.arguments)),
                }
            }
            results.push((text, calls));
        }
        assert!(results.iter().all(|result| *result == results[0]), "{results:?}");
        results.swap_remove(0)
    }

    #[test]
    fn families_are_told_by_their_marks() {
        for (template, want) in [
            ("{% if tools %}<tools></tools> <tool_call>{{ tools }}", Some("hermes")),
            ("{% if tools %}<tool_call><function=x><parameter=y>", Some("qwen-coder")),
            ("{% if tools %}<tool_call>{name}<arg_key>k</arg_key>", Some("glm")),
            ("{{ tools }}[AVAILABLE_TOOLS][TOOL_CALLS]", Some("mistral")),
            ("{{ tools }}[AVAILABLE_TOOLS][TOOL_CALLS]x[ARGS]", Some("mistral-args")),
            ("{{ tools }}<|start_header_id|>{\"name\": , \"parameters\": }", Some("llama")),
            ("{{ tools }}<start_function_call>", Some("gemma")),
            ("{{ tools }}<｜tool▁call▁begin｜>", Some("deepseek")),
            ("<tool_call> but no place for them", None),
            ("{{ my_tools }}<tool_call>", None),
            ("{{ tools }} unheard of", None),
        ] {
            assert_eq!(Family::of(template).map(|family| family.name), want, "{template}");
        }
    }

    #[test]
    fn damaged_answers_are_text() {
        let mut state = 1u64;
        let mut below = |n: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) as usize % n
        };
        let words = [
            "<tool_call>",
            "</tool_call>",
            "{\"name\": \"f\", ",
            "\"arguments\": {\"a\": [1, \"é\"]}}",
            "[TOOL_CALLS]",
            "[ARGS]",
            "f",
            "<function=f>",
            "<parameter=a>",
            "</parameter>",
            "</function>",
            "\n",
            "{",
            "}",
            "<arg_key>",
            "</arg_key>",
            "<arg_value>",
            "</arg_value>",
            "<start_function_call>call:",
            "<end_function_call>",
            "<escape>",
            ":",
            ",",
            "<｜tool▁call▁begin｜>",
            "<｜tool▁sep｜>",
            "```json",
            "<｜tool▁call▁end｜>",
            "<|python_tag|>",
            "[",
            "]",
        ];
        for _ in 0..3000 {
            let answer: String = (0..below(12)).map(|_| words[below(words.len())]).collect();
            FAMILIES.into_iter().for_each(|family| drop(read(family, &format!("{answer} "))));
        }
    }
}
