//! Conversations to text, by the model's own template.
//!
//! What it is: Jinja as transformers runs it (minijinja with Python's methods, `raise_exception`, `strftime_now`,
//! `tojson` like `json.dumps`). What it is not: a template of ours; a model without one gets plain prompts. The one
//! design choice: templates come from strangers, so steps, depth, output, memory and time are bounded, and nothing is
//! kept between calls but the source. Steps alone would not do: one step may double a string, or walk a list that was
//! doubled sixty times. So a template runs in [`host::bounded`], where memory ends for whatever wants it.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Serde, Value};
use minijinja::{Environment, ErrorKind};
use serde_json::{Map, Value as Json};

use super::clock;
use super::python::Dumps;
use super::tools::Family;
use crate::Error;

/// Steps of the template machine; a long conversation takes a hundredth of them.
const FUEL: u64 = 5_000_000;
/// Calls and blocks within each other.
const DEPTH: usize = 64;
/// How long a template may take; a long conversation takes some milliseconds.
const TIME: Duration = Duration::from_secs(3);
/// Heap that every template may take, bytes.
const HEAP: u64 = 768 << 10;
/// Heap for each byte of the source: what it compiles to.
const HEAP_OF_SOURCE: u64 = 16;
/// Heap for each byte of the conversation: the values, what the template makes of them, and the result.
const HEAP_OF_TEXT: u64 = 12;
/// Bytes of JSON count as so many of text: as values, for the template and as text again.
const JSON_OF_TEXT: u64 = 4;
/// The most words and signs in one tag, and the most `elif` tags: the parser descends with each. The densest in use
/// have some hundred.
const TOKENS: usize = 1000;

/// One turn of a conversation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Message {
    /// `system`, `user`, `assistant`, `tool` or what the template knows besides.
    pub role: String,
    /// What was said.
    pub content: String,
    /// Whatever else the template reads, such as `tool_calls`, by name and as JSON.
    pub json: Vec<(String, String)>,
}

impl Message {
    /// A turn of plain text.
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Message {
        Message { role: role.into(), content: content.into(), json: Vec::new() }
    }
}

/// How to render.
#[derive(Clone, Debug)]
pub struct RenderOptions {
    /// End where the model's answer begins.
    pub add_generation_prompt: bool,
    /// Variables for the template, such as `tools` or `enable_thinking`.
    pub variables: Map<String, Json>,
    /// More of them, as JSON: what strangers sent is read where memory and time end.
    pub json: Vec<(String, String)>,
    /// The moment that `strftime_now` tells, in seconds since 1970. Without it templates do not find the function,
    /// and most then use a date of their own.
    pub unix_seconds: Option<u64>,
    /// The most bytes of text.
    pub limit: usize,
}

impl Default for RenderOptions {
    fn default() -> RenderOptions {
        RenderOptions {
            add_generation_prompt: true,
            variables: Map::new(),
            json: Vec::new(),
            unix_seconds: None,
            limit: 4 << 20,
        }
    }
}

/// A template, not yet looked at: whoever gives prompts as they are need not care that it is none.
#[derive(Clone, Debug)]
pub struct ChatTemplate {
    /// Empty if it is too long.
    source: Arc<str>,
    /// How long it is.
    bytes: usize,
    bos: String,
    eos: String,
}

impl ChatTemplate {
    /// The longest source, bytes. The longest in use have 20 KB.
    pub const LONGEST: usize = 128 << 10;

    /// Keeps a template of at most [`ChatTemplate::LONGEST`] bytes. `bos` and `eos` are the texts of those tokens,
    /// empty if there are none.
    pub fn new(source: &str, bos: &str, eos: &str) -> ChatTemplate {
        let kept = if source.len() <= ChatTemplate::LONGEST { source } else { "" };
        ChatTemplate { source: kept.into(), bytes: source.len(), bos: bos.to_owned(), eos: eos.to_owned() }
    }

