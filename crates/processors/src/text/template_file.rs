//! Chat templates beside the weights: chat_template.jinja, and tokenizer_config.json, which has more.
//!
//! What it is: a reading that holds a template and nothing else, however much there is. What it is not: a check of the template, which
//! is left to whoever renders it. The one design choice: of several templates the one named `default` counts, as in
//! transformers; where none is, the first.

use std::fmt;
use std::io::{self, Read};

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::chat::ChatTemplate;
use super::json_guard::{Allowance, Guard};
use crate::Error;

/// The longest string: a template, of which half the signs may be escaped.
const LONGEST: usize = 2 * ChatTemplate::LONGEST;

/// A file that may hold a chat template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TemplateFile {
    /// The template by itself.
    Jinja,
    /// Settings, among them the template or several.
    Settings,
}

impl TemplateFile {
    /// All of them; the first that is there counts.
    pub const ALL: [TemplateFile; 2] = [TemplateFile::Jinja, TemplateFile::Settings];

    /// What such a file is called.
    pub fn name(self) -> &'static str {
        match self {
            TemplateFile::Jinja => "chat_template.jinja",
            TemplateFile::Settings => "tokenizer_config.json",
        }
    }

    /// The source of the template in it, if there is one.
    ///
    /// # Errors
    /// [`Error::TemplateFile`] for a file that is not what it should be, or cannot be read.
    pub fn read(self, file: impl Read) -> Result<Option<String>, Error> {
        let source = match self {
            TemplateFile::Jinja => alone(file).map(Some),
            TemplateFile::Settings => among_settings(file),
        };
        source.map_err(|source| Error::TemplateFile { file: self.name(), source })
    }
}

fn alone(file: impl Read) -> io::Result<String> {
    let mut source = String::new();
    // One byte more than may be is refused later, in its own words.
    file.take(ChatTemplate::LONGEST as u64 + 1).read_to_string(&mut source)?;
    Ok(source)
}

fn among_settings(file: impl Read) -> io::Result<Option<String>> {
    let allowance = Allowance::free();
    let mut json = serde_json::Deserializer::from_reader(Guard::new(file, LONGEST, &allowance));
    let Config { chat_template } = Config::deserialize(&mut json)?;
    Ok(chat_template.and_then(|Templates(text)| text))
}

/// The file.
#[derive(Deserialize)]
struct Config {
    chat_template: Option<Templates>,
}

/// One template, or the one of several that counts.
struct Templates(Option<String>);

/// One of several.
#[derive(Deserialize)]
struct Named {
    name: String,
    template: String,
}

impl<'de> Deserialize<'de> for Templates {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Templates, D::Error> {
        json.deserialize_any(Choose).map(Templates)
    }
}

struct Choose;

impl<'de> Visitor<'de> for Choose {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a template, or a list of named ones")
    }

    fn visit_str<E>(self, text: &str) -> Result<Option<String>, E> {
        Ok(Some(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Option<String>, A::Error> {
        let mut chosen = None;
        while let Some(Named { name, template }) = list.next_element()? {
            if name == "default" || chosen.is_none() {
                chosen = Some(template);
            }
        }
        Ok(chosen)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Option<String>, A::Error> {
        let mut chosen = None;
        while let Some(name) = map.next_key::<String>()? {
            match name == "default" || chosen.is_none() {
                true => chosen = Some(map.next_value()?),
                false => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(chosen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_that_counts() {
        let long = format!(r#"{{"chat_template": "{}"}}"#, "x".repeat(LONGEST + 1));
        let cases: [(&str, Result<Option<&str>, &str>); 9] = [
            (r#"{"added_tokens_decoder": {"0": {"content": "<s>"}}}"#, Ok(None)),
            (r#"{"chat_template": null, "eos_token": "</s>"}"#, Ok(None)),
            (r#"{"bos_token": null, "chat_template": "{{ a }}\n"}"#, Ok(Some("{{ a }}\n"))),
            (
                r#"{"chat_template": [{"name": "tool_use", "template": "t"}, {"name": "default", "template": "d"}]}"#,
                Ok(Some("d")),
            ),
            (r#"{"chat_template": [{"name": "rag", "template": "r"}]}"#, Ok(Some("r"))),
            (r#"{"chat_template": {"x": "1", "default": "2", "y": "3"}}"#, Ok(Some("2"))),
            (r#"{"chat_template": 7}"#, Err("tokenizer_config.json")),
            ("{\"chat_template\": \"", Err("tokenizer_config.json")),
            (&long, Err("too long")),
        ];
        for (text, want) in cases {
            match (TemplateFile::Settings.read(text.as_bytes()), want) {
                (Ok(got), Ok(want)) => assert_eq!(got.as_deref(), want, "{text}"),
                (Err(error), Err(want)) => assert!(error.to_string().contains(want), "{error}"),
                (got, want) => panic!("{text:.60}: {got:?}, not {want:?}"),
            }
        }
    }

    #[test]
    fn one_by_itself() {
        let read = |bytes: &[u8]| TemplateFile::Jinja.read(bytes);
        assert_eq!(read(b"{{ a }}\n").unwrap().unwrap(), "{{ a }}\n");
        assert!(read(b"\xff").unwrap_err().to_string().contains("chat_template.jinja"));
        assert_eq!(
            read(&[b'x'; 2 * ChatTemplate::LONGEST]).unwrap().unwrap().len(),
            ChatTemplate::LONGEST + 1
        );
    }
}