    /// The prompt for a conversation.
    ///
    /// # Errors
    /// [`Error::TemplateSyntax`] for what is no template, [`Error::Template`] for what it refuses; the other
    /// `Error::Template...` for one that goes beyond its bounds.
    pub fn render(&self, messages: &[Message], options: &RenderOptions) -> Result<String, Error> {
        if self.bytes > ChatTemplate::LONGEST {
            return Err(Error::TemplateSource { bytes: self.bytes, limit: ChatTemplate::LONGEST });
        }
        let tokens = most_tokens(&self.source);
        if tokens > TOKENS {
            return Err(Error::TemplateTooDense { tokens, limit: TOKENS });
        }
        let mut variables = Map::new();
        variables.insert("bos_token".into(), self.bos.as_str().into());
        variables.insert("eos_token".into(), self.eos.as_str().into());
        variables.insert("add_generation_prompt".into(), options.add_generation_prompt.into());
        variables.extend(options.variables.clone());
        variables.insert("messages".into(), messages.iter().map(turn).collect());

        let text: u64 = variables.values().map(text_bytes).sum();
        let of_turns = messages.iter().zip(0..).flat_map(|(message, n)| {
            message.json.iter().map(move |(name, text)| (Some(n), name.clone(), text.clone()))
        });
        let given = options.json.iter().map(|(name, text)| (None, name.clone(), text.clone()));
        let json: Vec<Given> = of_turns.chain(given).collect();
        let text = text + JSON_OF_TEXT * json.iter().map(|(_, _, text)| text.len() as u64).sum::<u64>();
        if json.iter().any(|(_, _, text)| is_dense(text)) {
            return Err(Error::JsonTooDense);
        }
        let (source, limit, unix_seconds) = (Arc::clone(&self.source), options.limit, options.unix_seconds);
        self.fenced(text, move || {
            let mut variables = variables;
            let source = without_generation_marks(&source);
            let environment = environment(unix_seconds);
            let template = environment.template_from_str(&source).map_err(refused)?;
            let render = |variables: &Map<String, Json>| {
                let mut out = Bounded { text: Vec::new(), limit, over: false };
                let rendered = template.render_captured_to(Serde(variables), &mut out).map(drop);
                match rendered {
                    _ if out.over => Err(Error::TemplateTooLong { limit }),
                    Err(error) => Err(refused(error)),
                    Ok(()) => Ok(String::from_utf8_lossy(&out.text).into_owned()),
                }
            };
            add(&mut variables, &json)?;
            match render(&variables) {
                // Some templates want the arguments of a call as a text.
                Err(Error::Template { .. }) if arguments_as_text(&mut variables) => render(&variables),
                rendered => rendered,
            }
        })
    }

    /// How the model calls tools, if its template has a place for them.
    pub fn family(&self) -> Option<&'static Family> {
        Family::of(&self.source)
    }

    /// Does `work` with the template within the bounds for a conversation of `text` bytes.
    fn fenced<T: Send + 'static>(
        &self,
        text: u64,
        work: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let heap = HEAP + HEAP_OF_SOURCE * self.source.len() as u64 + HEAP_OF_TEXT * text;
        host::bounded(heap, TIME, work)?
    }
}

/// A variable as JSON, and the turn that it belongs to, if it does to one.
type Given = (Option<usize>, String, String);

/// Reads variables and puts them where they belong.
fn add(variables: &mut Map<String, Json>, given: &[Given]) -> Result<(), Error> {
    for (turn, name, text) in given {
        let value =
            serde_json::from_str(text).map_err(|error| Error::ToolsJson { reason: error.to_string() })?;
        let place = match turn {
            None => Some(&mut *variables),
            Some(turn) => variables.get_mut("messages").and_then(|all| all.get_mut(turn)?.as_object_mut()),
        };
        place.map(|place| place.insert(name.clone(), value));
    }
    Ok(())
}

/// Makes texts of the arguments of all calls; whether there were any that were none.
fn arguments_as_text(variables: &mut Map<String, Json>) -> bool {
    let messages = variables.get_mut("messages").and_then(Json::as_array_mut);
    let calls =
        messages.into_iter().flatten().filter_map(|message| message.get_mut("tool_calls")?.as_array_mut());
    let mut changed = false;
    for arguments in calls.flatten().filter_map(|call| call.get_mut("function")?.get_mut("arguments")) {
        if !arguments.is_string() {
            *arguments = arguments.to_string().into();
            changed = true;
        }
    }
    changed
}

/// Whether values are so small that reading them takes far more than their text.
fn is_dense(json: &str) -> bool {
    let (mut signs, mut in_text, mut escaped) = (0, false, false);
    for byte in json.bytes() {
        match byte {
            b'"' if !escaped => in_text = !in_text,
            b',' | b':' | b'[' | b'{' if !in_text => signs += 1,
            _ => {}
        }
        escaped = in_text && byte == b'\\' && !escaped;
    }
    signs > 64 && 3 * signs > json.len()
}

/// Bytes of all strings in a value, and some for what holds them.
fn text_bytes(value: &Json) -> u64 {
    const ITEM: u64 = 32;
    ITEM + match value {
        Json::String(text) => text.len() as u64,
        Json::Array(items) => items.iter().map(text_bytes).sum(),
        Json::Object(map) => map.iter().map(|(key, value)| key.len() as u64 + text_bytes(value)).sum(),
        Json::Null | Json::Bool(_) | Json::Number(_) => 0,
    }
}

fn turn(message: &Message) -> Json {
    let mut fields = Map::new();
    fields.insert("role".into(), message.role.as_str().into());
    fields.insert("content".into(), message.content.as_str().into());
    Json::Object(fields)
}

/// Jinja with the settings and functions of transformers.
fn environment<'s>(unix_seconds: Option<u64>) -> Environment<'s> {
    let mut environment = Environment::new();
    if let Ok(syntax) = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build() {
        environment.set_syntax(syntax);
    }
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(DEPTH);
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.add_function("raise_exception", |reason: String| -> Result<Value, minijinja::Error> {
        Err(fault(reason))
    });
    environment.add_filter("tojson", tojson);
    if let Some(moment) = unix_seconds {
        environment.add_function("strftime_now", move |format: String| {
            clock::strftime(moment, &format)
                .map_err(|directive| fault(format!("strftime_now does not know {directive}")))
        });
    }
    environment
}

fn tojson(value: Value, arguments: Kwargs) -> Result<String, minijinja::Error> {
    let indent: Option<usize> = arguments.get("indent")?;
    let separators: Option<Vec<String>> = arguments.get("separators")?;
    let dumps = Dumps {
        ensure_ascii: arguments.get::<Option<bool>>("ensure_ascii")?.unwrap_or(false),
        indent: indent.map(|n| n.min(64)),
        separators: match separators.as_deref() {
            None => None,
            Some([comma, colon]) => Some((comma.clone(), colon.clone())),
            Some(_) => return Err(fault("tojson takes two separators")),
        },
        sort_keys: arguments.get::<Option<bool>>("sort_keys")?.unwrap_or(false),
    };
    arguments.assert_all_used()?;
    dumps.write(&value).map_err(|e| fault(format!("tojson: {e}")))
}

fn fault(reason: impl Into<String>) -> minijinja::Error {
    minijinja::Error::new(ErrorKind::InvalidOperation, reason.into())
}

fn refused(error: minijinja::Error) -> Error {
    let reason = match error.detail() {
        Some(detail) => detail.chars().take(500).collect(),
        None => error.kind().to_string(),
    };
    match error.kind() {
        ErrorKind::OutOfFuel => Error::TemplateSteps { steps: FUEL },
        ErrorKind::SyntaxError => Error::TemplateSyntax { reason, line: error.line() },
        _ => Error::Template { reason, line: error.line() },
    }
}

/// The template with the tags by which transformers finds an answer's tokens replaced by ones that do nothing.
fn without_generation_marks(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(at) = rest.find("{%") {
        let Some(length) = rest[at + 2..].find("%}") else { break };
        let inside = &rest[at + 2..][..length];
        let name = inside.trim_matches(['-', '+', ' ', '\t', '\n', '\r']);
        out.push_str(&rest[..at + 2]);
        match name {
            "generation" => out.push_str(&inside.replace(name, "if true")),
            "endgeneration" => out.push_str(&inside.replace(name, "endif")),
            _ => out.push_str(inside),
        }
        rest = &rest[at + 2 + length..];
    }
    out + rest
}

/// Words and signs of the longest tag of a template, or the number of its `elif` tags if that is more.
fn most_tokens(source: &str) -> usize {
    let (mut most, mut elifs) = (0, 0);
    let mut rest = source;
    while let Some(at) = rest.find('{') {
        rest = &rest[at..];
        rest = match rest.as_bytes().get(1) {
            Some(b'#') => rest.find("#}").map_or("", |end| &rest[end..]),
            Some(b'%' | b'{') => {
                let tag = Tag::read(&rest[2..]);
                most = most.max(tag.tokens);
                elifs += usize::from(tag.name == "elif");
                match tag.name {
                    // What follows is text, in which quotes mean nothing.
                    "raw" => tag.rest.find("endraw").map_or("", |end| &tag.rest[end..]),
                    _ => tag.rest,
                }
            }
            _ => &rest[1..],
        };
    }
    most.max(elifs)
}

/// A tag's words and signs, counted.
struct Tag<'s> {
    name: &'s str,
    tokens: usize,
    /// What comes after it.
    rest: &'s str,
}

impl Tag<'_> {
    /// Reads a tag from behind its first two signs.
    fn read(source: &str) -> Tag<'_> {
        let word = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_' || !b.is_ascii();
        let bytes = source.as_bytes();
        let (mut at, mut tokens, mut name) = (0, 0, "");
        while let Some(&byte) = bytes.get(at) {
            let from = at;
            at += 1;
            match byte {
                b'%' | b'}' if bytes.get(at) == Some(&b'}') => break,
                b'\'' | b'"' => {
                    while bytes.get(at).is_some_and(|&b| b != byte) {
                        at += 1 + usize::from(bytes[at] == b'\\');
                    }
                    at += 1;
                }
                _ if word(&byte) => {
                    at += bytes[at..].iter().take_while(|b| word(b)).count();
                    name = if name.is_empty() { &source[from..at] } else { name };
                }
                _ if byte.is_ascii_whitespace() => continue,
                _ => {}
            }
            tokens += 1;
        }
        Tag { name, tokens, rest: source.get(at..).unwrap_or("") }
    }
}

/// A writer that refuses to grow beyond its limit.
struct Bounded {
    text: Vec<u8>,
    limit: usize,
    over: bool,
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() > self.limit - self.text.len() {
            self.over = true;
            return Err(io::Error::other("too long"));
        }
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(source: &str) -> Result<String, Error> {
        let options = RenderOptions { unix_seconds: Some(1_721_995_509), limit: 1000, ..Default::default() };
        ChatTemplate::new(source, "<s>", "</s>")
            .render(&[Message::new("user", " Hi <&> "), Message::new("assistant", "")], &options)
    }

    #[test]
    fn what_templates_rely_on() {
        for (source, want) in [
            ("{{ bos_token }}{{ messages[0].content.strip() }}{{ eos_token }}", "<s>Hi <&></s>"),
            (
                "{%- for m in messages %}\n  {% if m.content %}\n{{ m['role'] }}\n  {% endif %}\n{% endfor %}\n",
                "user\n",
            ),
            ("{% for k, v in messages[0].items() %}{{ k }};{% endfor %}", "role;content;"),
            ("{{ messages[0] | tojson }}", r#"{"role": "user", "content": " Hi <&> "}"#),
            ("{{ {'a': [1, 'é']} | tojson(indent=1) }}", "{\n \"a\": [\n  1,\n  \"é\"\n ]\n}"),
            ("{{ strftime_now('%d %b %Y') }}", "26 Jul 2024"),
            (
                "{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}{% endfor %}{{ ns.n }}",
                "2",
            ),
            ("{% for m in messages %}{% if loop.last %}{% break %}{% endif %}x{% endfor %}", "x"),
            ("{% macro f(x) %}[{{ x }}]{% endmacro %}{{ f('a'.upper()) }}", "[A]"),
            ("a{% generation %}b{%- endgeneration -%} c", "abc"),
            (
                "{{ none }}{{ true }}{{ missing }}{{ tools is defined }}{{ add_generation_prompt }}",
                "NoneTrueFalseTrue",
            ),
            ("{{ messages[::-1][0].role }}{{ 'x' in 'xy' }}{{ 'a' ~ 1 }}", "assistantTruea1"),
        ] {
            assert_eq!(render(source).unwrap(), want, "{source}");
        }
    }

    #[test]
    fn tokens_are_counted_where_they_count() {
        for (source, want) in [
            ("text } {", 0),
            ("{{ a.b }}{% if not x %}", 3),
            ("{{ 'a b c' ~ \"d}}\\\"e\" }}", 3),
            ("{# {{ ' #}{{ - - 1 }}", 3),
            ("{%- raw -%}{{ ' {% endraw %}{{ a b c d e }}", 5),
            ("{% if a %}{% elif b %}{% elif c %}{% elif d %}{% elif e %}", 4),
            ("{{ '", 1),
            ("{{ x['}}']['é'] }}", 7),
        ] {
            assert_eq!(most_tokens(source), want, "{source}");
        }
    }

    #[test]
    fn faults_and_bombs_end() {
        for (source, want) in [
            ("{{ raise_exception('roles must alternate') }}", "roles must alternate"),
            ("{% for x in range(99999) %}{% for y in range(99999) %}{% endfor %}{% endfor %}", "steps"),
            ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "recursion"),
            ("{% for x in range(2000) %}x{% endfor %}", "more than 1000 bytes"),
            ("{{ strftime_now('%Q') }}", "%Q"),
            ("{% if %}", "line 1"),
            ("{<{%}", "line 1"),
            ("{{ messages[0].nonesuch.nonesuch }}", "undefined"),
            ("{{ 'x' * 99999999999 }}", "too large"),
        ] {
            let message = render(source).unwrap_err().to_string();
            assert!(message.contains(want), "{source}: {message}");
        }
    }
}
